#include "supervisor/metrics.h"

#include <string.h>

#include "supervisor/endpoint.h"
#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

static const char *const job_kinds[JOB_KIND_COUNT] = {"setup", "session", "tend", "check", "trial"};

static const char *const lock_kinds[LOCK_KIND_COUNT] = {"endpoint", "escrow"};

static const char *const delay_kinds[DELAY_KIND_COUNT] = {"stagger", "pollution"};

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
metrics_worker_cpu(struct metrics *m, const char *job, int64_t cpu_us)
{
	for (int i = 0; i < JOB_KIND_COUNT; i++) {
		if (strcmp(job, job_kinds[i]) == 0)
			m->worker_cpu_us[i] += (uint64_t)cpu_us;
	}
}

void
metrics_lock(struct metrics *m, const char *name, int64_t wait_ms, int64_t hold_ms, int64_t busy_tries)
{
	enum lock_kind kind = strncmp(name, "escrow-", 7) == 0 ? LOCK_KIND_ESCROW : LOCK_KIND_ENDPOINT;

	m->locks[kind].wait_ms += (uint64_t)wait_ms;
	m->locks[kind].hold_ms += (uint64_t)hold_ms;
	m->locks[kind].busy_tries += (uint64_t)busy_tries;
	m->locks[kind].count++;
}

void
metrics_phase(struct metrics *m, enum phase from, enum phase to)
{
	if (from != PHASE_COUNT)
		m->phases[from]--;
	m->phases[to]++;
}

static void
family(struct evbuffer *out, const char *name, const char *type, const char *unit, const char *help)
{
	evbuffer_add_printf(out, "# TYPE %s %s\n", name, type);
	if (unit != NULL)
		evbuffer_add_printf(out, "# UNIT %s %s\n", name, unit);
	evbuffer_add_printf(out, "# HELP %s %s\n", name, help);
}

static void
counter(struct evbuffer *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "counter", NULL, help);
	evbuffer_add_printf(out, "%s_total %llu\n", name, (unsigned long long)value);
}

static void
gauge(struct evbuffer *out, const char *name, const char *help, int64_t value)
{
	family(out, name, "gauge", NULL, help);
	evbuffer_add_printf(out, "%s %lld\n", name, (long long)value);
}

static void
write_escrows(struct supervisor *sv, struct evbuffer *out)
{
	const struct metrics *m = &sv->metrics;

	family(out, "msigd_escrows", "gauge", NULL, "Escrows by phase of their last attempt.");
	for (int i = 0; i < PHASE_COUNT; i++)
		evbuffer_add_printf(out, "msigd_escrows{phase=\"%s\"} %lld\n", phase_name((enum phase)i),
		    (long long)m->phases[i]);
	counter(out, "msigd_escrows_opened", "Escrows opened.", m->opened);
	counter(out, "msigd_escrows_ready", "Escrows that got their address.", m->ready);
	family(out, "msigd_attempts_failed", "counter", NULL, "Attempts that failed, by cause.");
	for (int i = 0; i < CAUSE_COUNT; i++)
		evbuffer_add_printf(out, "msigd_attempts_failed_total{cause=\"%s\"} %llu\n",
		    failure_cause_name((enum failure_cause)i), (unsigned long long)m->failed[i]);
	family(out, "msigd_setup_seconds", "summary", "seconds", "Time from the lease of the endpoints to Ready.");
	evbuffer_add_printf(out, "msigd_setup_seconds_sum %.3f\nmsigd_setup_seconds_count %llu\n",
	    (double)m->setup_ms_sum / 1000, (unsigned long long)m->setup_count);
}

static void
write_pool(struct supervisor *sv, struct evbuffer *out)
{
	const struct metrics *m = &sv->metrics;

	family(out, "msigd_endpoints", "gauge", NULL, "Endpoints by state.");
	for (int i = 0; i < ENDPOINT_STATE_COUNT; i++)
		evbuffer_add_printf(out, "msigd_endpoints{state=\"%s\"} %d\n",
		    endpoint_state_name((enum endpoint_state)i), sv->endpoints->by_state[i]);
	gauge(out, "msigd_queue_length", "Escrows that wait for endpoints.", scheduler_queue_length(sv->scheduler));
	gauge(out, "msigd_workers", "Workers, those that wait to be forked included.", worker_count(sv->workers));
	counter(out, "msigd_spares_made", "Spare wallets made.", m->spares_made);
	counter(out, "msigd_spares_used", "Spare wallets that became an escrow's.", m->spares_used);
	counter(out, "msigd_spares_lost", "Spare wallets that were not what they should be, and were thrown away.", m->spares_lost);
	counter(out, "msigd_pollutions", "Wallets found multisig before their make_multisig.", m->pollutions);
	counter(out, "msigd_worker_starts", "Workers forked.", m->worker_starts);
	counter(out, "msigd_worker_deaths", "Workers that ended without a word.", m->worker_deaths);
	family(out, "msigd_worker_cpu_seconds", "counter", "seconds", "CPU time of workers that have ended, by their last job.");
	for (int i = 0; i < JOB_KIND_COUNT; i++)
		evbuffer_add_printf(out, "msigd_worker_cpu_seconds_total{job=\"%s\"} %.6f\n", job_kinds[i],
		    (double)m->worker_cpu_us[i] / 1e6);
	counter(out, "msigd_managed_starts", "Managed wallet-rpcs started.", m->managed_starts);
	counter(out, "msigd_managed_deaths", "Managed wallet-rpcs that ended by themselves.", m->managed_deaths);
}

static void
write_sessions(struct supervisor *sv, struct evbuffer *out)
{
	const struct metrics *m = &sv->metrics;

	gauge(out, "msigd_sessions", "Sessions that are open or about to be.", sessions_count(sv->sessions));
	counter(out, "msigd_sessions_kept", "Sessions that a worker went on as after its set-up.", m->sessions_kept);
	counter(out, "msigd_sessions_opened", "Sessions opened because of a request.", m->sessions_opened);
	counter(out, "msigd_sessions_reused", "Requests that found a session.", m->sessions_reused);
	counter(out, "msigd_sessions_evicted", "Sessions closed because their endpoints were needed, or there were too many.",
	    m->sessions_evicted);
	counter(out, "msigd_sessions_expired", "Sessions whose time to live was over.", m->sessions_expired);
	counter(out, "msigd_sessions_closed", "Sessions closed by hand.", m->sessions_closed);
	counter(out, "msigd_sessions_failed", "Sessions that ended by a failure.", m->sessions_failed);
}

static void
write_locks(const struct metrics *m, struct evbuffer *out)
{
	family(out, "msigd_lock_wait_seconds", "summary", "seconds", "Time from request to acquisition, by kind of lock.");
	for (int i = 0; i < LOCK_KIND_COUNT; i++)
		evbuffer_add_printf(out, "msigd_lock_wait_seconds_sum{kind=\"%s\"} %.3f\n"
		    "msigd_lock_wait_seconds_count{kind=\"%s\"} %llu\n", lock_kinds[i],
		    (double)m->locks[i].wait_ms / 1000, lock_kinds[i], (unsigned long long)m->locks[i].count);
	family(out, "msigd_lock_hold_seconds", "summary", "seconds", "Time from acquisition to release, by kind of lock.");
	for (int i = 0; i < LOCK_KIND_COUNT; i++)
		evbuffer_add_printf(out, "msigd_lock_hold_seconds_sum{kind=\"%s\"} %.3f\n"
		    "msigd_lock_hold_seconds_count{kind=\"%s\"} %llu\n", lock_kinds[i],
		    (double)m->locks[i].hold_ms / 1000, lock_kinds[i], (unsigned long long)m->locks[i].count);
	family(out, "msigd_lock_busy_tries", "counter", NULL, "Tries that found a lock busy, by kind of lock.");
	for (int i = 0; i < LOCK_KIND_COUNT; i++)
		evbuffer_add_printf(out, "msigd_lock_busy_tries_total{kind=\"%s\"} %llu\n", lock_kinds[i],
		    (unsigned long long)m->locks[i].busy_tries);
}

static void
write_delays(const struct metrics *m, struct evbuffer *out)
{
	family(out, "msigd_delay_seconds", "summary", "seconds", "Delays that workers kept, as measured, by kind.");
	for (int i = 0; i < DELAY_KIND_COUNT; i++)
		evbuffer_add_printf(out, "msigd_delay_seconds_sum{kind=\"%s\"} %.3f\n"
		    "msigd_delay_seconds_count{kind=\"%s\"} %llu\n", delay_kinds[i], (double)m->delays[i].ms / 1000,
		    delay_kinds[i], (unsigned long long)m->delays[i].count);
}

void
metrics_write(struct supervisor *sv, struct evbuffer *out)
{
	family(out, "msigd_build", "info", NULL, "The version that runs.");
	evbuffer_add_printf(out, "msigd_build_info{version=\"%s\"} 1\n", MSIGD_VERSION);
	write_escrows(sv, out);
	write_pool(sv, out);
	write_sessions(sv, out);
	write_locks(&sv->metrics, out);
	write_delays(&sv->metrics, out);
	counter(out, "msigd_store_commits", "Transactions committed.", store_commits(sv->store));
	family(out, "msigd_store_commit_seconds", "counter", "seconds", "Time spent in commits.");
	evbuffer_add_printf(out, "msigd_store_commit_seconds_total %.6f\n", (double)store_commit_us(sv->store) / 1e6);
	evbuffer_add_printf(out, "# EOF\n");
}
