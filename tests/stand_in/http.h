/*
 * As much of an HTTP/1.1 server as monero-wallet-rpc has: kept connections, a
 * body by its Content-Length, digest login. One request of a connection at a
 * time; it is answered when whoever serves it says so, or never.
 */
#ifndef STAND_IN_HTTP_H
#define STAND_IN_HTTP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct http_server;
struct http_connection;

struct http_request {
	struct http_connection *connection;
	const char *verb, *path;
	const char *body; /* borrowed until the function returns; no NUL behind it */
	size_t size;
};

struct http_answer {
	int status;
	const char *body;
	size_t size;
	size_t cut;       /* so many bytes from the end are not sent, and then it closes; 0: it is whole */
	size_t head_only; /* so many bytes of the head are sent, and then it closes; 0: all of it */
	bool twice;       /* the same answer once more behind it */
};

/* Has to come to http_send(), http_send_unauthorized() or http_close() at some time. */
typedef void (*http_request_fn)(const struct http_request *request, void *arg);

/* The client hung up before its answer; the connection is no longer there. */
typedef void (*http_gone_fn)(struct http_connection *connection, void *arg);

/* On 127.0.0.1. login: "user:password" or NULL. connections_max: who comes
 * beyond them is hung up on. NULL with errno. */
struct http_server *http_listen(struct event_base *base, int port, const char *login, int connections_max,
    http_request_fn on_request, http_gone_fn on_gone, void *arg);

/* Hangs up on everyone, without on_gone. */
void http_server_free(struct http_server *server);

/* Each ends the request; http_send() may begin the next one before it returns. */
void http_send(struct http_connection *connection, const struct http_answer *answer);
void http_close(struct http_connection *connection);

/* A 401 as for a wrong login, whatever it was. */
void http_send_unauthorized(struct http_connection *connection);

#endif
