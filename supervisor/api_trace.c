/* get_trace of the API. */
#include "supervisor/api.h"
#include "supervisor/api_escrow_json.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace.h"

static void
no_trace(struct api_call *call, const char *id)
{
	struct store_escrow e;

	if (store_get_escrow(call->sv->store, id, &e) != STORE_OK) {
		api_answer_escrow(call, id); /* there is no such escrow */
		return;
	}
	if (e.trace || call->sv->config->instrumentation)
		api_error(call, API_NO_TRACE, "escrow %s has no trace file: it was removed after trace-keep, or nothing was written "
		    "yet; look for trace_not_written in the log", id);
	else
		api_error(call, API_NO_TRACE, "escrow %s was not traced: open it with trace (msigctl open --trace), or set "
		    "instrumentation = true", id);
	store_escrow_clear(&e);
}

void
api_get_trace(struct api_call *call)
{
	char id[UUID_TEXT], path[TRACE_PATH_MAX], trace[TRACE_ID_TEXT];
	bool complete;

	if (!api_uuid(call, "escrow_id", true, id))
		return;
	if (!traces_look(call->sv->traces, id, path, &complete)) {
		no_trace(call, id);
		return;
	}
	trace_id(id, trace);
	api_result(call, json_pack("{s:s, s:s, s:b}", "path", path, "trace_id", trace, "complete", complete));
}
