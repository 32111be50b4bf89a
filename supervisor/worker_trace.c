/* A worker in the trace of its escrow: that it began, what it says, how it ended. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "ipc/child.h"
#include "supervisor/trace.h"
#include "supervisor/worker_internal.h"

#define LATEST_MS 1e15 /* of times, since the epoch: what is later makes no sense, and fits no integer */

void
worker_trace_start(struct worker *w)
{
	w->pid = child_pid(w->child);
	w->said.round = -1;
	if (w->trace != NULL)
		trace_event(w->trace, TRACE_WORKER_STARTED, json_pack("{s:I, s:s}", "worker", (json_int_t)w->pid, "job", w->job->name));
}

static void
remember(struct worker *w, enum trace_type type, json_t *fields)
{
	const char *role = json_string_value(json_object_get(fields, "role"));
	const char *method = json_string_value(json_object_get(fields, "method"));
	json_t *round = json_object_get(fields, "round");

	w->said.type = trace_type_name(type);
	snprintf(w->said.role, sizeof w->said.role, "%s", role != NULL ? role : "");
	snprintf(w->said.method, sizeof w->said.method, "%s", method != NULL ? method : "");
	w->said.round = json_is_integer(round) ? (int)json_integer_value(round) : -1;
}

/* One that was not asked for is none. The supervisor's own members are not the
 * worker's to say. */
bool
worker_trace_frame(struct worker *w, json_t *frame)
{
	const char *name = json_string_value(json_object_get(frame, "event"));
	json_t *at = json_object_get(frame, "at"), *fields = json_object_get(frame, "fields");
	enum trace_type type;

	if (w->trace == NULL || name == NULL || !trace_type_parse(name, &type) || !trace_type_of_worker(type) ||
	    !json_is_number(at) || !(json_number_value(at) >= 0 && json_number_value(at) < LATEST_MS) || !json_is_object(fields))
		return false;
	remember(w, type, fields);
	json_object_set_new(fields, "worker", json_integer((json_int_t)w->pid));
	json_object_set_new(fields, "job", json_string(w->job->name));
	trace_event_at(w->trace, type, json_number_value(at), json_incref(fields));
	return true;
}

/* What msigd ended it for; NULL: it did not. */
static const char *
fault_name(const struct worker *w)
{
	switch (w->fault) {
	case WORKER_FAULT_GARBAGE:
		return worker_cause_name(WORKER_CAUSE_GARBAGE);
	case WORKER_FAULT_VERSION:
		return worker_cause_name(WORKER_CAUSE_VERSION);
	case WORKER_FAULT_DEADLINE:
		return worker_cause_name(WORKER_CAUSE_DEADLINE);
	case WORKER_FAULT_NONE:
	case WORKER_FAULT_STOPPED:
	case WORKER_FAULT_NO_PROCESS:
	case WORKER_FAULT_NOT_EXECUTABLE:
	case WORKER_FAULT_COUNT:
		break;
	}
	return NULL;
}

static json_t *
last_json(const struct worker *w)
{
	json_t *last = json_pack("{s:s, s:s*, s:s*}", "type", w->said.type, "role", w->said.role[0] != '\0' ? w->said.role : NULL,
	    "method", w->said.method[0] != '\0' ? w->said.method : NULL);

	if (w->said.round >= 0)
		json_object_set_new(last, "round", json_integer(w->said.round));
	return last;
}

void
worker_trace_end(struct worker *w)
{
	const char *outcome = json_string_value(json_object_get(w->finished, "outcome"));
	const char *signal = WIFSIGNALED(w->status) ? sigabbrev_np(WTERMSIG(w->status)) : NULL;
	char name[32];
	json_t *fields;

	if (w->trace == NULL || !w->forked)
		return;
	fields = json_pack("{s:I, s:s, s:I, s:b, s:s*, s:s*}", "worker", (json_int_t)w->pid, "job", w->job->name, "duration_ms",
	    (json_int_t)(clock_monotonic_ms() - w->spawned_ms), "ok", outcome != NULL && strcmp(outcome, "done") == 0,
	    "outcome", outcome, "fault", fault_name(w));
	if (WIFSIGNALED(w->status)) {
		snprintf(name, sizeof name, "SIG%s", signal != NULL ? signal : "?");
		json_object_set_new(fields, "signal", json_string(name));
	} else {
		json_object_set_new(fields, "exit_code", json_integer(WEXITSTATUS(w->status)));
	}
	if (worker_was_stopped(w))
		json_object_set_new(fields, "stopped", json_true());
	if (w->why[0] != '\0')
		json_object_set_new(fields, "error", json_string(w->why));
	if (w->said.type != NULL)
		json_object_set_new(fields, "last", last_json(w));
	trace_event(w->trace, TRACE_WORKER_EXITED, fields);
}
