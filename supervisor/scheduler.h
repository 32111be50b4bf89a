/*
 * Which escrow gets which endpoints, and when. All endpoints an escrow needs or
 * none; an endpoint that has the role rather than one for any; the longest idle
 * first; first come first served among those who can be served. Escrows that
 * need the same roles wait in one queue, so that a turn looks at the head of a
 * few queues and not at every escrow.
 */
#ifndef SUPERVISOR_SCHEDULER_H
#define SUPERVISOR_SCHEDULER_H

#include <stddef.h>
#include <stdint.h>

struct escrow;
struct scheduler;
struct supervisor;

struct scheduler *scheduler_new(struct supervisor *sv);
void scheduler_free(struct scheduler *scheduler);

/* Puts an escrow in its place by order of opening. */
void scheduler_enqueue(struct scheduler *scheduler, struct escrow *escrow);
void scheduler_dequeue(struct scheduler *scheduler, struct escrow *escrow);

/* Endpoints or escrows came: look again, at the end of this turn. */
void scheduler_wake(struct scheduler *scheduler);

int scheduler_queue_length(const struct scheduler *scheduler);
/* When the one that waits longest began to, wall ms; 0: none waits. */
int64_t scheduler_oldest(const struct scheduler *scheduler);
/* What an escrow waits for: "3 endpoints (2 idle, 1 down)". */
void scheduler_describe_wait(struct scheduler *scheduler, const struct escrow *escrow, char *out, size_t size);
/* The same of whoever is first in the queue; "" when none waits. */
void scheduler_describe_first(struct scheduler *scheduler, char *out, size_t size);

#endif
