/*
 * The client of monero-wallet-rpc against a server that breaks off, refuses and
 * lies: what it says of a call's outcome, and that no request which may have
 * been carried out goes out a second time. The server runs on the same loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/wallet_rpc.h"

/* What the server does with the n-th request it gets, on whatever connection. */
struct reply {
	const char *text;    /* NULL: nothing */
	bool close;          /* when the reply is written */
};

enum { REPLIES_MAX = 8 };

struct scene {
	const char *what;
	const char *login;
	int calls;           /* one after the other; the outcome is the last one's */
	struct reply replies[REPLIES_MAX];
	enum rpc_outcome outcome;
	int bodies;          /* requests with a body that reached the server */
};

static struct event_base *base;
static struct rpc_endpoint *endpoint;
static const struct scene *scene;
static int requests, bodies, sends, calls_left, port;
static enum rpc_outcome outcome;
static char why[RPC_WHY_MAX];

/* In place of the C library's, which libcurl calls: the server does not use it. */
ssize_t
send(int fd, const void *data, size_t size, int flags)
{
	sends++;
	return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

/* --- the server ----------------------------------------------------------- */

static void
on_written(struct bufferevent *bev, void *arg)
{
	(void)arg;
	bufferevent_free(bev);
}

static void
on_server_event(struct bufferevent *bev, short what, void *arg)
{
	(void)arg;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(bev);
}

/* Takes one request off the input: the size of its body, or -1. */
static int
take_request(struct evbuffer *input)
{
	char *text = (char *)evbuffer_pullup(input, -1), *end, *length;
	size_t size = evbuffer_get_length(input), whole;
	int body;

	end = text != NULL ? memmem(text, size, "\r\n\r\n", 4) : NULL;
	if (end == NULL)
		return -1;
	length = memmem(text, (size_t)(end - text), "Content-Length: ", 16);
	body = length != NULL ? atoi(length + 16) : 0;
	whole = (size_t)(end - text) + 4 + (size_t)body;
	if (size < whole)
		return -1;
	evbuffer_drain(input, whole);
	return body;
}

static void
on_request(struct bufferevent *bev, void *arg)
{
	int body = take_request(bufferevent_get_input(bev));
	const struct reply *r;

	(void)arg;
	if (body == -1)
		return;
	bodies += body > 0;
	assert_true(requests < REPLIES_MAX);
	r = &scene->replies[requests++];
	if (r->text != NULL)
		bufferevent_write(bev, r->text, strlen(r->text));
	if (!r->close)
		return;
	if (r->text == NULL)
		bufferevent_free(bev);
	else
		bufferevent_setcb(bev, NULL, on_written, on_server_event, NULL);
}

static void
on_connection(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)listener;
	(void)address;
	(void)size;
	(void)arg;
	bufferevent_setcb(bev, on_request, NULL, on_server_event, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* --- a scene -------------------------------------------------------------- */

static void on_answer(const struct rpc_result *result, void *arg);

/* Long where an answer comes: the machine may be busy. */
static int
limit_ms(void)
{
	return strncmp(scene->what, "no answer", 9) == 0 ? 1000 : 60000;
}

/* A little later, so that a connection the server closed is seen to be closed. */
static void
begin_call(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	assert_true(rpc_call(endpoint, "make_multisig", NULL, limit_ms(), on_answer, NULL));
}

static void
on_answer(const struct rpc_result *result, void *arg)
{
	static const struct timeval later = {0, 20000};

	(void)arg;
	outcome = result->outcome;
	snprintf(why, sizeof why, "%s", result->why);
	if (--calls_left > 0)
		event_base_once(base, -1, EV_TIMEOUT, begin_call, NULL, &later);
	else
		event_base_loopexit(base, &later); /* what is sent too much shall arrive */
}

static void
play(const struct scene *s)
{
	struct rpc_client *client = rpc_client_new(base, NULL);
	char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
	endpoint = rpc_endpoint_new(client, url, s->login, NULL);
	assert_non_null(endpoint);
	scene = s;
	requests = bodies = sends = 0;
	calls_left = s->calls;
	begin_call(-1, 0, NULL);
	event_base_dispatch(base);
	if (outcome != s->outcome || bodies != s->bodies)
		fail_msg("%s: outcome %d (%s), %d bodies", s->what, (int)outcome, why, bodies);
	if (sends != requests)
		fail_msg("%s: %d requests in %d pieces", s->what, requests, sends);
	rpc_endpoint_free(endpoint);
	rpc_client_free(client);
}

static int
open_server(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	struct evconnlistener *listener;

	base = event_base_new();
	listener = evconnlistener_new_bind(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, 8,
	    (struct sockaddr *)&address, sizeof address);
	if (listener == NULL || getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &size) == -1)
		return -1;
	port = ntohs(address.sin_port);
	*state = listener;
	return 0;
}

static int
close_server(void **state)
{
	evconnlistener_free(*state);
	event_base_free(base);
	return 0;
}

/* --- the scenes ----------------------------------------------------------- */

#define HTTP(status, length, body) "HTTP/1.1 " status "\r\nContent-Length: " length "\r\n\r\n" body
#define GOOD(id) HTTP("200 Ok", "22", "{\"id\":\"" id "\",\"result\":{}}")
#define CHALLENGE(nonce, stale) "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Digest " \
	"qop=\"auth\",algorithm=MD5,realm=\"r\",nonce=\"" nonce "\",stale=" stale "\r\n\r\n"

static const struct scene scenes[] = {
	{"an answer", NULL, 1, {{GOOD("1"), false}}, RPC_ANSWERED, 1},
	{"two on one connection", NULL, 2, {{GOOD("1"), false}, {GOOD("2"), false}}, RPC_ANSWERED, 2},
	{"a login", "u:p", 1, {{CHALLENGE("a", "false"), false}, {GOOD("1"), false}}, RPC_ANSWERED, 1},
	{"a login refused", "u:p", 1, {{CHALLENGE("a", "false"), false}, {CHALLENGE("a", "false"), false}}, RPC_REFUSED, 1},
	{"a login wanted", NULL, 1, {{CHALLENGE("a", "false"), false}}, RPC_REFUSED, 1},
	{"a nonce that is always stale", "u:p", 1, {{CHALLENGE("a", "false"), false}, {CHALLENGE("b", "true"), false},
	    {CHALLENGE("c", "true"), false}, {CHALLENGE("d", "true"), false}}, RPC_REFUSED, 3},
	{"a login that nobody wants", "u:p", 1, {{HTTP("200 Ok", "0", ""), false}, {GOOD("1"), false}}, RPC_ANSWERED, 1},

	/* the first request of a login has no body, so nothing was done */
	{"dropped before the login", "u:p", 1, {{NULL, true}}, RPC_DOWN, 0},
	{"no answer before the login", "u:p", 1, {{NULL, false}}, RPC_DOWN, 0},

	/* nothing of these may be sent again */
	{"dropped", NULL, 1, {{NULL, true}}, RPC_UNKNOWN, 1},
	{"dropped on a connection used before", NULL, 2, {{GOOD("1"), false}, {NULL, true}}, RPC_UNKNOWN, 2},
	{"dropped after the login", "u:p", 1, {{CHALLENGE("a", "false"), false}, {NULL, true}}, RPC_UNKNOWN, 1},
	{"dropped later, with a login", "u:p", 2, {{CHALLENGE("a", "false"), false}, {GOOD("1"), false}, {NULL, true}},
	    RPC_UNKNOWN, 2},
	{"dropped after a stale nonce", "u:p", 2, {{CHALLENGE("a", "false"), false}, {GOOD("1"), true},
	    {CHALLENGE("b", "true"), false}, {NULL, true}}, RPC_UNKNOWN, 3},
	{"dropped after a stale nonce on the connection used before", "u:p", 2, {{CHALLENGE("a", "false"), false},
	    {GOOD("1"), false}, {CHALLENGE("b", "true"), false}, {NULL, true}}, RPC_UNKNOWN, 3},
	{"no answer after a stale nonce", "u:p", 2, {{CHALLENGE("a", "false"), false}, {GOOD("1"), false},
	    {CHALLENGE("b", "true"), false}, {NULL, false}}, RPC_UNKNOWN, 3},
	{"cut off after a stale nonce", "u:p", 2, {{CHALLENGE("a", "false"), false}, {GOOD("1"), false},
	    {CHALLENGE("b", "true"), true}, {"HTTP/1.1 40", true}}, RPC_UNKNOWN, 3},

	/* an idle connection that was closed is opened again */
	{"closed when idle", NULL, 2, {{GOOD("1"), true}, {GOOD("2"), false}}, RPC_ANSWERED, 2},
	{"closed when idle, with a login", "u:p", 2, {{CHALLENGE("a", "false"), false}, {GOOD("1"), true},
	    {CHALLENGE("b", "true"), false}, {GOOD("2"), false}}, RPC_ANSWERED, 3},

	{"a header cut off", NULL, 1, {{"HTTP/1.1 200 Ok\r\nContent-Le", true}}, RPC_UNKNOWN, 1},
	{"a status cut off", NULL, 1, {{"HTTP/1.1 40", true}}, RPC_UNKNOWN, 1},
	{"a body cut off", NULL, 1, {{HTTP("200 Ok", "500", "{\"id\":\"1\""), true}}, RPC_UNKNOWN, 1},
	{"an empty body", NULL, 1, {{HTTP("200 Ok", "0", ""), false}}, RPC_UNKNOWN, 1},
	{"no JSON", NULL, 1, {{HTTP("200 Ok", "6", "<html>"), false}}, RPC_UNKNOWN, 1},
	{"the answer to another call", NULL, 1, {{GOOD("9"), false}}, RPC_UNKNOWN, 1},
	{"neither result nor error", NULL, 1, {{HTTP("200 Ok", "10", "{\"id\":\"1\"}"), false}}, RPC_UNKNOWN, 1},
	{"an error", NULL, 1, {{HTTP("200 Ok", "44", "{\"id\":\"1\",\"error\":{\"code\":0,\"message\":\"\"}}  "), false}},
	    RPC_ERROR, 1},
	{"no HTTP", NULL, 1, {{"hello\r\n\r\n", true}}, RPC_UNKNOWN, 1},
	{"HTTP 500", NULL, 1, {{HTTP("500 Internal", "0", ""), false}}, RPC_UNKNOWN, 1},
	{"HTTP 204", NULL, 1, {{"HTTP/1.1 204 No Content\r\n\r\n", false}}, RPC_UNKNOWN, 1},
	{"HTTP 404", NULL, 1, {{HTTP("404 Not found", "0", ""), false}}, RPC_REFUSED, 1},
	{"HTTP 301", NULL, 1, {{"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", false}}, RPC_REFUSED, 1},
	{"no answer in time", NULL, 1, {{NULL, false}}, RPC_UNKNOWN, 1},
};

static void
outcomes_are_true_and_nothing_is_sent_twice(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
		play(&scenes[i]);
}

static void
nobody_there_means_nothing_was_done(void **state)
{
	static const struct scene s = {"nobody there", NULL, 1, {{NULL, false}}, RPC_DOWN, 0};
	int open = port;

	(void)state;
	port = 1;
	play(&s);
	port = open;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes_are_true_and_nothing_is_sent_twice),
		cmocka_unit_test(nobody_there_means_nothing_was_done),
	};

	return cmocka_run_group_tests(tests, open_server, close_server);
}
