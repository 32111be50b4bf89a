/* export --format chrome: see export.h. Times are microseconds from the beginning of
 * the first escrow; one of which it is not known when it began stands there, too. */
#include <stdio.h>
#include <string.h>

#include "msigtrace/export.h"
#include "msigtrace/view.h"

/* Threads of a process, in the order in which they are shown. */
enum { THREAD_ESCROW = 1, THREAD_ROLE, THREAD_COUNT = ROLE_COUNT + 2 };

static int
thread_of(const struct event *e)
{
	return e->role == ROLE_COUNT ? THREAD_ESCROW : THREAD_ROLE + (int)e->role;
}

static void
add_name(json_t *list, const char *what, int pid, int tid, const char *name)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "ph", "M", "name", what, "pid", pid, "tid", tid, "args",
	    "name", name));
}

static void
add_names(json_t *list, const struct diagnosis *d, size_t trace)
{
	char name[64];

	add_name(list, "process_name", (int)trace + 1, 0, escrow_name(d, trace, name));
	add_name(list, "thread_name", (int)trace + 1, THREAD_ESCROW, "msigd and worker");
	for (int i = 0; i < ROLE_COUNT; i++)
		add_name(list, "thread_name", (int)trace + 1, THREAD_ROLE + i, role_name((enum role)i));
	for (int tid = THREAD_ESCROW; tid < THREAD_COUNT; tid++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:{s:i}}", "ph", "M", "name", "thread_sort_index", "pid",
		    (int)trace + 1, "tid", tid, "args", "sort_index", tid));
}

/* Its members, but for those that say where it stands. */
static json_t *
args_of(const struct event *e)
{
	static const char *const placed[] = {"t_ms", "type", "role", "method", "duration_ms"};
	json_t *args = json_copy((json_t *)e->json);

	for (size_t i = 0; i < sizeof placed / sizeof *placed; i++)
		json_object_del(args, placed[i]);
	return args;
}

static json_t *
place(const char *ph, const char *name, const char *category, double ms, int pid, const struct event *e)
{
	return json_pack("{s:s, s:o, s:s, s:f, s:i, s:i, s:o}", "ph", ph, "name", view_json_text(name), "cat", category, "ts",
	    ms * 1000, "pid", pid, "tid", thread_of(e), "args", args_of(e));
}

static void
add_call(json_t *list, const struct call *c, double base, int pid, double last_ms)
{
	double duration = c->duration_ms >= 0 ? c->duration_ms : last_ms > c->t_ms ? last_ms - c->t_ms : 0;
	json_t *json = place("X", c->at->method, call_is_bad(c) ? "rpc,error" : "rpc", base + c->t_ms, pid, c->end != NULL ? c->end : c->start);

	json_object_set_new(json, "dur", json_real(duration * 1000));
	json_object_set_new(json_object_get(json, "args"), "outcome", json_string(outcome_name(c->outcome)));
	if (call_is_bad(c))
		json_object_set_new(json, "cname", json_string("terrible"));
	json_array_append_new(list, json);
}

/* What takes time, as a bar that ends where it was noted; all else as a point. */
static void
add_event(json_t *list, const struct event *e, double base, int pid)
{
	double took = e->duration_ms >= 0 ? e->duration_ms : event_number(e, "measured_ms", event_number(e, "wait_ms", -1));
	char text[VIEW_EVENT];
	json_t *json;

	view_event(e, text);
	took = took <= e->t_ms ? took : e->t_ms;
	if (took > 0 && (e->type == FILE_OPERATION || e->type == DELAY || e->type == LOCK_ACQUIRED)) {
		json = place("X", text, "wait", base + e->t_ms - took, pid, e);
		json_object_set_new(json, "dur", json_real(took * 1000));
	} else {
		json = place("i", text, event_is_snapshot(e) ? "snapshot" : "event", base + e->t_ms, pid, e);
		json_object_set_new(json, "s", json_string(e->role == ROLE_COUNT ? "p" : "t"));
	}
	json_array_append_new(list, json);
}

/* ms since the epoch; 0: of none it is known. */
static int64_t
first_start(const struct diagnosis *d)
{
	int64_t first = 0;

	for (size_t i = 0; i < d->count; i++) {
		int64_t at = d->traced[i].trace->started_at;
		if (at != 0 && (first == 0 || at < first))
			first = at;
	}
	return first;
}

json_t *
export_chrome(const struct diagnosis *d)
{
	json_t *list = json_array();
	int64_t first = first_start(d);

	for (size_t i = 0; i < d->count; i++) {
		const struct trace *t = d->traced[i].trace;
		const struct calls *calls = &d->traced[i].calls;
		double base = t->started_at != 0 ? (double)(t->started_at - first) : 0, last = t->count > 0 ? t->events[t->count - 1].t_ms : 0;

		add_names(list, d, i);
		for (const struct call *c = calls->list; c < calls->list + calls->count; c++)
			add_call(list, c, base, (int)i + 1, last);
		for (const struct event *e = t->events; e < t->events + t->count; e++) {
			if (e->type > RPC_CALL_ERROR)
				add_event(list, e, base, (int)i + 1);
		}
	}
	return json_pack("{s:o, s:s}", "traceEvents", list, "displayTimeUnit", "ms");
}
