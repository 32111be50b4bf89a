/*
 * What is counted, and its OpenMetrics text for GET /metrics. Counters live
 * here and start at 0 with msigd; what other parts know anyway (phases,
 * endpoints by state, queue) is asked of them when the text is made.
 */
#ifndef SUPERVISOR_METRICS_H
#define SUPERVISOR_METRICS_H

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/phase.h"
#include "ipc/message.h"

struct supervisor;

enum delay_kind { DELAY_STAGGER, DELAY_POLLUTION, DELAY_KIND_COUNT };
enum job_kind { JOB_SETUP, JOB_SESSION, JOB_TEND, JOB_CHECK, JOB_TRIAL, JOB_KIND_COUNT };
enum lock_kind { LOCK_KIND_ENDPOINT, LOCK_KIND_ESCROW, LOCK_KIND_COUNT };

struct metrics {
	int64_t phases[PHASE_COUNT];          /* of all escrows; read from the store at start */
	uint64_t opened, ready;
	uint64_t failed[CAUSE_COUNT];         /* attempts, by cause */
	uint64_t worker_starts, worker_deaths;
	uint64_t worker_cpu_us[JOB_KIND_COUNT]; /* of those that have ended */
	uint64_t managed_starts, managed_deaths;
	uint64_t spares_made, spares_used, spares_lost;
	uint64_t pollutions;                  /* wallets found multisig that should not have been */
	uint64_t sessions_kept, sessions_opened, sessions_reused, sessions_evicted, sessions_expired, sessions_closed,
	    sessions_failed;
	uint64_t setup_ms_sum, setup_count;   /* from lease to Ready */
	struct {
		uint64_t wait_ms, hold_ms, busy_tries, count;
	} locks[LOCK_KIND_COUNT];
	struct {
		uint64_t ms, count;
	} delays[DELAY_KIND_COUNT];           /* as they were measured */
};

/* A worker waited, for so long: "stagger" or "pollution". False: no such kind. */
bool metrics_delay(struct metrics *metrics, const char *kind, int64_t measured_ms);

/* A worker of this job has ended, and took so much CPU time. */
void metrics_worker_cpu(struct metrics *metrics, const char *job, int64_t cpu_us);

/* One lock was released; its name tells the kind. */
void metrics_lock(struct metrics *metrics, const char *name, int64_t wait_ms, int64_t hold_ms, int64_t busy_tries);

/* An escrow (or, from PHASE_COUNT, a new one) is in another phase. */
void metrics_phase(struct metrics *metrics, enum phase from, enum phase to);

/* Adds the whole text, with "# EOF". */
void metrics_write(struct supervisor *sv, struct evbuffer *out);

#endif
