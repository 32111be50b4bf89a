/*
 * A session that waits for endpoints: only those do where its wallets can be
 * opened. Who asked for it is told after seconds that one of them will not come
 * back, and after a minute that they were only busy.
 */
#include <stddef.h>
#include <stdio.h>

#include "common/clock.h"
#include "supervisor/endpoint.h"
#include "supervisor/homes.h"
#include "supervisor/repair.h"
#include "supervisor/session_internal.h"
#include "supervisor/supervisor.h"

enum {
	WAIT_LIMIT_MS = 60000,     /* for endpoints that are there */
	PATIENCE_MS = 5000         /* for one that is not to come back */
};

static void
on_granted(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT])
{
	struct session *s = (struct session *)((char *)claim - offsetof(struct session, claim));

	for (int r = 0; r < ROLE_COUNT; r++) {
		s->endpoints[r] = endpoints[r];
		if (endpoints[r] != NULL)
			endpoint_lease(endpoints[r], s->escrow_id, (enum role)r, claim->queued_ms);
	}
	session_event(s, SESSION_GRANTED);
}

bool
session_enqueue(struct session *s, char *why, size_t why_size)
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
		.needs = s->roles, .order = scheduler_order_behind(sv->scheduler, sv->last_seq), .at_home = s->roles,
		.granted = on_granted,
	};
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (s->wallets.of[r].endpoint != NULL)
			s->claim.homes[r] = endpoint_find(sv->endpoints, s->wallets.of[r].endpoint);
	}
	s->held = repair_is_at(sv->repairer, s->escrow_id);
	s->claim.queued_ms = clock_monotonic_ms();
	if (!s->held)
		scheduler_enqueue(sv->scheduler, &s->claim);
	session_set_timer(s, PATIENCE_MS);
	return true;
}

void
session_dequeue(struct session *s)
{
	if (!s->held)
		scheduler_dequeue(s->all->sv->scheduler, &s->claim);
	s->held = false;
}

/* Why it cannot be opened now, or false: its endpoints are only busy. */
static bool
is_homeless(const struct session *s, char *why, size_t why_size)
{
	int role = homes_lacking_role(s->all->sv->endpoints, &s->claim, false);
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

void
session_wait_on(struct session *s)
{
	int64_t waited = clock_monotonic_ms() - s->claim.queued_ms;
	char why[400];

	if (s->held || !is_homeless(s, why, sizeof why)) {
		if (waited < WAIT_LIMIT_MS) {
			session_set_timer(s, PATIENCE_MS);
			return;
		}
		snprintf(why, sizeof why, "after %d s %s", WAIT_LIMIT_MS / 1000, s->held ? "its wallets were still being repaired"
		    : "the endpoints that have its wallets were still busy");
	}
	session_dequeue(s);
	session_free(s, why);
}
