/*
 * The sessions of all escrows: the table of them, and what others ask of it. What
 * becomes of one is decided in session.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/endpoint.h"
#include "supervisor/session_internal.h"
#include "supervisor/supervisor.h"

enum { WAITING_MAX = 100 }; /* for endpoints, at a time */

static int
compare(const struct session *a, const struct session *b)
{
	return strcmp(a->escrow_id, b->escrow_id);
}
RB_GENERATE(session_tree, session, node, compare)

static struct session *
find(struct sessions *all, const char *escrow_id)
{
	struct session key = {0};

	snprintf(key.escrow_id, sizeof key.escrow_id, "%s", escrow_id);
	return RB_FIND(session_tree, &all->tree, &key);
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
		if (s->state == SESSION_WAITING)
			session_dequeue(s);
		STAILQ_INIT(&s->waiters);
		STAILQ_INIT(&s->queue);
		STAILQ_INIT(&s->asked);
		session_free(s, "");
	}
	free(all);
}

/* --- requests ------------------------------------------------------------- */

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
	if (session_enqueue(s, why, why_size))
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
	session_event(s, SESSION_REQUEST);
	return true;
}

/* --- ends ----------------------------------------------------------------- */

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

bool
sessions_wait_for_repair(struct sessions *all, const char *escrow_id)
{
	const struct session *s = find(all, escrow_id);

	return s != NULL && s->state == SESSION_WAITING && s->held;
}

/* Its wallets may have other names now. */
void
sessions_go_on(struct sessions *all, const char *escrow_id)
{
	struct session *s = find(all, escrow_id);
	char why[200];

	if (s == NULL || s->state != SESSION_WAITING || !s->held)
		return;
	s->held = false;
	if (!session_enqueue(s, why, sizeof why))
		session_free(s, why);
}

void
sessions_close_all(struct sessions *all)
{
	struct session *s, *next;

	RB_FOREACH_SAFE(s, session_tree, &all->tree, next)
		session_close_for(s, CLOSE_STOPPING);
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

/* The time to live may have changed. */
void
sessions_reload(struct sessions *all)
{
	struct session *s;

	TAILQ_FOREACH(s, &all->by_use, use) {
		int64_t left = s->last_used + all->sv->config->session_ttl_ms - clock_wall_ms();
		if (s->state == SESSION_OPEN)
			session_set_timer(s, left > 0 ? left : 0);
	}
}

/* --- looking -------------------------------------------------------------- */

bool
sessions_has(struct sessions *all, const char *escrow_id)
{
	return find(all, escrow_id) != NULL;
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
