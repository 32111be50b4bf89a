/*
 * Who gets which endpoints, and when. All endpoints a claim needs or none; an
 * endpoint that has the role rather than one for any; primed ones first, then
 * the longest free; first come first served among those who can be served.
 * A claim whose wallets exist (homes.h) keeps their endpoints from all who came
 * later, or it might never find them free at the same time; unless one of them
 * is away and no other does: then it cannot be served, and holds nobody up.
 * Claims that need the same roles, and nothing else, wait in one queue, so that
 * a turn looks at the head of a few queues and not at every escrow. Those of
 * sessions and of escrows that go on are looked at one by one, once a turn;
 * after a start these can be hundreds.
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
	unsigned at_home;            /* ROLE_BIT()s: the wallet exists: only where it can be opened */
	bool stays;                  /* these: only at their homes, not wherever the same files are */
	unsigned to_write;           /* ROLE_BIT()s: it does not wait for that: also where its copy can be written */
	struct endpoint *homes[ROLE_COUNT]; /* of those: where they were made; NULL: no such endpoint any more */
	bool goes_on;                /* with an attempt that has begun: is served also while msigd drains */
	int64_t homeless_ms;         /* monotonic: since when it cannot be served, whatever gets free; 0: it can */
	claim_granted_fn granted;
	int64_t queued_ms;           /* monotonic: set when it is queued */
};

struct scheduler *scheduler_new(struct supervisor *sv);
void scheduler_free(struct scheduler *scheduler);

/* The place of an escrow by its order of opening (store_escrow.seq), and of a
 * claim that comes now, behind all escrows up to last_seq and all such claims. */
int64_t scheduler_order(int64_t seq);
int64_t scheduler_order_behind(struct scheduler *scheduler, int64_t last_seq);

/* Nothing exists of what it is for: any endpoints will do. Not while it is queued. */
void claim_begin_anew(struct claim *claim);

/* Puts a claim in its place. */
void scheduler_enqueue(struct scheduler *scheduler, struct claim *claim);
void scheduler_dequeue(struct scheduler *scheduler, struct claim *claim);

/* Endpoints or claims came: look again, at the end of this turn. */
void scheduler_wake(struct scheduler *scheduler);

/* An endpoint goes: no claim may name it any more. */
void scheduler_forget(struct scheduler *scheduler, const struct endpoint *endpoint);

/* Claims that any endpoints of their roles can serve; and of all for whom there
 * are endpoints, if only they were free. */
int scheduler_queue_length(const struct scheduler *scheduler);
int scheduler_demand(const struct scheduler *scheduler);
/* The claim that waits longest of those that are looked at one by one and are
 * not homeless, or NULL. */
const struct claim *scheduler_first_with_homes(const struct scheduler *scheduler);
/* The one that waits longest, or NULL. */
const struct claim *scheduler_first(const struct scheduler *scheduler);
/* What a claim waits for: "3 endpoints (2 idle, 1 down)". */
void scheduler_describe_wait(struct scheduler *scheduler, const struct claim *claim, char *out, size_t size);

#endif
