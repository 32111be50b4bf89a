/* See calls.h. */
#include "msigtrace/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[OUTCOME_COUNT] = {
	[OUTCOME_OK] = "ok", [OUTCOME_ERROR] = "error", [OUTCOME_DOWN] = "down", [OUTCOME_REFUSED] = "refused",
	[OUTCOME_UNKNOWN] = "unknown", [OUTCOME_UNFINISHED] = "unfinished",
};

const char *
outcome_name(enum outcome outcome)
{
	return names[outcome];
}

void
outcome_text(const struct call *call, char *out, size_t size)
{
	if (call->outcome == OUTCOME_ERROR && call->code != 0)
		snprintf(out, size, "error %d", call->code);
	else
		snprintf(out, size, "%s", names[call->outcome]);
}

bool
call_is_bad(const struct call *call)
{
	return call->outcome != OUTCOME_OK && !call->expected;
}

bool
method_changes(const char *method)
{
	static const char *const changing[] = {"create_wallet", "prepare_multisig", "make_multisig", "exchange_multisig_keys",
	    "set_attribute", "restore_deterministic_wallet"};

	for (size_t i = 0; i < sizeof changing / sizeof *changing; i++) {
		if (strcmp(method, changing[i]) == 0)
			return true;
	}
	return false;
}

/* --- pairing --------------------------------------------------------------------- */

static enum outcome
outcome_of(const struct event *end)
{
	const char *outcome = event_text(end, "outcome");

	if (end->type == RPC_CALL_END)
		return OUTCOME_OK;
	for (int i = OUTCOME_ERROR; i <= OUTCOME_UNKNOWN; i++) {
		if (strcmp(outcome, names[i]) == 0)
			return (enum outcome)i;
	}
	return OUTCOME_ERROR;
}

static void
call_end(struct call *call, const struct event *end)
{
	double code = event_number(end, "code", 0);

	call->end = end;
	call->outcome = outcome_of(end);
	call->code = call->outcome == OUTCOME_ERROR && code > -1e9 && code < 1e9 ? (int)code : 0;
	call->expected = answer_of(end->json, "expected") == ANSWER_YES;
	call->duration_ms = end->duration_ms;
	if (call->duration_ms < 0 && call->start != NULL && end->t_ms >= call->start->t_ms)
		call->duration_ms = end->t_ms - call->start->t_ms;
	if (call->start == NULL)
		call->t_ms = call->duration_ms > 0 && call->duration_ms < end->t_ms ? end->t_ms - call->duration_ms : end->t_ms;
}

static bool
belongs(const struct call *call, const struct event *end)
{
	return call != NULL && call->start->attempt == end->attempt && strcmp(call->start->method, end->method) == 0;
}

bool
calls_of(const struct trace *trace, struct calls *calls)
{
	/* indices into list of those under way, by role; -1: none */
	ptrdiff_t open[ROLE_COUNT + 1] = {-1, -1, -1, -1};

	calls->count = 0;
	calls->list = calloc(trace->count + 1, sizeof *calls->list);
	if (calls->list == NULL)
		return false;
	for (const struct event *e = trace->events; e < trace->events + trace->count; e++) {
		ptrdiff_t *mine = &open[e->role];
		struct call *call = *mine >= 0 ? &calls->list[*mine] : NULL;

		if (e->type == RPC_CALL_START) {
			*mine = (ptrdiff_t)calls->count;
			calls->list[calls->count++] = (struct call){.start = e, .at = e, .outcome = OUTCOME_UNFINISHED, .t_ms = e->t_ms,
			    .duration_ms = -1};
		} else if (e->type == RPC_CALL_END || e->type == RPC_CALL_ERROR) {
			if (!belongs(call, e)) {
				call = &calls->list[calls->count++];
				*call = (struct call){.at = e};
			}
			call_end(call, e);
			*mine = -1;
		}
	}
	return true;
}

void
calls_free(struct calls *calls)
{
	free(calls->list);
	calls->list = NULL;
	calls->count = 0;
}

/* --- attempts --------------------------------------------------------------------- */

struct result_of
trace_result(const struct trace *trace)
{
	struct result_of r = {.result = RESULT_UNDER_WAY};

	for (const struct event *e = trace->events; e < trace->events + trace->count; e++) {
		const char *phase = event_phase(e);

		if (e->attempt > r.attempt) {
			r.attempt = e->attempt;
			r.result = RESULT_UNDER_WAY;
			r.end = NULL;
		}
		if (r.end == NULL)
			r.total_ms = e->t_ms > r.total_ms ? e->t_ms : r.total_ms;
		if (strcmp(phase, "Ready") == 0 || strcmp(phase, "Failed") == 0) {
			r.result = *phase == 'R' ? RESULT_READY : RESULT_FAILED;
			r.end = e;
			r.total_ms = e->t_ms;
		}
	}
	return r;
}
