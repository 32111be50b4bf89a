#include "supervisor/escrow.h"

#include <event2/event.h>
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/setup_recovery.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace.h"

RB_HEAD(escrow_tree, escrow);

struct escrow_table {
	struct escrow_tree tree;
	int count, by_activity[ESCROW_ENDING + 1];
	int most;   /* since it was last empty */
};

enum { MANY = 1000 /* what so many leave in memory is worth giving back */ };

static int
compare(const struct escrow *a, const struct escrow *b)
{
	return strcmp(a->id, b->id);
}
RB_PROTOTYPE(escrow_tree, escrow, node, compare)
RB_GENERATE(escrow_tree, escrow, node, compare)

/* --- operations ----------------------------------------------------------- */

static void pump(struct escrow *e);

static void
op_free(struct escrow_op *op)
{
	json_decref(op->frame);
	free(op);
}

/* After a rollback the guard may be ahead of the store. */
static bool
reload_guard(struct escrow *e)
{
	struct store_escrow record;

	if (store_get_escrow(e->sv->store, e->id, &record) != STORE_OK)
		return false;
	e->guard = (struct store_guard){e->id, record.attempt, record.phase, record.round, record.revision};
	store_escrow_clear(&record);
	return true;
}

static void
hold(struct escrow *e)
{
	/* not all who were held together at the same time again: one of them may be why */
	const struct timeval a_second = {1, randombytes_uniform(250000)};

	if (e->held)
		return;
	e->held = true;
	if (!e->held_told)
		log_warn("escrow_held", F_STR("escrow", e->id), F_STR("error", store_error(e->sv->store)));
	e->held_told = true;
	event_add(e->again, &a_second);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct escrow *e = arg;

	(void)fd;
	(void)what;
	e->held = false;
	if (reload_guard(e))
		pump(e);
	else
		hold(e);
}

/* Called in the order of the operations. One that was rolled back makes all
 * after it wait with it: they were of the same turn, or come later. */
static void
on_durable(bool durable, void *arg)
{
	struct escrow_op *op = arg;
	struct escrow *e = op->escrow;

	if (!durable) {
		op->applied = false;
		hold(e);
		return;
	}
	e->held_told = false;
	STAILQ_REMOVE(&e->ops, op, escrow_op, next);
	op->done(e, op); /* may free the escrow */
	op_free(op);
}

bool
escrow_has_ops(const struct escrow *e)
{
	return !STAILQ_EMPTY(&e->ops);
}

static void
pump(struct escrow *e)
{
	struct escrow_op *op, *next;

	STAILQ_FOREACH_SAFE(op, &e->ops, next, next) {
		enum store_result result;
		bool lives;
		if (e->held)
			return;
		if (op->applied)
			continue;
		result = op->apply(e, op);
		if (result == STORE_OK) {
			op->applied = true;
			store_when_durable(e->sv->store, on_durable, op);
		} else if (result == STORE_FAILED) {
			hold(e);
		} else {
			STAILQ_REMOVE(&e->ops, op, escrow_op, next);
			lives = op->refused(e, op);
			op_free(op);
			if (!lives)
				return;
		}
	}
}

void
escrow_submit(struct escrow *e, struct escrow_op *op)
{
	op->escrow = e;
	STAILQ_INSERT_TAIL(&e->ops, op, next);
	pump(e);
}

/* --- the table ------------------------------------------------------------ */

struct escrow_table *
escrow_table_new(void)
{
	struct escrow_table *table = calloc(1, sizeof *table);

	if (table != NULL)
		RB_INIT(&table->tree);
	return table;
}

void
escrow_table_free(struct escrow_table *table)
{
	struct escrow *e;

	if (table == NULL)
		return;
	while ((e = RB_MIN(escrow_tree, &table->tree)) != NULL) {
		if (e->activity == ESCROW_QUEUED) /* the endpoints, which go later, look through the queue */
			scheduler_dequeue(e->sv->scheduler, &e->claim);
		escrow_free(e);
	}
	free(table);
}

int
escrow_count(const struct escrow_table *table)
{
	return table->count;
}

int
escrow_waiting(const struct escrow_table *table)
{
	return table->by_activity[ESCROW_QUEUED];
}

int
escrow_under_way(const struct escrow_table *table)
{
	return table->count - table->by_activity[ESCROW_QUEUED] - table->by_activity[ESCROW_PAUSED];
}

bool
escrow_any_goes_on(struct escrow_table *table)
{
	struct escrow *e;

	if (escrow_under_way(table) > 0)
		return true;
	RB_FOREACH(e, escrow_tree, &table->tree) {
		if (e->activity == ESCROW_PAUSED ? !e->locked_out : e->claim.goes_on && !setup_is_stranded(e))
			return true;
	}
	return false;
}

void
escrow_set_activity(struct escrow *e, enum escrow_activity activity)
{
	e->sv->escrows->by_activity[e->activity]--;
	e->sv->escrows->by_activity[activity]++;
	e->activity = activity;
}

struct escrow *
escrow_find(struct escrow_table *table, const char *id)
{
	struct escrow key;

	snprintf(key.id, sizeof key.id, "%s", id);
	return RB_FIND(escrow_tree, &table->tree, &key);
}

static void
free_events(struct escrow *e)
{
	if (e->again != NULL)
		event_free(e->again);
	if (e->pause != NULL)
		event_free(e->pause);
}

struct escrow *
escrow_add(struct supervisor *sv, const struct store_escrow *record)
{
	struct escrow *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	e->again = evtimer_new(sv->base, on_again, e);
	e->pause = evtimer_new(sv->base, setup_on_pause, e);
	if (e->again == NULL || e->pause == NULL) {
		free_events(e);
		free(e);
		return NULL;
	}
	e->sv = sv;
	snprintf(e->id, sizeof e->id, "%s", record->escrow_id);
	e->guard = (struct store_guard){e->id, record->attempt, record->phase, record->round, record->revision};
	e->opened_at = record->created_at;
	e->trace = trace_hold(sv->traces, record);
	e->claim.needs = ROLE_ALL & ~record->external;
	e->claim.order = scheduler_order(record->seq);
	e->failures = record->failures;
	e->counted_phase = record->phase;
	STAILQ_INIT(&e->ops);
	STAILQ_INIT(&e->waiters);
	RB_INSERT(escrow_tree, &sv->escrows->tree, e);
	sv->escrows->by_activity[e->activity]++;
	if (++sv->escrows->count > sv->escrows->most)
		sv->escrows->most = sv->escrows->count;
	return e;
}

/* Of what a long queue took, malloc keeps all that lies below the last piece in
 * use, until it is told to look for whole pages in between. */
static void
give_memory_back(struct escrow_table *table)
{
	if (table->count > 0)
		return;
	if (table->most >= MANY)
		malloc_trim(0);
	table->most = 0;
}

void
escrow_free(struct escrow *e)
{
	struct escrow_table *table = e->sv->escrows;
	struct escrow_waiter *waiter;
	struct escrow_op *op;

	while ((op = STAILQ_FIRST(&e->ops)) != NULL) {
		STAILQ_REMOVE_HEAD(&e->ops, next);
		op_free(op);
	}
	table->by_activity[e->activity]--;
	RB_REMOVE(escrow_tree, &table->tree, e);
	table->count--;
	free_events(e);
	trace_finish(e->trace);
	trace_release(e->trace);
	json_decref(e->journals);
	free(e->interrupted);
	free(e->locked_by);
	for (int r = 0; r < ROLE_COUNT; r++)
		json_decref(e->spares[r]);
	while ((waiter = STAILQ_FIRST(&e->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&e->waiters, next);
		waiter->fn(waiter->arg);
		free(waiter);
	}
	free(e);
	give_memory_back(table);
}

void
escrow_describe_open(const struct escrow *e, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (int r = 0; r < ROLE_COUNT && n < size; r++) {
		if (e->open[r].call[0] != '\0')
			n += (size_t)snprintf(out + n, size - n, "%s%s: %s", n > 0 ? ", " : "",
			    role_name((enum role)r), e->open[r].call);
	}
}
