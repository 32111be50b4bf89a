/*
 * Workers as processes: fork, exec, hello, deadlines, stop, end. Lives by the
 * table of worker_life.h. What a worker is there for is its job's business:
 * setup_control.c, tend_control.c, check_control.c.
 *
 * At most WORKERS_STARTING workers are between fork and hello at a time; the
 * others wait, first come first served. A worker is named by its generation,
 * a number that never comes again, so that who answers late finds nobody
 * rather than the wrong one.
 */
#ifndef SUPERVISOR_WORKER_PROCESS_H
#define SUPERVISOR_WORKER_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/message.h"

enum { WORKERS_STARTING = 4 };

struct supervisor;
struct worker;
struct worker_pool;

/* What is to follow when one ended without a word. */
enum worker_again {
	WORKER_AGAIN_NOW,
	WORKER_AGAIN_LATER,   /* after a pause: it would be no better now */
	WORKER_NEVER          /* it would be no better at any time */
};

/* What it ended by, as metrics count it. With finished, that is its outcome;
 * without, STOPPED is one that msigd ended before its hello, which is no death. */
enum worker_cause {
	WORKER_CAUSE_DONE, WORKER_CAUSE_BUSY, WORKER_CAUSE_STOPPED, WORKER_CAUSE_FAILED,
	WORKER_CAUSE_SIGNAL,         /* SIGKILL or SIGTERM, from whom it may be */
	WORKER_CAUSE_CRASH,          /* any other signal */
	WORKER_CAUSE_STATUS,         /* an exit status that has no meaning, or without a word */
	WORKER_CAUSE_MSIGD_GONE,     /* it took msigd for gone */
	WORKER_CAUSE_PROTOCOL,       /* msigd told it what it does not understand */
	WORKER_CAUSE_RESOURCES,
	WORKER_CAUSE_GARBAGE,        /* from here on: what msigd ended it for (worker_internal.h) */
	WORKER_CAUSE_VERSION,
	WORKER_CAUSE_DEADLINE,
	WORKER_CAUSE_NO_PROCESS,
	WORKER_CAUSE_NOT_EXECUTABLE,
	WORKER_CAUSE_COUNT
};
const char *worker_cause_name(enum worker_cause cause); /* "done", "no_process", … */

/* How a worker ended. */
struct worker_end {
	enum worker_cause cause;
	json_t *finished;     /* its last frame, borrowed, or NULL: it ended without a word */
	bool never_ran;       /* it did nothing: not forked, or not executed */
	enum worker_again again; /* without finished; counts: too many of these are a failure */
	bool counts;
	char why[300];        /* for people; "" with finished */
};

/* For people: why it did not come to the end of its job. */
void worker_describe_end(const struct worker_end *end, char *out, size_t size);

struct worker_job {
	const char *name;     /* "setup", "session", "tend", "check", "trial" */
	/* The job's own fields of the start frame; NULL: it cannot begin, and the worker is ended. */
	json_t *(*start)(void *owner);
	/* A report, publish, serving or reply. False: it is garbage. why says so to the log. */
	bool (*message)(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why);
	/* It is gone. Called once; the worker is freed after it. */
	void (*gone)(void *owner, const struct worker_end *end);
};

struct worker_pool *worker_pool_new(struct supervisor *sv);
/* Kills what is left and waits for it. Jobs are not told. */
void worker_pool_free(struct worker_pool *pool);

/* Starts one, or lets it wait for its turn. title is what ps(1) shows; escrow_id
 * (or NULL) goes with its log lines. limit_ms is its time from start to finish.
 * NULL: out of memory. */
struct worker *worker_new(struct supervisor *sv, const struct worker_job *job, void *owner,
    const char *title, const char *escrow_id, int64_t limit_ms);

uint64_t worker_generation(const struct worker *worker);
struct worker *worker_find(struct worker_pool *pool, uint64_t generation);

/* Answers a report or publish. session: with that of a publish, and the worker
 * goes on as a session. */
void worker_ack(struct worker *worker, json_int_t serial, bool session);
/* Once what was written for it is on disk; it is killed when that fails. False: out of memory. */
bool worker_ack_when_durable(struct worker *worker, json_int_t serial);
/* Neither ending, nor told to. */
bool worker_is_working(const struct worker *worker);
/* It belongs to somebody else from now on, who hears of its messages and its end. */
void worker_hand_over(struct worker *worker, const struct worker_job *job, void *owner);
/* Asks a worker that is SERVING. */
void worker_request(struct worker *worker, json_int_t request_id);
/* It said something that cannot be: it is killed. */
void worker_reject(struct worker *worker, const char *why);
/* It is to end at the next step. */
void worker_stop(struct worker *worker);
void worker_stop_all(struct worker_pool *pool);

int worker_count(const struct worker_pool *pool);

#endif
