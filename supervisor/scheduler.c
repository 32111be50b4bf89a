#include "supervisor/scheduler.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/endpoint.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"
#include "supervisor/tender.h"

TAILQ_HEAD(claim_queue, claim);

struct scheduler {
	struct supervisor *sv;
	struct claim_queue queues[ROLE_ALL + 1]; /* by the roles that are needed; those without homes */
	struct claim_queue with_homes;
	int length;           /* of the queues */
	int64_t behind;       /* claims that came behind all escrows so far */
	struct event *wake;
};

/* --- picking -------------------------------------------------------------- */

/* The first from there on that nobody who came earlier has reserved. */
static struct endpoint *
skip_reserved(struct endpoint *ep, int64_t order)
{
	while (ep != NULL && ep->reserved != 0 && ep->reserved < order)
		ep = TAILQ_NEXT(ep, free);
	return ep;
}

static struct endpoint *
first_of(const struct endpoint_list *list, int64_t order)
{
	return skip_reserved(TAILQ_FIRST(list), order);
}

/* Goes through the endpoints for any role: primed ones, then (unless they must
 * be primed) idle ones. */
struct any_cursor {
	struct endpoint *next;
	bool idle;            /* next is of the idle ones */
};

static struct endpoint *
next_any(struct endpoint_pool *pool, struct any_cursor *any, int64_t order, bool primed_only)
{
	struct endpoint *ep;

	if (any->next == NULL && !any->idle && !primed_only) {
		any->next = first_of(&pool->idle[ROLE_ANY], order);
		any->idle = true;
	}
	ep = any->next;
	if (ep != NULL)
		any->next = skip_reserved(TAILQ_NEXT(ep, free), order);
	return ep;
}

/* One endpoint for each role that is needed, those for just that role first: an
 * endpoint for one role can only serve that one, so to prefer it is never wrong.
 * False when there are not enough. */
static bool
pick_from(struct endpoint_pool *pool, const struct claim *claim, bool primed_only, struct endpoint *picked[ROLE_COUNT])
{
	struct any_cursor any = {first_of(&pool->primed[ROLE_ANY], claim->order), false};

	for (int r = 0; r < ROLE_COUNT; r++) {
		picked[r] = NULL;
		if ((claim->needs & ROLE_BIT(r)) == 0)
			continue;
		picked[r] = first_of(&pool->primed[r], claim->order);
		if (picked[r] == NULL && !primed_only)
			picked[r] = first_of(&pool->idle[r], claim->order);
		if (picked[r] == NULL)
			picked[r] = next_any(pool, &any, claim->order, primed_only);
		if (picked[r] == NULL)
			return false;
	}
	return true;
}

/* An escrow is as fast as the slowest of its three: better all primed. */
static bool
pick(struct endpoint_pool *pool, const struct claim *claim, struct endpoint *picked[ROLE_COUNT])
{
	return pick_from(pool, claim, true, picked) || pick_from(pool, claim, false, picked);
}

static bool
is_picked(struct endpoint *const picked[ROLE_COUNT], const struct endpoint *ep)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (picked[r] == ep)
			return true;
	}
	return false;
}

static struct endpoint *
first_with_files(const struct endpoint_list *list, const struct endpoint *home, int64_t order,
    struct endpoint *const picked[ROLE_COUNT])
{
	struct endpoint *ep;

	for (ep = first_of(list, order); ep != NULL; ep = skip_reserved(TAILQ_NEXT(ep, free), order)) {
		if (endpoint_shares_files(ep, home) && !is_picked(picked, ep))
			return ep;
	}
	return NULL;
}

/* The wallet's own endpoint; else one for its role or any that has its files,
 * without a spare if possible, which would be closed. */
static struct endpoint *
pick_home(struct endpoint_pool *pool, const struct claim *claim, int role, struct endpoint *const picked[ROLE_COUNT])
{
	struct endpoint *home = claim->homes[role];
	struct endpoint_list *lists[] = {
		&pool->idle[role], &pool->idle[ROLE_ANY], &pool->primed[role], &pool->primed[ROLE_ANY],
	};

	if (home == NULL)
		return NULL;
	if ((home->state == ENDPOINT_IDLE || home->state == ENDPOINT_PRIMED) && !is_picked(picked, home) &&
	    home->reserved >= claim->order)
		return home;
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		struct endpoint *ep = first_with_files(lists[i], home, claim->order, picked);
		if (ep != NULL)
			return ep;
	}
	return NULL;
}

static bool
pick_homes(struct endpoint_pool *pool, const struct claim *claim, struct endpoint *picked[ROLE_COUNT])
{
	memset(picked, 0, ROLE_COUNT * sizeof *picked);
	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((claim->needs & ROLE_BIT(r)) == 0)
			continue;
		picked[r] = pick_home(pool, claim, r, picked);
		if (picked[r] == NULL)
			return false;
	}
	return true;
}

/* The first of those whose needs can be met, with what meets them. */
static struct claim *
first_servable(struct scheduler *s, struct endpoint *picked[ROLE_COUNT])
{
	struct endpoint *candidates[ROLE_COUNT];
	struct claim *first = NULL, *c;

	for (unsigned needs = 0; needs <= ROLE_ALL; needs++) {
		c = TAILQ_FIRST(&s->queues[needs]);
		if (c == NULL || (first != NULL && first->order < c->order) || !pick(s->sv->endpoints, c, candidates))
			continue;
		first = c;
		memcpy(picked, candidates, sizeof candidates);
	}
	TAILQ_FOREACH(c, &s->with_homes, queue) {
		if (first != NULL && first->order < c->order)
			break;
		if (!pick_homes(s->sv->endpoints, c, candidates))
			continue;
		memcpy(picked, candidates, sizeof candidates);
		return c;
	}
	return first;
}

/* --- wallets that exist ---------------------------------------------------- */

static bool
is_there(const struct endpoint *ep)
{
	return ep->state != ENDPOINT_DOWN && ep->state != ENDPOINT_OUT && !ep->removed && !ep->take_out;
}

static bool
can_be_opened(const struct scheduler *s, const struct endpoint *home, int role)
{
	const struct endpoint *ep;

	if (home == NULL)
		return false;
	if (is_there(home))
		return true;
	TAILQ_FOREACH(ep, &s->sv->endpoints->all, all) {
		if (is_there(ep) && (ep->role == ROLE_ANY || (int)ep->role == role) && endpoint_shares_files(ep, home))
			return true;
	}
	return false;
}

int
scheduler_homeless_role(const struct scheduler *s, const struct claim *claim)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((claim->needs & ROLE_BIT(r)) != 0 && !can_be_opened(s, claim->homes[r], r))
			return r;
	}
	return ROLE_COUNT;
}

/* The endpoints of wallets that exist are kept for whoever waits for them longest. */
static void
reserve(struct scheduler *s, bool on)
{
	const struct claim *c;

	TAILQ_FOREACH(c, &s->with_homes, queue) {
		bool counts = !on || scheduler_homeless_role(s, c) == ROLE_COUNT;
		for (int r = 0; counts && r < ROLE_COUNT; r++) {
			if (c->homes[r] != NULL && (!on || c->homes[r]->reserved == 0))
				c->homes[r]->reserved = on ? c->order : 0;
		}
	}
}

/* --- serving -------------------------------------------------------------- */

static struct claim_queue *
queue_of(struct scheduler *s, const struct claim *claim)
{
	return claim->has_homes ? &s->with_homes : &s->queues[claim->needs];
}

static void
take_out_of_queue(struct scheduler *s, struct claim *claim)
{
	TAILQ_REMOVE(queue_of(s, claim), claim, queue);
	s->length -= claim->has_homes ? 0 : 1;
	for (int r = 0; claim->has_homes && r < ROLE_COUNT; r++) {
		if (claim->homes[r] != NULL)
			claim->homes[r]->reserved = 0;
	}
}

static void
serve(struct scheduler *s)
{
	struct endpoint *picked[ROLE_COUNT];
	struct claim *claim;

	reserve(s, true);
	while ((claim = first_servable(s, picked)) != NULL) {
		take_out_of_queue(s, claim);
		if (claim->has_homes)
			reserve(s, true); /* for those behind it */
		claim->granted(claim, picked);
	}
	reserve(s, false);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct scheduler *s = arg;

	(void)fd;
	(void)what;
	if (!s->sv->stopping && !s->sv->draining)
		serve(s);
	sessions_review(s->sv->sessions);
	tender_wake(s->sv->tender);
}

/* --- the queues ----------------------------------------------------------- */

struct scheduler *
scheduler_new(struct supervisor *sv)
{
	struct scheduler *s = calloc(1, sizeof *s);

	if (s == NULL || (s->wake = event_new(sv->base, -1, 0, on_wake, s)) == NULL) {
		free(s);
		return NULL;
	}
	s->sv = sv;
	for (unsigned needs = 0; needs <= ROLE_ALL; needs++)
		TAILQ_INIT(&s->queues[needs]);
	TAILQ_INIT(&s->with_homes);
	return s;
}

void
scheduler_free(struct scheduler *s)
{
	if (s == NULL)
		return;
	event_free(s->wake);
	free(s);
}

/* So many claims may come between two escrows without a place being given twice. */
enum { PLACES_BETWEEN = 1 << 20 };

int64_t
scheduler_order(int64_t seq)
{
	return seq * PLACES_BETWEEN;
}

int64_t
scheduler_order_behind(struct scheduler *s, int64_t last_seq)
{
	return last_seq * PLACES_BETWEEN + 1 + s->behind++ % (PLACES_BETWEEN - 1);
}

void
scheduler_enqueue(struct scheduler *s, struct claim *claim)
{
	struct claim_queue *queue = queue_of(s, claim);
	struct claim *last = TAILQ_LAST(queue, claim_queue), *later;

	claim->queued_at = clock_wall_ms();
	s->length += claim->has_homes ? 0 : 1;
	if (last == NULL || last->order <= claim->order) {
		TAILQ_INSERT_TAIL(queue, claim, queue);
	} else {
		/* a second attempt: it is older than most that wait */
		TAILQ_FOREACH(later, queue, queue) {
			if (later->order > claim->order)
				break;
		}
		TAILQ_INSERT_BEFORE(later, claim, queue);
	}
	scheduler_wake(s);
}

/* Others may be served now whom it was in the way of. */
void
scheduler_dequeue(struct scheduler *s, struct claim *claim)
{
	take_out_of_queue(s, claim);
	scheduler_wake(s);
}

void
scheduler_forget(struct scheduler *s, const struct endpoint *ep)
{
	struct claim *c;

	TAILQ_FOREACH(c, &s->with_homes, queue) {
		for (int r = 0; r < ROLE_COUNT; r++) {
			if (c->homes[r] == ep)
				c->homes[r] = NULL;
		}
	}
}

void
scheduler_wake(struct scheduler *s)
{
	event_active(s->wake, EV_TIMEOUT, 1);
}

const struct claim *
scheduler_first_with_homes(const struct scheduler *s)
{
	const struct claim *c;

	TAILQ_FOREACH(c, &s->with_homes, queue) {
		if (scheduler_homeless_role(s, c) == ROLE_COUNT)
			return c;
	}
	return NULL;
}

int
scheduler_demand(const struct scheduler *s)
{
	const struct claim *c;
	int demand = s->length;

	TAILQ_FOREACH(c, &s->with_homes, queue)
		demand += scheduler_homeless_role(s, c) == ROLE_COUNT ? 1 : 0;
	return demand;
}

int
scheduler_queue_length(const struct scheduler *s)
{
	return s->length;
}

const struct claim *
scheduler_first(const struct scheduler *s)
{
	const struct claim *first = TAILQ_FIRST(&s->with_homes);

	for (unsigned needs = 0; needs <= ROLE_ALL; needs++) {
		const struct claim *c = TAILQ_FIRST(&s->queues[needs]);
		if (c != NULL && (first == NULL || c->order < first->order))
			first = c;
	}
	return first;
}

/* --- for people ----------------------------------------------------------- */

/* Which of the needed roles no endpoint in the configuration can ever serve. */
static const char *
unserved_role(struct endpoint_pool *pool, unsigned needs)
{
	struct endpoint *ep;
	unsigned served = 0;

	TAILQ_FOREACH(ep, &pool->all, all)
		served |= ep->role == ROLE_ANY ? ROLE_ALL : ROLE_BIT(ep->role);
	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((needs & ~served & ROLE_BIT(r)) != 0)
			return role_name((enum role)r);
	}
	return NULL;
}

void
scheduler_describe_wait(struct scheduler *s, const struct claim *claim, char *out, size_t size)
{
	struct endpoint_pool *pool = s->sv->endpoints;
	int needed = __builtin_popcount(claim->needs), total = 0;
	const char *role = unserved_role(pool, claim->needs);
	size_t n;

	for (int i = 0; i < ENDPOINT_STATE_COUNT; i++)
		total += pool->by_state[i];
	if (total < needed) {
		snprintf(out, size, "%d endpoints, and there %s %d: add endpoints to the configuration and reload",
		    needed, total == 1 ? "is" : "are", total);
		return;
	}
	if (role != NULL) {
		snprintf(out, size, "an endpoint for the %s: none has that role; add one and reload", role);
		return;
	}
	n = (size_t)snprintf(out, size, "%d endpoints (", needed);
	for (int i = 0; i < ENDPOINT_STATE_COUNT && n < size; i++) {
		if (pool->by_state[i] > 0)
			n += (size_t)snprintf(out + n, size - n, "%s%d %s", out[n - 1] == '(' ? "" : ", ",
			    pool->by_state[i], endpoint_state_name((enum endpoint_state)i));
	}
	if (n < size)
		snprintf(out + n, size - n, ")");
}
