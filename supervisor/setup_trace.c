#include "supervisor/setup_trace.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "supervisor/endpoint.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace.h"

void
setup_trace_taken_up(struct escrow *e, bool restart)
{
	if (e->trace == NULL)
		return;
	if (restart)
		trace_event(e->trace, TRACE_CUSTOM, json_pack("{s:s, s:s}", "name", "taken_up", "phase", phase_name(e->guard.phase)));
	else {
		if (e->guard.attempt > 1)
			trace_event(e->trace, TRACE_RETRY, json_pack("{s:i, s:s, s:i}", "next_attempt", e->guard.attempt,
			    "error", "asked for by retry_escrow", "delay_ms", 0));
		trace_event(e->trace, TRACE_STATE_CHANGE, json_pack("{s:s?, s:s}", "from",
		    e->guard.attempt > 1 ? phase_name(PHASE_FAILED) : NULL, "phase", phase_name(e->guard.phase)));
	}
}

/* --- where ---------------------------------------------------------------- */

/* On which endpoint it was; "": on none. After a restart only homes are known. */
static const char *
endpoint_before(const struct escrow *e, int role)
{
	if (e->trace->endpoints[role][0] != '\0')
		return e->trace->endpoints[role];
	return e->claim.homes[role] != NULL ? e->claim.homes[role]->name : "";
}

/* Whether what has failed before is that role's, or nobody's. */
static bool
has_failed(const struct trace *t, enum role role)
{
	return t->why[0] != '\0' && (t->why_role[0] == '\0' || strcmp(t->why_role, role_name(role)) == 0);
}

void
setup_trace_granted(struct escrow *e, struct endpoint *const endpoints[ROLE_COUNT])
{
	if (e->trace == NULL)
		return;
	trace_event(e->trace, TRACE_CUSTOM, json_pack("{s:s, s:i, s:I}", "name", "queue",
	    "length", scheduler_queue_length(e->sv->scheduler), "wait_ms", (json_int_t)(clock_monotonic_ms() - e->claim.queued_ms)));
	for (int r = 0; r < ROLE_COUNT; r++) {
		const char *from = endpoint_before(e, r), *to = endpoints[r] != NULL ? endpoints[r]->name : from;
		if (from[0] == '\0' || strcmp(from, to) == 0)
			continue;
		trace_event(e->trace, TRACE_FAILOVER, json_pack("{s:s, s:s, s:s, s:s}", "role", role_name((enum role)r),
		    "from", from, "to", to, "reason", has_failed(e->trace, (enum role)r) ? e->trace->why : "another is in turn"));
	}
}

void
setup_trace_pollution(struct escrow *e, enum role role, const char *wallet, const char *found, const char *found_escrow)
{
	const struct endpoint *ep = e->endpoints[role];

	if (e->trace != NULL)
		trace_event(e->trace, TRACE_CACHE_POLLUTION_DETECTED, json_pack("{s:s, s:s, s:i, s:s*, s:s, s:s*}",
		    "role", role_name(role), "endpoint", ep->name, "port", ep->url.port, "wallet", wallet, "found", found,
		    "found_escrow", found_escrow));
}

/* --- phases --------------------------------------------------------------- */

static void
tell_phase(struct escrow *e, enum phase phase, int round, json_t *fields)
{
	struct trace *t = e->trace;

	json_object_set_new(fields, "from", json_string(phase_name(t->phase)));
	json_object_set_new(fields, "phase", json_string(phase_name(phase)));
	if (phase == PHASE_EXCHANGING)
		json_object_set_new(fields, "multisig_round", json_integer(round));
	t->phase = phase;
	t->round = round;
	trace_event(t, TRACE_STATE_CHANGE, fields);
}

/* The guard may be ahead, by an end that was written in the same turn: that is
 * told when its turn comes. */
void
setup_trace_phase(struct escrow *e)
{
	const struct store_guard *g = &e->guard;

	if (e->trace == NULL || phase_is_terminal(g->phase) || g->attempt != e->trace->attempt ||
	    (g->phase == e->trace->phase && g->round == e->trace->round))
		return;
	tell_phase(e, g->phase, g->round, json_object());
}

void
setup_trace_ready(struct escrow *e, const char *address)
{
	char hash[TRACE_HASH_TEXT];

	if (e->trace == NULL || address == NULL)
		return;
	trace_hash(address, hash);
	tell_phase(e, PHASE_READY, 0, json_pack("{s:s}", "address_hash", hash));
	trace_event(e->trace, TRACE_CUSTOM, json_pack("{s:s, s:s}", "name", "published", "address_hash", hash));
}

/* --- failures ------------------------------------------------------------- */

void
setup_trace_blame(struct escrow *e, json_t *finished)
{
	const char *role = json_string_value(json_object_get(finished, "role"));
	const char *call = json_string_value(json_object_get(finished, "call"));
	const char *endpoint = json_string_value(json_object_get(finished, "endpoint"));
	struct trace *t = e->trace;

	if (t == NULL)
		return;
	snprintf(t->failed_role, sizeof t->failed_role, "%s", role != NULL ? role : "");
	snprintf(t->failed_method, sizeof t->failed_method, "%s", call != NULL ? call : "");
	snprintf(t->failed_endpoint, sizeof t->failed_endpoint, "%s", endpoint != NULL ? endpoint : "");
}

/* Keeps why for what follows from it. */
static json_t *
failure_json(struct trace *t, const struct escrow_op *op)
{
	text_copy(t->why, sizeof t->why, op->reason);
	text_copy(t->why_role, sizeof t->why_role, t->failed_role);
	return json_pack("{s:s, s:s, s:s*, s:s*, s:s*}", "cause", failure_cause_name(op->cause), "error", op->reason,
	    "role", t->failed_role[0] != '\0' ? t->failed_role : NULL, "method", t->failed_method[0] != '\0' ? t->failed_method : NULL,
	    "endpoint", t->failed_endpoint[0] != '\0' ? t->failed_endpoint : NULL);
}

void
setup_trace_failed(struct escrow *e, const struct escrow_op *op)
{
	struct trace *t = e->trace;
	json_t *fields;

	if (t == NULL)
		return;
	tell_phase(e, PHASE_FAILED, 0, json_pack("{s:s, s:s}", "reason", op->reason, "cause", failure_cause_name(op->cause)));
	fields = failure_json(t, op);
	setup_trace_blame(e, NULL); /* what it says is used up */
	if (!op->next_attempt) {
		trace_event(t, TRACE_ERROR_FINAL, fields);
		return;
	}
	json_object_set_new(fields, "next_attempt", json_integer(e->guard.attempt));
	json_object_set_new(fields, "delay_ms", json_integer(0));
	trace_event(t, TRACE_RETRY, fields);
	t->attempt = e->guard.attempt;
	tell_phase(e, PHASE_NOT_STARTED, 0, json_object());
}

void
setup_trace_interrupted(struct escrow *e, const struct escrow_op *op)
{
	json_t *fields;

	if (e->trace == NULL)
		return;
	fields = failure_json(e->trace, op);
	json_object_set_new(fields, "name", json_string("interrupted"));
	json_object_set_new(fields, "counts", json_boolean(op->counts));
	trace_event(e->trace, TRACE_CUSTOM, fields);
	setup_trace_blame(e, NULL);
}

void
setup_trace_backoff(struct escrow *e, int64_t asked_ms, int64_t measured_ms)
{
	if (e->trace != NULL)
		trace_event(e->trace, TRACE_DELAY, json_pack("{s:s, s:I, s:I}", "kind", "backoff", "asked_ms", (json_int_t)asked_ms,
		    "measured_ms", (json_int_t)measured_ms));
}
