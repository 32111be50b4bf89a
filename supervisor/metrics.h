/*
 * What is counted. Counters live here and start at 0 with msigd; what other parts
 * know anyway (phases, endpoints by state, queue) is asked of them when the text
 * is made, and costs no look at every escrow. No label has an escrow, an endpoint
 * or anything else that there can be ever more of.
 */
#ifndef SUPERVISOR_METRICS_H
#define SUPERVISOR_METRICS_H

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/histogram.h"
#include "common/phase.h"
#include "ipc/message.h"
#include "ipc/numbers.h"
#include "supervisor/metrics_text.h"
#include "supervisor/worker_process.h"

struct supervisor;

enum delay_kind { DELAY_STAGGER, DELAY_POLLUTION, DELAY_KIND_COUNT };
enum job_kind {
	JOB_SETUP, JOB_SESSION, JOB_TEND, JOB_CHECK, JOB_REPAIR, JOB_ATTIC, JOB_TRIAL, JOB_KIND_COUNT
};
enum lock_kind { LOCK_KIND_ENDPOINT, LOCK_KIND_ESCROW, LOCK_KIND_COUNT };

/* As ipc/message.h numbers them: 2 of 3 takes two exchanges. */
enum { METRICS_ROUNDS = 5 };

struct metrics {
	int64_t phases[PHASE_COUNT];          /* of all escrows; read from the store at start */
	uint64_t opened, ready;
	uint64_t escrows_failed[CAUSE_COUNT]; /* after their last attempt, by its cause */
	uint64_t failed[CAUSE_COUNT];         /* attempts, by cause */
	uint64_t interrupted[CAUSE_COUNT];    /* likewise, and they go on */
	uint64_t worker_starts[JOB_KIND_COUNT];
	uint64_t worker_exits[WORKER_CAUSE_COUNT];
	uint64_t worker_deaths;
	uint64_t worker_cpu_us[JOB_KIND_COUNT]; /* of those that have ended */
	uint64_t managed_starts, managed_deaths;
	uint64_t leases, endpoint_failures;   /* also of endpoints that are not there any more */
	uint64_t spares_made, spares_used, spares_lost;
	uint64_t pollutions;                  /* wallets found multisig that should not have been, or others in their place */
	uint64_t sessions_kept, sessions_opened, sessions_reused, sessions_evicted, sessions_expired, sessions_closed,
	    sessions_failed;
	struct histogram setups;              /* from lease to Ready, with metrics_setup_bounds */
	struct histogram rounds[METRICS_ROUNDS]; /* of one attempt, with numbers_call_bounds */
	struct histogram queue_waits;         /* of escrows, until they were served, with metrics_wait_bounds */
	struct {
		uint64_t wait_ms, hold_ms, busy_tries, contended, count;
	} locks[LOCK_KIND_COUNT];
	struct {
		uint64_t ms, count;
	} delays[DELAY_KIND_COUNT];           /* as they were measured */
	struct numbers numbers;               /* what workers have counted */
};

extern const struct histogram_bounds metrics_setup_bounds, metrics_wait_bounds;

/* Their names, as labels. */
const char *metrics_job_name(enum job_kind kind);
const char *metrics_lock_name(enum lock_kind kind);
const char *metrics_delay_name(enum delay_kind kind);

/* A worker waited, for so long: "stagger" or "pollution". False: no such kind. */
bool metrics_delay(struct metrics *metrics, const char *kind, int64_t measured_ms);

/* A worker was forked for this job. */
void metrics_worker_start(struct metrics *metrics, const char *job);

/* A worker of this job has ended, and took so much CPU time. */
void metrics_worker_cpu(struct metrics *metrics, const char *job, int64_t cpu_us);

/* One lock was released or, not held, was tried in vain: that has no wait and no
 * hold. Its name tells the kind. */
void metrics_lock(struct metrics *metrics, const char *name, bool held, int64_t wait_ms, int64_t hold_ms, int64_t busy_tries);

/* All three roles have done this round of an attempt, below METRICS_ROUNDS. */
void metrics_round(struct metrics *metrics, int round, int64_t us);

/* An escrow (or, from PHASE_COUNT, a new one) is in another phase. */
void metrics_phase(struct metrics *metrics, enum phase from, enum phase to);

/* Adds the whole text, with "# EOF" (metrics_write.c). */
void metrics_write(struct supervisor *sv, enum metrics_format format, struct evbuffer *out);

#endif
