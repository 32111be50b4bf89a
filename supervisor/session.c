/* The life of one session, by the table in session.h: what is done at each event,
 * what its worker says, and how one begins with the worker of a set-up. */
#include "supervisor/session.h"

#include <event2/event.h>
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
	OPEN_LIMIT_MS = 120000,    /* for the wallets to open */
	REPLY_LIMIT_MS = 65000     /* the worker itself gives up after 60 s */
};

static const char *const close_causes[] = {"", "evicted", "expired", "by_hand", "endpoint_died", "stopping"};

/* --- small things --------------------------------------------------------- */

void
session_set_timer(struct session *s, int64_t ms)
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

static void on_timer(evutil_socket_t fd, short what, void *arg);

struct session *
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

void
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
		session_set_timer(s, s->all->sv->config->session_ttl_ms);
		sessions_review(s->all);
		return;
	}
	STAILQ_CONCAT(&s->asked, &s->queue);
	STAILQ_FOREACH(r, &s->asked, next)
		requests++;
	used(s, requests);
	s->has_served = s->state == SESSION_OPEN || s->state == SESSION_ASKING;
	s->state = SESSION_ASKING;
	session_set_timer(s, REPLY_LIMIT_MS);
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
	session_dequeue(s);
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
	json_t *frame = wallets_start_frame(s->all->sv, &s->wallets, s->wallets.roles, s->endpoints);

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

void
session_event(struct session *s, enum session_event event)
{
	life[s->state][event](s);
}

void
session_close_for(struct session *s, enum close_cause cause)
{
	if (s->close_cause == CLOSE_NONE)
		s->close_cause = cause;
	session_event(s, SESSION_CLOSE);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	switch (s->state) {
	case SESSION_WAITING:
		session_wait_on(s);
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
		session_event(s, SESSION_SERVING);
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
	session_event(s, SESSION_REPLY);
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
	if (!session_enqueue(s, why, sizeof why))
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
