/* Between setup_control.c, setup_end.c and setup_recovery.c: the parts of an
 * attempt's life. */
#ifndef SUPERVISOR_SETUP_INTERNAL_H
#define SUPERVISOR_SETUP_INTERNAL_H

#include <stdbool.h>

#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"

struct worker_end;

/* --- setup_control.c */

/* See struct escrow_op. */
struct escrow_op *setup_op_new(enum store_result (*apply)(struct escrow *, struct escrow_op *),
    void (*done)(struct escrow *, struct escrow_op *), bool (*refused)(struct escrow *, struct escrow_op *));

/* Brings the metrics up to its phase. */
void setup_count_phase(struct escrow *escrow);

/* All that it still has; reason: as endpoint_event() takes it. */
void setup_release_endpoints(struct escrow *escrow, enum endpoint_event event, const char *reason);

/* Into the queue. */
void setup_enqueue(struct escrow *escrow);

/* The object has done its work: it is freed. */
void setup_finish(struct escrow *escrow);

/* --- setup_end.c */

/* The attempt has failed; next: another one follows; counts: against max-attempts.
 * Of one that is Ready only the object ends. */
void setup_end_attempt(struct escrow *escrow, enum failure_cause cause, const char *reason, bool next, bool counts);

/* escrow_op.refused of an operation that must not be: the object ends with the turn. */
bool setup_refuse_end(struct escrow *escrow, struct escrow_op *op);

/* Its worker is gone (worker_job.gone). */
void setup_on_gone(void *owner, const struct worker_end *end);

/* From its pause into the queue, to go on. */
void setup_go_on(struct escrow *escrow);

/* It cannot go on: another attempt begins. It counts if what interrupted this one did. */
void setup_not_recovered(struct escrow *escrow, const char *reason);

#endif
