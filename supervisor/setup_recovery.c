#include "supervisor/setup_recovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/seal.h"
#include "supervisor/endpoint.h"
#include "supervisor/homes.h"
#include "supervisor/leftover.h"
#include "supervisor/setup_frames.h"
#include "supervisor/setup_internal.h"
#include "supervisor/setup_trace.h"
#include "supervisor/supervisor.h"

enum {
	STRIKES_MAX = 3,       /* without a result between them */
	PAUSE_MS = 250,        /* before the second; then twice as long each time */
	DOUBLINGS_MAX = 6,
	PATIENCE_MS = FAULT_SOONER(10000), /* for endpoints that are down: a managed one is started again */
	LOOK_AGAIN_MS = 200,   /* whether its lock is free */
	READ_AGAIN_MS = 1000   /* when the store could not be read */
};

/* --- what follows a failure --------------------------------------------------- */

struct remedy
setup_remedy(enum failure_cause cause)
{
	static const struct remedy remedies[CAUSE_COUNT] = {
		[CAUSE_ENDPOINT_DOWN]    = {.go_on = true},
		[CAUSE_ENDPOINT_REFUSED] = {.go_on = true, .counts = true},
		[CAUSE_OUTCOME_UNKNOWN]  = {.go_on = true, .counts = true},
		[CAUSE_WALLET_ERROR]     = {.counts = true},
		[CAUSE_POLLUTED]         = {.go_on = true, .counts = true},
		[CAUSE_STAMP_MISMATCH]   = {.go_on = true, .counts = true},
		[CAUSE_WALLET_CLOSED]    = {.go_on = true, .counts = true},
		[CAUSE_WRONG_NETWORK]    = {.go_on = true},
		[CAUSE_WALLET_FILES]     = {.go_on = true, .counts = true},
		[CAUSE_GATE]             = {.counts = true},
		[CAUSE_TIMEOUT]          = {.counts = true},
		[CAUSE_LOCKS]            = {.go_on = true},
		[CAUSE_WORKER_DIED]      = {.go_on = true, .counts = true},
		[CAUSE_INTERRUPTED]      = {.go_on = true},
		[CAUSE_NOT_RECOVERED]    = {.counts = false},
		[CAUSE_STORE_OLDER]      = {.counts = false},
		[CAUSE_CANCELLED]        = {.counts = false},
		[CAUSE_INTERNAL]         = {.counts = true},
	};

	return remedies[cause];
}

bool
setup_can_go_on(const struct escrow *e)
{
	return e->guard.phase == PHASE_PREPARING || e->guard.phase == PHASE_EXCHANGING;
}

/* --- where --------------------------------------------------------------------- */

/* Of the wallet as it is now: an older one would put it where its peers do not
 * expect it. prepare_multisig writes nothing. */
static bool
has_copy(const struct store_journal *j)
{
	return j->keys != NULL && j->keys_round == (j->done == 1 ? 0 : j->done);
}

/* A role that has no wallet yet can begin anywhere. */
static bool
find_homes(struct escrow *e)
{
	struct store *store = e->sv->store;
	struct store_wallet wallets[ROLE_COUNT];
	struct store_journal journals[ROLE_COUNT];

	if (store_get_wallets(store, e->id, e->guard.attempt, wallets) != STORE_OK)
		return false;
	if (store_get_journal(store, e->id, e->guard.attempt, journals) != STORE_OK) {
		store_wallets_clear(wallets);
		return false;
	}
	claim_begin_anew(&e->claim);
	e->copies = 0;
	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((e->claim.needs & ROLE_BIT(r)) == 0 || journals[r].done < 0)
			continue;
		e->claim.at_home |= ROLE_BIT(r);
		e->claim.homes[r] = wallets[r].endpoint != NULL ? endpoint_find(e->sv->endpoints, wallets[r].endpoint) : NULL;
		e->copies |= has_copy(&journals[r]) ? ROLE_BIT(r) : 0;
	}
	store_journal_clear(journals);
	store_wallets_clear(wallets);
	return true;
}

static void
set_pause(struct escrow *e, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(e->pause, &tv);
}

/* One that was taken out, or is in the configuration no more, does not come back
 * by itself. */
static bool
is_hopeless(const struct escrow *e)
{
	return homes_lacking_role(e->sv->endpoints, &e->claim, true) != ROLE_COUNT;
}

/* Since it cannot be served, whatever gets free. */
static int64_t
homeless_for_ms(const struct escrow *e)
{
	return e->claim.homeless_ms != 0 ? clock_monotonic_ms() - e->claim.homeless_ms : 0;
}

bool
setup_queue_to_go_on(struct escrow *e)
{
	if (!find_homes(e))
		return false;
	e->resumed = e->claim.goes_on = true;
	set_pause(e, is_hopeless(e) ? 0 : PATIENCE_MS);
	return true;
}

bool
setup_is_stranded(const struct escrow *e)
{
	return e->claim.goes_on && (homeless_for_ms(e) >= PATIENCE_MS || is_hopeless(e));
}

/* Its wallet's endpoint is not waited for; the wallets of the others stay. */
static bool
leave_home(struct escrow *e, int role)
{
	unsigned bit = ROLE_BIT(role);
	const struct endpoint *home = e->claim.homes[role];

	if ((e->claim.at_home & e->copies & bit) == 0 || !homes_has_other(e->sv->endpoints, &e->claim, role))
		return false;
	e->claim.at_home &= ~bit;
	e->claim.to_write |= bit;
	log_info("escrow_goes_elsewhere", F_STR("escrow", e->id), F_STR("role", role_name((enum role)role)),
	    F_STR("endpoint", home != NULL ? home->name : NULL),
	    F_STR("state", home != NULL ? endpoint_state_name(home->state) : "not in the configuration"),
	    F_STR("reason", home != NULL && home->reason[0] != '\0' ? home->reason : NULL));
	scheduler_wake(e->sv->scheduler);
	return true;
}

/* With other wallets it could be served. */
static bool
is_better_begun_anew(const struct escrow *e)
{
	struct claim anew = {.needs = e->claim.needs};

	return homes_lacking_role(e->sv->endpoints, &anew, false) == ROLE_COUNT;
}

/* It is not waited for when it does not come back by itself. */
static void
describe_absence(const struct endpoint *home, int64_t ms, char *out, size_t size)
{
	const char *state = endpoint_state_name(home->state);
	bool because = home->reason[0] != '\0';

	if (home->take_out)
		snprintf(out, size, "is to be taken out");
	else if (home->state == ENDPOINT_OUT || ms < 1000)
		snprintf(out, size, "is %s%s%s%s", state, because ? " (" : "", home->reason, because ? ")" : "");
	else
		snprintf(out, size, "has not served for %lld s (%s%s%s)", (long long)(ms / 1000), state, because ? ": " : "",
		    home->reason);
}

static void
describe_home(const struct escrow *e, int role, char *out, size_t size)
{
	const struct endpoint *home = e->claim.homes[role];
	struct store_wallet wallets[ROLE_COUNT] = {0};
	char absence[300];

	if (home != NULL && !home->removed) {
		describe_absence(home, homeless_for_ms(e), absence, sizeof absence);
		snprintf(out, size, "endpoint %s, where its wallet is, %s", home->name, absence);
		return;
	}
	store_get_wallets(e->sv->store, e->id, e->guard.attempt, wallets);
	snprintf(out, size, "endpoint %s, where its wallet is, is not in the configuration any more",
	    wallets[role].endpoint != NULL ? wallets[role].endpoint : "?");
	store_wallets_clear(wallets);
}

/* The attempt, that is: another one begins. */
static void
give_up(struct escrow *e, int role)
{
	const char *name = role_name((enum role)role);
	char reason[STORE_REASON_MAX], home[400];
	unsigned bit = ROLE_BIT(role);

	describe_home(e, role, home, sizeof home);
	if (((e->claim.at_home | e->claim.to_write) & bit) == 0)
		snprintf(reason, sizeof reason, "%s: no endpoint is left for it while the other wallets stay where they are", name);
	else
		snprintf(reason, sizeof reason, "%s: %s, and %s", name, home, (e->copies & bit) == 0 ? "there is no copy of the wallet"
		    : "for no other endpoint can its copy be written: set wallet-dir of one");
	event_del(e->pause);
	scheduler_dequeue(e->sv->scheduler, &e->claim);
	setup_not_recovered(e, reason);
}

/* It is in the queue still: those that cannot be served go elsewhere. To give up
 * the attempt costs its wallets, so that has time. */
static void
go_elsewhere(struct escrow *e)
{
	int64_t homeless = homeless_for_ms(e);
	bool over = homeless >= PATIENCE_MS || is_hopeless(e), lost;
	int role;

	while ((role = homes_lacking_role(e->sv->endpoints, &e->claim, false)) != ROLE_COUNT && over && leave_home(e, role))
		;
	lost = homeless >= e->sv->config->setup_timeout_ms || is_hopeless(e);
	if (role != ROLE_COUNT && lost && is_better_begun_anew(e)) {
		give_up(e, role);
		return;
	}
	set_pause(e, homeless > 0 && homeless < PATIENCE_MS ? PATIENCE_MS - homeless : PATIENCE_MS);
	if (e->sv->draining)
		supervisor_worker_gone(e->sv); /* it may be the last that is waited for, and in vain */
}

/* --- whose worker is there still ----------------------------------------------- */

static void
tell_locked(struct escrow *e, const struct lock *lock, const struct leftover *who)
{
	char text[512];

	if (who->pid != 0)
		snprintf(text, sizeof text, "waits for worker %ld of an earlier msigd", (long)who->pid);
	else
		snprintf(text, sizeof text, "waits for another process, which holds %s (%s): end it", lock->name, who->holder);
	if (e->locked_by != NULL && strcmp(e->locked_by, text) == 0)
		return;
	log_event(who->pid != 0 ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "escrow_locked", F_STR("escrow", e->id),
	    F_STR("lock", lock->name), F_STR("holder", who->holder),
	    F_STR("remedy", who->pid != 0 ? "it is ended if it does not end by itself" : "end that process"));
	free(e->locked_by);
	e->locked_by = strdup(text);
}

/* Law 1: one worker for each escrow, also one that msigd does not know. Such a
 * one ends with its msigd, unless it is stopped. */
static bool
is_locked(struct escrow *e)
{
	const char *dir = e->sv->config->lock_dir;
	struct leftover who;
	struct lock lock;

	lock_init_escrow(&lock, e->id);
	if (!leftover_holds(&lock, dir, &who)) {
		e->locked_ms = 0;
		free(e->locked_by);
		e->locked_by = NULL;
		e->locked_out = false;
		return false;
	}
	if (e->locked_ms == 0)
		e->locked_ms = clock_monotonic_ms();
	tell_locked(e, &lock, &who);
	e->locked_out = who.pid == 0;
	if (clock_monotonic_ms() - e->locked_ms >= LEFTOVER_LIMIT_MS)
		leftover_kill(&lock, dir, &who);
	return true;
}

bool
setup_is_locked(struct escrow *e)
{
	if (!is_locked(e))
		return false;
	escrow_set_activity(e, ESCROW_PAUSED);
	set_pause(e, LOOK_AGAIN_MS);
	if (e->locked_out && e->sv->draining)
		supervisor_worker_gone(e->sv); /* it may be the last that is waited for, and in vain */
	return true;
}

/* --- pauses -------------------------------------------------------------------- */

bool
setup_pause(struct escrow *e, bool counts, bool later)
{
	int doublings = e->resumes < DOUBLINGS_MAX ? e->resumes : DOUBLINGS_MAX;

	if (counts && ++e->strikes > STRIKES_MAX)
		return false;
	escrow_set_activity(e, ESCROW_PAUSED);
	e->backoff_ms = e->resumes == 0 && !later ? 0 : (int64_t)PAUSE_MS << doublings;
	e->backoff_since_ms = clock_monotonic_ms();
	set_pause(e, e->backoff_ms);
	e->resumes++;
	return true;
}

void
setup_pause_for_store(struct escrow *e)
{
	log_warn("escrow_held", F_STR("escrow", e->id), F_STR("error", store_error(e->sv->store)));
	escrow_set_activity(e, ESCROW_PAUSED);
	set_pause(e, READ_AGAIN_MS);
}

void
setup_gets_further(struct escrow *e)
{
	e->resumes = e->strikes = 0;
	free(e->interrupted);
	e->interrupted = NULL;
}

void
setup_on_pause(evutil_socket_t fd, short what, void *arg)
{
	struct escrow *e = arg;

	(void)fd;
	(void)what;
	if (e->sv->stopping)
		return; /* the next start goes on with it */
	if (e->activity == ESCROW_PAUSED && e->backoff_ms > 0)
		setup_trace_backoff(e, e->backoff_ms, clock_monotonic_ms() - e->backoff_since_ms);
	e->backoff_ms = 0;
	if (e->activity == ESCROW_PAUSED)
		setup_go_on(e);
	else if (e->activity == ESCROW_QUEUED)
		go_elsewhere(e);
}

/* --- its worker ------------------------------------------------------------------- */

static void
add_text(json_t *object, const char *key, const void *sealed, size_t size)
{
	char *text = sealed != NULL ? sealed_to_base64(sealed, size) : NULL;

	if (text != NULL)
		json_object_set_new(object, key, json_string(text));
	free(text);
}

static json_t *
journal_json(const struct store_journal *j)
{
	json_t *messages = json_array(), *json;

	for (int i = 0; i < STORE_JOURNAL_MESSAGES; i++) {
		json_t *message;
		if (j->messages[i].sealed == NULL)
			continue;
		message = json_pack("{s:i}", "round", j->messages[i].round);
		add_text(message, "sealed", j->messages[i].sealed, j->messages[i].size);
		json_array_append_new(messages, message);
	}
	json = json_pack("{s:i, s:i, s:o}", "done", j->done, "intent", j->intent, "messages", messages);
	if (j->keys != NULL) {
		json_object_set_new(json, "keys_round", json_integer(j->keys_round));
		add_text(json, "keys", j->keys, j->keys_size);
	}
	return json;
}

/* One that has no wallet yet gets a new one: a spare that it was given has been
 * anybody's since. */
static json_t *
participant(struct escrow *e, enum role role, const struct store_wallet *w, const struct store_journal *j)
{
	char name[SETUP_WALLET_MAX];
	json_t *json;

	setup_wallet_name(e, role, name);
	json = json_pack("{s:s, s:s, s:o, s:o}", "role", role_name(role), "wallet", j->done < 0 ? name : w->wallet,
	    "endpoint", endpoint_describe(e->endpoints[role]), "journal", journal_json(j));
	if (j->done < 0)
		return json;
	json_object_set_new(json, "stamp", json_string(w->stamp != NULL ? w->stamp : ""));
	add_text(json, "password", w->password, w->password_size);
	return json;
}

json_t *
setup_journals(struct escrow *e)
{
	struct store *store = e->sv->store;
	struct store_wallet wallets[ROLE_COUNT];
	struct store_journal journals[ROLE_COUNT];
	json_t *participants;

	if (store_get_wallets(store, e->id, e->guard.attempt, wallets) != STORE_OK)
		return NULL;
	if (store_get_journal(store, e->id, e->guard.attempt, journals) != STORE_OK) {
		store_wallets_clear(wallets);
		return NULL;
	}
	participants = json_array();
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (e->endpoints[r] != NULL)
			json_array_append_new(participants, participant(e, (enum role)r, &wallets[r], &journals[r]));
	}
	store_journal_clear(journals);
	store_wallets_clear(wallets);
	return participants;
}

enum store_result
setup_store_resumption(struct escrow *e)
{
	struct store *store = e->sv->store;
	const char *endpoints[ROLE_COUNT] = {NULL};
	enum store_result result;

	if (!setup_can_go_on(e))
		return STORE_CONFLICT;
	for (int r = 0; r < ROLE_COUNT; r++)
		endpoints[r] = e->endpoints[r] != NULL ? e->endpoints[r]->name : NULL;
	result = store_move(store, e->id, e->guard.attempt, endpoints);
	if (result != STORE_OK)
		return result;
	return store_add_event(store, e->id, "resume", json_pack("{s:i}", "attempt", e->guard.attempt));
}
