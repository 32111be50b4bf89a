#include "supervisor/check_control.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/text.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/homes.h"
#include "supervisor/repair.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"
#include "supervisor/tender.h"
#include "supervisor/wallets.h"
#include "supervisor/worker_process.h"

enum {
	QUIET_MS = FAULT_SOONER(2000),  /* nothing was under way for so long */
	AGAIN_MS = FAULT_SOONER(60000), /* until those that could not be looked at get another turn */
	ESCROWS_A_TURN = 20,    /* looked through for one that can be verified */
	PAUSE_MS = 100,         /* between two such turns: thousands may wait for an endpoint that is gone */
	CHECK_LIMIT_MS = 120000
};

struct verifier {
	struct supervisor *sv;
	struct event *quiet;
	char after[UUID_TEXT];  /* those up to it have had their turn; "" begins with the first */
	bool missed;            /* one of them could not be looked at */
	bool woken;             /* one became ready since the first had its turn: another pass */
	struct worker *worker;  /* NULL: none under way */
	struct wallets wallets; /* of the escrow that is looked at */
	struct endpoint *endpoints[ROLE_COUNT];
};

static void
forget(struct verifier *v)
{
	wallets_clear(&v->wallets);
	memset(v->endpoints, 0, sizeof v->endpoints);
}

static json_t *
start_frame(void *owner)
{
	struct verifier *v = owner;

	return wallets_start_frame(v->sv, &v->wallets, v->wallets.roles, v->endpoints);
}

/* --- what came of it ------------------------------------------------------ */

/* On its way to disk. */
struct outcome {
	struct verifier *v;
	char escrow_id[UUID_TEXT];
	char cause[32];
	char reason[STORE_REASON_MAX];  /* "": they are good */
};

/* It could not be looked at, or the outcome could not be kept: another time. */
static void
postpone(struct verifier *v, const char *escrow_id, const char *reason)
{
	v->missed = true;
	log_info("verification_postponed", F_STR("escrow", escrow_id), F_STR("reason", reason));
}

/* The repairer has said what came of it. */
static void
on_repaired(json_t *repaired, json_t *problems, void *arg)
{
	(void)arg;
	json_decref(repaired);
	json_decref(problems);
}

/* From its .keys or its seed. Once a start, as the look that it comes from; a
 * repair that is under way sees to it too, or somebody called it off. */
static void
repair(struct verifier *v, const char *escrow_id)
{
	if (!v->sv->stopping && !v->sv->draining && !repair_is_under_way(v->sv->repairer))
		repair_begin(v->sv->repairer, escrow_id, false, on_repaired, v);
}

static void
on_outcome_durable(bool durable, void *arg)
{
	struct outcome *o = arg;

	if (!durable) {
		postpone(o->v, o->escrow_id, "the store could not be written");
	} else if (o->reason[0] == '\0') {
		log_info("escrow_verified", F_STR("escrow", o->escrow_id));
	} else {
		/* loudly: the money can be reached from the store, but not from these files */
		log_error("escrow_not_verified", F_STR("escrow", o->escrow_id), F_STR("cause", o->cause),
		    F_STR("reason", o->reason),
		    F_STR("remedy", "keep the store and its key safe: the sealed .keys and seeds are in it"));
		repair(o->v, o->escrow_id);
	}
	free(o);
}

static enum store_result
write_outcome(struct verifier *v, const struct outcome *o)
{
	struct store *store = v->sv->store;
	bool good = o->reason[0] == '\0';
	enum store_result result;

	result = store_set_verified(store, v->wallets.escrow_id, v->wallets.attempt, good ? NULL : o->reason, clock_wall_ms());
	if (result != STORE_OK)
		return result;
	return good
	    ? store_add_event(store, v->wallets.escrow_id, "verified", json_pack("{s:i}", "attempt", v->wallets.attempt))
	    : store_add_event(store, v->wallets.escrow_id, "not_verified", json_pack("{s:i, s:s}", "attempt", v->wallets.attempt,
	        "reason", o->reason));
}

/* cause and reason: NULL when the wallets are good. */
static void
note_outcome(struct verifier *v, const char *cause, const char *reason)
{
	struct store *store = v->sv->store;
	struct outcome *o = calloc(1, sizeof *o);

	if (o == NULL) {
		postpone(v, v->wallets.escrow_id, "out of memory");
		return;
	}
	o->v = v;
	memcpy(o->escrow_id, v->wallets.escrow_id, sizeof o->escrow_id);
	snprintf(o->cause, sizeof o->cause, "%s", cause != NULL ? cause : "");
	text_copy(o->reason, sizeof o->reason, reason != NULL ? reason : "");
	if (!store_enter(store) || store_leave(store, write_outcome(v, o)) != STORE_OK) {
		postpone(v, v->wallets.escrow_id, store_error(store));
		free(o);
		return;
	}
	store_when_durable(store, on_outcome_durable, o);
}

/* Whether a failure tells something of the wallets, or only that they could not
 * be looked at this time. */
static bool
is_about_wallets(const struct worker_end *end)
{
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const char *text = json_string_value(json_object_get(end->finished, "cause"));
	enum failure_cause cause;

	if (outcome == NULL || strcmp(outcome, "failed") != 0 || text == NULL || !failure_cause_parse(text, &cause))
		return false;
	return cause == CAUSE_WALLET_ERROR || cause == CAUSE_WALLET_FILES || cause == CAUSE_GATE ||
	    cause == CAUSE_STAMP_MISMATCH || cause == CAUSE_WRONG_NETWORK || cause == CAUSE_INTERNAL;
}

/* All the wallets it was to open, and not fewer. */
static bool
is_done(const struct verifier *v, const struct worker_end *end)
{
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const json_t *role;
	unsigned roles = 0;
	size_t i;

	json_array_foreach(json_object_get(end->finished, "roles"), i, role) {
		enum role r;
		if (json_is_string(role) && role_parse(json_string_value(role), false, &r))
			roles |= ROLE_BIT(r);
	}
	return outcome != NULL && strcmp(outcome, "done") == 0 && roles == v->wallets.roles;
}

static void
wait_for_quiet(struct verifier *v)
{
	static const struct timeval quiet = {QUIET_MS / 1000, (QUIET_MS % 1000) * 1000};

	if (v->worker == NULL && escrow_count(v->sv->escrows) == 0)
		event_add(v->quiet, &quiet);
}

static void
on_gone(void *owner, const struct worker_end *end)
{
	struct verifier *v = owner;
	const char *reason = json_string_value(json_object_get(end->finished, "reason"));
	bool done = is_done(v, end);

	for (int r = 0; r < ROLE_COUNT; r++) {
		if (v->endpoints[r] != NULL)
			endpoint_event(v->endpoints[r], done ? ENDPOINT_EV_RELEASED : ENDPOINT_EV_ABANDONED, NULL);
	}
	if (done)
		note_outcome(v, NULL, NULL);
	else if (is_about_wallets(end))
		note_outcome(v, json_string_value(json_object_get(end->finished, "cause")),
		    reason != NULL && reason[0] != '\0' ? reason : "no reason was given");
	else
		postpone(v, v->wallets.escrow_id, reason != NULL ? reason
		    : end->finished != NULL ? "not every wallet was opened" : end->why);
	forget(v);
	v->worker = NULL;
	wait_for_quiet(v);
}

static const struct worker_job check_job = {.name = "check", .start = start_frame, .message = NULL, .gone = on_gone};

/* --- which one, and when -------------------------------------------------- */

/* An endpoint for each wallet, its own if possible, all free, are leased. Two may
 * have the same, after a repair elsewhere. */
static bool
lease_all(struct verifier *v)
{
	struct claim claim = {.needs = v->wallets.roles, .at_home = v->wallets.roles};

	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((v->wallets.roles & ROLE_BIT(r)) != 0)
			claim.homes[r] = endpoint_find(v->sv->endpoints, v->wallets.of[r].endpoint);
	}
	if (!homes_pick(v->sv->endpoints, &claim, v->endpoints))
		return false;
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (v->endpoints[r] != NULL)
			endpoint_lease(v->endpoints[r], v->wallets.escrow_id, (enum role)r, clock_monotonic_ms());
	}
	return true;
}

static void
release_all(struct verifier *v)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (v->endpoints[r] != NULL)
			endpoint_event(v->endpoints[r], ENDPOINT_EV_RELEASED, NULL);
	}
}

/* False: it cannot be looked at now. */
static bool
begin(struct verifier *v)
{
	char title[64];

	if (sessions_has(v->sv->sessions, v->after))
		return false; /* its end wakes us */
	if (wallets_load(v->sv, v->after, &v->wallets) != WALLETS_LOADED) {
		v->missed = true;
		return false;
	}
	if (v->wallets.not_verified_at >= v->sv->started_at)
		return false; /* they were looked at already */
	if (!lease_all(v)) {
		v->missed = true;
		return false;
	}
	snprintf(title, sizeof title, "check %s", v->wallets.escrow_id);
	v->worker = worker_new(v->sv, &check_job, v, title, v->wallets.escrow_id, CHECK_LIMIT_MS);
	if (v->worker == NULL) {
		release_all(v);
		v->missed = true;
	}
	return v->worker != NULL;
}

/* All had their turn: the next look begins with the first again. */
static void
end_pass(struct verifier *v)
{
	static const struct timeval soon = {0, 0}, again = {AGAIN_MS / 1000, AGAIN_MS % 1000 * 1000};

	v->after[0] = '\0';
	if (v->woken)
		event_add(v->quiet, &soon);
	else if (v->missed)
		event_add(v->quiet, &again);
	v->missed = v->missed && v->woken;
	tender_wake(v->sv->tender);
}

static void
on_quiet(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval pause = {0, PAUSE_MS * 1000};
	struct verifier *v = arg;

	(void)fd;
	(void)what;
	if (v->worker != NULL || v->sv->stopping || v->sv->draining || escrow_count(v->sv->escrows) > 0 ||
	    repair_is_under_way(v->sv->repairer))
		return; /* the end of any of these wakes us */
	if (v->after[0] == '\0')
		v->woken = false;
	for (int i = 0; i < ESCROWS_A_TURN; i++) {
		if (store_next_unverified(v->sv->store, v->after) != STORE_OK) {
			end_pass(v);
			return;
		}
		if (begin(v))
			return;
		forget(v);
	}
	event_add(v->quiet, &pause);
}

struct verifier *
verifier_new(struct supervisor *sv)
{
	struct verifier *v = calloc(1, sizeof *v);

	if (v == NULL || (v->quiet = evtimer_new(sv->base, on_quiet, v)) == NULL) {
		free(v);
		return NULL;
	}
	v->sv = sv;
	return v;
}

void
verifier_free(struct verifier *v)
{
	if (v == NULL)
		return;
	event_free(v->quiet);
	forget(v);
	free(v);
}

void
verifier_wake(struct verifier *v)
{
	char first[UUID_TEXT] = "";

	v->woken = v->woken || store_next_unverified(v->sv->store, first) == STORE_OK;
	if (v->woken)
		wait_for_quiet(v);
}

bool
verifier_is_due(const struct verifier *v)
{
	return v->worker != NULL || v->woken || v->after[0] != '\0';
}
