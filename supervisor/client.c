#include "supervisor/client.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"

enum {
	REQUEST_MS = 30000,    /* for a request to arrive */
	LOOK_MS = 1000,        /* how often clients are looked at */
	FULL_MS = 50,          /* likewise, while others wait to be accepted */
	SAY_MS = 60000,        /* how often it is said that they wait */
	MOST_CLIENTS = 4096
};

struct client {
	uint64_t cookie;       /* 0: the descriptor is no client's */
	int64_t deadline_ms;   /* monotonic; 0: its request is being answered */
};

struct clients {
	struct evconnlistener *listener;
	struct event *adopt, *look;
	struct client *by_fd;
	int size;                     /* of by_fd */
	int count;                    /* of clients; those that went since the last look among them */
	int max;
	struct bufferevent **fresh;   /* accepted in this turn, and not in by_fd yet */
	int fresh_count;
	bool paused;                  /* nobody is accepted */
	int64_t said_ms;
};

/* libevent hands the error callback of a listener what the HTTP server bound to
 * it. There is one control socket. */
static struct clients *all;

static uint64_t
socket_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof cookie;

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

static void
look_in(struct clients *c, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(c->look, &tv);
}

/* --- those who are connected ---------------------------------------------- */

static void
add(struct clients *c, int fd)
{
	uint64_t cookie = socket_cookie(fd);

	if (cookie == 0)
		return;
	if (fd >= c->size) {
		int size = fd * 2 + 64;
		struct client *grown = reallocarray(c->by_fd, (size_t)size, sizeof *grown);
		if (grown == NULL)
			return;
		memset(grown + c->size, 0, (size_t)(size - c->size) * sizeof *grown);
		c->by_fd = grown;
		c->size = size;
	}
	if (c->by_fd[fd].cookie == 0)
		c->count++;
	c->by_fd[fd] = (struct client){cookie, clock_monotonic_ms() + REQUEST_MS};
	if (!event_pending(c->look, EV_TIMEOUT, NULL))
		look_in(c, LOOK_MS);
}

/* Forgets those who went. Cuts off those whose time is over: the HTTP server
 * finds the end of what it reads, and closes. */
static void
look(struct clients *c)
{
	int64_t now = clock_monotonic_ms();

	for (int fd = 0; fd < c->size; fd++) {
		struct client *client = &c->by_fd[fd];
		if (client->cookie == 0)
			continue;
		if (socket_cookie(fd) != client->cookie) {
			client->cookie = 0;
			c->count--;
		} else if (client->deadline_ms != 0 && now >= client->deadline_ms) {
			shutdown(fd, SHUT_RDWR);
		}
	}
}

static struct client *
client_of(struct clients *c, struct evhttp_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);
	int fd = connection != NULL ? bufferevent_getfd(evhttp_connection_get_bufferevent(connection)) : -1;

	return fd >= 0 && fd < c->size ? &c->by_fd[fd] : NULL;
}

static void
on_answered(struct evhttp_request *request, void *arg)
{
	struct client *client = client_of(arg, request);

	if (client != NULL)
		client->deadline_ms = clock_monotonic_ms() + REQUEST_MS;
}

void
clients_arrived(struct clients *c, struct evhttp_request *request)
{
	struct client *client = client_of(c, request);

	if (client == NULL)
		return;
	client->deadline_ms = 0;
	evhttp_request_set_on_complete_cb(request, on_answered, c);
}

int
clients_max(const struct clients *c)
{
	return c->max;
}

/* --- accepting ------------------------------------------------------------ */

static void
pause_accepting(struct clients *c, int64_t ms, const char *reason)
{
	int64_t now = clock_monotonic_ms();

	c->paused = true;
	evconnlistener_disable(c->listener);
	look_in(c, ms);
	if (c->said_ms != 0 && now - c->said_ms < SAY_MS)
		return;
	c->said_ms = now;
	log_warn("clients_wait", F_INT("clients", c->count), F_STR("reason", reason));
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct clients *c = arg;

	(void)fd;
	(void)what;
	look(c);
	if (c->paused && c->count < c->max) {
		c->paused = false;
		evconnlistener_enable(c->listener);
	}
	if (c->paused || c->count > 0)
		look_in(c, c->paused ? FULL_MS : LOOK_MS);
}

/* accept(2) failed: no descriptors, no memory. That passes, and to try again at
 * once would be to do nothing else. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	(void)listener;
	(void)arg;
	pause_accepting(all, LOOK_MS, strerror(errno));
}

/* The descriptors are there now, and no other event has closed one. */
static void
on_adopt(evutil_socket_t fd, short what, void *arg)
{
	struct clients *c = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < c->fresh_count; i++) {
		int client_fd = bufferevent_getfd(c->fresh[i]);
		if (client_fd != -1)
			add(c, client_fd);
		bufferevent_decref(c->fresh[i]);
	}
	c->fresh_count = 0;
}

/* Called for each connection that was accepted, before it gets its descriptor. */
static struct bufferevent *
on_accepted(struct event_base *base, void *arg)
{
	struct clients *c = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);

	if (bev != NULL && c->fresh_count < c->max) {
		bufferevent_incref(bev);
		c->fresh[c->fresh_count++] = bev;
		event_active(c->adopt, EV_TIMEOUT, 1);
	}
	if (c->count + c->fresh_count >= c->max)
		look(c);
	if (c->count + c->fresh_count >= c->max)
		pause_accepting(c, FULL_MS, "there are as many as RLIMIT_NOFILE has room for");
	return bev;
}

/* --- all of them ---------------------------------------------------------- */

static int
room_for_clients(void)
{
	struct rlimit files;
	rlim_t most = MOST_CLIENTS;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 4 < most)
		most = files.rlim_cur / 4;
	return most > 0 ? (int)most : 1;
}

struct clients *
clients_new(struct event_base *base, struct evhttp *http, int fd)
{
	struct clients *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->max = room_for_clients();
	c->fresh = calloc((size_t)c->max, sizeof(struct bufferevent *));
	c->adopt = event_new(base, -1, 0, on_adopt, c);
	c->look = evtimer_new(base, on_look, c);
	c->listener = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, 0, fd);
	if (c->fresh == NULL || c->adopt == NULL || c->look == NULL || c->listener == NULL ||
	    evhttp_bind_listener(http, c->listener) == NULL) {
		if (c->listener != NULL)
			evconnlistener_free(c->listener);
		clients_free(c);
		return NULL;
	}
	all = c;
	evconnlistener_set_error_cb(c->listener, on_accept_error);
	evhttp_set_bevcb(http, on_accepted, c);
	return c;
}

void
clients_free(struct clients *c)
{
	if (c == NULL)
		return;
	if (c->adopt != NULL)
		event_free(c->adopt);
	if (c->look != NULL)
		event_free(c->look);
	free(c->fresh);
	free(c->by_fd);
	free(c);
}
