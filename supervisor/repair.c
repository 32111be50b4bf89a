#include "supervisor/repair_internal.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/text.h"
#include "supervisor/check_control.h"
#include "supervisor/endpoint.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum { REPAIR_LIMIT_MS = 180000 }; /* of a worker */

/* --- its end ---------------------------------------------------------------- */

static void
pick_soon(struct repairer *r)
{
	static const struct timeval soon = {0, 0};

	r->state = STATE_PICKING;
	event_add(r->step, &soon);
}

static void
forget_escrow(struct repairer *r)
{
	wallets_clear(&r->wallets);
	repair_forget_before(r);
	r->loaded = r->has_escrow = false;
}

/* Those who asked for a session of it go on. */
static void
leave_escrow(struct repairer *r)
{
	forget_escrow(r);
	sessions_go_on(r->sv->sessions, r->escrow_id);
}

static void
rest(struct repairer *r)
{
	r->state = STATE_IDLE;
	event_del(r->step);
	leave_escrow(r);
	verifier_wake(r->sv->verifier);
}

static void
tell(struct repairer *r, bool done)
{
	json_t *repaired = r->repaired, *problems = r->problems;

	r->repaired = r->problems = NULL;
	if (!done) {
		json_decref(repaired);
		json_decref(problems);
	}
	r->fn(done ? repaired : NULL, done ? problems : NULL, r->arg);
}

/* --- what came of a wallet ---------------------------------------------------- */

void
repair_not_repaired(struct repairer *r, const char *reason, const char *remedy)
{
	const char *wallet = r->wallets.of[r->role].wallet, *role = repair_role(r);
	char what[STORE_REASON_MAX + 200];

	/* the worker says it too */
	if (strncmp(reason, role, strlen(role)) == 0 && strncmp(reason + strlen(role), ": ", 2) == 0)
		reason += strlen(role) + 2;
	snprintf(what, sizeof what, "%s: wallet %s was not repaired: %.560s", repair_role(r), wallet, reason);
	json_array_append_new(r->problems, json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "not_repaired", "escrow_id", r->escrow_id,
	    "role", repair_role(r), "what", what, "remedy", remedy));
	log_error("wallet_not_repaired", F_STR("escrow", r->escrow_id), F_STR("role", repair_role(r)),
	    F_STR("wallet", wallet), F_STR("reason", reason), F_STR("remedy", remedy));
	store_add_event(r->sv->store, r->escrow_id, "not_repaired", json_pack("{s:i, s:s, s:s}", "attempt", r->wallets.attempt,
	    "role", repair_role(r), "reason", reason));
}

void
repair_next_wallet(struct repairer *r)
{
	repair_forget_before(r);
	r->role++;
	pick_soon(r);
}

static void
note_good(struct repairer *r, json_t *finished, const char *endpoint)
{
	const char *from = json_string_value(json_object_get(finished, "from"));
	const char *wallet = json_string_value(json_object_get(finished, "wallet"));
	const char *endpoints[ROLE_COUNT] = {NULL};

	r->good |= ROLE_BIT(r->role);
	repair_store_copies(r, finished);
	endpoints[r->role] = endpoint;
	if (r->claim.at_home == 0) /* its own is no more, but this one has the files */
		store_move(r->sv->store, r->escrow_id, r->wallets.attempt, endpoints);
	if (from == NULL || wallet == NULL || strcmp(from, "files") == 0)
		return;
	json_array_append_new(r->repaired, json_pack("{s:s, s:s, s:s, s:s, s:s}", "escrow_id", r->escrow_id, "role",
	    repair_role(r), "wallet", wallet, "endpoint", endpoint, "from", from));
	store_add_event(r->sv->store, r->escrow_id, "repaired", json_pack("{s:i, s:s, s:s, s:s}", "attempt",
	    r->wallets.attempt, "role", repair_role(r), "wallet", wallet, "from", from));
}

/* Also when they were good at one time: status says so from now on. */
static void
note_lost(struct repairer *r, const char *why)
{
	char reason[STORE_REASON_MAX];

	text_copy(reason, sizeof reason, why);
	store_set_not_repaired(r->sv->store, r->escrow_id, r->wallets.attempt, reason, clock_wall_ms());
}

static void
give_back(struct repairer *r, enum endpoint_event event)
{
	struct endpoint *ep = r->endpoint;

	r->endpoint = NULL;
	if (ep != NULL)
		endpoint_event(ep, event, NULL);
}

static void
on_gone(void *owner, const struct worker_end *end)
{
	struct repairer *r = owner;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const char *cause = json_string_value(json_object_get(end->finished, "cause"));
	bool done = outcome != NULL && strcmp(outcome, "done") == 0;
	bool tried = cause != NULL && strcmp(cause, failure_cause_name(CAUSE_NOT_RECOVERED)) == 0;
	char why[800], endpoint[ENDPOINT_NAME_MAX];

	r->worker = NULL;
	snprintf(endpoint, sizeof endpoint, "%s", r->endpoint->name);
	give_back(r, done ? ENDPOINT_EV_RELEASED : ENDPOINT_EV_ABANDONED);
	if (r->state == STATE_ENDING) {
		rest(r);
		return;
	}
	if (done) {
		note_good(r, end->finished, endpoint);
	} else {
		worker_describe_end(end, why, sizeof why);
		if (tried) {
			repair_put_back(r);
			note_lost(r, why);
		}
		repair_not_repaired(r, why, tried ? "keep the store and its key safe: what it has of the wallet is all there is; put "
		    "right what is named here, and run msigctl check --repair again"
		    : "put right what is named here, and run msigctl check --repair again");
	}
	repair_next_wallet(r);
}

static const struct worker_job repair_job = {.name = "repair", .start = repair_start_frame, .message = repair_message,
	.gone = on_gone};

void
repair_work(struct repairer *r)
{
	char title[64];

	r->state = STATE_WORKING;
	snprintf(title, sizeof title, "repair %s", r->escrow_id);
	r->worker = worker_new(r->sv, &repair_job, r, title, r->escrow_id, REPAIR_LIMIT_MS);
	if (r->worker != NULL)
		return;
	give_back(r, ENDPOINT_EV_RELEASED);
	repair_not_repaired(r, "out of memory for a worker", "run msigctl check --repair again");
	repair_next_wallet(r);
}

/* --- which one -------------------------------------------------------------------- */

/* All its wallets had their turn. */
static void
end_escrow(struct repairer *r)
{
	struct store *store = r->sv->store;
	int64_t now = clock_wall_ms();

	if (r->good != r->wallets.roles || !store_enter(store)) {
		leave_escrow(r);
		return;
	}
	if (store_leave(store, store_set_repaired(store, r->escrow_id, r->wallets.attempt, now)) == STORE_OK)
		store_add_event(store, r->escrow_id, "verified", json_pack("{s:i}", "attempt", r->wallets.attempt));
	leave_escrow(r);
}

static void
on_session_closed(void *arg)
{
	struct repairer *r = arg;

	if (r->state == STATE_CLOSING)
		pick_soon(r);
	else if (r->state == STATE_ENDING)
		rest(r);
}

/* Its wallets could not be tried. */
static void
skip_escrow(struct repairer *r)
{
	json_array_append_new(r->problems, json_pack("{s:s, s:s, s:s, s:s}", "kind", "not_repaired", "escrow_id", r->escrow_id,
	    "what", "its wallets were not repaired: what the store has of them cannot be read", "remedy",
	    "restore the store from a backup"));
	leave_escrow(r);
	pick_soon(r);
}

/* Whether a session of it has to end first. It may do so at once. */
static bool
close_session(struct repairer *r)
{
	if (!sessions_has(r->sv->sessions, r->escrow_id) || sessions_wait_for_repair(r->sv->sessions, r->escrow_id))
		return false;
	r->state = STATE_CLOSING;
	if (sessions_close(r->sv->sessions, r->escrow_id, on_session_closed, r) == SESSIONS_CLOSING)
		return true;
	r->state = STATE_PICKING;
	return false;
}

/* False: it cannot be read. */
static bool
load(struct repairer *r)
{
	r->good = 0;
	r->role = 0;
	r->loaded = wallets_load(r->sv, r->escrow_id, &r->wallets) == WALLETS_LOADED;
	if (!r->loaded)
		skip_escrow(r);
	return r->loaded;
}

/* The next escrow that is ready; false: there is none. */
static bool
next_escrow(struct repairer *r)
{
	char ids[1][UUID_TEXT];
	int count = 0;

	if (r->only[0] != '\0' && r->number > 0)
		return false;
	if (r->only[0] != '\0')
		memcpy(ids[0], r->only, sizeof ids[0]);
	else if (store_list_escrows(r->sv->store, PHASE_READY, r->escrow_id[0] != '\0' ? r->escrow_id : NULL, 1, ids, &count)
	    != STORE_OK || count == 0)
		return false;
	memcpy(r->escrow_id, ids[0], sizeof r->escrow_id);
	r->number++;
	if (r->total < r->number)
		r->total = r->number;
	store_add_event(r->sv->store, NULL, "repair", json_pack("{s:s, s:I, s:I}", "id", r->escrow_id, "number",
	    (json_int_t)r->number, "total", (json_int_t)r->total));
	return true;
}

static void
finish(struct repairer *r)
{
	log_info("repair_ended", F_INT("escrows", r->number), F_INT("repaired", json_array_size(r->repaired)),
	    F_INT("not_repaired", json_array_size(r->problems)));
	rest(r);
	tell(r, true);
}

static void
pick(struct repairer *r)
{
	r->has_escrow = r->has_escrow || next_escrow(r);
	if (!r->has_escrow) {
		finish(r);
		return;
	}
	if (close_session(r) || (!r->loaded && !load(r)))
		return;
	while (r->role < ROLE_COUNT && (r->wallets.roles & ROLE_BIT(r->role)) == 0)
		r->role++;
	if (r->role < ROLE_COUNT) {
		repair_wait(r);
		return;
	}
	end_escrow(r);
	pick_soon(r);
}

static void
on_step(evutil_socket_t fd, short what, void *arg)
{
	struct repairer *r = arg;

	(void)fd;
	(void)what;
	if (r->state == STATE_PICKING)
		pick(r);
	else if (r->state == STATE_WAITING)
		repair_look_at_endpoint(r);
}

/* --- for others --------------------------------------------------------------------- */

void
repair_begin(struct repairer *r, const char *only, bool elsewhere, repaired_fn fn, void *arg)
{
	int64_t counts[PHASE_COUNT] = {0};

	snprintf(r->only, sizeof r->only, "%s", only != NULL ? only : "");
	r->elsewhere = elsewhere;
	r->fn = fn;
	r->arg = arg;
	json_object_clear(r->absent);
	r->repaired = json_array();
	r->problems = json_array();
	r->escrow_id[0] = '\0';
	r->number = 0;
	store_count_phases(r->sv->store, counts);
	r->total = only != NULL ? 1 : counts[PHASE_READY];
	pick_soon(r);
}

bool
repair_is_under_way(const struct repairer *r)
{
	return r->state != STATE_IDLE;
}

bool
repair_is_at(const struct repairer *r, const char *escrow_id)
{
	return r->has_escrow && strcmp(r->escrow_id, escrow_id) == 0;
}

void
repair_stop(struct repairer *r)
{
	enum state state = r->state;

	if (state == STATE_IDLE || state == STATE_ENDING)
		return;
	event_del(r->step);
	r->state = STATE_ENDING;
	tell(r, false);
	if (state == STATE_WAITING)
		scheduler_dequeue(r->sv->scheduler, &r->claim);
	if (state == STATE_WORKING)
		worker_stop(r->worker); /* may bury it at once */
	else if (state != STATE_CLOSING)
		rest(r);
}

struct repairer *
repairer_new(struct supervisor *sv)
{
	struct repairer *r = calloc(1, sizeof *r);

	if (r == NULL || (r->absent = json_object()) == NULL || (r->step = evtimer_new(sv->base, on_step, r)) == NULL) {
		if (r != NULL)
			json_decref(r->absent);
		free(r);
		return NULL;
	}
	r->sv = sv;
	return r;
}

void
repairer_free(struct repairer *r)
{
	if (r == NULL)
		return;
	forget_escrow(r);
	json_decref(r->repaired);
	json_decref(r->problems);
	json_decref(r->absent);
	event_free(r->step);
	free(r);
}
