#include "supervisor/session.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
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
#include "supervisor/scheduler.h"
#include "supervisor/supervisor.h"
#include "supervisor/wallets.h"
#include "supervisor/worker_process.h"

enum {
	WAIT_LIMIT_MS = 60000,     /* for endpoints */
	OPEN_LIMIT_MS = 120000,    /* for the wallets to open */
	REPLY_LIMIT_MS = 65000     /* the worker itself gives up after 60 s */
};

enum session_state { SESSION_WAITING, SESSION_OPENING, SESSION_OPEN, SESSION_ASKING, SESSION_CLOSING, SESSION_STATE_COUNT };
enum session_event { SESSION_GRANTED, SESSION_SERVING, SESSION_REQUEST, SESSION_REPLY, SESSION_CLOSE, SESSION_EVENT_COUNT };

/* Why one is closed. */
enum close_cause { CLOSE_NONE, CLOSE_EVICTED, CLOSE_EXPIRED, CLOSE_BY_HAND, CLOSE_LOST, CLOSE_STOPPING };
static const char *const close_causes[] = {"", "evicted", "expired", "by_hand", "endpoint_died", "stopping"};

struct request {
	STAILQ_ENTRY(request) next;
	session_told_fn fn;
	void *arg;
};
STAILQ_HEAD(request_list, request);

struct waiter {
	STAILQ_ENTRY(waiter) next;
	void (*fn)(void *arg);
	void *arg;
};

struct session {
	RB_ENTRY(session) node;
	TAILQ_ENTRY(session) use;       /* the one not used for longest first */
	struct sessions *all;
	char escrow_id[UUID_TEXT];
	enum session_state state;
	enum close_cause close_cause;   /* why it closes, or will once it has been answered */
	struct claim claim;             /* while WAITING */
	struct wallets wallets;         /* until its worker has started */
	unsigned roles;
	struct endpoint *endpoints[ROLE_COUNT];
	struct worker *worker;
	struct event *timer;            /* of the state */
	int64_t since, last_used;       /* wall, ms */
	int64_t uses;
	json_int_t request_id;          /* the last */
	struct request_list queue, asked;
	STAILQ_HEAD(, waiter) waiters;
	json_t *told;                   /* the reply under way to those who asked */
};
RB_HEAD(session_tree, session);

struct sessions {
	struct supervisor *sv;
	struct session_tree tree;
	TAILQ_HEAD(, session) by_use;
	int count;
};

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

static void
close_for(struct session *s, enum close_cause cause)
{
	if (s->close_cause == CLOSE_NONE)
		s->close_cause = cause;
	handle(s, SESSION_CLOSE);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	char waiting[200], why[300];

	(void)fd;
	(void)what;
	switch (s->state) {
	case SESSION_WAITING:
		scheduler_describe_wait(s->all->sv->scheduler, &s->claim, waiting, sizeof waiting);
		scheduler_dequeue(s->all->sv->scheduler, &s->claim);
		snprintf(why, sizeof why, "after %d s it still waited for the endpoints of its wallets, %s", WAIT_LIMIT_MS / 1000,
		    waiting);
		session_free(s, why);
		break;
	case SESSION_OPEN:
		close_for(s, CLOSE_EXPIRED);
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

static bool
on_message(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why)
{
	struct session *s = owner;

	(void)worker;
	if (type == MESSAGE_SERVING) {
		handle(s, SESSION_SERVING);
		return true;
	}
	*why = "a reply that nobody asked for";
	if (type != MESSAGE_REPLY || STAILQ_EMPTY(&s->asked) ||
	    json_integer_value(json_object_get(frame, "request_id")) != s->request_id)
		return false;
	s->told = json_object_get(frame, "wallets");
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

/* Those who asked while it closed get a session of their own. */
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

static void
on_gone(void *owner, const struct worker_end *end)
{
	struct session *s = owner;
	struct supervisor *sv = s->all->sv;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const char *reason = json_string_value(json_object_get(end->finished, "reason"));
	bool done = outcome != NULL && strcmp(outcome, "done") == 0;
	bool clean = done && json_is_true(json_object_get(end->finished, "clean"));
	char why[400];

	text_copy(why, sizeof why, reason != NULL ? reason : done ? why_closed(s)
	    : outcome != NULL && strcmp(outcome, "busy") == 0 ? "its endpoints or its escrow are locked by another process"
	    : outcome != NULL ? "it was stopped" : end->why);
	s->worker = NULL;
	count_end(s, !done && s->close_cause == CLOSE_NONE);
	log_event(done || s->close_cause != CLOSE_NONE ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "session_ended",
	    F_STR("escrow", s->escrow_id), F_STR("cause", done ? close_causes[s->close_cause] : "failed"),
	    F_STR("reason", done ? NULL : why), F_INT("uses", s->uses));
	give_back(s, clean ? ENDPOINT_EV_RELEASED : ENDPOINT_EV_ABANDONED);
	tell(&s->asked, NULL, why);
	tell_waiters(s);
	if (done && !STAILQ_EMPTY(&s->queue) && !sv->stopping && !sv->draining)
		begin_again(s);
	else
		session_free(s, why);
	verifier_wake(sv->verifier);
	scheduler_wake(sv->scheduler);
}

/* --- room ----------------------------------------------------------------- */

static void
count_in(endpoint_counts counts, const struct session *s)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (s->endpoints[r] != NULL)
			counts[s->endpoints[r]->role]++;
	}
}

/* What is left for others, those that are being given back included. */
static void
count_left(struct sessions *all, endpoint_counts counts)
{
	struct session *s;

	memcpy(counts, all->sv->endpoints->left, sizeof(endpoint_counts));
	TAILQ_FOREACH(s, &all->by_use, use) {
		if (s->state == SESSION_CLOSING || s->close_cause != CLOSE_NONE)
			count_in(counts, s);
	}
}

/* How many of the idle ones, the least recently used first, have to go so that
 * the next escrow, or as many as wait, can be served. None when not even one
 * could be. */
static int
needed_to_go(struct sessions *all)
{
	int waiting = scheduler_queue_length(all->sv->scheduler), wanted = waiting > 1 ? waiting : 1, go = 0;
	endpoint_counts counts;
	struct session *s;

	count_left(all, counts);
	TAILQ_FOREACH(s, &all->by_use, use) {
		if (endpoint_counts_serve(counts, wanted))
			return go;
		if (s->state != SESSION_OPEN)
			continue;
		count_in(counts, s);
		go++;
	}
	return endpoint_counts_serve(counts, 1) ? go : 0;
}

/* Whether an escrow could be served once all idle ones have gone. */
static bool
can_make_room(struct sessions *all)
{
	endpoint_counts counts;
	struct session *s;

	count_left(all, counts);
	TAILQ_FOREACH(s, &all->by_use, use) {
		if (s->state == SESSION_OPEN)
			count_in(counts, s);
	}
	return endpoint_counts_serve(counts, 1);
}

static void
evict(struct sessions *all, int go)
{
	struct session *s, *next;

	TAILQ_FOREACH_SAFE(s, &all->by_use, use, next) {
		if (go <= 0)
			break;
		if (s->state != SESSION_OPEN)
			continue;
		go--;
		close_for(s, CLOSE_EVICTED);
	}
}

/* It has an endpoint that was taken out, or is no longer in the configuration,
 * or that others wait for whose wallets can only be opened there. */
static bool
is_in_the_way(const struct session *s)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct endpoint *ep = s->endpoints[r];
		if (ep != NULL && (ep->take_out || ep->removed || scheduler_wants(s->all->sv->scheduler, ep)))
			return true;
	}
	return false;
}

static int
count_lasting(const struct sessions *all)
{
	const struct session *s;
	int count = 0;

	TAILQ_FOREACH(s, &all->by_use, use)
		count += s->close_cause == CLOSE_NONE ? 1 : 0;
	return count;
}

void
sessions_review(struct sessions *all)
{
	struct session *s, *next;
	int go, too_many;

	if (all->count == 0)
		return;
	TAILQ_FOREACH_SAFE(s, &all->by_use, use, next) {
		if (s->state == SESSION_OPEN && is_in_the_way(s))
			close_for(s, CLOSE_EVICTED);
	}
	too_many = count_lasting(all) - all->sv->config->session_max;
	go = needed_to_go(all);
	evict(all, go > too_many ? go : too_many);
}

/* Whether with one more session there would be room, or could be made. */
static bool
has_room(struct sessions *all)
{
	struct supervisor *sv = all->sv;

	return sv->config->session_max > 0 && !sv->stopping && !sv->draining && scheduler_queue_length(sv->scheduler) == 0 &&
	    can_make_room(all);
}

/* --- for others ----------------------------------------------------------- */

bool
sessions_keep(struct sessions *all, struct escrow *e)
{
	struct session *s = e->cancelled || !has_room(all) ? NULL : session_new(all, e->id, e->claim.needs);

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
		.needs = s->roles, .order = scheduler_order_behind(sv->last_seq), .has_homes = true, .granted = on_granted,
	};
	for (int r = 0; r < ROLE_COUNT; r++)
		s->claim.homes[r] = s->wallets.of[r].endpoint;
	scheduler_enqueue(sv->scheduler, &s->claim);
	set_timer(s, WAIT_LIMIT_MS);
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
	all->sv->metrics.sessions_reused += found ? 1 : 0;
	r->fn = fn;
	r->arg = arg;
	STAILQ_INSERT_TAIL(&s->queue, r, next);
	handle(s, SESSION_REQUEST);
	return true;
}

bool
sessions_close(struct sessions *all, const char *escrow_id, void (*fn)(void *arg), void *arg, bool *memory)
{
	struct session *s = find(all, escrow_id);
	struct waiter *w = s != NULL ? calloc(1, sizeof *w) : NULL;

	*memory = s == NULL || w != NULL;
	if (w == NULL)
		return false;
	w->fn = fn;
	w->arg = arg;
	STAILQ_INSERT_TAIL(&s->waiters, w, next);
	close_for(s, CLOSE_BY_HAND);
	return true;
}

void
sessions_close_all(struct sessions *all)
{
	struct session *s, *next;

	RB_FOREACH_SAFE(s, session_tree, &all->tree, next)
		close_for(s, CLOSE_STOPPING);
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
			close_for(s, CLOSE_LOST);
			return;
		}
	}
}

int
sessions_count(const struct sessions *all)
{
	return all->count;
}

json_t *
sessions_to_json(struct sessions *all)
{
	json_t *list = json_array();
	struct session *s;

	RB_FOREACH(s, session_tree, &all->tree) {
		json_t *endpoints = json_array();
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
