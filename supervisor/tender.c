#include "supervisor/tender.h"

#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "supervisor/check_control.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/repair.h"
#include "supervisor/scheduler.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum {
	PATIENCE_MS = 4000,  /* how long an idle endpoint stands back while other work is under way */
	AT_ONCE_MIN = 3      /* as many as an escrow needs */
};

struct tender {
	struct supervisor *sv;
	struct event *timer;
	int at_once;         /* endpoints that are tended at a time, at most */
};

/* Making a wallet keeps a core busy: escrows and their verification, which may
 * want these very endpoints, come first. */
static bool
is_calm(const struct supervisor *sv)
{
	return escrow_under_way(sv->escrows) == 0 && !verifier_is_due(sv->verifier) &&
	    !repair_is_under_way(sv->repairer);
}

/* When it may be tended, monotonic ms. */
static int64_t
due(const struct endpoint *ep, bool calm)
{
	int64_t patient = calm ? 0 : ep->free_since_ms + PATIENCE_MS;

	return ep->tend_after_ms > patient ? ep->tend_after_ms : patient;
}

/* Tends those of a list that are due. Returns when the next one will be, or 0. */
static int64_t
tend_list(struct tender *t, struct endpoint_list *list, bool calm, int64_t now)
{
	struct endpoint *ep, *after;
	int64_t next = 0;

	TAILQ_FOREACH_SAFE(ep, list, free, after) {
		int64_t at = due(ep, calm);
		if (t->sv->endpoints->by_state[ENDPOINT_TENDING] >= t->at_once)
			break;
		if (at <= now)
			endpoint_event(ep, ENDPOINT_EV_TEND, NULL);
		else if (next == 0 || at < next)
			next = at;
		if (at > now && !calm && ep->tend_after_ms <= now)
			break; /* those behind it have been free for less long */
	}
	return next;
}

static void
review(struct tender *t)
{
	struct supervisor *sv = t->sv;
	int64_t now = clock_monotonic_ms(), next = 0;
	bool calm;

	event_del(t->timer);
	if (!sv->config->spares || sv->stopping || sv->draining || scheduler_demand(sv->scheduler) > 0)
		return;
	calm = is_calm(sv);
	for (int r = 0; r <= ROLE_COUNT; r++) {
		int64_t at = tend_list(t, &sv->endpoints->idle[r], calm, now);
		if (at != 0 && (next == 0 || at < next))
			next = at;
	}
	if (next != 0) {
		struct timeval tv = {(next - now) / 1000, ((next - now) % 1000) * 1000};
		event_add(t->timer, &tv);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	review(arg);
}

struct tender *
tender_new(struct supervisor *sv)
{
	struct tender *t = calloc(1, sizeof *t);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (t == NULL || (t->timer = evtimer_new(sv->base, on_timer, t)) == NULL) {
		free(t);
		return NULL;
	}
	t->sv = sv;
	t->at_once = cores > AT_ONCE_MIN ? (int)cores : AT_ONCE_MIN;
	return t;
}

void
tender_free(struct tender *t)
{
	if (t == NULL)
		return;
	event_free(t->timer);
	free(t);
}

void
tender_wake(struct tender *t)
{
	event_active(t->timer, EV_TIMEOUT, 1);
}

void
tender_drain(struct tender *t)
{
	struct endpoint *ep, *next;

	TAILQ_FOREACH_SAFE(ep, &t->sv->endpoints->all, all, next) {
		if (ep->state == ENDPOINT_TENDING && ep->tend != NULL)
			worker_stop(ep->tend);
	}
}
