/* The API's methods on escrows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/api.h"
#include "supervisor/api_escrow_json.h"
#include "supervisor/escrow.h"
#include "supervisor/session.h"
#include "supervisor/setup_control.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace.h"

enum {
	METADATA_MAX = 64,           /* entries */
	METADATA_KEY_MAX = 64,       /* bytes */
	METADATA_VALUE_MAX = 1024,   /* bytes */
	LIST_DEFAULT = 100, LIST_MAX = 1000
};

/* --- open_escrow ---------------------------------------------------------- */

/* As text with sorted keys, so that the same metadata is the same text. NULL:
 * the call was answered. */
static char *
take_metadata(struct api_call *call)
{
	json_t *metadata = json_object_get(call->params, "metadata"), *value;
	const char *key;

	if (metadata == NULL || json_is_null(metadata))
		return strdup("{}");
	if (!json_is_object(metadata) || json_object_size(metadata) > METADATA_MAX) {
		api_error(call, API_INVALID_PARAMS, "open_escrow: metadata: an object of at most %d strings is expected",
		    METADATA_MAX);
		return NULL;
	}
	json_object_foreach(metadata, key, value) {
		if (!json_is_string(value) || strlen(key) == 0 || strlen(key) > METADATA_KEY_MAX ||
		    json_string_length(value) > METADATA_VALUE_MAX) {
			api_error(call, API_INVALID_PARAMS, "open_escrow: metadata: \"%.64s\": keys of 1 to %d bytes and "
			    "strings of at most %d bytes are expected", key, METADATA_KEY_MAX, METADATA_VALUE_MAX);
			return NULL;
		}
	}
	return json_dumps(metadata, JSON_COMPACT | JSON_SORT_KEYS);
}

static bool
take_external(struct api_call *call, unsigned *external)
{
	json_t *list = json_object_get(call->params, "external"), *item;
	enum role role;
	size_t i;

	*external = 0;
	if (list == NULL || json_is_null(list))
		return true;
	if (!json_is_array(list)) {
		api_error(call, API_INVALID_PARAMS, "open_escrow: external: an array of roles is expected");
		return false;
	}
	json_array_foreach(list, i, item) {
		if (!json_is_string(item) || !role_parse(json_string_value(item), false, &role)) {
			api_error(call, API_INVALID_PARAMS, "open_escrow: external: \"%.64s\" is no role: buyer, vendor or arbiter",
			    json_is_string(item) ? json_string_value(item) : "(no string)");
			return false;
		}
		*external |= ROLE_BIT(role);
	}
	if (*external != 0) {
		api_error(call, API_NOT_AVAILABLE, "open_escrow: external: parties that run their own wallet "
		    "are not supported by this version");
		return false;
	}
	return true;
}

struct taking_up {
	struct supervisor *sv;
	char escrow_id[UUID_TEXT];
	bool opened;
};

/* The escrow is durable: now it may begin. */
static void
on_taking_up(bool durable, void *arg)
{
	struct taking_up *t = arg;

	if (durable) {
		metrics_phase(&t->sv->metrics, t->opened ? PHASE_COUNT : PHASE_FAILED, PHASE_NOT_STARTED);
		t->sv->metrics.opened += t->opened ? 1 : 0;
		setup_take_up_one(t->sv, t->escrow_id);
	}
	free(t);
}

static void
take_up_when_durable(struct supervisor *sv, const char *escrow_id, bool opened)
{
	struct taking_up *t = calloc(1, sizeof *t);

	if (t == NULL)
		return; /* the next start of msigd takes it up */
	t->sv = sv;
	t->opened = opened;
	snprintf(t->escrow_id, sizeof t->escrow_id, "%s", escrow_id);
	store_when_durable(sv->store, on_taking_up, t);
}

static bool
may_start(struct api_call *call)
{
	struct supervisor *sv = call->sv;

	if (sv->stopping || sv->draining) {
		api_error(call, API_STOPPING, "msigd is stopping: open it after the next start");
		return false;
	}
	if (escrow_waiting(sv->escrows) >= sv->config->queue_max) {
		api_error(call, API_QUEUE_FULL, "%d escrows wait already: queue-max is reached", sv->config->queue_max);
		return false;
	}
	return true;
}

static void
found_worker(struct api_call *call, const char *escrow_id)
{
	trace_race(call->sv->traces, escrow_id, call->method, call->peer_pid, call->peer_uid);
}

static void
open_new(struct api_call *call, const struct store_new_escrow *escrow)
{
	struct store *store = call->sv->store;
	bool same = false;
	enum store_result result;

	result = store_add_escrow(store, escrow, &same);
	if (result == STORE_CONFLICT && same) {
		found_worker(call, escrow->escrow_id);
		api_answer_escrow(call, escrow->escrow_id);
	} else if (result == STORE_CONFLICT) {
		api_error(call, API_CONFLICT, "escrow %s was opened with another label, other metadata, external roles or trace: "
		    "use another id, or the same options", escrow->escrow_id);
	} else if (result != STORE_OK) {
		api_error(call, API_STORE_FAILED, "the store could not be written, and nothing was changed: %s",
		    store_error(store));
	} else {
		store_add_event(store, escrow->escrow_id, "escrow_opened", json_pack("{s:i, s:s, s:s}",
		    "attempt", 1, "phase", phase_name(PHASE_NOT_STARTED), "label", escrow->label));
		take_up_when_durable(call->sv, escrow->escrow_id, true);
		api_answer_escrow(call, escrow->escrow_id);
	}
}

static bool
exists(struct supervisor *sv, const char *escrow_id)
{
	struct store_escrow e;

	if (store_get_escrow(sv->store, escrow_id, &e) != STORE_OK)
		return false;
	store_escrow_clear(&e);
	return true;
}

static void
open_escrow(struct api_call *call)
{
	char id[UUID_TEXT] = "", *metadata;
	const char *label = "";
	unsigned external;
	bool trace = false;

	if (!api_uuid(call, "escrow_id", false, id) || !api_text(call, "label", false, STORE_LABEL_MAX, &label) ||
	    !api_bool(call, "trace", &trace) || !take_external(call, &external))
		return;
	/* asking again for one that is there is always answered */
	if ((id[0] == '\0' || !exists(call->sv, id)) && !may_start(call))
		return;
	metadata = take_metadata(call);
	if (metadata == NULL)
		return;
	if (id[0] == '\0')
		uuid_new(id);
	open_new(call, &(struct store_new_escrow){
		.escrow_id = id, .label = label, .metadata = metadata, .external = external, .trace = trace,
		.network = call->sv->config->network, .now = clock_wall_ms(),
	});
	free(metadata);
}

/* --- get_escrow, list_escrows --------------------------------------------- */

/* The escrow with what its wallets tell. */
static void
on_told(json_t *wallets, const char *why, void *arg)
{
	struct api_call *call = arg;
	const char *id = json_string_value(json_object_get(call->params, "escrow_id"));
	struct store_escrow e;
	char uuid[UUID_TEXT];
	json_t *json;

	if (wallets == NULL) {
		api_error(call, API_WALLETS_FAILED, "the wallets of escrow %s could not be asked: %s", id, why);
		return;
	}
	uuid_normalise(id, uuid);
	if (store_get_escrow(call->sv->store, uuid, &e) != STORE_OK) {
		api_error(call, API_STORE_FAILED, "%s", store_error(call->sv->store));
		return;
	}
	json = api_escrow_json(call->sv, &e);
	json_object_set(json, "wallets", wallets);
	store_escrow_clear(&e);
	api_result(call, json);
}

static void
refresh_escrow(struct api_call *call, const char *id)
{
	struct store_escrow e;
	char why[400];
	enum phase phase;

	if (store_get_escrow(call->sv->store, id, &e) != STORE_OK) {
		api_answer_escrow(call, id);
		return;
	}
	phase = e.phase;
	store_escrow_clear(&e);
	if (phase != PHASE_READY)
		api_error(call, API_WRONG_PHASE, "escrow %s is %s: its wallets can be asked once it is Ready", id, phase_name(phase));
	else if (!sessions_ask(call->sv->sessions, id, on_told, call, why, sizeof why))
		api_error(call, API_WALLETS_FAILED, "the wallets of escrow %s could not be asked: %s", id, why);
}

static void
get_escrow(struct api_call *call)
{
	char id[UUID_TEXT];
	bool refresh = false;

	if (!api_uuid(call, "escrow_id", true, id) || !api_bool(call, "refresh", &refresh))
		return;
	if (refresh) {
		found_worker(call, id);
		refresh_escrow(call, id);
	} else {
		api_answer_escrow(call, id);
	}
}

static bool
take_phase(struct api_call *call, enum phase *phase)
{
	const char *text = NULL;

	*phase = PHASE_COUNT;
	if (!api_text(call, "phase", false, 64, &text))
		return false;
	if (text == NULL || phase_parse(text, phase))
		return true;
	api_error(call, API_INVALID_PARAMS, "list_escrows: phase: \"%s\" is none of NotStarted, Preparing, Exchanging, "
	    "Ready, Failed", text);
	return false;
}

/* A list on its way: its ids are read at once, then an escrow at a time. */
struct listing {
	struct api_call *call;
	enum phase phase;
	char after[UUID_TEXT];
	int64_t limit;
	bool begun;                   /* the ids are read */
	int count, next;
	bool more;
	json_t *escrows;
	char ids[LIST_MAX + 1][UUID_TEXT];
};

/* False: the call was answered. */
static bool
list_ids(struct listing *l)
{
	struct store *store = l->call->sv->store;
	enum store_result result;

	/* one more than asked for tells whether there is a next page */
	result = store_list_escrows(store, l->phase, l->after[0] != '\0' ? l->after : NULL, (int)l->limit + 1, l->ids,
	    &l->count);
	if (result == STORE_OK) {
		l->more = l->count > l->limit;
		l->count -= l->more;
		return true;
	}
	if (result == STORE_NOT_FOUND)
		api_error(l->call, API_NO_SUCH_ESCROW, "list_escrows: after: there is no escrow %s", l->after);
	else
		api_error(l->call, API_STORE_FAILED, "%s", store_error(store));
	return false;
}

/* False: the call was answered. A part must not pass for the whole; with `after`
 * one gets past an escrow that cannot be read. */
static bool
list_one(struct listing *l)
{
	struct supervisor *sv = l->call->sv;
	const char *id = l->ids[l->next++];
	struct store_escrow e;

	if (store_get_escrow(sv->store, id, &e) != STORE_OK) {
		api_error(l->call, API_STORE_FAILED, "list_escrows: escrow %s: %s", id, store_error(sv->store));
		return false;
	}
	json_array_append_new(l->escrows, api_escrow_json(sv, &e));
	store_escrow_clear(&e);
	return true;
}

static enum api_slice
list_next(void *arg)
{
	struct listing *l = arg;

	if (store_turn_open(l->call->sv->store))
		return API_SLICE_WAIT;
	if (!l->begun) {
		l->begun = true;
		if (list_ids(l))
			return API_SLICE_MORE;
	} else if (l->next < l->count) {
		if (list_one(l))
			return API_SLICE_MORE;
	} else {
		api_result(l->call, json_pack("{s:O, s:o}", "escrows", l->escrows, "next",
		    l->more ? json_string(l->ids[l->count - 1]) : json_null()));
	}
	json_decref(l->escrows);
	free(l);
	return API_SLICE_DONE;
}

static void
list_escrows(struct api_call *call)
{
	struct listing *l;
	char after[UUID_TEXT] = "";
	int64_t limit = LIST_DEFAULT;
	enum phase phase;

	if (!take_phase(call, &phase) || !api_integer(call, "limit", 1, LIST_MAX, &limit) ||
	    !api_uuid(call, "after", false, after))
		return;
	l = calloc(1, sizeof *l);
	if (l != NULL) {
		l->call = call;
		l->phase = phase;
		l->limit = limit;
		memcpy(l->after, after, sizeof after);
		l->escrows = json_array();
		if (api_slice(call->sv, list_next, l))
			return;
		json_decref(l->escrows);
		free(l);
	}
	api_error(call, API_INTERNAL_ERROR, "out of memory");
}

/* --- retry_escrow, cancel_escrow ------------------------------------------ */

static void
wrong_phase(struct api_call *call, const char *id, const char *what)
{
	struct store_escrow e;

	if (store_get_escrow(call->sv->store, id, &e) != STORE_OK) {
		api_answer_escrow(call, id);
		return;
	}
	api_error(call, API_WRONG_PHASE, "escrow %s is %s: %s", id, phase_name(e.phase), what);
	store_escrow_clear(&e);
}

static void
retry_escrow(struct api_call *call)
{
	struct store *store = call->sv->store;
	char id[UUID_TEXT];
	int attempt;

	if (!api_uuid(call, "escrow_id", true, id) || !may_start(call))
		return;
	switch (store_retry(store, id, &attempt)) {
	case STORE_OK:
		store_add_event(store, id, "attempt", json_pack("{s:i, s:s, s:s}", "attempt", attempt,
		    "cause", "retry", "reason", "asked for"));
		take_up_when_durable(call->sv, id, false);
		api_answer_escrow(call, id);
		break;
	case STORE_CONFLICT:
		wrong_phase(call, id, "only one that has Failed can be tried again");
		break;
	case STORE_NOT_FOUND:
	case STORE_FAILED:
		api_answer_escrow(call, id);
		break;
	}
}

struct cancelling {
	struct api_call *call;
	char escrow_id[UUID_TEXT];
};

static void
on_cancelled(void *arg)
{
	struct cancelling *c = arg;
	struct store_escrow e;
	bool ready = false;

	if (store_get_escrow(c->call->sv->store, c->escrow_id, &e) == STORE_OK) {
		ready = e.phase == PHASE_READY;
		store_escrow_clear(&e);
	}
	if (ready)
		wrong_phase(c->call, c->escrow_id, "its address was published before it could be cancelled");
	else
		api_answer_escrow(c->call, c->escrow_id);
	free(c);
}

static void
cancel_escrow(struct api_call *call)
{
	char id[UUID_TEXT];
	struct escrow *live;
	struct cancelling *c;

	if (!api_uuid(call, "escrow_id", true, id))
		return;
	live = escrow_find(call->sv->escrows, id);
	if (live == NULL) {
		wrong_phase(call, id, "only one that is under way can be cancelled");
		return;
	}
	c = calloc(1, sizeof *c);
	if (c != NULL) {
		c->call = call;
		snprintf(c->escrow_id, sizeof c->escrow_id, "%s", id);
	}
	if (c == NULL || !setup_cancel(live, on_cancelled, c)) {
		free(c);
		api_error(call, API_INTERNAL_ERROR, "out of memory");
	}
}

const struct api_method api_escrow_methods[] = {
	{"open_escrow", "escrow_id label metadata external trace", API_CHANGES, open_escrow},
	{"get_escrow", "escrow_id refresh", API_LOOKS, get_escrow},
	{"list_escrows", "phase limit after", API_LOOKS, list_escrows},
	{"retry_escrow", "escrow_id", API_CHANGES, retry_escrow},
	{"cancel_escrow", "escrow_id", API_CHANGES, cancel_escrow},
	{"get_messages", "escrow_id role", API_LOOKS, api_not_available},
	{"submit_message", "escrow_id role message", API_LOOKS, api_not_available},
	{"get_trace", "escrow_id", API_LOOKS, api_get_trace},
	{NULL, NULL, API_LOOKS, NULL},
};
