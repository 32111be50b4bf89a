/* How long the rounds of an attempt take, for the metrics: from the first intent
 * of a round on disk to the last result of it. The first two overlap: who has its
 * wallet prepares it. A round that an interruption cut in two is not counted. */
#ifndef SUPERVISOR_SETUP_TIMING_H
#define SUPERVISOR_SETUP_TIMING_H

#include <jansson.h>

struct escrow;

/* Its worker starts. */
void setup_time_anew(struct escrow *escrow);

/* A report of it is on disk. */
void setup_time_report(struct escrow *escrow, json_t *frame);

#endif
