#include "supervisor/homes.h"

#include "supervisor/endpoint.h"

enum {
	OTHERS_MAX = ROLE_COUNT, /* beside its home: two of them may be needed by the other roles */
	AWAY = 10                /* the cost of not being at home; more than that of any choice among others */
};

/* --- one endpoint ---------------------------------------------------------- */

/* One that hangs is probed nearly all the time. */
bool
homes_is_there(const struct endpoint *ep)
{
	return ep->state != ENDPOINT_DOWN && ep->state != ENDPOINT_OUT && !ep->removed && !ep->take_out &&
	    ep->failures_in_row == 0;
}

static bool
may_come_back(const struct endpoint *ep)
{
	return ep->state != ENDPOINT_OUT && !ep->removed && !ep->take_out;
}

static bool
serves_role(const struct endpoint *ep, int role)
{
	return ep->role == ROLE_ANY || (int)ep->role == role;
}

bool
homes_suit(const struct claim *claim, const struct endpoint *ep, int role)
{
	const struct endpoint *home = claim->homes[role];

	if (((claim->at_home | claim->to_write) & ROLE_BIT(role)) == 0)
		return serves_role(ep, role);
	if (ep == home)
		return true;
	if (claim->stays)
		return false;
	if ((claim->at_home & ROLE_BIT(role)) != 0)
		return home != NULL && serves_role(ep, role) && endpoint_shares_files(ep, home);
	return serves_role(ep, role) && endpoint_folder(ep) != NULL;
}

/* --- picking --------------------------------------------------------------- */

/* Where one role could go, the best first. */
struct choice {
	struct endpoint *at[1 + OTHERS_MAX];
	unsigned cost[1 + OTHERS_MAX];
	int count;
};

struct combination {
	struct endpoint *at[ROLE_COUNT];
	unsigned cost;
	bool whole;
};

static bool
is_free(const struct endpoint *ep)
{
	return (ep->state == ENDPOINT_IDLE || ep->state == ENDPOINT_PRIMED) && !ep->reserved;
}

static void
add_choice(struct choice *c, struct endpoint *ep, unsigned cost)
{
	c->at[c->count] = ep;
	c->cost[c->count++] = cost;
}

/* Its home; then others, those for just this role first, and without a spare,
 * which would be closed, if possible. */
static void
collect(struct endpoint_pool *pool, const struct claim *claim, int role, struct choice *c)
{
	struct endpoint *home = claim->homes[role], *ep;
	struct endpoint_list *lists[] = {
		&pool->idle[role], &pool->idle[ROLE_ANY], &pool->primed[role], &pool->primed[ROLE_ANY],
	};
	int others = 0;

	c->count = 0;
	if (home != NULL && is_free(home))
		add_choice(c, home, 0);
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		TAILQ_FOREACH(ep, lists[i], free) {
			if (others == OTHERS_MAX)
				return;
			if (ep != home && !ep->reserved && homes_suit(claim, ep, role))
				add_choice(c, ep, AWAY + (unsigned)others++);
		}
	}
}

/* Goes through all combinations of these few. */
static void
combine(const struct claim *claim, const struct choice choices[ROLE_COUNT], int role, struct combination *now,
    struct combination *best)
{
	if (role == ROLE_COUNT) {
		if (!best->whole || now->cost < best->cost)
			*best = *now;
		best->whole = true;
		return;
	}
	now->at[role] = NULL;
	if ((claim->needs & ROLE_BIT(role)) == 0) {
		combine(claim, choices, role + 1, now, best);
		return;
	}
	for (int i = 0; i < choices[role].count; i++) {
		bool taken = false;
		for (int r = 0; r < role; r++)
			taken = taken || now->at[r] == choices[role].at[i];
		if (taken)
			continue;
		now->at[role] = choices[role].at[i];
		now->cost += choices[role].cost[i];
		combine(claim, choices, role + 1, now, best);
		now->cost -= choices[role].cost[i];
	}
}

bool
homes_pick(struct endpoint_pool *pool, const struct claim *claim, struct endpoint *picked[ROLE_COUNT])
{
	struct combination now = {.cost = 0}, best = {.whole = false};
	struct choice choices[ROLE_COUNT];

	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((claim->needs & ROLE_BIT(r)) == 0)
			continue;
		collect(pool, claim, r, &choices[r]);
		if (choices[r].count == 0)
			return false;
	}
	combine(claim, choices, 0, &now, &best);
	for (int r = 0; r < ROLE_COUNT; r++)
		picked[r] = best.at[r];
	return best.whole;
}

/* --- whether there is a place ----------------------------------------------- */

static bool
counts(const struct endpoint *ep, bool ever)
{
	return ever ? may_come_back(ep) : homes_is_there(ep);
}

/* Of these roles, the first whose own endpoint is away; ROLE_COUNT: none. */
static int
first_away(const struct claim *claim, unsigned roles, bool ever)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((claim->needs & claim->at_home & roles & ROLE_BIT(r)) != 0 &&
		    (claim->homes[r] == NULL || !counts(claim->homes[r], ever)))
			return r;
	}
	return ROLE_COUNT;
}

/* The first whose endpoint is away, and whose files no other is known to have. */
static int
first_without_files(const struct claim *claim, bool ever)
{
	unsigned roles = ROLE_ALL;
	int r;

	while ((r = first_away(claim, roles, ever)) != ROLE_COUNT) {
		if (claim->homes[r] == NULL || endpoint_folder(claim->homes[r]) == NULL)
			break;
		roles &= ~ROLE_BIT(r);
	}
	return r;
}

static unsigned
suited_roles(const struct endpoint *ep, const struct claim *claim)
{
	unsigned roles = 0;

	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((claim->needs & ROLE_BIT(r)) != 0 && homes_suit(claim, ep, r))
			roles |= ROLE_BIT(r);
	}
	return roles;
}

/* Some roles for whom there are fewer places than they are; 0: there are none such. */
static unsigned
short_of_places(const struct claim *claim, const int places[ROLE_ALL + 1])
{
	for (unsigned some = 1; some <= ROLE_ALL; some++) {
		if ((some & claim->needs) == some && places[some] < __builtin_popcount(some))
			return some;
	}
	return 0;
}

/* Each wallet needs an endpoint of its own: there is a place for all of them if,
 * and only if, any so many of them can be opened at so many endpoints or more. */
int
homes_lacking_role(const struct endpoint_pool *pool, const struct claim *claim, bool ever)
{
	int places[ROLE_ALL + 1] = {0};
	const struct endpoint *ep;
	unsigned some;
	int role;

	if ((claim->needs & ~claim->at_home) == 0 && first_away(claim, ROLE_ALL, ever) == ROLE_COUNT)
		return ROLE_COUNT;
	role = first_without_files(claim, ever);
	if (role != ROLE_COUNT)
		return role; /* without a look at each endpoint */
	TAILQ_FOREACH(ep, &pool->all, all) {
		unsigned roles = counts(ep, ever) ? suited_roles(ep, claim) : 0;
		if (roles == 0)
			continue;
		for (unsigned i = 1; i <= ROLE_ALL; i++)
			places[i] += (roles & i) != 0 ? 1 : 0;
		if (short_of_places(claim, places) == 0)
			return ROLE_COUNT;
	}
	some = short_of_places(claim, places);
	if (some == 0)
		return ROLE_COUNT; /* it needs none */
	role = first_away(claim, some, ever);
	if (role != ROLE_COUNT)
		return role;
	return __builtin_ctz((some & ~claim->at_home) != 0 ? some & ~claim->at_home : some);
}

bool
homes_has_other(const struct endpoint_pool *pool, const struct claim *claim, int role)
{
	const struct endpoint *ep;

	TAILQ_FOREACH(ep, &pool->all, all) {
		if (ep != claim->homes[role] && may_come_back(ep) && serves_role(ep, role) && endpoint_folder(ep) != NULL)
			return true;
	}
	return false;
}
