/*
 * The traces of escrows that are at their end become a .json, some in a turn of the
 * loop: an end is told among the acknowledgements of one commit, and those of other
 * escrows must not wait for this one's file.
 */
#include "common/phase.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace_internal.h"

enum { AT_ONCE = 4 };

static void
in_next_turn(struct traces *all)
{
	static const struct timeval at_once = {0, 0};

	event_add(all->fold, &at_once);
}

static void
fold_one(struct trace *t)
{
	TAILQ_REMOVE(&t->all->due, t, turn);
	t->due = false;
	/* it may have a new attempt by now */
	if (t->file.open && phase_is_terminal(t->phase) && !trace_file_finish(&t->file))
		traces_complain(t->all, t->file.escrow_id, "it stays as it is, line by line");
	if (t->holders == 0)
		trace_free(t);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct traces *all = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < AT_ONCE && !TAILQ_EMPTY(&all->due); i++)
		fold_one(TAILQ_FIRST(&all->due));
	if (!TAILQ_EMPTY(&all->due))
		in_next_turn(all);
}

void
trace_fold_later(struct trace *t)
{
	if (t->due)
		return;
	t->due = true;
	TAILQ_INSERT_TAIL(&t->all->due, t, turn);
	in_next_turn(t->all);
}

bool
trace_fold_init(struct traces *all)
{
	TAILQ_INIT(&all->due);
	all->fold = evtimer_new(all->sv->base, on_turn, all);
	return all->fold != NULL;
}

void
trace_fold_end(struct traces *all)
{
	while (!TAILQ_EMPTY(&all->due))
		fold_one(TAILQ_FIRST(&all->due));
	if (all->fold != NULL)
		event_free(all->fold);
}
