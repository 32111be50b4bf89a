/*
 * The escrows that are under way, in memory: one object for each whose last
 * attempt is not terminal. Owns what the store last said of it (the guard), its
 * claim in the queue, its endpoints, its worker, and the changes on their way
 * to disk.
 *
 * Every change of a live escrow is an operation. Operations of one escrow are
 * applied strictly in order; what follows from one (an ack, a worker, an
 * answer) is done once it is durable. When the store fails, they are kept and
 * applied again, in the same order, a second later: the worker waits for its
 * ack meanwhile, and nothing is lost.
 */
#ifndef SUPERVISOR_ESCROW_H
#define SUPERVISOR_ESCROW_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/uuid.h"
#include "supervisor/metrics.h"
#include "supervisor/scheduler.h"
#include "supervisor/store.h"

struct endpoint;
struct escrow_op;
struct supervisor;
struct trace;
struct worker;

/* Where the object is in its life. */
enum escrow_activity {
	ESCROW_QUEUED,    /* waits in the scheduler for endpoints */
	ESCROW_STARTING,  /* has endpoints; its start is on the way to disk */
	ESCROW_RUNNING,   /* has a worker */
	ESCROW_PAUSED,    /* its attempt was interrupted, and goes on after a pause */
	ESCROW_ENDING     /* the worker is gone; the outcome is on the way to disk */
};

/* Somebody who wants to know when the attempt has ended (cancel_escrow). */
struct escrow_waiter {
	STAILQ_ENTRY(escrow_waiter) next;
	void (*fn)(void *arg);
	void *arg;
};

struct escrow {
	RB_ENTRY(escrow) node;
	struct claim claim;             /* its claim in the queue; needs: the managed roles */
	struct supervisor *sv;
	char id[UUID_TEXT];
	struct trace *trace;            /* held, or NULL */
	struct store_guard guard;       /* of its last attempt, as last committed or applied */
	enum phase counted_phase;       /* as the metrics count it */
	int64_t opened_at;              /* wall, ms */
	int64_t leased_ms;              /* monotonic */
	struct {
		unsigned done;          /* ROLE_BIT()s of those who have done it */
		int64_t began_us;       /* monotonic; 0: not with this worker */
	} timed[METRICS_ROUNDS];        /* setup_timing.h */
	int failures;                   /* of earlier attempts, counted against max-attempts */
	enum escrow_activity activity;
	struct endpoint *endpoints[ROLE_COUNT];
	unsigned primed;                /* ROLE_BIT()s of those that were primed when they were leased */
	unsigned polluted;              /* ROLE_BIT()s of those whose wallet its worker has found so */
	json_t *spares[ROLE_COUNT];     /* SPARE of ipc/message.h: the wallet to be used there, or NULL */
	json_t *journals;               /* participants of the next start frame of one that goes on, or NULL */
	struct worker *worker;
	bool cancelled;                 /* wished for */
	bool resumed;                   /* its worker goes on with what another began */
	unsigned copies;                /* ROLE_BIT()s of the wallets that the store has a copy of, while it goes on */
	int resumes, strikes;           /* since a result came last; strikes: of those that count */
	struct event *pause;            /* until it goes on; while it waits for its endpoints: until elsewhere */
	char *interrupted;              /* by what its attempt was last, for people, or NULL */
	int64_t backoff_ms, backoff_since_ms; /* asked for, and monotonic since when; 0: it is not for that that it pauses */
	int64_t locked_ms;              /* monotonic: since when its lock is found to be held by another; 0: it is not */
	char *locked_by;                /* by whom, as status says it, or NULL */
	bool locked_out;                /* that is no worker of ours: it may last */
	bool publishing;                /* its worker has said publish: it may report nothing after it */
	struct {
		char call[32];              /* intended and not yet answered, else "" */
	} open[ROLE_COUNT];
	STAILQ_HEAD(, escrow_op) ops;
	STAILQ_HEAD(, escrow_waiter) waiters; /* told when the object goes */
	bool held;                      /* the store failed: waits for `again` */
	bool held_told;                 /* in the log, since something of it was durable */
	struct event *again;
};

/* One change. apply writes to the store; done follows once that is durable and
 * may free the escrow. The operation is freed after it, with its frame. */
struct escrow_op {
	STAILQ_ENTRY(escrow_op) next;
	struct escrow *escrow;
	enum store_result (*apply)(struct escrow *escrow, struct escrow_op *op);
	void (*done)(struct escrow *escrow, struct escrow_op *op);
	/* The store refused it for what it says (STORE_CONFLICT). Returns whether
	 * the escrow still lives. */
	bool (*refused)(struct escrow *escrow, struct escrow_op *op);
	bool applied;
	json_t *frame;                  /* a worker's, or NULL */
	uint64_t generation;            /* of that worker */
	enum failure_cause cause;       /* for the end of an attempt */
	char reason[STORE_REASON_MAX];
	bool next_attempt, counts;
	bool later;                     /* it goes on after a pause only */
};

struct escrow_table *escrow_table_new(void);
void escrow_table_free(struct escrow_table *table);
int escrow_count(const struct escrow_table *table);
/* Those that wait for endpoints, with an attempt that has begun or not. */
int escrow_waiting(const struct escrow_table *table);
/* Those that have endpoints, or an outcome on its way to disk. */
int escrow_under_way(const struct escrow_table *table);
/* Whether an attempt has begun and can come to its end: one that is under way, is
 * paused, or waits to go on; but not one that is stranded (setup_recovery.h) or
 * whose lock is held by another program. */
bool escrow_any_goes_on(struct escrow_table *table);
void escrow_set_activity(struct escrow *escrow, enum escrow_activity activity);

struct escrow *escrow_find(struct escrow_table *table, const char *id);
/* Makes the object for an escrow as the store has it. NULL: out of memory. */
struct escrow *escrow_add(struct supervisor *sv, const struct store_escrow *record);
/* Tells the waiters. */
void escrow_free(struct escrow *escrow);

/* Takes op (from calloc) and applies it as soon as those before it are. */
void escrow_submit(struct escrow *escrow, struct escrow_op *op);
/* Whether some are on their way to disk: then the escrow may not be freed. */
bool escrow_has_ops(const struct escrow *escrow);

/* "buyer: make_multisig" of each role under way, for status; "" for none. */
void escrow_describe_open(const struct escrow *escrow, char *out, size_t size);

#endif
