#include "tests/stand_in/endpoint.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#include "tests/stand_in/http.h"
#include "tests/stand_in/ledger.h"

enum { CONNECTIONS_MAX = 25 /* --rpc-max-connections-per-private-ip */, INTERNAL_ERROR_STATUS = 500 };

/* A request that was read. */
struct call {
	TAILQ_ENTRY(call) entry;
	struct http_connection *connection; /* NULL: hung up; the call is carried out all the same */
	json_t *request;                    /* NULL: it is no JSON */
	bool empty;
	enum method method;                 /* METHOD_COUNT: none that there is */
	enum fault_kind fault;              /* FAULT_DELAY: none that is seen in the answer */
	int64_t value;
};

struct fault {
	TAILQ_ENTRY(fault) entry;
	enum method method;
	enum fault_kind kind;
	int64_t value;
	int skip, times;
};

struct endpoint {
	int port;
	struct http_server *server;         /* NULL: it does not run */
	struct wallet *wallet;
	struct event *timer;                /* of the call under way */
	struct call *current;               /* the call under way that takes its time */
	bool busy;
	TAILQ_HEAD(, call) waiting;
	TAILQ_HEAD(, fault) faults;
	uint32_t calls[METHOD_COUNT];
};

static struct event_base *base;
static const struct settings *settings;
static struct endpoint *endpoints;
static int endpoint_count;

/* --- answers -------------------------------------------------------------- */

/* One document, as epee orders its members. The id is the request's, or 0. */
static char *
write_answer(const struct call *call, json_t *result, const struct method_error *error)
{
	json_t *id = json_object_get(call->request, "id"), *document = json_object();
	char *text;

	if (result == NULL)
		json_object_set_new(document, "error", json_pack("{s:i, s:s}", "code", error->code, "message", error->message));
	json_object_set_new(document, "id", id != NULL && !json_is_null(id) ? json_incref(id) : json_integer(0));
	json_object_set_new(document, "jsonrpc", json_string("2.0"));
	if (result != NULL)
		json_object_set_new(document, "result", result);
	text = json_dumps(document, JSON_COMPACT);
	json_decref(document);
	return text;
}

static void
reply_whole(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	(void)ep;
	http_send(call->connection, answer);
}

static void
reply_nothing(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	(void)ep;
	(void)answer;
	http_close(call->connection);
}

static void
reply_cut(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	answer->cut = call->value > 0 ? (size_t)call->value : answer->size / 2;
	reply_whole(ep, call, answer);
}

static void
reply_cut_head(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	static const char line[] = "HTTP/1.1 200 Ok\r\n";

	answer->body = "";
	answer->size = 0;
	answer->head_only = sizeof line - 1;
	reply_whole(ep, call, answer);
}

static void
reply_garbage(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	answer->body = "{\"jsonrpc\": \"2.0\", \"resu<!-- \x01\x02";
	answer->size = strlen(answer->body);
	reply_whole(ep, call, answer);
}

static void
reply_twice(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	answer->twice = true;
	reply_whole(ep, call, answer);
}

static void
reply_status(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	answer->status = call->value > 0 ? (int)call->value : INTERNAL_ERROR_STATUS;
	answer->body = "";
	answer->size = 0;
	if (answer->status == 401)
		http_send_unauthorized(call->connection);
	else
		reply_whole(ep, call, answer);
}

static void
reply_error(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	struct method_error error = {.code = (int)call->value, .message = "the stand-in was told to say so"};
	char *text = write_answer(call, NULL, &error);

	if (error.code == ERROR_NO_WALLET) { /* then it is true */
		wallet_free(ep->wallet);
		ep->wallet = NULL;
	}
	answer->body = text;
	answer->size = text != NULL ? strlen(text) : 0;
	reply_whole(ep, call, answer);
	free(text);
}

static void
reply_by_dying(struct endpoint *ep, const struct call *call, struct http_answer *answer)
{
	(void)call;
	(void)answer;
	endpoint_kill(ep);
}

/* --- faults --------------------------------------------------------------- */

static const struct {
	const char *name;
	bool carried_out;
	void (*reply)(struct endpoint *ep, const struct call *call, struct http_answer *answer);
} fault_kinds[FAULT_COUNT] = {
	[FAULT_DELAY] = {"delay", true, reply_whole},
	[FAULT_LOST_BEFORE] = {"lost_before", false, reply_nothing},
	[FAULT_LOST] = {"lost", true, reply_nothing},
	[FAULT_CUT] = {"cut", true, reply_cut},
	[FAULT_CUT_HEAD] = {"cut_head", true, reply_cut_head},
	[FAULT_GARBAGE] = {"garbage", true, reply_garbage},
	[FAULT_TWICE] = {"twice", true, reply_twice},
	[FAULT_HTTP] = {"http", false, reply_status},
	[FAULT_ERROR] = {"error", false, reply_error},
	[FAULT_KILL_BEFORE] = {"kill_before", false, reply_by_dying},
	[FAULT_KILL] = {"kill", true, reply_by_dying},
	[FAULT_TORN] = {"torn", true, reply_by_dying},
};

bool
fault_parse(const char *name, enum fault_kind *kind)
{
	for (int i = 0; i < FAULT_COUNT; i++) {
		if (strcmp(fault_kinds[i].name, name) == 0) {
			*kind = (enum fault_kind)i;
			return true;
		}
	}
	return false;
}

bool
endpoint_add_fault(struct endpoint *ep, enum method method, enum fault_kind kind, int64_t value, int skip, int times)
{
	struct fault *fault = calloc(1, sizeof *fault);

	if (fault == NULL)
		return false;
	*fault = (struct fault){.method = method, .kind = kind, .value = value, .skip = skip, .times = times};
	TAILQ_INSERT_TAIL(&ep->faults, fault, entry);
	return true;
}

void
endpoint_clear_faults(struct endpoint *ep)
{
	struct fault *fault;

	while ((fault = TAILQ_FIRST(&ep->faults)) != NULL) {
		TAILQ_REMOVE(&ep->faults, fault, entry);
		free(fault);
	}
}

int
endpoint_faults(const struct endpoint *ep)
{
	const struct fault *fault;
	int count = 0;

	TAILQ_FOREACH(fault, &ep->faults, entry)
		count++;
	return count;
}

/* The first fault that is this call's; each that is not yet its turn counts down.
 * Returns the delay in ms. */
static int64_t
meet_faults(struct endpoint *ep, struct call *call)
{
	struct fault *fault, *next;
	int64_t delay = call->method < METHOD_COUNT ? settings->delay_ms[call->method] : 0;

	TAILQ_FOREACH_SAFE(fault, &ep->faults, entry, next) {
		if (fault->method != call->method)
			continue;
		if (fault->skip > 0) {
			fault->skip--;
			continue;
		}
		call->fault = fault->kind;
		call->value = fault->value;
		if (fault->times > 0 && --fault->times == 0) {
			TAILQ_REMOVE(&ep->faults, fault, entry);
			free(fault);
		}
		return call->fault == FAULT_DELAY ? call->value : delay;
	}
	return delay;
}

/* --- calls ---------------------------------------------------------------- */

/* Takes on->params over. */
static json_t *
run_method(struct endpoint *ep, enum method method, struct method_call *on)
{
	json_t *result = method_run(method, on);
	const char *name = json_string_value(json_object_get(on->params, "filename"));

	if (name == NULL && *on->wallet != NULL)
		name = (*on->wallet)->name;
	ledger_add(ep->port, method, name != NULL ? name : "", on->params, result != NULL ? 0 : on->error.code);
	json_decref(on->params);
	return result;
}

/* The result, or NULL and what is wrong with it. */
static json_t *
carry_out(struct endpoint *ep, const struct call *call, struct method_error *error)
{
	struct method_call on = {.wallet = &ep->wallet, .network = settings->network, .torn = call->fault == FAULT_TORN};
	json_t *params = json_object_get(call->request, "params"), *result = NULL;

	if (call->request == NULL && !call->empty)
		method_fail(&on, ERROR_PARSE, "Parse error");
	else if (json_string_value(json_object_get(call->request, "method")) == NULL)
		method_fail(&on, ERROR_INVALID_REQUEST, "Invalid Request");
	else if (call->method == METHOD_COUNT)
		method_fail(&on, ERROR_NO_METHOD, "Method not found");
	else {
		on.params = json_is_object(params) ? json_incref(params) : json_object();
		result = run_method(ep, call->method, &on);
	}
	*error = on.error;
	return result;
}

static void
perform(struct endpoint *ep, struct call *call)
{
	struct http_answer answer = {.status = 200};
	struct method_error error;
	bool stops = false;
	char *text = NULL;

	if (fault_kinds[call->fault].carried_out) {
		json_t *result = carry_out(ep, call, &error);
		stops = call->method == METHOD_STOP_WALLET && result != NULL;
		text = write_answer(call, result, &error);
		answer.body = text;
		answer.size = text != NULL ? strlen(text) : 0;
	}
	if (call->connection != NULL || fault_kinds[call->fault].reply == reply_by_dying)
		fault_kinds[call->fault].reply(ep, call, &answer);
	if (stops)
		endpoint_kill(ep);
	free(text);
	json_decref(call->request);
}

static void go_on(struct endpoint *ep);

static void
on_time(evutil_socket_t fd, short what, void *arg)
{
	struct endpoint *ep = arg;
	struct call *call = ep->current;

	(void)fd;
	(void)what;
	ep->current = NULL;
	perform(ep, call);
	free(call);
	ep->busy = false;
	go_on(ep);
}

static struct call *
copy_call(const struct call *call)
{
	struct call *copy = malloc(sizeof *copy);

	if (copy == NULL)
		abort();
	*copy = *call;
	return copy;
}

/* Takes the call over when it takes its time: then it is from malloc. */
static bool
begin(struct endpoint *ep, struct call *call, bool from_malloc)
{
	int64_t delay = meet_faults(ep, call);
	struct timeval tv = {delay / 1000, delay % 1000 * 1000};

	ep->busy = true;
	if (call->method < METHOD_COUNT)
		ep->calls[call->method]++;
	if (delay <= 0) {
		perform(ep, call);
		ep->busy = false;
		return false;
	}
	if (!from_malloc)
		call = copy_call(call);
	if (ep->timer == NULL)
		ep->timer = evtimer_new(base, on_time, ep);
	ep->current = call;
	event_add(ep->timer, &tv);
	return true;
}

static void
go_on(struct endpoint *ep)
{
	struct call *call;

	while (!ep->busy && (call = TAILQ_FIRST(&ep->waiting)) != NULL) {
		TAILQ_REMOVE(&ep->waiting, call, entry);
		if (!begin(ep, call, true))
			free(call);
	}
}

static void
on_request(const struct http_request *request, void *arg)
{
	struct endpoint *ep = arg;
	struct call call = {.connection = request->connection, .empty = request->size == 0, .method = METHOD_COUNT}, *waiting;
	struct http_answer nowhere = {.status = 404, .body = ""};
	const char *name;

	if (strcmp(request->path, "/json_rpc") != 0) {
		http_send(request->connection, &nowhere);
		return;
	}
	call.request = json_loadb(request->body, request->size, JSON_DISABLE_EOF_CHECK, NULL);
	if (call.request != NULL && !json_is_object(call.request)) {
		json_decref(call.request);
		call.request = NULL;
	}
	name = json_string_value(json_object_get(call.request, "method"));
	if (name != NULL)
		call.method = method_find(name);
	if (ep->busy) {
		waiting = copy_call(&call);
		TAILQ_INSERT_TAIL(&ep->waiting, waiting, entry);
	} else if (!begin(ep, &call, false)) {
		go_on(ep);
	}
}

static void
on_gone(struct http_connection *connection, void *arg)
{
	struct endpoint *ep = arg;
	struct call *call;

	if (ep->current != NULL && ep->current->connection == connection)
		ep->current->connection = NULL;
	TAILQ_FOREACH(call, &ep->waiting, entry) {
		if (call->connection == connection)
			call->connection = NULL;
	}
}

json_t *
endpoint_call(struct endpoint *ep, enum method method, json_t *params, struct method_error *error)
{
	struct method_call on = {.wallet = &ep->wallet, .network = settings->network, .params = params};
	json_t *result = method_run(method, &on);

	*error = on.error;
	return result;
}

/* --- its life ------------------------------------------------------------- */

static void
drop_call(struct call *call)
{
	json_decref(call->request);
	free(call);
}

void
endpoint_kill(struct endpoint *ep)
{
	struct call *call;

	while ((call = TAILQ_FIRST(&ep->waiting)) != NULL) {
		TAILQ_REMOVE(&ep->waiting, call, entry);
		drop_call(call);
	}
	if (ep->current != NULL) {
		event_del(ep->timer);
		drop_call(ep->current);
		ep->current = NULL;
		ep->busy = false;
	}
	http_server_free(ep->server);
	ep->server = NULL;
	wallet_free(ep->wallet);
	ep->wallet = NULL;
}

bool
endpoint_restart(struct endpoint *ep)
{
	if (ep->server == NULL)
		ep->server = http_listen(base, ep->port, settings->login, CONNECTIONS_MAX, on_request, on_gone, ep);
	return ep->server != NULL;
}

bool
endpoint_runs(const struct endpoint *ep)
{
	return ep->server != NULL;
}

int
endpoints_start(struct event_base *loop, const struct settings *given, int first_port, int count)
{
	base = loop;
	settings = given;
	endpoints = calloc((size_t)count, sizeof *endpoints);
	if (endpoints == NULL)
		return first_port;
	endpoint_count = count;
	for (int i = 0; i < endpoint_count; i++) {
		endpoints[i].port = first_port + i;
		TAILQ_INIT(&endpoints[i].waiting);
		TAILQ_INIT(&endpoints[i].faults);
	}
	for (int i = 0; i < endpoint_count; i++) {
		if (!endpoint_restart(&endpoints[i]))
			return endpoints[i].port;
	}
	return 0;
}

void
endpoints_stop(void)
{
	for (int i = 0; i < endpoint_count; i++) {
		struct endpoint *ep = &endpoints[i];
		if (ep->wallet != NULL)
			wallet_write(ep->wallet, WRITE_CACHE);
		endpoint_kill(ep);
		endpoint_clear_faults(ep);
		if (ep->timer != NULL)
			event_free(ep->timer);
	}
	free(endpoints);
	endpoint_count = 0;
}

int
endpoints_count(void)
{
	return endpoint_count;
}

struct endpoint *
endpoint_nth(int number)
{
	return number >= 0 && number < endpoint_count ? &endpoints[number] : NULL;
}

struct endpoint *
endpoint_at(int port)
{
	return endpoint_count > 0 ? endpoint_nth(port - endpoints[0].port) : NULL;
}

int
endpoint_port(const struct endpoint *ep)
{
	return ep->port;
}

uint64_t
endpoint_calls(const struct endpoint *ep, enum method method)
{
	return ep->calls[method];
}
