#include "supervisor/metrics.h"

#include <string.h>

static const char *const job_kinds[JOB_KIND_COUNT] = {"setup", "session", "tend", "check", "repair", "attic", "trial"};

static const char *const lock_kinds[LOCK_KIND_COUNT] = {"endpoint", "escrow"};

static const char *const delay_kinds[DELAY_KIND_COUNT] = {"stagger", "pollution"};

/* 1 s is one with spare wallets, 5 s one without; setup-timeout is 10 min. */
const struct histogram_bounds metrics_setup_bounds = {
	13, {500000, 1000000, 1500000, 2000000, 3000000, 5000000, 7500000, 10000000, 15000000, 30000000, 60000000, 120000000,
	600000000}};

/* From served at once to an hour. */
const struct histogram_bounds metrics_wait_bounds = {
	12, {10000, 100000, 500000, 1000000, 5000000, 10000000, 30000000, 60000000, 300000000, 600000000, 1800000000, 3600000000}};

const char *
metrics_job_name(enum job_kind kind)
{
	return job_kinds[kind];
}

const char *
metrics_lock_name(enum lock_kind kind)
{
	return lock_kinds[kind];
}

const char *
metrics_delay_name(enum delay_kind kind)
{
	return delay_kinds[kind];
}

bool
metrics_delay(struct metrics *m, const char *kind, int64_t measured_ms)
{
	for (int i = 0; i < DELAY_KIND_COUNT; i++) {
		if (strcmp(kind, delay_kinds[i]) != 0)
			continue;
		m->delays[i].ms += (uint64_t)measured_ms;
		m->delays[i].count++;
		return true;
	}
	return false;
}

void
metrics_worker_start(struct metrics *m, const char *job)
{
	for (int i = 0; i < JOB_KIND_COUNT; i++)
		m->worker_starts[i] += strcmp(job, job_kinds[i]) == 0 ? 1 : 0;
}

void
metrics_worker_cpu(struct metrics *m, const char *job, int64_t cpu_us)
{
	for (int i = 0; i < JOB_KIND_COUNT; i++) {
		if (strcmp(job, job_kinds[i]) == 0)
			m->worker_cpu_us[i] += (uint64_t)cpu_us;
	}
}

void
metrics_lock(struct metrics *m, const char *name, bool held, int64_t wait_ms, int64_t hold_ms, int64_t busy_tries)
{
	enum lock_kind kind = strncmp(name, "escrow-", 7) == 0 ? LOCK_KIND_ESCROW : LOCK_KIND_ENDPOINT;

	m->locks[kind].busy_tries += (uint64_t)busy_tries;
	m->locks[kind].contended += busy_tries > 0 ? 1 : 0;
	if (!held)
		return;
	m->locks[kind].wait_ms += (uint64_t)wait_ms;
	m->locks[kind].hold_ms += (uint64_t)hold_ms;
	m->locks[kind].count++;
}

void
metrics_round(struct metrics *m, int round, int64_t us)
{
	histogram_add(&m->rounds[round], &numbers_call_bounds, us);
}

void
metrics_phase(struct metrics *m, enum phase from, enum phase to)
{
	if (from != PHASE_COUNT)
		m->phases[from]--;
	m->phases[to]++;
}
