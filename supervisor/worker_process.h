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

/* How a worker ended. */
struct worker_end {
	json_t *finished;     /* its last frame, borrowed, or NULL: it ended without a word */
	bool never_ran;       /* it did nothing: not forked, or not executed */
	bool not_executable;  /* and could not be: the installation is broken */
	char why[256];        /* for people; "" with finished */
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
