/* What the files of workers share: worker_process.c has the life of one,
 * worker_pool.c all of them, and whose turn it is to be forked. */
#ifndef SUPERVISOR_WORKER_INTERNAL_H
#define SUPERVISOR_WORKER_INTERNAL_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <event2/event.h>

#include "supervisor/worker_life.h"
#include "supervisor/worker_process.h"

struct channel;
struct child;

struct worker {
	RB_ENTRY(worker) node;
	TAILQ_ENTRY(worker) queue;      /* while QUEUED */
	struct supervisor *sv;
	const struct worker_job *job;
	void *owner;
	uint64_t generation;
	enum worker_state state;
	char title[64];
	char escrow_id[37];             /* or "" */
	int64_t limit_ms;
	int64_t spawned_ms;             /* monotonic */
	bool forked;
	struct child *child;
	struct channel *channel;
	struct event *deadline;
	json_t *finished;
	char why[200];                  /* why it was killed, else "" */
	int exec_errno;
	int status;
};

/* What worker_life() says of the event; may free it. */
void worker_handle(struct worker *worker, enum worker_event event, json_t *frame);
void worker_free(struct worker *worker);

/* Names it with a new generation, and lets it wait for its turn. */
void worker_pool_add(struct worker *worker);
/* It has had its turn, or will have none. */
void worker_pool_dequeue(struct worker *worker);
/* Of those between fork and hello, so many more, or less. */
void worker_pool_count_starting(struct worker_pool *pool, int change);
/* If there is room for it, the next one has its turn. */
void worker_pool_fill(struct worker_pool *pool);
void worker_pool_remove(struct worker *worker);

#endif
