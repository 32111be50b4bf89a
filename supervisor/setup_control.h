/*
 * The supervisor's side of the setup job: from endpoints leased to an attempt
 * that is Ready or Failed. Persists what the worker reports and acknowledges it;
 * what follows from its end is setup_end.c's.
 */
#ifndef SUPERVISOR_SETUP_CONTROL_H
#define SUPERVISOR_SETUP_CONTROL_H

#include <stdbool.h>

struct escrow;
struct supervisor;

/* It is to end as Failed, reason cancelled, at its next step. fn (or NULL) is
 * called once it has ended. False: out of memory. */
bool setup_cancel(struct escrow *escrow, void (*fn)(void *arg), void *arg);

/* Takes up every escrow that the store has as not terminal: one that waits is
 * queued; one that was under way goes on. False: the store failed. */
bool setup_take_up(struct supervisor *sv);

/* Takes up one that was just opened or retried, and is durable. */
void setup_take_up_one(struct supervisor *sv, const char *escrow_id);

#endif
