/* A repair's waiting for the endpoint where its wallet is. One that is not there
 * for some seconds is not waited for again in the same repair. */
#include <stddef.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/fault.h"
#include "supervisor/endpoint.h"
#include "supervisor/homes.h"
#include "supervisor/repair_internal.h"
#include "supervisor/supervisor.h"

enum {
	LOOK_MS = 500,             /* how often to look whether it is there */
	PATIENCE_MS = FAULT_SOONER(10000), /* for one that is down: a managed one is started again */
	WAIT_LIMIT_MS = 600000     /* for one that is busy */
};

static void
on_granted(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT])
{
	struct repairer *r = (struct repairer *)((char *)claim - offsetof(struct repairer, claim));

	event_del(r->step);
	r->endpoint = endpoints[r->role];
	endpoint_lease(r->endpoint, r->escrow_id, (enum role)r->role, claim->queued_ms);
	repair_work(r);
}

static void
look_again(struct repairer *r)
{
	static const struct timeval again = {LOOK_MS / 1000, (LOOK_MS % 1000) * 1000};

	event_add(r->step, &again);
}

/* Another program may have the wallet open there. */
static void
is_not_configured(struct repairer *r)
{
	char reason[200];

	snprintf(reason, sizeof reason, "its endpoint %s is not in the configuration", r->wallets.of[r->role].endpoint);
	repair_not_repaired(r, reason, "put the endpoint back into the configuration, under that name, and run msigctl check "
	    "--repair again; if its wallet-rpc is gone for good, run msigctl check --repair --elsewhere");
	repair_next_wallet(r);
}

static bool
may_come(const struct repairer *r)
{
	const struct endpoint *ep;

	if (r->claim.at_home != 0)
		return homes_lacking_role(r->sv->endpoints, &r->claim, false) == ROLE_COUNT;
	TAILQ_FOREACH(ep, &r->sv->endpoints->all, all) {
		if ((ep->role == ROLE_ANY || (int)ep->role == r->role) && ep->state != ENDPOINT_DOWN && ep->state != ENDPOINT_OUT)
			return true;
	}
	return false;
}

/* By which it is known to be absent; no endpoint has the name of a role's lack. */
static const char *
absent_key(const struct repairer *r)
{
	static const char *const nowhere[ROLE_COUNT] = {"/buyer", "/vendor", "/arbiter"};
	const struct endpoint *home = r->claim.homes[r->role];

	return home != NULL ? home->name : nowhere[r->role];
}

static void
give_up(struct repairer *r)
{
	const struct endpoint *home = r->claim.homes[r->role];
	char reason[400];

	if (home != NULL)
		snprintf(reason, sizeof reason, "its endpoint %s is %s%s%.200s", home->name, endpoint_state_name(home->state),
		    home->reason[0] != '\0' ? ": " : "", home->reason);
	else
		snprintf(reason, sizeof reason, "there is no endpoint for it");
	repair_not_repaired(r, reason, home != NULL ? "start that wallet-rpc, and run msigctl check --repair again; if it is gone "
	    "for good, take the endpoint out of the configuration, and run msigctl check --repair --elsewhere"
	    : "start a wallet-rpc for that role, and run msigctl check --repair --elsewhere again");
	repair_next_wallet(r);
}

/* Where it was made: there it may be open still, about to be closed. One that is
 * down may have it, too: a second one is made elsewhere only where the same files
 * are, whose locks tell. */
void
repair_wait(struct repairer *r)
{
	const char *name = r->wallets.of[r->role].endpoint;
	struct endpoint *home = endpoint_find(r->sv->endpoints, name);

	if (home == NULL && !r->elsewhere) {
		is_not_configured(r);
		return;
	}
	r->claim = (struct claim){
		.needs = ROLE_BIT(r->role), .order = scheduler_order_behind(r->sv->scheduler, r->sv->last_seq),
		.at_home = home != NULL ? ROLE_BIT(r->role) : 0, .stays = home != NULL && homes_is_there(home), .granted = on_granted,
	};
	r->claim.homes[r->role] = home;
	if (json_object_get(r->absent, absent_key(r)) != NULL && !may_come(r)) {
		give_up(r);
		return;
	}
	r->state = STATE_WAITING;
	r->there_ms = r->since_ms = clock_monotonic_ms();
	look_again(r);
	scheduler_enqueue(r->sv->scheduler, &r->claim);
}

void
repair_look_at_endpoint(struct repairer *r)
{
	int64_t now = clock_monotonic_ms();

	if (r->claim.stays && !homes_is_there(r->claim.homes[r->role])) {
		scheduler_dequeue(r->sv->scheduler, &r->claim);
		r->claim.stays = false;
		scheduler_enqueue(r->sv->scheduler, &r->claim);
	}
	if (may_come(r))
		r->there_ms = now;
	if (now - r->there_ms < PATIENCE_MS && now - r->since_ms < WAIT_LIMIT_MS) {
		look_again(r);
		return;
	}
	scheduler_dequeue(r->sv->scheduler, &r->claim);
	if (now - r->there_ms >= PATIENCE_MS)
		json_object_set_new(r->absent, absent_key(r), json_true());
	give_up(r);
}
