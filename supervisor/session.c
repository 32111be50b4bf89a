#include "supervisor/session.h"

#include <event2/event.h>
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
#include "supervisor/session_internal.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum {
	WAIT_LIMIT_MS = 60000,     /* for endpoints that are there */
	PATIENCE_MS = 5000,        /* for one that is not to come back */
	WAITING_MAX = 100,         /* at a time */
	OPEN_LIMIT_MS = 120000,    /* for the wallets to open */
	REPLY_LIMIT_MS = 65000     /* the worker itself gives up after 60 s */
};

static const char *const close_causes[] = {"", "evicted", "expired", "by_hand", "endpoint_died", "stopping"};

static int
compare(const struct session *a, const struct session *b)
{
	return strcmp(a->escrow_id, b->escrow_id);
}
RB_PROTOTYPE(session_tree, session, node, compare)
RB_GENERATE(session_tree, session, node, compare)

static void handle(struct session *s, enum session_event event);
static bool enqueue(struct session *s, char *why, size_t why_size);

/* --- small things --------------------------------------------------------- */

static struct session *
find(struct sessions *all, const char *escrow_id)
{
	struct session key;

	snprintf(key.escrow_id, sizeof key.escrow_id, "%s", escrow_id);
	return RB_FIND(session_tree, &all->tree, &key);
}

static void
set_timer(struct session *s, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(s->timer, &tv);
}

static void
tell(struct request_list *list, json_t *wallets, const char *why)
{
	struct request *r;

	while ((r = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, next);
		r->fn(wallets, why, r->arg);
		free(r);
	}
}

static void
used(struct session *s, int requests)
{
	s->last_used = clock_wall_ms();
	s->uses += requests;
	TAILQ_REMOVE(&s->all->by_use, s, use);
	TAILQ_INSERT_TAIL(&s->all->by_use, s, use);
}

/* --- making and freeing --------------------------------------------------- */

static void
on_timer(evutil_socket_t fd, short what, void *arg);

static struct session *
session_new(struct sessions *all, const char *escrow_id, unsigned roles)
{
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL || (s->timer = evtimer_new(all->sv->base, on_timer, s)) == NULL) {
		free(s);
		return NULL;
	}
	s->all = all;
	snprintf(s->escrow_id, sizeof s->escrow_id, "%s", escrow_id);
	s->roles = roles;
	s->since = s->last_used = clock_wall_ms();
	STAILQ_INIT(&s->queue);
	STAILQ_INIT(&s->asked);
	STAILQ_INIT(&s->waiters);
	RB_INSERT(session_tree, &all->tree, s);
	TAILQ_INSERT_TAIL(&all->by_use, s, use);
	all->count++;
	return s;
}

/* Those who wanted it closed. */
static void
tell_waiters(struct session *s)
{
	struct waiter *w;

	while ((w = STAILQ_FIRST(&s->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->waiters, next);
		w->fn(w->arg);
		free(w);
	}
}

/* Whoever still waits for an answer is told why there is none. */
static void
session_free(struct session *s, const char *why)
{
	struct sessions *all = s->all;

	RB_REMOVE(session_tree, &all->tree, s);
	TAILQ_REMOVE(&all->by_use, s, use);
	all->count--;
	tell(&s->asked, NULL, why);
	tell(&s->queue, NULL, why);
	tell_waiters(s);
	wallets_clear(&s->wallets);
	event_free(s->timer);
	free(s);
}

/* --- the actions of the table --------------------------------------------- */

static void
do_nothing(struct session *s)
{
	(void)s;
}

static void
do_bug(struct session *s)
{
	log_error("session_bug", F_STR("escrow", s->escrow_id), F_INT("state", s->state));
}

static void
do_ask(struct session *s)
{
	struct request *r;
	int requests = 0;

	if (STAILQ_EMPTY(&s->queue)) {
		s->state = SESSION_OPEN;
		set_timer(s, s->all->sv->config->session_ttl_ms);
		sessions_review(s->all);
		return;
	}
	STAILQ_CONCAT(&s->asked, &s->queue);
	STAILQ_FOREACH(r, &s->asked, next)
		requests++;
	used(s, requests);
	s->has_served = s->state == SESSION_OPEN || s->state == SESSION_ASKING;
	s->state = SESSION_ASKING;
	set_timer(s, REPLY_LIMIT_MS);
	worker_request(s->worker, ++s->request_id);
}

/* Its wallets are closed, and then it is gone. */
static void
do_stop(struct session *s)
{
	s->state = SESSION_CLOSING;
	event_del(s->timer);
	log_debug("session_closing", F_STR("escrow", s->escrow_id), F_STR("cause", close_causes[s->close_cause]));
	worker_stop(s->worker); /* may bury it at once */
}

static void
do_answer(struct session *s)
{
	s->again = false;
	tell(&s->asked, s->told, NULL);
	if (s->state == SESSION_CLOSING)
		return;
	if (s->close_cause != CLOSE_NONE)
		do_stop(s);
	else
		do_ask(s);
}

static const char *
why_closed(const struct session *s)
{
	return s->all->sv->stopping || s->all->sv->draining ? "msigd is stopping" : "the session was closed meanwhile: ask again";
}

static void
do_give_up(struct session *s)
{
	scheduler_dequeue(s->all->sv->scheduler, &s->claim);
	session_free(s, why_closed(s));
}

static void
give_back(struct session *s, enum endpoint_event event)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (s->endpoints[r] != NULL)
			endpoint_event(s->endpoints[r], event, NULL);
		s->endpoints[r] = NULL;
	}
}

static json_t *
start_frame(void *owner)
{
	struct session *s = owner;
	json_t *frame = wallets_start_frame(s->all->sv, &s->wallets, s->endpoints);

	wallets_clear(&s->wallets);
	return frame;
}

static bool on_message(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why);
static void on_gone(void *owner, const struct worker_end *end);

static const struct worker_job session_job = {
	.name = "session", .start = start_frame, .message = on_message, .gone = on_gone,
};

static void
do_start(struct session *s)
{
	char title[64];

	event_del(s->timer);
	snprintf(title, sizeof title, "session %s", s->escrow_id);
	s->worker = worker_new(s->all->sv, &session_job, s, title, s->escrow_id, OPEN_LIMIT_MS);
	if (s->worker == NULL) {
		give_back(s, ENDPOINT_EV_RELEASED);
		session_free(s, "out of memory for a worker");
		return;
	}
	s->state = SESSION_OPENING;
	s->all->sv->metrics.sessions_opened++;
}

/* A request is in the queue, and an answer in s->told; the rest finds them there. */
static void (*const life[SESSION_STATE_COUNT][SESSION_EVENT_COUNT])(struct session *s) = {
	[SESSION_WAITING] = {
		[SESSION_GRANTED] = do_start,
		[SESSION_SERVING] = do_bug,
		[SESSION_REQUEST] = do_nothing,
		[SESSION_REPLY] = do_bug,
		[SESSION_CLOSE] = do_give_up,
	},
	[SESSION_OPENING] = {
		[SESSION_GRANTED] = do_bug,
		[SESSION_SERVING] = do_ask,
		[SESSION_REQUEST] = do_nothing,
		[SESSION_REPLY] = do_bug,
		[SESSION_CLOSE] = do_stop,
	},
	[SESSION_OPEN] = {
		[SESSION_GRANTED] = do_bug,
		[SESSION_SERVING] = do_bug,
		[SESSION_REQUEST] = do_ask,
		[SESSION_REPLY] = do_bug,
		[SESSION_CLOSE] = do_stop,
	},
	[SESSION_ASKING] = {
		[SESSION_GRANTED] = do_bug,
		[SESSION_SERVING] = do_bug,
		[SESSION_REQUEST] = do_nothing,
		[SESSION_REPLY] = do_answer,
		[SESSION_CLOSE] = do_nothing, /* do_answer() sees it */
	},
	[SESSION_CLOSING] = {
		[SESSION_GRANTED] = do_bug,
		[SESSION_SERVING] = do_nothing,
		[SESSION_REQUEST] = do_nothing,
		[SESSION_REPLY] = do_answer,
		[SESSION_CLOSE] = do_nothing,
	},
};

static void
handle(struct session *s, enum session_event event)
{
	life[s->state][event](s);
}

void
session_close_for(struct session *s, enum close_cause cause)
{
	if (s->close_cause == CLOSE_NONE)
		s->close_cause = cause;
	handle(s, SESSION_CLOSE);
}

/* Why it cannot be opened now, or false: its endpoints are only busy. */
static bool
is_homeless(const struct session *s, char *why, size_t why_size)
{
	int role = scheduler_homeless_role(s->all->sv->scheduler, &s->claim);
	const struct endpoint *home;

	if (role == ROLE_COUNT)
		return false;
	home = s->claim.homes[role];
	if (home == NULL)
		snprintf(why, why_size, "%s: the endpoint %s that has its wallet is not in the configuration", role_name((enum role)role),
		    s->wallets.of[role].endpoint);
	else
		snprintf(why, why_size, "%s: the endpoint %s that has its wallet is %s%s%s", role_name((enum role)role), home->name,
		    endpoint_state_name(home->state), home->reason[0] != '\0' ? ": " : "", home->reason);
	return true;
}

static void
wait_on(struct session *s)
{
	int64_t waited = clock_wall_ms() - s->claim.queued_at;
	char why[400];

	if (!is_homeless(s, why, sizeof why)) {
		if (waited < WAIT_LIMIT_MS) {
			set_timer(s, PATIENCE_MS);
			return;
		}
		snprintf(why, sizeof why, "after %d s the endpoints that have its wallets were still busy", WAIT_LIMIT_MS / 1000);
	}
	scheduler_dequeue(s->all->sv->scheduler, &s->claim);
	session_free(s, why);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	switch (s->state) {
	case SESSION_WAITING:
		wait_on(s);
		break;
	case SESSION_OPEN:
		session_close_for(s, CLOSE_EXPIRED);
		break;
	case SESSION_ASKING:
		worker_reject(s->worker, "no reply to a request");
		break;
	case SESSION_OPENING:
	case SESSION_CLOSING:
	case SESSION_STATE_COUNT:
		break;
	}
}

/* --- its worker ----------------------------------------------------------- */

/* What one wallet of each of its roles tells. */
static bool
valid_told(const struct session *s, const json_t *wallets)
{
	const json_t *wallet;
	unsigned roles = 0;
	size_t i;

	json_array_foreach(wallets, i, wallet) {
		const char *name = json_string_value(json_object_get(wallet, "role"));
		enum role role;
		if (name == NULL || !role_parse(name, false, &role) || !json_is_string(json_object_get(wallet, "address")))
			return false;
		roles |= ROLE_BIT(role);
	}
	return roles == s->roles && i == (size_t)__builtin_popcount(roles);
}

static bool
on_message(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why)
{
	struct session *s = owner;
	json_t *wallets = json_object_get(frame, "wallets");

	(void)worker;
	if (type == MESSAGE_SERVING) {
		handle(s, SESSION_SERVING);
		return true;
	}
	*why = "a reply that nobody asked for";
	if (type != MESSAGE_REPLY || STAILQ_EMPTY(&s->asked) ||
	    json_integer_value(json_object_get(frame, "request_id")) != s->request_id)
		return false;
	*why = "a reply that does not tell of each wallet";
	if (!valid_told(s, wallets))
		return false;
	s->told = wallets;
	handle(s, SESSION_REPLY);
	return true;
}

static void
count_end(struct session *s, bool failed)
{
	struct metrics *m = &s->all->sv->metrics;

	if (failed) {
		m->sessions_failed++;
		return;
	}
	switch (s->close_cause) {
	case CLOSE_EVICTED:
		m->sessions_evicted++;
		break;
	case CLOSE_EXPIRED:
		m->sessions_expired++;
		break;
	case CLOSE_BY_HAND:
		m->sessions_closed++;
		break;
	case CLOSE_LOST:
		m->sessions_failed++;
		break;
	case CLOSE_NONE:
	case CLOSE_STOPPING:
		break;
	}
}

/* Those who asked meanwhile get a session of their own. */
static void
begin_again(struct session *s)
{
	char why[200];

	s->close_cause = CLOSE_NONE;
	s->since = clock_wall_ms();
	s->uses = 0;
	if (!enqueue(s, why, sizeof why))
		session_free(s, why);
}

/* A session that was open for a while may be stale: its wallet-rpc was restarted,
 * or somebody closed a wallet. Nothing was told yet: it is opened anew, once. */
static bool
may_ask_again(struct session *s)
{
	if (s->state != SESSION_ASKING || !s->has_served || s->again)
		return false;
	STAILQ_CONCAT(&s->asked, &s->queue);
	STAILQ_CONCAT(&s->queue, &s->asked);
	s->again = true;
	return true;
}

static void
describe_end(const struct session *s, const struct worker_end *end, bool done, char *out, size_t size)
{
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const char *reason = json_string_value(json_object_get(end->finished, "reason"));

	text_copy(out, size, reason != NULL ? reason : done ? why_closed(s)
	    : outcome != NULL && strcmp(outcome, "busy") == 0 ? "its endpoints or its escrow are locked by another process"
	    : outcome != NULL ? "it was stopped" : end->why);
}

static void
on_gone(void *owner, const struct worker_end *end)
{
	struct session *s = owner;
	struct supervisor *sv = s->all->sv;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	bool done = outcome != NULL && strcmp(outcome, "done") == 0;
	bool clean = done && json_is_true(json_object_get(end->finished, "clean"));
	bool goes_on = !sv->stopping && !sv->draining;
	char why[400];

	describe_end(s, end, done, why, sizeof why);
	s->worker = NULL;
	count_end(s, !done && s->close_cause == CLOSE_NONE);
	log_event(done || s->close_cause != CLOSE_NONE ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "session_ended",
	    F_STR("escrow", s->escrow_id), F_STR("cause", done ? close_causes[s->close_cause] : "failed"),
	    F_STR("reason", done ? NULL : why), F_INT("uses", s->uses));
	give_back(s, clean ? ENDPOINT_EV_RELEASED : ENDPOINT_EV_ABANDONED);
	goes_on = goes_on && (done || may_ask_again(s));
	tell(&s->asked, NULL, why);
	tell_waiters(s);
	if (goes_on && !STAILQ_EMPTY(&s->queue))
		begin_again(s);
	else
		session_free(s, why);
	verifier_wake(sv->verifier);
	scheduler_wake(sv->scheduler);
}

/* --- for others ----------------------------------------------------------- */

bool
sessions_keep(struct sessions *all, struct escrow *e)
{
	struct session *s = sessions_have_room(all) ? session_new(all, e->id, e->claim.needs) : NULL;

	if (s == NULL)
		return false;
	s->state = SESSION_OPENING;
	s->worker = e->worker;
	e->worker = NULL;
	for (int r = 0; r < ROLE_COUNT; r++) {
		s->endpoints[r] = e->endpoints[r];
		e->endpoints[r] = NULL;
	}
	worker_hand_over(s->worker, &session_job, s);
	all->sv->metrics.sessions_kept++;
	return true;
}

static void
on_granted(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT])
{
	struct session *s = (struct session *)((char *)claim - offsetof(struct session, claim));

	for (int r = 0; r < ROLE_COUNT; r++) {
		s->endpoints[r] = endpoints[r];
		if (endpoints[r] != NULL)
			endpoint_lease(endpoints[r], s->escrow_id);
	}
	handle(s, SESSION_GRANTED);
}

/* Waits for endpoints where its wallets can be opened. */
static bool
enqueue(struct session *s, char *why, size_t why_size)
{
	struct supervisor *sv = s->all->sv;

	wallets_clear(&s->wallets);
	switch (wallets_load(sv, s->escrow_id, &s->wallets)) {
	case WALLETS_LOADED:
		break;
	case WALLETS_NO_ESCROW:
	case WALLETS_NOT_READY:
		snprintf(why, why_size, "it is not Ready");
		return false;
	case WALLETS_UNREADABLE:
		snprintf(why, why_size, "what the store has of its wallets cannot be read: %.100s", store_error(sv->store));
		return false;
	}
	s->state = SESSION_WAITING;
	s->roles = s->wallets.roles;
	s->claim = (struct claim){
		.needs = s->roles, .order = scheduler_order_behind(sv->scheduler, sv->last_seq), .has_homes = true,
		.granted = on_granted,
	};
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (s->wallets.of[r].endpoint != NULL)
			s->claim.homes[r] = endpoint_find(sv->endpoints, s->wallets.of[r].endpoint);
	}
	scheduler_enqueue(sv->scheduler, &s->claim);
	set_timer(s, PATIENCE_MS);
	return true;
}

static struct session *
open_session(struct sessions *all, const char *escrow_id, char *why, size_t why_size)
{
	struct session *s;

	if (all->sv->stopping || all->sv->draining) {
		snprintf(why, why_size, "msigd is stopping");
		return NULL;
	}
	if (sessions_waiting(all) >= WAITING_MAX) {
		snprintf(why, why_size, "%d sessions wait for endpoints already: ask again later", WAITING_MAX);
		return NULL;
	}
	s = session_new(all, escrow_id, 0);
	if (s == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	if (enqueue(s, why, why_size))
		return s;
	session_free(s, why);
	return NULL;
}

bool
sessions_ask(struct sessions *all, const char *escrow_id, session_told_fn fn, void *arg, char *why, size_t why_size)
{
	struct session *s = find(all, escrow_id);
	struct request *r = calloc(1, sizeof *r);
	bool found = s != NULL;

	snprintf(why, why_size, "out of memory");
	if (r == NULL || (!found && (s = open_session(all, escrow_id, why, why_size)) == NULL)) {
		free(r);
		return false;
	}
	all->sv->metrics.sessions_reused += found && s->state != SESSION_CLOSING ? 1 : 0;
	r->fn = fn;
	r->arg = arg;
	STAILQ_INSERT_TAIL(&s->queue, r, next);
	handle(s, SESSION_REQUEST);
	return true;
}

enum sessions_closed
sessions_close(struct sessions *all, const char *escrow_id, void (*fn)(void *arg), void *arg)
{
	struct session *s = find(all, escrow_id);
	struct waiter *w = s != NULL ? calloc(1, sizeof *w) : NULL;

	if (s == NULL)
		return SESSIONS_NONE;
	if (w == NULL)
		return SESSIONS_NO_MEMORY;
	w->fn = fn;
	w->arg = arg;
	STAILQ_INSERT_TAIL(&s->waiters, w, next);
	session_close_for(s, CLOSE_BY_HAND);
	return SESSIONS_CLOSING;
}

void
sessions_close_all(struct sessions *all)
{
	struct session *s, *next;

	RB_FOREACH_SAFE(s, session_tree, &all->tree, next)
		session_close_for(s, CLOSE_STOPPING);
}

bool
sessions_has(struct sessions *all, const char *escrow_id)
{
	return find(all, escrow_id) != NULL;
}

void
sessions_endpoint_died(struct sessions *all, const struct endpoint *ep)
{
	struct session *s = ep->escrow_id[0] != '\0' ? find(all, ep->escrow_id) : NULL;

	for (int r = 0; s != NULL && r < ROLE_COUNT; r++) {
		if (s->endpoints[r] == ep && s->state == SESSION_OPEN) {
			session_close_for(s, CLOSE_LOST);
			return;
		}
	}
}

static bool
is_open(const struct session *s)
{
	return s->state == SESSION_OPEN || s->state == SESSION_ASKING;
}

bool
sessions_is_open(struct sessions *all, const char *escrow_id)
{
	const struct session *s = find(all, escrow_id);

	return s != NULL && is_open(s);
}

int
sessions_count(const struct sessions *all)
{
	const struct session *s;
	int count = 0;

	TAILQ_FOREACH(s, &all->by_use, use)
		count += is_open(s) ? 1 : 0;
	return count;
}

/* The time to live may have changed. */
void
sessions_reload(struct sessions *all)
{
	struct session *s;

	TAILQ_FOREACH(s, &all->by_use, use) {
		int64_t left = s->last_used + all->sv->config->session_ttl_ms - clock_wall_ms();
		if (s->state == SESSION_OPEN)
			set_timer(s, left > 0 ? left : 0);
	}
}

json_t *
sessions_to_json(struct sessions *all)
{
	json_t *list = json_array();
	struct session *s;

	RB_FOREACH(s, session_tree, &all->tree) {
		json_t *endpoints;
		if (!is_open(s))
			continue;
		endpoints = json_array();
		for (int r = 0; r < ROLE_COUNT; r++) {
			if (s->endpoints[r] != NULL)
				json_array_append_new(endpoints, json_string(s->endpoints[r]->name));
		}
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:o}", "escrow_id", s->escrow_id, "since",
		    (json_int_t)s->since, "last_used", (json_int_t)s->last_used, "uses", (json_int_t)s->uses,
		    "endpoints", endpoints));
	}
	return list;
}

struct sessions *
sessions_new(struct supervisor *sv)
{
	struct sessions *all = calloc(1, sizeof *all);

	if (all == NULL)
		return NULL;
	all->sv = sv;
	RB_INIT(&all->tree);
	TAILQ_INIT(&all->by_use);
	return all;
}

void
sessions_free(struct sessions *all)
{
	struct session *s;

	if (all == NULL)
		return;
	while ((s = RB_MIN(session_tree, &all->tree)) != NULL) {
		STAILQ_INIT(&s->waiters);
		STAILQ_INIT(&s->queue);
		STAILQ_INIT(&s->asked);
		session_free(s, "");
	}
	free(all);
}
