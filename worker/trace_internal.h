/* Between trace.c and snapshot.c. */
#ifndef WORKER_TRACE_INTERNAL_H
#define WORKER_TRACE_INTERNAL_H

#include "worker/trace.h"

/* Says an event of the party, with what all of those have beside these fields
 * (reference taken). Only with a trace. */
void trace_say(struct party *party, enum trace_type type, json_t *fields);

/* DESIGN.md's of a kex round: there prepare and make are one. */
int trace_round(int kex_round);

json_t *trace_fields(const struct party *party);
double trace_since_ms(int64_t since_us);
int trace_port(const struct party *party);

/* value, if it is a boolean or an integer (NULL: it is not). */
void trace_set_fact(json_t *facts, const char *name, const json_t *value);

/* Its hash, and whether it is the placeholder, into fields. */
void trace_set_address(json_t *fields, const char *address);

/* {stamp_ok, found_escrow?} of what an attribute says; value: NULL, there is none. */
json_t *trace_stamp(const struct party *party, const char *value);

#endif
