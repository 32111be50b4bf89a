/* The API's methods on endpoints and sessions. */
#include <string.h>

#include "supervisor/api.h"
#include "supervisor/endpoint.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"

static void
get_endpoints(struct api_call *call)
{
	json_t *list = json_array();
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &call->sv->endpoints->all, all)
		json_array_append_new(list, endpoint_to_json(ep));
	api_result(call, list);
}

static void
set_endpoint(struct api_call *call)
{
	const char *name = NULL, *state = NULL;
	struct endpoint *ep;
	bool in;

	if (!api_text(call, "name", true, ENDPOINT_NAME_MAX, &name) || !api_text(call, "state", true, 16, &state))
		return;
	in = strcmp(state, "in") == 0;
	if (!in && strcmp(state, "out") != 0) {
		api_error(call, API_INVALID_PARAMS, "set_endpoint: state: \"%s\": in or out is expected", state);
		return;
	}
	ep = endpoint_find(call->sv->endpoints, name);
	if (ep == NULL) {
		api_error(call, API_NO_SUCH_ENDPOINT, "there is no endpoint \"%s\"", name);
		return;
	}
	endpoint_event(ep, in ? ENDPOINT_EV_PUT_IN : ENDPOINT_EV_TAKE_OUT, in ? "put in by hand" : "taken out by hand");
	sessions_review(call->sv->sessions);
	api_result(call, endpoint_to_json(ep));
}

static void
get_sessions(struct api_call *call)
{
	api_result(call, sessions_to_json(call->sv->sessions));
}

static void
on_closed(void *arg)
{
	api_result(arg, json_pack("{s:b}", "closed", 1));
}

static void
close_session(struct api_call *call)
{
	char id[UUID_TEXT];

	if (!api_uuid(call, "escrow_id", true, id))
		return;
	switch (sessions_close(call->sv->sessions, id, on_closed, call)) {
	case SESSIONS_CLOSING:
		break;
	case SESSIONS_NONE:
		api_error(call, API_NO_SESSION, "escrow %s has no session: there is nothing to close", id);
		break;
	case SESSIONS_NO_MEMORY:
		api_error(call, API_INTERNAL_ERROR, "out of memory");
		break;
	}
}

const struct api_method api_pool_methods[] = {
	{"get_endpoints", "", API_LOOKS, get_endpoints},
	{"set_endpoint", "name state", API_CHANGES, set_endpoint},
	{"get_sessions", "", API_LOOKS, get_sessions},
	{"close_session", "escrow_id", API_CHANGES, close_session},
	{NULL, NULL, API_LOOKS, NULL},
};
