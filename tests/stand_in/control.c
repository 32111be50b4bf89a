/*
 * Members of params: "endpoint" is a port, or none for all of them; "call" a
 * method of wallet-rpc. So
 *
 *     {"method": "fault", "params": {"endpoint": 20001, "call": "make_multisig", "kind": "lost"}}
 *
 * loses the answer of the next make_multisig there. What kinds there are is in
 * endpoint.h.
 */
#include "tests/stand_in/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/stand_in/endpoint.h"
#include "tests/stand_in/http.h"
#include "tests/stand_in/ledger.h"

enum { CLIENTS_MAX = 100 };

static struct http_server *server;
static int64_t *delays;

/* One order, once for each endpoint it is for. ep == NULL: for none in particular. */
struct order {
	struct endpoint *ep;
	json_t *params;
	char why[256];
};

static bool
refuse(struct order *order, const char *why)
{
	snprintf(order->why, sizeof order->why, "%s", why);
	return false;
}

static bool
find_call(struct order *order, enum method *method)
{
	const char *name = json_string_value(json_object_get(order->params, "call"));

	*method = name != NULL ? method_find(name) : METHOD_COUNT;
	return *method != METHOD_COUNT || refuse(order, "call: there is no such method");
}

static json_int_t
number(const struct order *order, const char *name, json_int_t otherwise)
{
	const json_t *value = json_object_get(order->params, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* --- orders --------------------------------------------------------------- */

/* {call, kind, value, skip, times} */
static bool
order_fault(struct order *order, json_t *result)
{
	const char *name = json_string_value(json_object_get(order->params, "kind"));
	enum fault_kind kind;
	enum method method;

	(void)result;
	if (!find_call(order, &method))
		return false;
	if (name == NULL || !fault_parse(name, &kind))
		return refuse(order, "kind: there is no such fault");
	return endpoint_add_fault(order->ep, method, kind, number(order, "value", 0), (int)number(order, "skip", 0),
	    (int)number(order, "times", 1));
}

static bool
order_clear_faults(struct order *order, json_t *result)
{
	(void)result;
	endpoint_clear_faults(order->ep);
	return true;
}

/* Adds up: {"left": …}, those that no call has met. */
static bool
order_faults(struct order *order, json_t *result)
{
	json_int_t left = json_integer_value(json_object_get(result, "left"));

	json_object_set_new(result, "left", json_integer(left + endpoint_faults(order->ep)));
	return true;
}

static bool
order_kill(struct order *order, json_t *result)
{
	(void)result;
	endpoint_kill(order->ep);
	return true;
}

static bool
order_restart(struct order *order, json_t *result)
{
	(void)result;
	return endpoint_restart(order->ep) || refuse(order, strerror(errno));
}

/* {call, params}: a call behind the clients' backs. */
static bool
order_call(struct order *order, json_t *result)
{
	json_t *params = json_object_get(order->params, "params"), *answer;
	struct method_error error = {0};
	enum method method;

	if (!find_call(order, &method))
		return false;
	if (!endpoint_runs(order->ep))
		return refuse(order, "endpoint: it does not run");
	params = params != NULL ? json_incref(params) : json_object();
	answer = endpoint_call(order->ep, method, params, &error);
	json_decref(params);
	if (answer == NULL) {
		snprintf(order->why, sizeof order->why, "%.200s (%d)", error.message, error.code);
		return false;
	}
	json_object_update(result, answer);
	json_decref(answer);
	return true;
}

/* Adds up: {"make_multisig": 3, …, "total": 20} */
static bool
order_counters(struct order *order, json_t *result)
{
	json_int_t total = json_integer_value(json_object_get(result, "total"));

	for (int i = 0; i < METHOD_COUNT; i++) {
		const char *name = method_name((enum method)i);
		json_int_t calls = (json_int_t)endpoint_calls(order->ep, (enum method)i);
		total += calls;
		if (calls > 0)
			json_object_set_new(result, name, json_integer(calls + json_integer_value(json_object_get(result, name))));
	}
	json_object_set_new(result, "total", json_integer(total));
	return true;
}

/* {call, value}: ms that this method takes on every endpoint. */
static bool
order_delay(struct order *order, json_t *result)
{
	enum method method;

	(void)result;
	if (!find_call(order, &method))
		return false;
	delays[method] = number(order, "value", 0);
	return true;
}

/* {"entries": …} */
static bool
order_ledger(struct order *order, json_t *result)
{
	(void)order;
	json_object_set_new(result, "entries", ledger_entries());
	return true;
}

/* {"pid": …}: whether it is this one that has the port. */
static bool
order_pid(struct order *order, json_t *result)
{
	(void)order;
	json_object_set_new(result, "pid", json_integer(getpid()));
	return true;
}

static const struct {
	const char *name;
	bool (*run)(struct order *order, json_t *result);
	bool for_endpoints;
} orders[] = {
	{"fault", order_fault, true},
	{"clear_faults", order_clear_faults, true},
	{"faults", order_faults, true},
	{"kill", order_kill, true},
	{"restart", order_restart, true},
	{"call", order_call, true},
	{"counters", order_counters, true},
	{"delay", order_delay, false},
	{"ledger", order_ledger, false},
	{"pid", order_pid, false},
};

/* --- requests ------------------------------------------------------------- */

/* For the endpoint that it names, or for every one. */
static bool
run_order(size_t which, struct order *order, json_t *result)
{
	json_int_t port = number(order, "endpoint", 0);

	if (!orders[which].for_endpoints)
		return orders[which].run(order, result);
	if (port != 0) {
		order->ep = endpoint_at((int)port);
		return order->ep != NULL ? orders[which].run(order, result) : refuse(order, "endpoint: there is none on this port");
	}
	for (int i = 0; i < endpoints_count(); i++) {
		order->ep = endpoint_nth(i);
		if (!orders[which].run(order, result))
			return false;
	}
	return true;
}

static json_t *
obey(json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "method"));
	struct order order = {.params = json_object_get(request, "params"), .why = "method: there is none of this name"};
	json_t *result = json_object();

	for (size_t i = 0; name != NULL && i < sizeof orders / sizeof orders[0]; i++) {
		if (strcmp(orders[i].name, name) != 0)
			continue;
		if (run_order(i, &order, result))
			return json_pack("{s:o}", "result", result);
		break;
	}
	json_decref(result);
	return json_pack("{s:{s:i, s:s}}", "error", "code", -1, "message", order.why);
}

static void
on_request(const struct http_request *request, void *arg)
{
	json_t *document = json_loadb(request->body, request->size, 0, NULL), *reply = obey(document);
	char *text = json_dumps(reply, JSON_COMPACT);
	struct http_answer answer = {.status = 200, .body = text, .size = text != NULL ? strlen(text) : 0};

	(void)arg;
	http_send(request->connection, &answer);
	free(text);
	json_decref(reply);
	json_decref(document);
}

static void
on_gone(struct http_connection *connection, void *arg)
{
	(void)connection;
	(void)arg;
}

bool
control_start(struct event_base *base, int port, int64_t *delay_ms)
{
	delays = delay_ms;
	server = http_listen(base, port, NULL, CLIENTS_MAX, on_request, on_gone, NULL);
	return server != NULL;
}

void
control_stop(void)
{
	http_server_free(server);
}
