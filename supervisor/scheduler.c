#include "supervisor/scheduler.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/endpoint.h"
#include "supervisor/homes.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"
#include "supervisor/tender.h"

TAILQ_HEAD(claim_queue, claim);

struct scheduler {
	struct supervisor *sv;
	struct claim_queue queues[ROLE_ALL + 1]; /* by the roles that are needed: those that any endpoints can serve */
	struct claim_queue particular;           /* the others */
	struct claim *next;   /* of those: to be looked at next in this turn */
	int length;           /* of the queues */
	int64_t behind;       /* claims that came behind all escrows so far */
	struct event *wake;
};

/* --- picking -------------------------------------------------------------- */

/* The first from there on that is not kept for one who came earlier. */
static struct endpoint *
skip_reserved(struct endpoint *ep)
{
	while (ep != NULL && ep->reserved)
		ep = TAILQ_NEXT(ep, free);
	return ep;
}

static struct endpoint *
first_of(const struct endpoint_list *list)
{
	return skip_reserved(TAILQ_FIRST(list));
}

/* Goes through the endpoints for any role: primed ones, then (unless they must
 * be primed) idle ones. */
struct any_cursor {
	struct endpoint *next;
	bool idle;            /* next is of the idle ones */
};

static struct endpoint *
next_any(struct endpoint_pool *pool, struct any_cursor *any, bool primed_only)
{
	struct endpoint *ep;

	if (any->next == NULL && !any->idle && !primed_only) {
		any->next = first_of(&pool->idle[ROLE_ANY]);
		any->idle = true;
	}
	ep = any->next;
	if (ep != NULL)
		any->next = skip_reserved(TAILQ_NEXT(ep, free));
	return ep;
}

/* One endpoint for each role that is needed, those for just that role first: an
 * endpoint for one role can only serve that one, so to prefer it is never wrong.
 * False when there are not enough. */
static bool
pick_from(struct endpoint_pool *pool, const struct claim *claim, bool primed_only, struct endpoint *picked[ROLE_COUNT])
{
	struct any_cursor any = {first_of(&pool->primed[ROLE_ANY]), false};

	for (int r = 0; r < ROLE_COUNT; r++) {
		picked[r] = NULL;
		if ((claim->needs & ROLE_BIT(r)) == 0)
			continue;
		picked[r] = first_of(&pool->primed[r]);
		if (picked[r] == NULL && !primed_only)
			picked[r] = first_of(&pool->idle[r]);
		if (picked[r] == NULL)
			picked[r] = next_any(pool, &any, primed_only);
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

/* --- serving -------------------------------------------------------------- */

static bool
is_particular(const struct claim *claim)
{
	return (claim->at_home | claim->to_write) != 0 || claim->goes_on;
}

static struct claim_queue *
queue_of(struct scheduler *s, const struct claim *claim)
{
	return is_particular(claim) ? &s->particular : &s->queues[claim->needs];
}

static void
take_out_of_queue(struct scheduler *s, struct claim *claim)
{
	if (s->next == claim)
		s->next = TAILQ_NEXT(claim, queue);
	TAILQ_REMOVE(queue_of(s, claim), claim, queue);
	s->length -= is_particular(claim) ? 0 : 1;
}

static void
grant(struct scheduler *s, struct claim *claim, struct endpoint *picked[ROLE_COUNT])
{
	take_out_of_queue(s, claim);
	claim->granted(claim, picked);
}

/* The endpoints of its wallets are kept for it. */
static void
reserve(const struct claim *claim)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((claim->at_home & ROLE_BIT(r)) != 0 && claim->homes[r] != NULL)
			claim->homes[r]->reserved = true;
	}
}

static void
note_homeless(struct scheduler *s, struct claim *claim)
{
	if (homes_lacking_role(s->sv->endpoints, claim, false) == ROLE_COUNT)
		claim->homeless_ms = 0;
	else if (claim->homeless_ms == 0)
		claim->homeless_ms = clock_monotonic_ms();
}

/* While msigd drains, only attempts that have begun get any. */
static void
serve_particular(struct scheduler *s, struct claim *claim)
{
	struct endpoint *picked[ROLE_COUNT];

	note_homeless(s, claim);
	if (claim->homeless_ms != 0 || (s->sv->draining && !claim->goes_on))
		return;
	if (homes_pick(s->sv->endpoints, claim, picked))
		grant(s, claim, picked);
	else
		reserve(claim);
}

/* The head that waits longest, of the queues that are not passed over. */
static struct claim *
first_head(struct scheduler *s, unsigned passed_over)
{
	struct claim *first = NULL;

	for (unsigned needs = 0; needs <= ROLE_ALL; needs++) {
		struct claim *c = TAILQ_FIRST(&s->queues[needs]);
		if (c != NULL && (passed_over & (1u << needs)) == 0 && (first == NULL || c->order < first->order))
			first = c;
	}
	return first;
}

/* Goes through the claims once, in order: for one that could not be served, those
 * behind it change nothing, nor for its queue. */
static void
serve(struct scheduler *s)
{
	unsigned passed_over = s->sv->draining ? ~0u : 0;
	struct endpoint *picked[ROLE_COUNT], *ep;
	struct claim *head;

	s->next = TAILQ_FIRST(&s->particular);
	while ((head = first_head(s, passed_over)) != NULL || s->next != NULL) {
		struct claim *claim = s->next;
		if (claim != NULL && (head == NULL || claim->order < head->order)) {
			s->next = TAILQ_NEXT(claim, queue);
			serve_particular(s, claim);
		} else if (pick(s->sv->endpoints, head, picked)) {
			grant(s, head, picked);
		} else {
			passed_over |= 1u << head->needs;
		}
	}
	TAILQ_FOREACH(ep, &s->sv->endpoints->all, all)
		ep->reserved = false;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct scheduler *s = arg;

	(void)fd;
	(void)what;
	if (!s->sv->stopping)
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
	TAILQ_INIT(&s->particular);
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
claim_begin_anew(struct claim *claim)
{
	claim->at_home = claim->to_write = 0;
	claim->goes_on = false;
	memset(claim->homes, 0, sizeof claim->homes);
}

void
scheduler_enqueue(struct scheduler *s, struct claim *claim)
{
	struct claim_queue *queue = queue_of(s, claim);
	struct claim *last = TAILQ_LAST(queue, claim_queue), *later;

	claim->queued_ms = clock_monotonic_ms();
	claim->homeless_ms = 0;
	s->length += is_particular(claim) ? 0 : 1;
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

	TAILQ_FOREACH(c, &s->particular, queue) {
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

	TAILQ_FOREACH(c, &s->particular, queue) {
		if (c->homeless_ms == 0)
			return c;
	}
	return NULL;
}

int
scheduler_demand(const struct scheduler *s)
{
	const struct claim *c;
	int demand = s->length;

	TAILQ_FOREACH(c, &s->particular, queue)
		demand += c->homeless_ms == 0 ? 1 : 0;
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
	const struct claim *first = TAILQ_FIRST(&s->particular);

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

/* The first of its wallets' endpoints that is not free. */
static bool
describe_home(const struct claim *claim, char *out, size_t size)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct endpoint *home = claim->homes[r];
		if ((claim->needs & claim->at_home & ROLE_BIT(r)) == 0 ||
		    (home != NULL && (home->state == ENDPOINT_IDLE || home->state == ENDPOINT_PRIMED)))
			continue;
		if (home != NULL)
			snprintf(out, size, "endpoint %s, where the %s's wallet is (%s)", home->name, role_name((enum role)r),
			    endpoint_state_name(home->state));
		else
			snprintf(out, size, "the endpoint of the %s's wallet, which is not in the configuration any more",
			    role_name((enum role)r));
		return true;
	}
	return false;
}

enum { STATES_TEXT = 192 };

/* "(3 leased, 1 out)" */
static void
describe_states(const struct endpoint_pool *pool, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "(");

	for (int i = 0; i < ENDPOINT_STATE_COUNT && n < size; i++) {
		if (pool->by_state[i] > 0)
			n += (size_t)snprintf(out + n, size - n, "%s%d %s", n > 1 ? ", " : "", pool->by_state[i],
			    endpoint_state_name((enum endpoint_state)i));
	}
	if (n < size)
		snprintf(out + n, size - n, ")");
}

/* There is none that a copy can be written for. */
static bool
describe_copy(const struct endpoint_pool *pool, const struct claim *claim, char *out, size_t size)
{
	int role = claim->to_write != 0 ? homes_lacking_role(pool, claim, false) : ROLE_COUNT;
	char states[STATES_TEXT];

	if (role == ROLE_COUNT || (claim->to_write & ROLE_BIT(role)) == 0)
		return false;
	describe_states(pool, states, sizeof states);
	snprintf(out, size, "an endpoint whose wallet-dir is given, to write the %s's wallet there %s", role_name((enum role)role),
	    states);
	return true;
}

void
scheduler_describe_wait(struct scheduler *s, const struct claim *claim, char *out, size_t size)
{
	struct endpoint_pool *pool = s->sv->endpoints;
	int needed = __builtin_popcount(claim->needs), total = 0;
	const char *role = unserved_role(pool, claim->needs);
	char states[STATES_TEXT];

	for (int i = 0; i < ENDPOINT_STATE_COUNT; i++)
		total += pool->by_state[i];
	if (total < needed) {
		snprintf(out, size, "%d endpoints, and there %s %d: add endpoints to the configuration and reload",
		    needed, total == 1 ? "is" : "are", total);
		return;
	}
	if (describe_copy(pool, claim, out, size) || describe_home(claim, out, size))
		return;
	if (role != NULL) {
		snprintf(out, size, "an endpoint for the %s: none has that role; add one and reload", role);
		return;
	}
	describe_states(pool, states, sizeof states);
	snprintf(out, size, "%d endpoints %s", needed, states);
}
