/*
 * The Unix socket: HTTP with libevent's server. POST /json_rpc goes to api.c,
 * GET /events to feed.c, GET /metrics is answered here. Limits: a body of 1
 * MiB, headers of 16 KiB, 30 s for a whole request to arrive, 30 s in which
 * nothing of an answer is taken; how many clients at a time, client.h says.
 */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct control;
struct evhttp_request;
struct supervisor;

/* Listens at config->socket (0660). A socket file that nobody listens at is
 * replaced. NULL: why says what is wrong. */
struct control *control_new(struct supervisor *sv, char *why, size_t why_size);

/* Stops listening, and removes the socket file. */
void control_free(struct control *control);

/* How many clients there may be at a time. */
int control_clients_max(const struct control *control);

/* Who is at the other end, for the log: -1 when that cannot be known. */
void control_peer(struct evhttp_request *request, pid_t *pid, uid_t *uid);

#endif
