/*
 * Who gets which endpoints, and when. All endpoints a claim needs or none; an
 * endpoint that has the role rather than one for any; primed ones first, then
 * the longest free; first come first served among those who can be served.
 * A claim of a session keeps the endpoints of its wallets from all who came
 * later, or it might never find them free at the same time; unless one of them
 * is down or out: then it cannot be served, and holds nobody up.
 * Claims that need the same roles wait in one queue, so that a turn looks at
 * the head of a few queues and not at every escrow. Claims of sessions, whose
 * wallets exist and cannot be opened just anywhere, are few, and looked at one
 * by one.
 */
#ifndef SUPERVISOR_SCHEDULER_H
#define SUPERVISOR_SCHEDULER_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/role.h"

struct claim;
struct endpoint;
struct scheduler;
struct supervisor;

/* The endpoints are there, one for each role of needs: to be leased now, in the
 * callback. The claim is out of the queue. */
typedef void (*claim_granted_fn)(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT]);

/* Part of whoever waits; filled in by it before scheduler_enqueue(). */
struct claim {
	TAILQ_ENTRY(claim) queue;
	unsigned needs;              /* ROLE_BIT()s */
	int64_t order;               /* scheduler_order() */
	bool has_homes;              /* the wallets exist: only where they can be opened */
	struct endpoint *homes[ROLE_COUNT]; /* with has_homes: where they were made; NULL: no such endpoint any more */
	claim_granted_fn granted;
	int64_t queued_at;           /* wall, ms: set when it is queued */
};

struct scheduler *scheduler_new(struct supervisor *sv);
void scheduler_free(struct scheduler *scheduler);

/* The place of an escrow by its order of opening (store_escrow.seq), and of a
 * claim that comes now, behind all escrows up to last_seq and all such claims. */
int64_t scheduler_order(int64_t seq);
int64_t scheduler_order_behind(struct scheduler *scheduler, int64_t last_seq);

/* Puts a claim in its place. */
void scheduler_enqueue(struct scheduler *scheduler, struct claim *claim);
void scheduler_dequeue(struct scheduler *scheduler, struct claim *claim);

/* Endpoints or claims came: look again, at the end of this turn. */
void scheduler_wake(struct scheduler *scheduler);

/* An endpoint goes: no claim may name it any more. */
void scheduler_forget(struct scheduler *scheduler, const struct endpoint *endpoint);

/* The first role whose wallet can be opened nowhere now, for all endpoints where
 * it could be are down, out or gone; ROLE_COUNT: none is in the way. */
int scheduler_homeless_role(const struct scheduler *scheduler, const struct claim *claim);

/* Claims of escrows, and of all for whom there are endpoints, if only they were free. */
int scheduler_queue_length(const struct scheduler *scheduler);
int scheduler_demand(const struct scheduler *scheduler);
/* The claim with homes that waits longest and is not homeless, or NULL. */
const struct claim *scheduler_first_with_homes(const struct scheduler *scheduler);
/* The one that waits longest, or NULL. */
const struct claim *scheduler_first(const struct scheduler *scheduler);
/* What a claim waits for: "3 endpoints (2 idle, 1 down)". */
void scheduler_describe_wait(struct scheduler *scheduler, const struct claim *claim, char *out, size_t size);

#endif
