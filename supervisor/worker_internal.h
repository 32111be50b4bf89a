/* What the files of workers share: worker_process.c has the life of one,
 * worker_end.c what follows from its end, worker_pool.c all of them, and whose
 * turn it is to be forked. */
#ifndef SUPERVISOR_WORKER_INTERNAL_H
#define SUPERVISOR_WORKER_INTERNAL_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <event2/event.h>

#include "supervisor/worker_life.h"
#include "supervisor/worker_process.h"

struct channel;
struct child;
struct trace;

/* What msigd ends one for. */
enum worker_fault {
	WORKER_FAULT_NONE,
	WORKER_FAULT_GARBAGE,        /* it said what cannot be */
	WORKER_FAULT_VERSION,        /* it speaks another version of the protocol */
	WORKER_FAULT_DEADLINE,       /* its time was over */
	WORKER_FAULT_STOPPED,        /* none of its own: it was not wanted any more before it said hello */
	WORKER_FAULT_NO_PROCESS,     /* there was none to be had */
	WORKER_FAULT_NOT_EXECUTABLE,
	WORKER_FAULT_COUNT
};

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
	bool stopped;                   /* by SIGTERM, before it could be asked */
	struct child *child;
	struct channel *channel;
	struct event *deadline;
	json_t *finished;
	enum worker_fault fault;
	char why[280];                  /* why it was killed, else "" */
	int exec_errno;
	int status;
	pid_t pid;                      /* also once it has ended */
	struct trace *trace;            /* of its escrow, held, or NULL */
	struct {
		const char *type;       /* trace_type_name(), NULL: it has said nothing */
		char role[16], method[32];
		int round;              /* -1: outside of them */
	} said;                         /* the last event of the trace */
};

/* What worker_life() says of the event; may free it. */
void worker_handle(struct worker *worker, enum worker_event event, json_t *frame);
void worker_free(struct worker *worker);
/* Its beginning and its end in the trace; what it says for it. False: that is no
 * event. (worker_trace.c) */
void worker_trace_start(struct worker *worker);
void worker_trace_end(struct worker *worker);
bool worker_trace_frame(struct worker *worker, json_t *frame);
/* msigd ended it, before its hello, for it was not wanted any more. */
bool worker_was_stopped(const struct worker *worker);
/* program: its path. */
void worker_take_end(const struct worker *worker, const char *program, struct worker_end *end);

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
