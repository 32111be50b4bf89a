/* See api_escrow_json.h. */
#include "supervisor/api_escrow_json.h"

#include <stdio.h>

#include "common/clock.h"
#include "supervisor/api.h"
#include "supervisor/escrow.h"
#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"

static json_t *
time_or_null(int64_t ms)
{
	return ms != 0 ? json_integer(ms) : json_null();
}

static json_t *
text_or_null(const char *text)
{
	return text != NULL && *text != '\0' ? json_string(text) : json_null();
}

static const char *
reason_of(const struct escrow *e)
{
	return e->interrupted != NULL ? e->interrupted : "";
}

/* One line for people. */
static void
status_line(struct supervisor *sv, const struct store_escrow *e, char *out, size_t size)
{
	const struct escrow *live = escrow_find(sv->escrows, e->escrow_id);
	char text[200] = "";

	switch (e->phase) {
	case PHASE_READY:
		if (e->verified_at != 0)
			snprintf(out, size, "ready; its wallets were opened from disk and are good");
		else if (e->not_verified_at != 0)
			snprintf(out, size, "ready; but its wallets could not be opened from disk: %s", e->not_verified_reason);
		else if (sessions_is_open(sv->sessions, e->escrow_id))
			snprintf(out, size, "ready; its wallets are kept open");
		else
			snprintf(out, size, "ready; its wallets will be opened from disk once nothing else is under way");
		return;
	case PHASE_FAILED:
		snprintf(out, size, "failed: %s", e->reason);
		return;
	case PHASE_NOT_STARTED:
	case PHASE_PREPARING:
	case PHASE_EXCHANGING:
	case PHASE_COUNT:
		break;
	}
	if (live == NULL) {
		snprintf(out, size, "about to be taken up");
	} else if (live->cancelled) {
		snprintf(out, size, "being cancelled");
	} else if (live->held) {
		snprintf(out, size, "waits for the store: %s", store_error(sv->store));
	} else if (live->locked_by != NULL) {
		snprintf(out, size, "%s", live->locked_by);
	} else if (live->activity == ESCROW_PAUSED) {
		snprintf(out, size, "goes on after a pause; interrupted: %s", reason_of(live));
	} else if (live->activity == ESCROW_QUEUED) {
		scheduler_describe_wait(sv->scheduler, &live->claim, text, sizeof text);
		snprintf(out, size, live->interrupted != NULL ? "waits for %s; interrupted: %s" : "waits for %s", text, reason_of(live));
	} else {
		escrow_describe_open(live, text, sizeof text);
		snprintf(out, size, "%s", text[0] != '\0' ? text : "a worker starts");
	}
}

static json_t *
participants_json(const struct store_escrow *e)
{
	json_t *list = json_array();

	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct store_participant *p = &e->participants[r];
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:O}", "role", role_name((enum role)r),
		    "kind", p->external ? "external" : "managed", "endpoint", text_or_null(p->endpoint),
		    "wallet", text_or_null(p->wallet), "completed", p->completed));
	}
	return list;
}

/* The roles that have prepared. */
static json_t *
prepared_roles(const struct store_escrow *e)
{
	json_t *list = json_array();

	for (int r = 0; r < ROLE_COUNT; r++) {
		if (json_array_size(e->participants[r].completed) >= 2) /* create, prepare */
			json_array_append_new(list, json_string(role_name((enum role)r)));
	}
	return list;
}

static json_t *
multisig_state_json(const struct store_escrow *e)
{
	json_t *state = json_pack("{s:i, s:s}", "version", 1, "phase", phase_name(e->phase));

	switch (e->phase) {
	case PHASE_NOT_STARTED:
	case PHASE_COUNT:
		break;
	case PHASE_PREPARING:
		json_object_set_new(state, "completed", prepared_roles(e));
		break;
	case PHASE_EXCHANGING:
		json_object_set_new(state, "round", json_integer(e->round));
		json_object_set(state, "infos", e->infos);
		break;
	case PHASE_READY:
		json_object_set_new(state, "address", json_string(e->address));
		json_object_set_new(state, "finalized_at", json_integer(e->finalized_at));
		break;
	case PHASE_FAILED:
		json_object_set_new(state, "reason", json_string(e->reason));
		json_object_set_new(state, "failed_at", json_integer(e->failed_at));
		break;
	}
	return state;
}

/* From opening to the end, or to now. */
static int64_t
elapsed_ms(const struct store_escrow *e)
{
	int64_t until = e->finalized_at != 0 ? e->finalized_at : e->failed_at != 0 ? e->failed_at : clock_wall_ms();

	return until > e->created_at ? until - e->created_at : 0;
}

static json_t *
not_verified_json(const struct store_escrow *e)
{
	if (e->not_verified_at == 0)
		return json_null();
	return json_pack("{s:I, s:s}", "at", (json_int_t)e->not_verified_at, "reason", e->not_verified_reason);
}

json_t *
api_escrow_json(struct supervisor *sv, const struct store_escrow *e)
{
	char status[STORE_REASON_MAX + 320]; /* no reason is cut within a character */

	status_line(sv, e, status, sizeof status);
	return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:i, s:i, s:i, s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:O, s:o}",
	    "escrow_id", e->escrow_id, "label", e->label, "metadata", json_loads(e->metadata, 0, NULL),
	    "phase", phase_name(e->phase), "status", status, "network", network_name(e->network),
	    "address", text_or_null(e->address), "threshold", MULTISIG_THRESHOLD, "total", MULTISIG_TOTAL,
	    "attempt", e->attempt, "reason", text_or_null(e->reason), "created_at", (json_int_t)e->created_at,
	    "started_at", time_or_null(e->started_at), "finalized_at", time_or_null(e->finalized_at),
	    "verified_at", time_or_null(e->verified_at), "not_verified", not_verified_json(e),
	    "elapsed_ms", (json_int_t)elapsed_ms(e),
	    "participants", participants_json(e), "failed_attempts", e->failed, "multisig_state", multisig_state_json(e));
}

void
api_answer_escrow(struct api_call *call, const char *escrow_id)
{
	struct store_escrow e;

	switch (store_get_escrow(call->sv->store, escrow_id, &e)) {
	case STORE_OK:
		api_result(call, api_escrow_json(call->sv, &e));
		store_escrow_clear(&e);
		break;
	case STORE_NOT_FOUND:
		api_error(call, API_NO_SUCH_ESCROW, "there is no escrow %s", escrow_id);
		break;
	case STORE_CONFLICT:
	case STORE_FAILED:
		api_error(call, API_STORE_FAILED, "%s", store_error(call->sv->store));
		break;
	}
}
