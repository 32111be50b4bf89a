#include "supervisor/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/store.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace_internal.h"

static int
compare(const struct trace *a, const struct trace *b)
{
	return strcmp(a->file.escrow_id, b->file.escrow_id);
}
RB_PROTOTYPE(trace_tree, trace, node, compare)
RB_GENERATE(trace_tree, trace, node, compare)

/* --- all of them ---------------------------------------------------------- */

struct traces *
traces_new(struct supervisor *sv)
{
	struct traces *all = calloc(1, sizeof *all);

	if (all == NULL)
		return NULL;
	all->sv = sv;
	RB_INIT(&all->tree);
	if (trace_keep_init(all) && trace_fold_init(all))
		return all;
	traces_free(all);
	return NULL;
}

void
trace_free(struct trace *t)
{
	RB_REMOVE(trace_tree, &t->all->tree, t);
	free(t->label);
	free(t);
}

void
traces_free(struct traces *all)
{
	struct trace *t;

	if (all == NULL)
		return;
	trace_fold_end(all);
	while ((t = RB_MIN(trace_tree, &all->tree)) != NULL)
		trace_free(t);
	trace_keep_end(all);
	free(all);
}

/* --- who holds one -------------------------------------------------------- */

struct trace *
traces_get(struct traces *all, const char *escrow_id)
{
	struct trace key = {0};

	if (all == NULL || RB_EMPTY(&all->tree))
		return NULL;
	snprintf(key.file.escrow_id, sizeof key.file.escrow_id, "%s", escrow_id);
	return RB_FIND(trace_tree, &all->tree, &key);
}

struct trace *
trace_find(struct traces *all, const char *escrow_id)
{
	struct trace *t = traces_get(all, escrow_id);

	return t != NULL && t->holders > 0 ? t : NULL;
}

struct trace *
trace_hold(struct traces *all, const struct store_escrow *record)
{
	struct trace *t;

	if (all == NULL || (!record->trace && !all->sv->config->instrumentation))
		return NULL;
	t = traces_get(all, record->escrow_id);
	if (t == NULL) {
		t = calloc(1, sizeof *t);
		if (t == NULL)
			return NULL;
		t->all = all;
		t->label = record->label != NULL && record->label[0] != '\0' ? strdup(record->label) : NULL;
		trace_file_init(&t->file, all->sv->config->trace_dir, record->escrow_id, record->created_at);
		RB_INSERT(trace_tree, &all->tree, t);
	}
	t->holders++;
	/* who held it before may not have told what the record has already */
	if (t->attempt != record->attempt) {
		t->attempt = record->attempt;
		t->phase = record->phase;
		t->round = record->round;
	}
	return t;
}

struct trace *
trace_hold_for_worker(struct trace *t)
{
	if (t != NULL) {
		t->holders++;
		t->workers++;
	}
	return t;
}

void
trace_release_of_worker(struct trace *t)
{
	if (t != NULL)
		t->workers--;
	trace_release(t);
}

void
trace_release(struct trace *t)
{
	if (t == NULL || --t->holders > 0)
		return;
	trace_finish(t);
	if (!t->due)
		trace_free(t);
}

void
trace_finish(struct trace *t)
{
	if (t != NULL && t->file.open && phase_is_terminal(t->phase))
		trace_fold_later(t);
}

/* --- where it is ---------------------------------------------------------- */

bool
traces_look(struct traces *all, const char *escrow_id, char path[TRACE_PATH_MAX], bool *complete)
{
	*complete = false;
	trace_file_path(all->sv->config->trace_dir, escrow_id, ".jsonl", path);
	if (access(path, F_OK) == 0)
		return true;
	*complete = true;
	trace_file_path(all->sv->config->trace_dir, escrow_id, ".json", path);
	return access(path, F_OK) == 0;
}
