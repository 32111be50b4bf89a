#include "supervisor/scheduler.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/setup_control.h"
#include "supervisor/supervisor.h"

TAILQ_HEAD(escrow_queue, escrow);

struct scheduler {
	struct supervisor *sv;
	struct escrow_queue queues[ROLE_ALL + 1]; /* by the roles that are needed */
	int length;
	struct event *wake;
};

/* --- picking -------------------------------------------------------------- */

/* One endpoint for each role of needs, those for just that role first. False,
 * and nothing taken, when there are not enough. An endpoint for one role can
 * only serve that one, so to prefer it is never wrong. */
static bool
pick(struct endpoint_pool *pool, unsigned needs, struct endpoint *picked[ROLE_COUNT])
{
	struct endpoint *any = TAILQ_FIRST(&pool->idle[ROLE_ANY]);

	for (int r = 0; r < ROLE_COUNT; r++) {
		picked[r] = NULL;
		if ((needs & ROLE_BIT(r)) == 0)
			continue;
		picked[r] = TAILQ_FIRST(&pool->idle[r]);
		if (picked[r] == NULL && any != NULL) {
			picked[r] = any;
			any = TAILQ_NEXT(any, idle);
		}
		if (picked[r] == NULL)
			return false;
	}
	return true;
}

/* The first of those whose needs can be met, with what meets them. */
static struct escrow *
first_servable(struct scheduler *s, struct endpoint *picked[ROLE_COUNT])
{
	struct escrow *first = NULL;

	for (unsigned needs = 0; needs <= ROLE_ALL; needs++) {
		struct escrow *e = TAILQ_FIRST(&s->queues[needs]);
		struct endpoint *candidates[ROLE_COUNT];
		if (e == NULL || (first != NULL && first->seq < e->seq))
			continue;
		if (!pick(s->sv->endpoints, needs, candidates))
			continue;
		first = e;
		memcpy(picked, candidates, sizeof candidates);
	}
	return first;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct scheduler *s = arg;
	struct endpoint *picked[ROLE_COUNT];
	struct escrow *e;

	(void)fd;
	(void)what;
	while (!s->sv->stopping && !s->sv->draining && (e = first_servable(s, picked)) != NULL) {
		scheduler_dequeue(s, e);
		for (int r = 0; r < ROLE_COUNT; r++) {
			e->endpoints[r] = picked[r];
			if (picked[r] != NULL)
				endpoint_lease(picked[r], e->id);
		}
		setup_start(e);
	}
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

void
scheduler_enqueue(struct scheduler *s, struct escrow *e)
{
	struct escrow_queue *queue = &s->queues[e->needs];
	struct escrow *last = TAILQ_LAST(queue, escrow_queue), *later;

	e->activity = ESCROW_QUEUED;
	e->queued_at = clock_wall_ms();
	s->length++;
	if (last == NULL || last->seq < e->seq) {
		TAILQ_INSERT_TAIL(queue, e, queue);
	} else {
		/* a second attempt: it is older than most that wait */
		TAILQ_FOREACH(later, queue, queue) {
			if (later->seq > e->seq)
				break;
		}
		TAILQ_INSERT_BEFORE(later, e, queue);
	}
	scheduler_wake(s);
}

void
scheduler_dequeue(struct scheduler *s, struct escrow *e)
{
	TAILQ_REMOVE(&s->queues[e->needs], e, queue);
	s->length--;
}

void
scheduler_wake(struct scheduler *s)
{
	event_active(s->wake, EV_TIMEOUT, 1);
}

int
scheduler_queue_length(const struct scheduler *s)
{
	return s->length;
}

static const struct escrow *
first_waiting(const struct scheduler *s)
{
	const struct escrow *first = NULL;

	for (unsigned needs = 0; needs <= ROLE_ALL; needs++) {
		const struct escrow *e = TAILQ_FIRST(&s->queues[needs]);
		if (e != NULL && (first == NULL || e->seq < first->seq))
			first = e;
	}
	return first;
}

int64_t
scheduler_oldest(const struct scheduler *s)
{
	const struct escrow *first = first_waiting(s);

	return first != NULL ? first->queued_at : 0;
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
scheduler_describe_wait(struct scheduler *s, const struct escrow *e, char *out, size_t size)
{
	struct endpoint_pool *pool = s->sv->endpoints;
	int needed = __builtin_popcount(e->needs), total = 0;
	const char *role = unserved_role(pool, e->needs);
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

void
scheduler_describe_first(struct scheduler *s, char *out, size_t size)
{
	const struct escrow *first = first_waiting(s);

	out[0] = '\0';
	if (first != NULL)
		scheduler_describe_wait(s, first, out, size);
}
