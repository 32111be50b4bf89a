/* See trace.h: members of traces and events. */
#include "msigtrace/trace.h"

#include <stdlib.h>
#include <string.h>

const char *const event_type_names[EVENT_TYPE_COUNT] = {
	[RPC_CALL_START] = "RPC_CALL_START", [RPC_CALL_END] = "RPC_CALL_END", [RPC_CALL_ERROR] = "RPC_CALL_ERROR",
	[SNAPSHOT_PRE_ROUND1] = "SNAPSHOT_PRE_ROUND1", [SNAPSHOT_POST_PREPARE] = "SNAPSHOT_POST_PREPARE",
	[SNAPSHOT_POST_MAKE_MULTISIG] = "SNAPSHOT_POST_MAKE_MULTISIG", [SNAPSHOT_PRE_ROUND2] = "SNAPSHOT_PRE_ROUND2",
	[SNAPSHOT_POST_EXPORT_MULTISIG] = "SNAPSHOT_POST_EXPORT_MULTISIG", [SNAPSHOT_PRE_ROUND3] = "SNAPSHOT_PRE_ROUND3",
	[SNAPSHOT_POST_IMPORT_MULTISIG] = "SNAPSHOT_POST_IMPORT_MULTISIG", [SNAPSHOT_FINAL] = "SNAPSHOT_FINAL",
	[STATE_CHANGE] = "STATE_CHANGE", [FILE_OPERATION] = "FILE_OPERATION", [LOCK_ACQUIRED] = "LOCK_ACQUIRED",
	[LOCK_RELEASED] = "LOCK_RELEASED", [LEASE] = "LEASE", [RELEASE] = "RELEASE", [FAILOVER] = "FAILOVER",
	[RACE_DETECTED] = "RACE_DETECTED", [RETRY] = "RETRY", [DELAY] = "DELAY",
	[CACHE_POLLUTION_DETECTED] = "CACHE_POLLUTION_DETECTED", [WORKER_STARTED] = "WORKER_STARTED",
	[WORKER_EXITED] = "WORKER_EXITED", [ERROR_FINAL] = "ERROR_FINAL", [CUSTOM] = "CUSTOM", [EVENT_UNKNOWN] = "",
};

const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

double
number_of(const json_t *object, const char *name, double missing)
{
	const json_t *value = json_object_get(object, name);

	return json_is_number(value) ? json_number_value(value) : missing;
}

enum answer
answer_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_boolean(value))
		return ANSWER_NONE;
	return json_is_true(value) ? ANSWER_YES : ANSWER_NO;
}

bool
event_is_snapshot(const struct event *event)
{
	return event->type >= SNAPSHOT_PRE_ROUND1 && event->type <= SNAPSHOT_FINAL;
}

const char *
event_text(const struct event *event, const char *name)
{
	return text_of(event->json, name);
}

double
event_number(const struct event *event, const char *name, double missing)
{
	return number_of(event->json, name, missing);
}

bool
event_was_stopped(const struct event *event)
{
	if (event->type != WORKER_EXITED)
		return false;
	if (json_is_true(json_object_get(event->json, "stopped")))
		return true;
	return strcmp(event_text(event, "outcome"), "stopped") == 0 && *event_text(event, "signal") == '\0' &&
	    *event_text(event, "fault") == '\0' && event_number(event, "exit_code", 0) == 0;
}

const json_t *
event_snapshot(const struct event *event)
{
	return event_is_snapshot(event) ? json_object_get(event->json, "snapshot") : NULL;
}

const json_t *
event_found(const struct event *event)
{
	return json_object_get(event->json, "found");
}

const char *
event_phase(const struct event *event)
{
	return event->type == STATE_CHANGE ? event_text(event, "phase") : "";
}

void
trace_free(struct trace *trace)
{
	json_decref(trace->document);
	free(trace->events);
	free(trace->name);
	memset(trace, 0, sizeof *trace);
}
