/*
 * Which sessions have to go: those on an endpoint that is to go; the least
 * recently used ones beyond session-max; as many of them as the next escrow, or
 * those that wait, need; and one that has what a request to other wallets needs.
 * One that is asking right now goes once it has answered.
 */
#include <string.h>

#include "supervisor/endpoint.h"
#include "supervisor/homes.h"
#include "supervisor/session_internal.h"
#include "supervisor/supervisor.h"

/* It can be told to go. */
static bool
can_go(const struct session *s)
{
	return (s->state == SESSION_OPEN || s->state == SESSION_ASKING) && s->close_cause == CLOSE_NONE;
}

static bool
is_going(const struct session *s)
{
	return s->state == SESSION_CLOSING || s->close_cause != CLOSE_NONE;
}

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
		if (is_going(s))
			count_in(counts, s);
	}
}

/* How many, the least recently used first, have to go so that the next escrow,
 * or as many as wait, can be served. None when not even one could be. */
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
		if (!can_go(s))
			continue;
		count_in(counts, s);
		go++;
	}
	return endpoint_counts_serve(counts, 1) ? go : 0;
}

/* Whether an escrow could be served once all that can have gone. */
static bool
can_make_room(struct sessions *all)
{
	endpoint_counts counts;
	struct session *s;

	count_left(all, counts);
	TAILQ_FOREACH(s, &all->by_use, use) {
		if (can_go(s))
			count_in(counts, s);
	}
	return endpoint_counts_serve(counts, 1);
}

bool
sessions_have_room(struct sessions *all)
{
	struct supervisor *sv = all->sv;

	return sv->config->session_max > 0 && !sv->stopping && !sv->draining && scheduler_demand(sv->scheduler) == 0 &&
	    can_make_room(all);
}

static void
evict(struct sessions *all, int go)
{
	struct session *s, *next;

	TAILQ_FOREACH_SAFE(s, &all->by_use, use, next) {
		if (go <= 0)
			break;
		if (!can_go(s))
			continue;
		go--;
		session_close_for(s, CLOSE_EVICTED);
	}
}

/* It has an endpoint that was taken out, or is no longer in the configuration. */
static bool
is_in_the_way(const struct session *s)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct endpoint *ep = s->endpoints[r];
		if (ep != NULL && (ep->take_out || ep->removed))
			return true;
	}
	return false;
}

/* --- wallets that can only be opened where they are ------------------------ */

static bool
is_left_or_going(struct sessions *all, const struct endpoint *ep)
{
	const struct session *s;

	if (ep->state != ENDPOINT_LEASED)
		return endpoint_state_is_left(ep->state);
	TAILQ_FOREACH(s, &all->by_use, use) {
		for (int r = 0; is_going(s) && r < ROLE_COUNT; r++) {
			if (s->endpoints[r] == ep)
				return true;
		}
	}
	return false;
}

/* The first role that no endpoint is left for, another for each; ROLE_COUNT: none. */
static int
lacking_role(struct sessions *all, const struct claim *claim)
{
	const struct endpoint *taken[ROLE_COUNT] = {NULL}, *ep;

	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((claim->needs & ROLE_BIT(r)) == 0)
			continue;
		TAILQ_FOREACH(ep, &all->sv->endpoints->all, all) {
			bool free = ep != taken[0] && ep != taken[1] && ep != taken[2];
			if (free && homes_suit(claim, ep, r) && is_left_or_going(all, ep))
				break;
		}
		if (ep == NULL)
			return r;
		taken[r] = ep;
	}
	return ROLE_COUNT;
}

static bool
has_one_for(const struct session *s, const struct claim *claim, int role)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (s->endpoints[r] != NULL && homes_suit(claim, s->endpoints[r], role))
			return true;
	}
	return false;
}

/* One at a time goes: its endpoints have this looked at again. */
static void
make_way(struct sessions *all)
{
	const struct claim *claim = scheduler_first_with_homes(all->sv->scheduler);
	int role = claim != NULL ? lacking_role(all, claim) : ROLE_COUNT;
	struct session *s;

	if (role == ROLE_COUNT)
		return;
	TAILQ_FOREACH(s, &all->by_use, use) {
		if (can_go(s) && has_one_for(s, claim, role)) {
			session_close_for(s, CLOSE_EVICTED);
			return;
		}
	}
}

/* --- looking --------------------------------------------------------------- */

static int
count_lasting(const struct sessions *all)
{
	const struct session *s;
	int count = 0;

	TAILQ_FOREACH(s, &all->by_use, use)
		count += is_going(s) ? 0 : 1;
	return count;
}

int
sessions_waiting(const struct sessions *all)
{
	const struct session *s;
	int count = 0;

	TAILQ_FOREACH(s, &all->by_use, use)
		count += s->state == SESSION_WAITING ? 1 : 0;
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
		if (can_go(s) && is_in_the_way(s))
			session_close_for(s, CLOSE_EVICTED);
	}
	make_way(all);
	too_many = count_lasting(all) - all->sv->config->session_max;
	go = needed_to_go(all);
	evict(all, go > too_many ? go : too_many);
}
