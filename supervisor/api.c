#include "supervisor/api.h"

#include <bsd/sys/queue.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/control.h"
#include "supervisor/endpoint.h"
#include "supervisor/supervisor.h"

enum {
	BATCH_MAX = 1000,
	SLICE_MS = 4                    /* the least that others wait while there is long work */
};

/* One HTTP request, with one call in it or many. */
struct api_exchange {
	struct supervisor *sv;
	struct evhttp_request *request; /* NULL: the client went away */
	pid_t peer_pid;
	uid_t peer_uid;
	json_t *document;               /* as it was read */
	bool batch;
	size_t size, next;              /* of a batch; the one to begin next */
	size_t pending;                 /* calls not answered yet, and one while dispatching */
	char **replies;                 /* JSON text of each, NULL where there is none (yet) */
};

/* --- answers -------------------------------------------------------------- */

static json_t *
error_object(int code, const char *message)
{
	json_t *text = json_string(message);

	return json_pack("{s:i, s:o}", "code", code, "message",
	    text != NULL ? text : json_string("(the message is not UTF-8)"));
}

static json_t *
envelope(json_t *id, const char *key, json_t *value)
{
	return json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, key, value);
}

static void
on_close(struct evhttp_connection *connection, void *arg)
{
	struct api_exchange *x = arg;

	(void)connection;
	/* when the client went, libevent has taken the request out of it, and leaves it to us */
	if (evhttp_request_get_connection(x->request) == NULL)
		evhttp_request_free(x->request);
	x->request = NULL;
}

static void
free_reply(const void *text, size_t size, void *arg)
{
	(void)text;
	(void)size;
	free(arg);
}

/* They are handed over, not copied: a batch of long lists is many megabytes. */
static size_t
collect_replies(struct api_exchange *x, struct evbuffer *body)
{
	size_t count = 0;

	for (size_t i = 0; i < x->size; i++) {
		char *text = x->replies[i];
		if (text == NULL)
			continue;
		x->replies[i] = NULL;
		if (x->batch)
			evbuffer_add(body, count == 0 ? "[" : ",", 1);
		if (evbuffer_add_reference(body, text, strlen(text), free_reply, text) == -1)
			free(text);
		count++;
	}
	evbuffer_add_printf(body, "%s\n", x->batch ? "]" : "");
	return count;
}

static void
send_replies(struct api_exchange *x)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(x->request);
	struct evbuffer *body = evbuffer_new();

	if (connection != NULL)
		evhttp_connection_set_closecb(connection, NULL, NULL);
	if (collect_replies(x, body) == 0) {
		/* nothing but notifications: JSON-RPC says that nothing is said */
		evhttp_send_reply(x->request, 204, "No Content", NULL);
	} else {
		evhttp_add_header(evhttp_request_get_output_headers(x->request), "Content-Type", "application/json");
		evhttp_send_reply(x->request, 200, "OK", body);
	}
	evbuffer_free(body);
}

static void
set_reply(struct api_exchange *x, size_t place, json_t *reply)
{
	x->replies[place] = json_dumps(reply, JSON_COMPACT);
	json_decref(reply);
}

static void
exchange_release(struct api_exchange *x)
{
	if (--x->pending > 0)
		return;
	if (x->request != NULL)
		send_replies(x);
	for (size_t i = 0; i < x->size; i++)
		free(x->replies[i]);
	free(x->replies);
	json_decref(x->document);
	free(x);
}

static void
on_durable(bool durable, void *arg)
{
	struct api_call *call = arg;
	struct api_exchange *x = call->exchange;
	void (*look_again)(struct api_call *call) = call->look_again;

	if (!durable && look_again != NULL) {
		/* it has changed nothing: what it saw was undone, and what is there now is as good */
		json_decref(call->reply);
		call->reply = NULL;
		look_again(call);
		return;
	}
	if (!durable && call->id != NULL) {
		char text[480];
		snprintf(text, sizeof text, "the store could not be written, and nothing was changed: %s",
		    store_error(call->sv->store));
		json_decref(call->reply);
		call->reply = envelope(call->id, "error", error_object(API_STORE_FAILED, text));
	}
	if (call->reply != NULL)
		set_reply(x, call->place, call->reply);
	json_decref(call->id);
	json_decref(call->params);
	free(call);
	exchange_release(x);
}

static void
answer(struct api_call *call, const char *key, json_t *value)
{
	if (call->id != NULL)
		call->reply = envelope(call->id, key, value);
	else
		json_decref(value);
	store_when_durable(call->sv->store, on_durable, call);
}

void
api_result(struct api_call *call, json_t *result)
{
	if (result == NULL) {
		api_error(call, API_INTERNAL_ERROR, "the answer could not be made");
		return;
	}
	answer(call, "result", result);
}

void
api_error(struct api_call *call, enum api_error code, const char *format, ...)
{
	char text[1024];
	va_list values;

	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	answer(call, "error", error_object(code, text));
}

void
api_not_available(struct api_call *call)
{
	api_error(call, API_NOT_AVAILABLE, "%s is not part of this version", call->method);
}

/* --- work in slices ------------------------------------------------------- */

struct work {
	STAILQ_ENTRY(work) next;
	enum api_slice (*step)(void *arg);
	void *arg;
};

static struct {
	STAILQ_HEAD(, work) list;
	struct event *next_slice;   /* NULL: not begun, or ended */
	bool waits;                 /* for the end of the store's turn */
} works = {.list = STAILQ_HEAD_INITIALIZER(works.list)};

/* A timer, so that the loop looks at everything else in between. */
static void
plan_slice(void)
{
	static const struct timeval next_turn = {0, 0};

	if (!works.waits)
		event_add(works.next_slice, &next_turn);
}

static void
do_slice(void)
{
	int64_t end = clock_monotonic_ms() + SLICE_MS;
	struct work *work;

	while ((work = STAILQ_FIRST(&works.list)) != NULL && clock_monotonic_ms() < end) {
		enum api_slice said = work->step(work->arg);
		if (said == API_SLICE_WAIT)
			break;
		if (said == API_SLICE_MORE)
			continue;
		STAILQ_REMOVE_HEAD(&works.list, next);
		free(work);
	}
	if (work != NULL)
		plan_slice();
}

static void
on_turn_end(bool durable, void *arg)
{
	struct supervisor *sv = arg;

	(void)durable; /* each call was told for itself */
	if (works.next_slice == NULL)
		return;
	if (store_turn_open(sv->store)) {
		/* who was told before us wrote again */
		store_when_durable(sv->store, on_turn_end, sv);
		return;
	}
	works.waits = false;
	do_slice();
}

static void
on_next_slice(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *sv = arg;

	(void)fd;
	(void)what;
	/* at once, or after the commit */
	works.waits = true;
	store_when_durable(sv->store, on_turn_end, sv);
}

bool
api_slice(struct supervisor *sv, enum api_slice (*step)(void *arg), void *arg)
{
	struct work *work;

	if (works.next_slice == NULL)
		works.next_slice = evtimer_new(sv->base, on_next_slice, sv);
	work = works.next_slice != NULL ? calloc(1, sizeof *work) : NULL;
	if (work == NULL)
		return false;
	work->step = step;
	work->arg = arg;
	STAILQ_INSERT_TAIL(&works.list, work, next);
	plan_slice();
	return true;
}

void
api_end(void)
{
	if (works.next_slice != NULL)
		event_free(works.next_slice);
	works.next_slice = NULL;
}

/* --- parameters ----------------------------------------------------------- */

bool
api_text(struct api_call *call, const char *name, bool required, size_t max, const char **value)
{
	json_t *param = json_object_get(call->params, name);

	if (param == NULL || json_is_null(param)) {
		if (required)
			api_error(call, API_INVALID_PARAMS, "%s: %s is missing", call->method, name);
		return !required;
	}
	if (!json_is_string(param)) {
		api_error(call, API_INVALID_PARAMS, "%s: %s: a string is expected", call->method, name);
		return false;
	}
	if (json_string_length(param) > max) {
		api_error(call, API_INVALID_PARAMS, "%s: %s: longer than %zu bytes", call->method, name, max);
		return false;
	}
	*value = json_string_value(param);
	return true;
}

bool
api_integer(struct api_call *call, const char *name, int64_t min, int64_t max, int64_t *value)
{
	json_t *param = json_object_get(call->params, name);

	if (param == NULL || json_is_null(param))
		return true;
	if (!json_is_integer(param) || json_integer_value(param) < min || json_integer_value(param) > max) {
		api_error(call, API_INVALID_PARAMS, "%s: %s: a whole number from %lld to %lld is expected",
		    call->method, name, (long long)min, (long long)max);
		return false;
	}
	*value = json_integer_value(param);
	return true;
}

bool
api_bool(struct api_call *call, const char *name, bool *value)
{
	json_t *param = json_object_get(call->params, name);

	if (param == NULL || json_is_null(param))
		return true;
	if (!json_is_boolean(param)) {
		api_error(call, API_INVALID_PARAMS, "%s: %s: true or false is expected", call->method, name);
		return false;
	}
	*value = json_is_true(param);
	return true;
}

bool
api_uuid(struct api_call *call, const char *name, bool required, char value[UUID_TEXT])
{
	const char *text = NULL;

	if (!api_text(call, name, required, 1024, &text))
		return false;
	if (text == NULL || uuid_normalise(text, value))
		return true;
	api_error(call, API_INVALID_PARAMS, "%s: %s: \"%.64s\" is no UUID, as 123e4567-e89b-42d3-a456-426614174000 is",
	    call->method, name, text);
	return false;
}

/* --- dispatch ------------------------------------------------------------- */

static const struct api_method *
find_method(const char *name)
{
	static const struct api_method *const tables[] = {api_escrow_methods, api_pool_methods, api_daemon_methods};

	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
		for (const struct api_method *m = tables[t]; m->name != NULL; m++) {
			if (strcmp(m->name, name) == 0)
				return m;
		}
	}
	return NULL;
}

static bool
takes_param(const struct api_method *method, const char *name)
{
	size_t length = strlen(name);

	/* an empty name is found everywhere, without end */
	for (const char *p = method->params; length > 0 && (p = strstr(p, name)) != NULL; p += length) {
		bool begins = p == method->params || p[-1] == ' ';
		if (begins && (p[length] == ' ' || p[length] == '\0'))
			return true;
	}
	return false;
}

/* Parameters are not validated yet: what is no id and no name of an endpoint is
 * not repeated. */
void
api_log(const struct api_call *call)
{
	const char *id = json_string_value(json_object_get(call->params, "escrow_id"));
	const char *name = json_string_value(json_object_get(call->params, "name"));
	char uuid[UUID_TEXT];

	log_info("request", F_STR("method", call->method),
	    F_STR("escrow", id != NULL && uuid_normalise(id, uuid) ? uuid : NULL),
	    F_STR("name", name != NULL && endpoint_find(call->sv->endpoints, name) != NULL ? name : NULL),
	    F_INT("uid", call->peer_uid), F_INT("pid", call->peer_pid));
}

static void
dispatch(struct api_call *call, const char *name)
{
	const struct api_method *method = find_method(name);
	const char *key;
	json_t *value;

	if (method == NULL) {
		api_error(call, API_METHOD_NOT_FOUND, "there is no method \"%.64s\": see msigd-api(7)", name);
		return;
	}
	call->method = method->name;
	json_object_foreach(call->params, key, value) {
		if (!takes_param(method, key)) {
			api_error(call, API_INVALID_PARAMS, "%s: unknown parameter \"%.64s\"; it takes: %s", method->name,
			    key, method->params[0] != '\0' ? method->params : "none");
			return;
		}
	}
	if (method->kind == API_CHANGES)
		api_log(call);
	if (method->kind == API_LOOKS)
		call->look_again = method->serve;
	method->serve(call);
}

/* What is wrong with the envelope, or NULL. */
static const char *
envelope_fault(json_t *request)
{
	json_t *id = json_object_get(request, "id"), *params = json_object_get(request, "params");
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));

	if (!json_is_object(request))
		return "a request is a JSON object";
	if (version == NULL || strcmp(version, "2.0") != 0)
		return "\"jsonrpc\" must be \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "\"method\" must be a string";
	if (id != NULL && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return "\"id\" must be a string or a number";
	if (params != NULL && !json_is_object(params))
		return "\"params\" must be an object: parameters are named";
	return NULL;
}

static void
begin_call(struct api_exchange *x, json_t *request, size_t place)
{
	const char *fault = envelope_fault(request);
	struct api_call *call = calloc(1, sizeof *call);
	json_t *id = json_object_get(request, "id");

	if (call == NULL)
		return;
	x->pending++;
	call->sv = x->sv;
	call->exchange = x;
	call->place = place;
	call->method = "";
	call->id = fault != NULL && (id == NULL || !(json_is_string(id) || json_is_number(id)))
	    ? json_null() : json_incref(id);
	call->peer_pid = x->peer_pid;
	call->peer_uid = x->peer_uid;
	call->params = json_incref(json_object_get(request, "params"));
	if (call->params == NULL)
		call->params = json_object();
	if (fault != NULL)
		api_error(call, API_INVALID_REQUEST, "%s", fault);
	else
		dispatch(call, json_string_value(json_object_get(request, "method")));
}

static enum api_slice
begin_next(void *arg)
{
	struct api_exchange *x = arg;

	begin_call(x, json_array_get(x->document, x->next), x->next);
	if (++x->next < x->size)
		return API_SLICE_MORE;
	exchange_release(x);
	return API_SLICE_DONE;
}

/* One answer for all of it. */
static void
refuse_all(struct api_exchange *x, enum api_error code, const char *why)
{
	x->batch = false;
	set_reply(x, 0, envelope(json_null(), "error", error_object(code, why)));
	exchange_release(x);
}

static json_t *
parse_body(struct evhttp_request *request, char *why, size_t why_size)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(request);
	size_t length = evbuffer_get_length(body);
	json_error_t error;
	json_t *document = json_loadb((const char *)evbuffer_pullup(body, -1), length, JSON_REJECT_DUPLICATES, &error);

	if (document == NULL)
		snprintf(why, why_size, "the body is no JSON: line %d, column %d: %s", error.line, error.column, error.text);
	return document;
}

static struct api_exchange *
exchange_new(struct supervisor *sv, struct evhttp_request *request, json_t *document)
{
	struct api_exchange *x = calloc(1, sizeof *x);

	if (x == NULL)
		return NULL;
	x->sv = sv;
	x->request = request;
	x->document = document;
	x->batch = json_is_array(document);
	x->size = x->batch && json_array_size(document) > 0 && json_array_size(document) <= BATCH_MAX
	    ? json_array_size(document) : 1;
	x->replies = calloc(x->size, sizeof(char *));
	x->pending = 1;
	control_peer(request, &x->peer_pid, &x->peer_uid);
	if (x->replies != NULL)
		return x;
	free(x);
	return NULL;
}

void
api_serve(struct supervisor *sv, struct evhttp_request *request)
{
	char why[256];
	json_t *document = parse_body(request, why, sizeof why);
	struct api_exchange *x = exchange_new(sv, request, document);

	if (x == NULL) {
		json_decref(document);
		evhttp_send_error(request, 503, "out of memory");
		return;
	}
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_close, x);
	if (document == NULL) {
		refuse_all(x, API_PARSE_ERROR, why);
	} else if (!x->batch) {
		begin_call(x, document, 0);
		exchange_release(x);
	} else if (json_array_size(document) != x->size) {
		refuse_all(x, API_INVALID_REQUEST, "a batch has 1 to 1000 requests");
	} else if (!api_slice(sv, begin_next, x)) {
		refuse_all(x, API_INTERNAL_ERROR, "out of memory");
	}
}
