/* All workers: found by their generation, and forked in the order in which they
 * came, as soon as fewer than WORKERS_STARTING are between fork and hello. */
#include <signal.h>
#include <stdlib.h>

#include "common/clock.h"
#include "ipc/child.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_internal.h"

RB_HEAD(worker_tree, worker);
TAILQ_HEAD(worker_queue, worker);

struct worker_pool {
	struct supervisor *sv;
	struct worker_tree tree;
	struct worker_queue queue;
	struct event *fill;     /* forks the next ones, in the next turn of the loop */
	int count, starting;
	uint64_t last_generation;
};

static int
compare(const struct worker *a, const struct worker *b)
{
	return (a->generation > b->generation) - (a->generation < b->generation);
}
RB_PROTOTYPE(worker_tree, worker, node, compare)
RB_GENERATE(worker_tree, worker, node, compare)

enum { FORKS_MS = 6 /* in a turn of the loop */ };

static bool
has_next(const struct worker_pool *pool)
{
	return pool->starting < WORKERS_STARTING && !TAILQ_EMPTY(&pool->queue);
}

void
worker_pool_fill(struct worker_pool *pool)
{
	static const struct timeval at_once = {0, 0};

	if (has_next(pool))
		event_add(pool->fill, &at_once);
}

static void
on_fill(evutil_socket_t fd, short what, void *arg)
{
	struct worker_pool *pool = arg;
	int64_t end = clock_monotonic_ms() + FORKS_MS;

	(void)fd;
	(void)what;
	/* a fork holds the loop, for milliseconds when the cores are busy: who asks
	 * something meanwhile is not to wait for four of them */
	while (has_next(pool) && clock_monotonic_ms() < end)
		worker_handle(TAILQ_FIRST(&pool->queue), WORKER_EV_SLOT, NULL);
	worker_pool_fill(pool);
}

struct worker_pool *
worker_pool_new(struct supervisor *sv)
{
	struct worker_pool *pool = calloc(1, sizeof *pool);

	if (pool == NULL || (pool->fill = event_new(sv->base, -1, 0, on_fill, pool)) == NULL) {
		free(pool);
		return NULL;
	}
	pool->sv = sv;
	RB_INIT(&pool->tree);
	TAILQ_INIT(&pool->queue);
	return pool;
}

void
worker_pool_free(struct worker_pool *pool)
{
	struct worker *w;

	if (pool == NULL)
		return;
	while ((w = RB_MIN(worker_tree, &pool->tree)) != NULL) {
		if (w->child != NULL) {
			child_kill(w->child, SIGKILL);
			child_reap(w->child);
		}
		worker_free(w);
	}
	event_free(pool->fill);
	free(pool);
}

void
worker_pool_add(struct worker *w)
{
	struct worker_pool *pool = w->sv->workers;

	w->generation = ++pool->last_generation;
	RB_INSERT(worker_tree, &pool->tree, w);
	TAILQ_INSERT_TAIL(&pool->queue, w, queue);
	pool->count++;
	worker_pool_fill(pool);
}

void
worker_pool_dequeue(struct worker *w)
{
	TAILQ_REMOVE(&w->sv->workers->queue, w, queue);
}

void
worker_pool_remove(struct worker *w)
{
	RB_REMOVE(worker_tree, &w->sv->workers->tree, w);
	w->sv->workers->count--;
}

void
worker_pool_count_starting(struct worker_pool *pool, int change)
{
	pool->starting += change;
}

struct worker *
worker_find(struct worker_pool *pool, uint64_t generation)
{
	struct worker key = {.generation = generation};

	return RB_FIND(worker_tree, &pool->tree, &key);
}

void
worker_stop_all(struct worker_pool *pool)
{
	struct worker *w, *next;

	/* first those that wait: each ends at once, and no place is left for one of them to start in */
	while ((w = TAILQ_FIRST(&pool->queue)) != NULL)
		worker_stop(w);
	RB_FOREACH_SAFE(w, worker_tree, &pool->tree, next)
		worker_stop(w);
}

int
worker_count(const struct worker_pool *pool)
{
	return pool->count;
}
