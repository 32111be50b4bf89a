/*
 * The life of an escrow in its trace (trace.h): what setup_control.c, setup_end.c
 * and setup_recovery.c decide. Nothing here has an effect on one without a trace.
 */
#ifndef SUPERVISOR_SETUP_TRACE_H
#define SUPERVISOR_SETUP_TRACE_H

#include <jansson.h>

#include "supervisor/escrow.h"

/* It is taken up: opened just now, tried again, or left by an earlier msigd. */
void setup_trace_taken_up(struct escrow *escrow, bool restart);

/* It gets these endpoints: how long it waited, and for whom they are others than
 * before. */
void setup_trace_granted(struct escrow *escrow, struct endpoint *const endpoints[ROLE_COUNT]);

/* Its phase, once that is durable. A phase that ends the attempt is told by: */
void setup_trace_phase(struct escrow *escrow);
void setup_trace_ready(struct escrow *escrow, const char *address);
void setup_trace_failed(struct escrow *escrow, const struct escrow_op *op);

/* What a finished frame says of where it failed, for setup_trace_failed(). */
void setup_trace_blame(struct escrow *escrow, json_t *finished);

/* Its attempt is interrupted, and goes on after a pause that was this long. */
void setup_trace_interrupted(struct escrow *escrow, const struct escrow_op *op);
void setup_trace_backoff(struct escrow *escrow, int64_t asked_ms, int64_t measured_ms);

/* As setup_tell_pollution(). */
void setup_trace_pollution(struct escrow *escrow, enum role role, const char *wallet, const char *found,
    const char *found_escrow);

#endif
