/*
 * What follows from the end of a set-up's worker: the escrow is Ready, or its
 * attempt goes on (setup_recovery.c), or another one begins, or it has failed.
 */
#include "supervisor/setup_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "supervisor/endpoint.h"
#include "supervisor/managed.h"
#include "supervisor/scheduler.h"
#include "supervisor/setup_frames.h"
#include "supervisor/setup_recovery.h"
#include "supervisor/setup_trace.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum { POLLUTIONS_MAX = 2 /* of an endpoint */ };

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
	setup_count_phase(e);
	if (e->guard.phase == PHASE_READY) {
		setup_finish(e); /* it was published before its worker ended */
		return;
	}
	setup_trace_failed(e, op);
	e->sv->metrics.failed[op->cause]++;
	log_event(op->cause == CAUSE_CANCELLED ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
	    op->next_attempt ? "attempt_failed" : "escrow_failed", F_STR("escrow", e->id),
	    F_INT("attempt", e->guard.attempt - (op->next_attempt ? 1 : 0)),
	    F_STR("cause", failure_cause_name(op->cause)), F_STR("reason", op->reason));
	if (!op->next_attempt) {
		e->sv->metrics.escrows_failed[op->cause]++;
		setup_finish(e);
		return;
	}
	e->failures += op->counts ? 1 : 0;
	e->resumed = false;
	claim_begin_anew(&e->claim);
	setup_gets_further(e);
	if (e->cancelled) {
		setup_end_attempt(e, CAUSE_CANCELLED, "cancelled", false, false);
		return;
	}
	setup_enqueue(e);
	supervisor_worker_gone(e->sv); /* one fewer is under way */
}

static void
on_refused(bool durable, void *arg)
{
	(void)durable;
	setup_finish(arg);
}

/* Operations before it may be on their way to disk: they come first. */
bool
setup_refuse_end(struct escrow *e, struct escrow_op *op)
{
	bool later = store_turn_open(e->sv->store);

	log_error("escrow_bug", F_STR("escrow", e->id), F_STR("what", "the end of an attempt was refused"),
	    F_STR("reason", op->reason), F_STR("error", store_error(e->sv->store)));
	store_when_durable(e->sv->store, on_refused, e);
	return later;
}

/* Its worker is gone. */
static void
at_end(struct escrow *e)
{
	escrow_set_activity(e, ESCROW_ENDING);
	e->worker = NULL;
	e->publishing = false;
	for (int r = 0; r < ROLE_COUNT; r++)
		e->open[r].call[0] = '\0';
}

void
setup_end_attempt(struct escrow *e, enum failure_cause cause, const char *reason, bool next, bool counts)
{
	struct escrow_op *op = setup_op_new(apply_end, done_end, setup_refuse_end);

	at_end(e);
	op->cause = e->cancelled ? CAUSE_CANCELLED : cause;
	op->next_attempt = next && !e->cancelled;
	op->counts = counts;
	text_copy(op->reason, sizeof op->reason, e->cancelled ? "cancelled" : reason);
	escrow_submit(e, op);
}

/* Another one follows, unless it would fail the same way or there were enough. */
static void
give_up_attempt(struct escrow *e, enum failure_cause cause, const char *text, bool fatal, bool counts)
{
	int max = e->sv->config->max_attempts;
	bool last = fatal || (counts && e->failures + 1 >= max);
	char reason[STORE_REASON_MAX];

	if (last && !fatal && e->failures > 0)
		snprintf(reason, sizeof reason, "attempt %d of %d: %s", e->failures + 1, max, text);
	else
		snprintf(reason, sizeof reason, "%s", text);
	setup_end_attempt(e, cause, reason, !last, counts);
}

/* --- an attempt that is interrupted ------------------------------------------ */

/* What its worker said before may have made it Ready since. */
static enum store_result
apply_interruption(struct escrow *e, struct escrow_op *op)
{
	if (!setup_can_go_on(e))
		return apply_end(e, op);
	return store_add_event(e->sv->store, e->id, "interrupted", json_pack("{s:i, s:s, s:s}", "attempt", e->guard.attempt,
	    "cause", failure_cause_name(op->cause), "reason", op->reason));
}

static void
done_interruption(struct escrow *e, struct escrow_op *op)
{
	if (phase_is_terminal(e->guard.phase)) {
		done_end(e, op);
		return;
	}
	log_warn("attempt_interrupted", F_STR("escrow", e->id), F_INT("attempt", e->guard.attempt),
	    F_STR("cause", failure_cause_name(op->cause)), F_STR("reason", op->reason));
	e->sv->metrics.interrupted[op->cause]++;
	setup_trace_interrupted(e, op);
	free(e->interrupted);
	e->interrupted = strdup(op->reason);
	if (e->cancelled || !setup_pause(e, op->counts, op->later))
		give_up_attempt(e, op->cause, op->reason, false, true);
	supervisor_worker_gone(e->sv); /* one fewer is under way */
}

/* One that is cancelled is not: it was to end. */
static void
interrupt_attempt(struct escrow *e, enum failure_cause cause, const char *reason, bool counts, bool later)
{
	struct escrow_op *op;

	if (e->cancelled) {
		setup_end_attempt(e, CAUSE_CANCELLED, "cancelled", false, false);
		return;
	}
	op = setup_op_new(apply_interruption, done_interruption, setup_refuse_end);
	at_end(e);
	op->cause = cause;
	op->counts = counts;
	op->later = later;
	text_copy(op->reason, sizeof op->reason, reason);
	escrow_submit(e, op);
}

/* Its job has failed: it goes on, or there is another attempt, or no more. */
static void
attempt_failed(struct escrow *e, enum failure_cause cause, const char *text, bool fatal)
{
	struct remedy remedy = setup_remedy(cause);

	if (remedy.go_on && !fatal && setup_can_go_on(e))
		interrupt_attempt(e, cause, text, remedy.counts, false);
	else
		give_up_attempt(e, cause, text, fatal, remedy.counts || (cause == CAUSE_NOT_RECOVERED && e->strikes > 0));
}

void
setup_not_recovered(struct escrow *e, const char *reason)
{
	give_up_attempt(e, CAUSE_NOT_RECOVERED, reason, false, e->strikes > 0);
}

void
setup_go_on(struct escrow *e)
{
	if (setup_is_locked(e))
		return;
	if (setup_queue_to_go_on(e))
		setup_enqueue(e);
	else
		setup_pause_for_store(e);
}

/* Until whoever does that is gone, it would be no better next time. */
static void
retire_endpoint(struct escrow *e, enum role role)
{
	struct endpoint *ep = e->endpoints[role];
	char reason[256];

	ep->pollutions = 0;
	if (ep->managed) {
		managed_restart(e->sv->managed, ep, "it was polluted twice");
		return;
	}
	snprintf(reason, sizeof reason, "polluted twice: another program has been at a wallet there, and again after it was opened "
	    "from disk: end that program, then: msigctl endpoint %.64s in", ep->name);
	endpoint_event(ep, ENDPOINT_EV_FAULT, reason);
	e->endpoints[role] = NULL;
}

/* What its worker could do nothing about: it was so again, or there was no wallet
 * yet that could be opened again. */
static void
end_polluted(struct escrow *e, enum role role, const char *text)
{
	struct endpoint *ep = e->endpoints[role];

	if ((e->polluted & ROLE_BIT(role)) == 0) {
		setup_tell_pollution(e, role, NULL, text, NULL);
	} else {
		ep->pollutions++;
		e->sv->metrics.pollutions++;
	}
	if (ep->pollutions >= POLLUTIONS_MAX)
		retire_endpoint(e, role);
}

/* Jobs fail there one after the other, though it answers when it is looked at. */
static void
pause_endpoint(struct escrow *e, enum role role, const char *text)
{
	if (e->endpoints[role]->managed) {
		managed_restart(e->sv->managed, e->endpoints[role], "three jobs or more in a row failed there");
		return;
	}
	endpoint_event(e->endpoints[role], ENDPOINT_EV_FAILED, text);
	e->endpoints[role] = NULL;
}

static void
blame(struct escrow *e, enum role role, enum failure_cause cause, const char *text)
{
	struct endpoint *ep = e->endpoints[role];
	bool too_often = endpoint_blame(ep);

	if (cause == CAUSE_POLLUTED) {
		end_polluted(e, role, text);
	} else if (cause == CAUSE_WRONG_NETWORK) {
		endpoint_event(ep, ENDPOINT_EV_FAULT, text);
		e->endpoints[role] = NULL;
	} else if (too_often) {
		pause_endpoint(e, role, text);
	}
}

/* A job's failure: who is to blame, and whether it is worth another attempt. */
static void
end_failed(struct escrow *e, json_t *finished)
{
	const char *cause_text = json_string_value(json_object_get(finished, "cause"));
	const char *text = json_string_value(json_object_get(finished, "reason"));
	const char *role_text = json_string_value(json_object_get(finished, "role"));
	enum failure_cause cause = CAUSE_INTERNAL;
	enum role role;

	if (cause_text == NULL || !failure_cause_parse(cause_text, &cause))
		cause = CAUSE_INTERNAL;
	setup_trace_blame(e, finished);
	if (cause == CAUSE_TIMEOUT && e->held) {
		cause = CAUSE_INTERRUPTED; /* it waited for an ack that the store did not let us give */
		text = "its time was over while the store could not be written";
	}
	if (role_text != NULL && role_parse(role_text, false, &role) && e->endpoints[role] != NULL)
		blame(e, role, cause, text != NULL ? text : "unknown");
	setup_release_endpoints(e, ENDPOINT_EV_ABANDONED, NULL);
	attempt_failed(e, cause, text != NULL ? text : "unknown", json_is_true(json_object_get(finished, "fatal")));
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
	setup_release_endpoints(e, ENDPOINT_EV_ABANDONED, reason);
	attempt_failed(e, CAUSE_LOCKS, reason, false);
}

static void
end_without_word(struct escrow *e, const struct worker_end *end)
{
	char open[128], reason[STORE_REASON_MAX];

	escrow_describe_open(e, open, sizeof open);
	snprintf(reason, sizeof reason, "worker: %s%s%s", end->why, open[0] != '\0' ? "; under way: " : "", open);
	setup_release_endpoints(e, ENDPOINT_EV_ABANDONED, NULL);
	if (end->again == WORKER_NEVER || !setup_can_go_on(e))
		give_up_attempt(e, CAUSE_WORKER_DIED, reason, end->again == WORKER_NEVER, end->counts);
	else
		interrupt_attempt(e, end->never_ran ? CAUSE_INTERRUPTED : CAUSE_WORKER_DIED, reason, end->counts,
		    end->again == WORKER_AGAIN_LATER);
}

/* msigd stops: the attempt stays as it is, and the next start goes on with it. */
static void
end_stopped(struct escrow *e)
{
	setup_release_endpoints(e, ENDPOINT_EV_ABANDONED, NULL);
	e->worker = NULL;
	escrow_set_activity(e, ESCROW_ENDING);
}

void
setup_on_gone(void *owner, const struct worker_end *end)
{
	struct escrow *e = owner;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));

	if (e->sv->stopping && !e->cancelled && (outcome == NULL || strcmp(outcome, "stopped") == 0)) {
		end_stopped(e);
	} else if (outcome == NULL) {
		end_without_word(e, end);
	} else if (strcmp(outcome, "done") == 0) {
		setup_release_endpoints(e, json_is_true(json_object_get(end->finished, "clean")) ? ENDPOINT_EV_RELEASED
		    : ENDPOINT_EV_ABANDONED, NULL);
		setup_end_attempt(e, CAUSE_INTERNAL, "the worker said that it was done before the address was published",
		    false, true); /* has no effect on one that is Ready */
	} else if (strcmp(outcome, "busy") == 0) {
		end_busy(e, end->finished);
	} else if (strcmp(outcome, "stopped") == 0) {
		setup_release_endpoints(e, ENDPOINT_EV_ABANDONED, NULL);
		attempt_failed(e, CAUSE_INTERRUPTED, "the worker was stopped", false);
	} else {
		end_failed(e, end->finished);
	}
}
