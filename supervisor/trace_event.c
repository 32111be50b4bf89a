/* Events in a trace; and what the log says when they cannot be written. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace_folder.h"
#include "supervisor/trace_internal.h"

enum { QUIET_MS = 60000 }; /* between two warnings of a single trace */

/* --- trouble -------------------------------------------------------------- */

static void
complain(struct traces *all, const char *escrow_id, const char *what, const char *error, const char *remedy)
{
	log_warn("trace_not_written", F_STR("escrow", escrow_id), F_STR("what", what), F_STR("trace_dir", all->sv->config->trace_dir),
	    F_STR("error", error), F_STR("remedy", remedy));
}

/* What is wrong with the folder is wrong with all, and is said once. */
static bool
complain_of_folder(struct traces *all, const char *escrow_id, const char *what)
{
	const char *error = all->trouble ? NULL : trace_folder_trouble(all->sv->config->trace_dir);

	if (error != NULL)
		complain(all, escrow_id, what, error,
		    "make trace-dir a folder that is msigd's own and that it may write, or name another; escrows are not affected");
	all->trouble = all->trouble || error != NULL;
	return all->trouble;
}

void
traces_complain(struct traces *all, const char *escrow_id, const char *what)
{
	const char *error = strerror(errno);
	struct trace *t = escrow_id != NULL ? traces_get(all, escrow_id) : NULL;

	if ((t != NULL && t->trouble) || complain_of_folder(all, escrow_id, what))
		return;
	if (all->complained_ms != 0 && clock_monotonic_ms() - all->complained_ms < QUIET_MS)
		return; /* a disk that is full is so for a thousand of them */
	all->complained_ms = clock_monotonic_ms();
	if (t != NULL)
		t->trouble = true;
	complain(all, escrow_id, what, error, "make room, or remove what stands in its place; escrows are not affected");
}

/* One could be written to. */
static void
be_content(struct trace *t)
{
	if (t->trouble || t->all->trouble)
		log_info("trace_written_again", F_STR("escrow", t->file.escrow_id));
	t->trouble = t->all->trouble = false;
}

/* --- events --------------------------------------------------------------- */

static json_t *
make_event(const struct trace *t, enum trace_type type, double at_ms, json_t *fields)
{
	double t_ms = trace_round_ms(at_ms - (double)t->file.started_at);
	json_t *event = json_pack("{s:i, s:i, s:f, s:s}", "seq", 0, "attempt", t->attempt, "t_ms", t_ms, "type", trace_type_name(type));

	json_object_update_missing(event, fields);
	json_decref(fields);
	return event;
}

/* Nothing is added to one that is full, and the last event says so. 64 KiB are left
 * for that: as much as the longest frame of a worker may add before. */
static bool
is_full(struct trace *t)
{
	enum { ROOM_FOR_LAST = 64 * 1024 };
	json_t *last;

	if (t->file.size < TRACE_SIZE_MAX - ROOM_FOR_LAST)
		return false;
	if (t->full)
		return true;
	t->full = true;
	last = make_event(t, TRACE_CUSTOM, trace_now_ms(), json_pack("{s:s, s:i}", "name", "full", "bytes", TRACE_SIZE_MAX));
	trace_file_add(&t->file, last);
	json_decref(last);
	return true;
}

static bool
tell_lost(struct trace *t)
{
	json_t *event;
	bool ok;

	if (t->lost == 0)
		return true;
	event = make_event(t, TRACE_CUSTOM, trace_now_ms(), json_pack("{s:s, s:i}", "name", "lost", "events", t->lost));
	ok = trace_file_add(&t->file, event);
	if (ok)
		t->lost = 0;
	json_decref(event);
	return ok;
}

void
trace_event_at(struct trace *t, enum trace_type type, double at_ms, json_t *fields)
{
	json_t *event;

	if (t == NULL) {
		json_decref(fields);
		return;
	}
	if (!trace_file_begin(&t->file, t->label)) {
		t->lost++;
		traces_complain(t->all, t->file.escrow_id, "it cannot be begun");
		json_decref(fields);
		return;
	}
	if (is_full(t)) {
		json_decref(fields);
		return;
	}
	event = make_event(t, type, at_ms, fields);
	if (tell_lost(t) && trace_file_add(&t->file, event)) {
		be_content(t);
	} else {
		t->lost++;
		traces_complain(t->all, t->file.escrow_id, "events are missing from it");
	}
	json_decref(event);
}

void
trace_event(struct trace *t, enum trace_type type, json_t *fields)
{
	if (t != NULL)
		trace_event_at(t, type, trace_now_ms(), fields);
	else
		json_decref(fields);
}
