/* The metrics, family by family. Names as Prometheus wants them: base units,
 * _total for what only rises. Each HELP says what is counted. */
#include <stdio.h>

#include "common/clock.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/metrics.h"
#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"

static void
by_cause(struct metrics_text *t, const char *name, const char *help, const uint64_t counts[CAUSE_COUNT])
{
	metrics_family(t, name, METRIC_COUNTER, help);
	for (int i = 0; i < CAUSE_COUNT; i++)
		metrics_put(t, "cause", failure_cause_name((enum failure_cause)i), (int64_t)counts[i]);
}

static void
write_escrows(const struct metrics *m, struct metrics_text *t)
{
	char round[16];

	metrics_family(t, "msigd_escrows", METRIC_GAUGE, "Escrows by phase of their last attempt.");
	for (int i = 0; i < PHASE_COUNT; i++)
		metrics_put(t, "phase", phase_name((enum phase)i), m->phases[i]);
	metrics_counter(t, "msigd_escrows_opened", "Escrows opened.", m->opened);
	metrics_counter(t, "msigd_escrows_ready", "Escrows that got their address.", m->ready);
	by_cause(t, "msigd_escrows_failed", "Escrows that failed for good, by cause of their last attempt.", m->escrows_failed);
	by_cause(t, "msigd_attempts_failed", "Attempts that failed, by cause.", m->failed);
	by_cause(t, "msigd_attempts_interrupted", "Attempts that were interrupted and go on, by cause.", m->interrupted);
	metrics_family(t, "msigd_setup_seconds", METRIC_HISTOGRAM, "Time from the lease of the endpoints to Ready.");
	metrics_put_histogram(t, NULL, NULL, &metrics_setup_bounds, &m->setups);
	metrics_family(t, "msigd_round_seconds", METRIC_HISTOGRAM, "Time of a round for all three roles: 0 create_wallet, "
	    "1 prepare_multisig, 2 make_multisig, 3 and 4 exchange_multisig_keys.");
	for (int i = 0; i < METRICS_ROUNDS; i++) {
		snprintf(round, sizeof round, "%d", i);
		metrics_put_histogram(t, "round", round, &numbers_call_bounds, &m->rounds[i]);
	}
}

static void
write_queue(struct supervisor *sv, struct metrics_text *t)
{
	const struct claim *first = scheduler_first(sv->scheduler);
	int64_t oldest_ms = first != NULL ? clock_monotonic_ms() - first->queued_ms : 0;

	metrics_gauge(t, "msigd_queue_length", "Escrows that wait for endpoints.", escrow_waiting(sv->escrows));
	metrics_family(t, "msigd_queue_oldest_seconds", METRIC_GAUGE, "How long the first in the queue has waited.");
	metrics_put_seconds(t, NULL, NULL, oldest_ms > 0 ? (uint64_t)oldest_ms * 1000 : 0);
	metrics_family(t, "msigd_queue_wait_seconds", METRIC_HISTOGRAM, "Time that escrows waited for endpoints until they got them.");
	metrics_put_histogram(t, NULL, NULL, &metrics_wait_bounds, &sv->metrics.queue_waits);
}

static void
write_endpoints(struct supervisor *sv, struct metrics_text *t)
{
	const struct metrics *m = &sv->metrics;

	metrics_family(t, "msigd_endpoints", METRIC_GAUGE, "Endpoints by state.");
	for (int i = 0; i < ENDPOINT_STATE_COUNT; i++)
		metrics_put(t, "state", endpoint_state_name((enum endpoint_state)i), sv->endpoints->by_state[i]);
	metrics_counter(t, "msigd_endpoint_leases", "Leases of an endpoint to an escrow, a session, a check, a repair or a trial.", m->leases);
	metrics_counter(t, "msigd_endpoint_failures", "Jobs that failed because of an endpoint, looks at it included.",
	    m->endpoint_failures);
	metrics_counter(t, "msigd_spares_made", "Spare wallets made.", m->spares_made);
	metrics_counter(t, "msigd_spares_used", "Spare wallets that became an escrow's.", m->spares_used);
	metrics_counter(t, "msigd_spares_lost", "Spare wallets that were not what they should be, and were thrown away.",
	    m->spares_lost);
	metrics_counter(t, "msigd_pollutions", "Wallets that another program had been at, or had put in the place of ours.",
	    m->pollutions);
	metrics_counter(t, "msigd_managed_starts", "Managed wallet-rpcs started.", m->managed_starts);
	metrics_counter(t, "msigd_managed_deaths", "Managed wallet-rpcs that ended by themselves.", m->managed_deaths);
}

static void
write_workers(struct supervisor *sv, struct metrics_text *t)
{
	const struct metrics *m = &sv->metrics;

	metrics_gauge(t, "msigd_workers", "Workers, those that wait to be forked included.", worker_count(sv->workers));
	metrics_family(t, "msigd_worker_starts", METRIC_COUNTER, "Workers forked, by job.");
	for (int i = 0; i < JOB_KIND_COUNT; i++)
		metrics_put(t, "job", metrics_job_name((enum job_kind)i), (int64_t)m->worker_starts[i]);
	metrics_family(t, "msigd_worker_exits", METRIC_COUNTER, "Workers that ended, by cause.");
	for (int i = 0; i < WORKER_CAUSE_COUNT; i++)
		metrics_put(t, "cause", worker_cause_name((enum worker_cause)i), (int64_t)m->worker_exits[i]);
	metrics_counter(t, "msigd_worker_deaths", "Workers that ended without a word.", m->worker_deaths);
	metrics_family(t, "msigd_worker_cpu_seconds", METRIC_COUNTER, "CPU time of workers that have ended, by their last job.");
	for (int i = 0; i < JOB_KIND_COUNT; i++)
		metrics_put_seconds(t, "job", metrics_job_name((enum job_kind)i), m->worker_cpu_us[i]);
}

static void
write_sessions(struct supervisor *sv, struct metrics_text *t)
{
	const struct metrics *m = &sv->metrics;

	metrics_gauge(t, "msigd_sessions", "Sessions that are open or about to be.", sessions_count(sv->sessions));
	metrics_counter(t, "msigd_sessions_kept", "Sessions that a worker went on as after its set-up.", m->sessions_kept);
	metrics_counter(t, "msigd_sessions_opened", "Sessions opened because of a request.", m->sessions_opened);
	metrics_counter(t, "msigd_sessions_reused", "Requests that found a session.", m->sessions_reused);
	metrics_counter(t, "msigd_sessions_evicted", "Sessions closed because their endpoints were needed, or there were too many.",
	    m->sessions_evicted);
	metrics_counter(t, "msigd_sessions_expired", "Sessions whose time to live was over.", m->sessions_expired);
	metrics_counter(t, "msigd_sessions_closed", "Sessions closed by hand.", m->sessions_closed);
	metrics_counter(t, "msigd_sessions_failed", "Sessions that ended by a failure.", m->sessions_failed);
}

static void
write_locks(const struct metrics *m, struct metrics_text *t)
{
	metrics_family(t, "msigd_lock_wait_seconds", METRIC_SUMMARY, "Time from request to acquisition, by kind of lock.");
	for (int i = 0; i < LOCK_KIND_COUNT; i++)
		metrics_put_summary(t, "kind", metrics_lock_name((enum lock_kind)i), m->locks[i].wait_ms * 1000, m->locks[i].count);
	metrics_family(t, "msigd_lock_hold_seconds", METRIC_SUMMARY, "Time from acquisition to release, by kind of lock.");
	for (int i = 0; i < LOCK_KIND_COUNT; i++)
		metrics_put_summary(t, "kind", metrics_lock_name((enum lock_kind)i), m->locks[i].hold_ms * 1000, m->locks[i].count);
	metrics_family(t, "msigd_lock_contentions", METRIC_COUNTER, "Locks that were found busy, once or more often, by kind.");
	for (int i = 0; i < LOCK_KIND_COUNT; i++)
		metrics_put(t, "kind", metrics_lock_name((enum lock_kind)i), (int64_t)m->locks[i].contended);
	metrics_family(t, "msigd_lock_busy_tries", METRIC_COUNTER, "Tries that found a lock busy, by kind of lock.");
	for (int i = 0; i < LOCK_KIND_COUNT; i++)
		metrics_put(t, "kind", metrics_lock_name((enum lock_kind)i), (int64_t)m->locks[i].busy_tries);
}

static void
write_delays(const struct metrics *m, struct metrics_text *t)
{
	metrics_family(t, "msigd_delay_seconds", METRIC_SUMMARY, "Delays that workers kept, as measured, by kind.");
	for (int i = 0; i < DELAY_KIND_COUNT; i++)
		metrics_put_summary(t, "kind", metrics_delay_name((enum delay_kind)i), m->delays[i].ms * 1000, m->delays[i].count);
}

/* Of methods and codes, those that there have been. */
static void
write_calls(const struct numbers *n, struct metrics_text *t)
{
	char code[16];

	metrics_family(t, "msigd_rpc_seconds", METRIC_HISTOGRAM, "Time of calls of wallet-rpcs, however they ended, by method.");
	for (int i = 0; i < NUMBERS_METHODS; i++) {
		if (histogram_count(&n->calls[i]) > 0)
			metrics_put_histogram(t, "method", numbers_method_name(i), &numbers_call_bounds, &n->calls[i]);
	}
	metrics_family(t, "msigd_rpc_errors", METRIC_COUNTER, "Calls that a wallet-rpc answered with an error, by its code.");
	for (int i = 0; i < NUMBERS_CODES; i++) {
		if (n->errors[i] == 0)
			continue;
		numbers_code_name(i, code);
		metrics_put(t, "code", code, (int64_t)n->errors[i]);
	}
	metrics_family(t, "msigd_rpc_unanswered", METRIC_COUNTER, "Calls without an answer: down, no connection; refused, "
	    "login, TLS or HTTP status; unknown, it went out and may have been carried out.");
	for (int i = 0; i < NUMBERS_SILENCES; i++)
		metrics_put(t, "outcome", numbers_silence_name((enum numbers_silence)i), (int64_t)n->silences[i]);
}

static void
write_copies(const struct numbers *n, struct metrics_text *t)
{
	metrics_family(t, "msigd_copy_seconds", METRIC_SUMMARY, "Time of copies of .keys: read for the store, or written from it.");
	for (int i = 0; i < NUMBERS_COPIES; i++)
		metrics_put_summary(t, "kind", numbers_copy_name((enum numbers_copy)i), n->copies[i].us, n->copies[i].count);
	metrics_family(t, "msigd_copy_bytes", METRIC_COUNTER, "Bytes of them.");
	for (int i = 0; i < NUMBERS_COPIES; i++)
		metrics_put(t, "kind", numbers_copy_name((enum numbers_copy)i), (int64_t)n->copies[i].bytes);
}

static void
write_store(struct store *store, struct metrics_text *t)
{
	metrics_counter(t, "msigd_store_commits", "Transactions committed.", store_commits(store));
	metrics_counter(t, "msigd_store_failures", "Transactions that failed.", store_failures(store));
	metrics_family(t, "msigd_store_commit_seconds", METRIC_HISTOGRAM, "Time of a commit, those that failed included.");
	metrics_put_histogram(t, NULL, NULL, &store_commit_bounds, store_commit_times(store));
}

void
metrics_write(struct supervisor *sv, enum metrics_format format, struct evbuffer *out)
{
	struct metrics_text text = {.out = out, .format = format}, *t = &text;

	metrics_family(t, "msigd_build_info", METRIC_GAUGE, "The version that runs.");
	metrics_put(t, "version", MSIGD_VERSION, 1);
	metrics_family(t, "msigd_start_time_seconds", METRIC_GAUGE, "When msigd was started, since the epoch.");
	metrics_put_seconds(t, NULL, NULL, (uint64_t)sv->started_at * 1000);
	write_escrows(&sv->metrics, t);
	write_queue(sv, t);
	write_endpoints(sv, t);
	write_workers(sv, t);
	write_sessions(sv, t);
	write_locks(&sv->metrics, t);
	write_delays(&sv->metrics, t);
	write_calls(&sv->metrics.numbers, t);
	write_copies(&sv->metrics.numbers, t);
	write_store(sv->store, t);
	metrics_end(t);
}
