#include "supervisor/setup_control.h"

#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "supervisor/check_control.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/managed.h"
#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/setup_frames.h"
#include "supervisor/supervisor.h"
#include "supervisor/tend_control.h"
#include "supervisor/tender.h"
#include "supervisor/worker_process.h"

static void enqueue(struct escrow *e);
static void end_attempt(struct escrow *e, enum failure_cause cause, const char *reason, bool next, bool counts);

/* --- small things --------------------------------------------------------- */

static void
count_phase(struct escrow *e)
{
	if (e->counted_phase == e->guard.phase)
		return;
	metrics_phase(&e->sv->metrics, e->counted_phase, e->guard.phase);
	e->counted_phase = e->guard.phase;
}

static void
release_endpoints(struct escrow *e, enum endpoint_event event, const char *reason)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (e->endpoints[r] != NULL)
			endpoint_event(e->endpoints[r], event, reason);
		e->endpoints[r] = NULL;
	}
}

static struct escrow_op *
op_new(enum store_result (*apply)(struct escrow *, struct escrow_op *),
    void (*done)(struct escrow *, struct escrow_op *), bool (*refused)(struct escrow *, struct escrow_op *))
{
	struct escrow_op *op = calloc(1, sizeof *op);

	if (op == NULL)
		abort(); /* a few hundred bytes: nothing sensible is left to be done */
	op->apply = apply;
	op->done = done;
	op->refused = refused;
	return op;
}

/* The object has done its work. */
static void
finish_escrow(struct escrow *e)
{
	struct supervisor *sv = e->sv;

	escrow_free(e);
	verifier_wake(sv->verifier);
	tender_wake(sv->tender);
	supervisor_worker_gone(sv);
}

/* --- the worker's frames -------------------------------------------------- */

static json_t *
start_frame(void *owner)
{
	struct escrow *e = owner;
	const struct config *c = e->sv->config;
	char subkey[SEAL_KEY_TEXT], wallet[SETUP_WALLET_MAX];
	json_t *participants = json_array(), *start;

	for (int r = 0; r < ROLE_COUNT; r++) {
		if (e->endpoints[r] == NULL)
			continue;
		setup_wallet_name(e, (enum role)r, wallet);
		json_array_append_new(participants, json_pack("{s:s, s:s, s:o, s:O*}", "role", role_name((enum role)r),
		    "wallet", wallet, "endpoint", endpoint_describe(e->endpoints[r]), "spare", e->spares[r]));
	}
	seal_subkey_base64(e->sv->master_key, e->id, subkey);
	start = json_pack("{s:s, s:i, s:s, s:s, s:I, s:I, s:o}", "escrow_id", e->id, "attempt", e->guard.attempt,
	    "subkey", subkey, "gate", c->gate == GATE_REOPEN ? "reopen" : "seed",
	    "stagger_ms", (json_int_t)c->stagger_delay_ms, "pollution_ms", (json_int_t)c->pollution_delay_ms,
	    "participants", participants);
	sodium_memzero(subkey, sizeof subkey);
	return start;
}

static void
acknowledge(struct escrow *e, struct escrow_op *op, bool session)
{
	struct worker *worker = worker_find(e->sv->workers, op->generation);

	if (worker != NULL)
		worker_ack(worker, json_integer_value(json_object_get(op->frame, "serial")), session);
}

static bool
refuse_frame(struct escrow *e, struct escrow_op *op)
{
	struct worker *worker = worker_find(e->sv->workers, op->generation);

	log_error("report_refused", F_STR("escrow", e->id), F_STR("error", store_error(e->sv->store)));
	if (worker != NULL)
		worker_reject(worker, "a report that contradicts the journal");
	return true;
}

static enum store_result
apply_report(struct escrow *e, struct escrow_op *op)
{
	enum store_result result = setup_store_report(e, op->frame);

	if (result == STORE_OK)
		setup_note_answered(e, op->frame);
	return result;
}

static void
done_report(struct escrow *e, struct escrow_op *op)
{
	setup_note_open(e, op->frame);
	count_phase(e);
	acknowledge(e, op, false);
}

static enum store_result
apply_publish(struct escrow *e, struct escrow_op *op)
{
	return setup_store_publish(e, op->frame);
}

/* It may have died since it said publish, or been told to stop. */
static bool
may_become_session(const struct escrow *e, const struct escrow_op *op)
{
	return e->worker != NULL && worker_generation(e->worker) == op->generation && worker_is_working(e->worker) &&
	    e->activity == ESCROW_RUNNING && !e->cancelled && !escrow_has_ops(e);
}

static void
done_publish(struct escrow *e, struct escrow_op *op)
{
	int64_t took = clock_monotonic_ms() - e->leased_ms;
	bool session;

	count_phase(e);
	e->sv->metrics.ready++;
	e->sv->metrics.setup_count++;
	e->sv->metrics.setup_ms_sum += (uint64_t)took;
	log_info("escrow_ready", F_STR("escrow", e->id), F_INT("attempt", e->guard.attempt),
	    F_STR("address", json_string_value(json_object_get(op->frame, "address"))),
	    F_INT("setup_ms", took), F_INT("since_open_ms", clock_wall_ms() - e->opened_at));
	session = may_become_session(e, op) && sessions_keep(e->sv->sessions, e);
	acknowledge(e, op, session);
	if (session)
		finish_escrow(e);
}

static bool
on_message(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why)
{
	struct escrow *e = owner;
	struct escrow_op *op;

	if (type == MESSAGE_NOTE) {
		*why = "a note that is none";
		return setup_note(e, frame);
	}
	if (!setup_frame_valid(e, type, frame, why))
		return false;
	if (e->publishing) {
		*why = "a report after its publish";
		return false;
	}
	e->publishing = type == MESSAGE_PUBLISH;
	op = type == MESSAGE_PUBLISH
	    ? op_new(apply_publish, done_publish, refuse_frame)
	    : op_new(apply_report, done_report, refuse_frame);
	op->frame = json_incref(frame);
	op->generation = worker_generation(worker);
	store_be_patient(e->sv->store, type == MESSAGE_REPORT && json_is_false(json_object_get(frame, "waits")));
	escrow_submit(e, op);
	store_be_patient(e->sv->store, false);
	return true;
}

/* --- the end of an attempt ------------------------------------------------ */

static enum store_result
tell_end(struct escrow *e, struct escrow_op *op, int failed_attempt)
{
	if (op->next_attempt)
		return store_add_event(e->sv->store, e->id, "attempt", json_pack("{s:i, s:s, s:s}",
		    "attempt", e->guard.attempt, "cause", failure_cause_name(op->cause), "reason", op->reason));
	return store_add_event(e->sv->store, e->id, "phase", json_pack("{s:i, s:s, s:s, s:s}", "attempt", failed_attempt,
	    "phase", phase_name(PHASE_FAILED), "cause", failure_cause_name(op->cause), "reason", op->reason));
}

static enum store_result
apply_end(struct escrow *e, struct escrow_op *op)
{
	int attempt = e->guard.attempt;
	enum store_result result;

	/* entered also when there is nothing to write: done() must not run before this returns */
	if (!store_enter(e->sv->store))
		return STORE_FAILED;
	if (phase_is_terminal(e->guard.phase))
		return store_leave(e->sv->store, STORE_OK);
	result = store_fail_attempt(e->sv->store, &e->guard, op->cause, op->reason, op->next_attempt, op->counts,
	    clock_wall_ms());
	if (result == STORE_OK)
		result = tell_end(e, op, attempt);
	return store_leave(e->sv->store, result);
}

static void
done_end(struct escrow *e, struct escrow_op *op)
{
	count_phase(e);
	if (e->guard.phase == PHASE_READY) {
		finish_escrow(e); /* it was published before its worker ended */
		return;
	}
	e->sv->metrics.failed[op->cause]++;
	log_event(op->cause == CAUSE_CANCELLED ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
	    op->next_attempt ? "attempt_failed" : "escrow_failed", F_STR("escrow", e->id),
	    F_INT("attempt", e->guard.attempt - (op->next_attempt ? 1 : 0)),
	    F_STR("cause", failure_cause_name(op->cause)), F_STR("reason", op->reason));
	if (!op->next_attempt) {
		finish_escrow(e);
		return;
	}
	e->failures += op->counts ? 1 : 0;
	if (e->cancelled) {
		end_attempt(e, CAUSE_CANCELLED, "cancelled", false, false);
		return;
	}
	enqueue(e);
	supervisor_worker_gone(e->sv); /* one fewer is under way */
}

static void
on_refused(bool durable, void *arg)
{
	(void)durable;
	finish_escrow(arg);
}

/* Operations before it may be on their way to disk: they come first. */
static bool
refuse_end(struct escrow *e, struct escrow_op *op)
{
	bool later = store_turn_open(e->sv->store);

	log_error("escrow_bug", F_STR("escrow", e->id), F_STR("what", "the end of an attempt was refused"),
	    F_STR("reason", op->reason), F_STR("error", store_error(e->sv->store)));
	store_when_durable(e->sv->store, on_refused, e);
	return later;
}

static void
end_attempt(struct escrow *e, enum failure_cause cause, const char *reason, bool next, bool counts)
{
	struct escrow_op *op = op_new(apply_end, done_end, refuse_end);

	escrow_set_activity(e, ESCROW_ENDING);
	e->worker = NULL;
	e->publishing = false;
	for (int r = 0; r < ROLE_COUNT; r++)
		e->open[r].call[0] = '\0';
	op->cause = e->cancelled ? CAUSE_CANCELLED : cause;
	op->next_attempt = next && !e->cancelled;
	op->counts = counts;
	text_copy(op->reason, sizeof op->reason, e->cancelled ? "cancelled" : reason);
	escrow_submit(e, op);
}

/* Its wallet was polluted, closed, opened again, and still was: until whoever does
 * that is gone, it would be no better next time. */
static void
retire_endpoint(struct escrow *e, enum role role)
{
	struct endpoint *ep = e->endpoints[role];
	char reason[256];

	if (ep->managed) {
		managed_restart(e->sv->managed, ep);
		return;
	}
	snprintf(reason, sizeof reason, "polluted twice: a wallet there was multisig before its make_multisig, and again after "
	    "it was reopened: end the other program that uses it, then: msigctl endpoint %.64s in", ep->name);
	endpoint_event(ep, ENDPOINT_EV_FAULT, reason);
	e->endpoints[role] = NULL;
}

/* A job's failure: who is to blame, and whether it is worth another attempt. */
static void
end_failed(struct escrow *e, json_t *finished)
{
	const char *cause_text = json_string_value(json_object_get(finished, "cause"));
	const char *text = json_string_value(json_object_get(finished, "reason"));
	const char *role_text = json_string_value(json_object_get(finished, "role"));
	char reason[STORE_REASON_MAX];
	enum failure_cause cause = CAUSE_INTERNAL;
	enum role role;
	bool fatal = json_is_true(json_object_get(finished, "fatal")), counts, last;

	if (cause_text == NULL || !failure_cause_parse(cause_text, &cause))
		cause = CAUSE_INTERNAL;
	/* an endpoint that was not there, or is not what it should be, is no fault of the escrow: it waits for another */
	counts = cause != CAUSE_ENDPOINT_DOWN && cause != CAUSE_WRONG_NETWORK;
	last = fatal || (counts && e->failures + 1 >= e->sv->config->max_attempts);
	if (last && !fatal && e->failures > 0)
		snprintf(reason, sizeof reason, "attempt %d of %d: %s", e->failures + 1, e->sv->config->max_attempts,
		    text != NULL ? text : "unknown");
	else
		snprintf(reason, sizeof reason, "%s", text != NULL ? text : "unknown");
	e->sv->metrics.pollutions += cause == CAUSE_POLLUTED ? 1 : 0;
	if (role_text != NULL && role_parse(role_text, false, &role) && e->endpoints[role] != NULL) {
		endpoint_blame(e->endpoints[role]);
		if (cause == CAUSE_POLLUTED && (e->polluted & ROLE_BIT(role)) != 0)
			retire_endpoint(e, role);
		else if (cause == CAUSE_WRONG_NETWORK) {
			endpoint_event(e->endpoints[role], ENDPOINT_EV_FAULT, text);
			e->endpoints[role] = NULL;
		}
	}
	release_endpoints(e, ENDPOINT_EV_ABANDONED, NULL);
	end_attempt(e, cause, reason, !last, counts);
}

static void
end_busy(struct escrow *e, json_t *finished)
{
	const char *lock = json_string_value(json_object_get(finished, "lock"));
	const char *holder = json_string_value(json_object_get(finished, "holder"));
	const char *why = json_string_value(json_object_get(finished, "why"));
	char reason[STORE_REASON_MAX];

	if (why != NULL)
		snprintf(reason, sizeof reason, "%s", why);
	else
		snprintf(reason, sizeof reason, "%s is held by %s", lock != NULL ? lock : "a lock",
		    holder != NULL ? holder : "another process");
	release_endpoints(e, ENDPOINT_EV_ABANDONED, reason);
	end_attempt(e, CAUSE_LOCKS, reason, true, false);
}

static void
end_without_word(struct escrow *e, const struct worker_end *end)
{
	char open[160], reason[STORE_REASON_MAX];
	bool counts = !end->never_ran;
	bool last = counts && e->failures + 1 >= e->sv->config->max_attempts;

	escrow_describe_open(e, open, sizeof open);
	snprintf(reason, sizeof reason, "worker: %s%s%s", end->why, open[0] != '\0' ? "; under way: " : "", open);
	release_endpoints(e, ENDPOINT_EV_ABANDONED, NULL);
	if (end->not_executable)
		last = true; /* another try would be no better */
	end_attempt(e, CAUSE_WORKER_DIED, reason, !last, counts);
}

/* msigd stops: the attempt stays as it is, and the next start goes on with it. */
static void
end_stopped(struct escrow *e)
{
	release_endpoints(e, ENDPOINT_EV_ABANDONED, NULL);
	e->worker = NULL;
	escrow_set_activity(e, ESCROW_ENDING);
}

static void
on_gone(void *owner, const struct worker_end *end)
{
	struct escrow *e = owner;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));

	if (e->sv->stopping && !e->cancelled && (outcome == NULL || strcmp(outcome, "stopped") == 0)) {
		end_stopped(e);
	} else if (outcome == NULL) {
		end_without_word(e, end);
	} else if (strcmp(outcome, "done") == 0) {
		release_endpoints(e, json_is_true(json_object_get(end->finished, "clean")) ? ENDPOINT_EV_RELEASED
		    : ENDPOINT_EV_ABANDONED, NULL);
		end_attempt(e, CAUSE_INTERNAL, "the worker said that it was done before the address was published",
		    false, true); /* has no effect on one that is Ready */
	} else if (strcmp(outcome, "busy") == 0) {
		end_busy(e, end->finished);
	} else if (strcmp(outcome, "stopped") == 0) {
		release_endpoints(e, ENDPOINT_EV_ABANDONED, NULL);
		end_attempt(e, CAUSE_INTERRUPTED, "the worker was stopped", true, false);
	} else {
		end_failed(e, end->finished);
	}
}

static const struct worker_job setup_job = {
	.name = "setup", .start = start_frame, .message = on_message, .gone = on_gone,
};

/* --- the beginning -------------------------------------------------------- */

/* The spare of a primed endpoint goes to this escrow, in the same transaction
 * in which the attempt starts: it is nobody else's from then on. */
static enum store_result
take_spare(struct escrow *e, enum role role)
{
	struct store *store = e->sv->store;
	struct store_spare spare;
	enum store_result result = store_get_spare(store, e->endpoints[role]->name, &spare);

	json_decref(e->spares[role]);
	e->spares[role] = NULL;
	if (result == STORE_OK && spare.address != NULL) {
		e->spares[role] = tend_describe_spare(e->sv, &spare);
		result = e->spares[role] != NULL ? store_take_spare(store, spare.spare_id) : STORE_FAILED;
	}
	store_spare_clear(&spare);
	return result == STORE_NOT_FOUND ? STORE_OK : result;
}

static enum store_result
start_attempt(struct escrow *e)
{
	const char *endpoints[ROLE_COUNT] = {NULL}, *wallets[ROLE_COUNT] = {NULL};
	char names[ROLE_COUNT][SETUP_WALLET_MAX];
	enum store_result result = STORE_OK;

	for (int r = 0; r < ROLE_COUNT && result == STORE_OK; r++) {
		if (e->endpoints[r] == NULL)
			continue;
		if ((e->primed & ROLE_BIT(r)) != 0)
			result = take_spare(e, (enum role)r);
		endpoints[r] = e->endpoints[r]->name;
		setup_wallet_name(e, (enum role)r, names[r]);
		wallets[r] = e->spares[r] != NULL ? json_string_value(json_object_get(e->spares[r], "wallet")) : names[r];
	}
	if (result == STORE_OK)
		result = store_start_attempt(e->sv->store, &e->guard, endpoints, wallets, clock_wall_ms());
	if (result == STORE_OK)
		result = store_add_event(e->sv->store, e->id, "phase", json_pack("{s:i, s:s}",
		    "attempt", e->guard.attempt, "phase", phase_name(PHASE_PREPARING)));
	return result;
}

static enum store_result
apply_start(struct escrow *e, struct escrow_op *op)
{
	(void)op;
	if (!store_enter(e->sv->store))
		return STORE_FAILED;
	return store_leave(e->sv->store, start_attempt(e));
}

static void
done_start(struct escrow *e, struct escrow_op *op)
{
	char title[64];

	(void)op;
	count_phase(e);
	if (e->sv->stopping && !e->cancelled) {
		release_endpoints(e, ENDPOINT_EV_RELEASED, NULL);
		escrow_set_activity(e, ESCROW_ENDING);
		return;
	}
	snprintf(title, sizeof title, "setup %s", e->id);
	if (!e->cancelled)
		e->worker = worker_new(e->sv, &setup_job, e, title, e->id, e->sv->config->setup_timeout_ms);
	if (e->worker == NULL) {
		release_endpoints(e, ENDPOINT_EV_RELEASED, NULL);
		end_attempt(e, CAUSE_INTERNAL, "out of memory for a worker", true, true);
		return;
	}
	escrow_set_activity(e, ESCROW_RUNNING);
}

static bool
refuse_start(struct escrow *e, struct escrow_op *op)
{
	release_endpoints(e, ENDPOINT_EV_RELEASED, NULL);
	return refuse_end(e, op);
}

/* The scheduler has what the escrow needs. */
static void
on_granted(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT])
{
	struct escrow *e = (struct escrow *)((char *)claim - offsetof(struct escrow, claim));

	e->primed = e->polluted = 0;
	for (int r = 0; r < ROLE_COUNT; r++) {
		json_decref(e->spares[r]);
		e->spares[r] = NULL;
		e->endpoints[r] = endpoints[r];
		if (endpoints[r] == NULL)
			continue;
		if (endpoints[r]->state == ENDPOINT_PRIMED)
			e->primed |= ROLE_BIT(r);
		endpoint_lease(endpoints[r], e->id);
	}
	escrow_set_activity(e, ESCROW_STARTING);
	e->leased_ms = clock_monotonic_ms();
	escrow_submit(e, op_new(apply_start, done_start, refuse_start));
}

static void
enqueue(struct escrow *e)
{
	escrow_set_activity(e, ESCROW_QUEUED);
	e->claim.granted = on_granted;
	scheduler_enqueue(e->sv->scheduler, &e->claim);
}

bool
setup_cancel(struct escrow *e, void (*fn)(void *arg), void *arg)
{
	if (fn != NULL) {
		struct escrow_waiter *waiter = calloc(1, sizeof *waiter);
		if (waiter == NULL)
			return false;
		waiter->fn = fn;
		waiter->arg = arg;
		STAILQ_INSERT_TAIL(&e->waiters, waiter, next);
	}
	e->cancelled = true;
	switch (e->activity) {
	case ESCROW_QUEUED:
		scheduler_dequeue(e->sv->scheduler, &e->claim);
		end_attempt(e, CAUSE_CANCELLED, "cancelled", false, false);
		break;
	case ESCROW_RUNNING:
		worker_stop(e->worker);
		break;
	case ESCROW_STARTING: /* done_start() sees it */
	case ESCROW_ENDING:   /* done_end() sees it */
		break;
	}
	return true;
}

/* --- after a start -------------------------------------------------------- */

static void
take_up(struct supervisor *sv, const char *escrow_id, bool restart)
{
	struct store_escrow record;
	struct escrow *e;

	if (escrow_find(sv->escrows, escrow_id) != NULL)
		return;
	if (store_get_escrow(sv->store, escrow_id, &record) != STORE_OK) {
		log_error("escrow_unreadable", F_STR("escrow", escrow_id), F_STR("error", store_error(sv->store)));
		return;
	}
	e = escrow_add(sv, &record);
	sv->last_seq = record.seq > sv->last_seq ? record.seq : sv->last_seq;
	store_escrow_clear(&record);
	if (e == NULL)
		log_error("escrow_not_taken_up", F_STR("escrow", escrow_id), F_STR("error", "out of memory"));
	else if (!restart || e->guard.phase == PHASE_NOT_STARTED)
		enqueue(e);
	else
		end_attempt(e, CAUSE_INTERRUPTED, "msigd ended while it was under way", true, false);
}

void
setup_take_up_one(struct supervisor *sv, const char *escrow_id)
{
	take_up(sv, escrow_id, false);
}

struct id_list {
	char (*ids)[UUID_TEXT];
	size_t count, room;
	bool failed;
};

static void
collect(const char *escrow_id, void *arg)
{
	struct id_list *list = arg;

	if (list->count == list->room) {
		size_t room = list->room * 2 + 64;
		void *ids = realloc(list->ids, room * sizeof *list->ids);
		if (ids == NULL) {
			list->failed = true;
			return;
		}
		list->ids = ids;
		list->room = room;
	}
	snprintf(list->ids[list->count++], UUID_TEXT, "%s", escrow_id);
}

bool
setup_take_up(struct supervisor *sv)
{
	struct id_list list = {NULL, 0, 0, false};
	bool ok = store_each_unfinished(sv->store, collect, &list) == STORE_OK && !list.failed;

	for (size_t i = 0; ok && i < list.count; i++)
		take_up(sv, list.ids[i], true);
	if (ok && list.count > 0)
		log_info("taken_up", F_INT("escrows", list.count));
	free(list.ids);
	return ok;
}
