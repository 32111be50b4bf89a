/* What two snapshots differ in. */
#ifndef MSIGTRACE_SNAPSHOTS_H
#define MSIGTRACE_SNAPSHOTS_H

#include "msigtrace/trace.h"

enum { SNAPSHOT_DIFFERENCE = 400 };

/* {member: [before, after]} of what differs between two snapshots; NULL is one
 * without members. Of other wallets (foreign) only what should be alike: not
 * address, name, port and money. How long it took never counts. */
json_t *snapshot_difference(const json_t *before, const json_t *after, bool foreign);

/* The same in words: "ready no -> yes, total 0 -> 3"; "" for nothing. */
void snapshot_difference_text(const json_t *difference, char out[SNAPSHOT_DIFFERENCE]);

#endif
