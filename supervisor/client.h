/*
 * The connections of the control socket: how many there may be, and until when
 * each has to have sent a request. libevent's HTTP server owns them and tells
 * of none; here each is known by its descriptor and the cookie of its socket,
 * which no other socket ever gets.
 *
 * Those too many are not accepted, and wait in the kernel until others go: so
 * forks, files and the store always find descriptors.
 */
#ifndef SUPERVISOR_CLIENT_H
#define SUPERVISOR_CLIENT_H

#include <event2/event.h>

struct clients;
struct evhttp;
struct evhttp_request;

/* Has http serve who connects to fd, which listens and becomes http's. NULL:
 * out of memory. */
struct clients *clients_new(struct event_base *base, struct evhttp *http, int fd);

/* Only after evhttp_free(): the connections are http's. */
void clients_free(struct clients *clients);

/* How many there may be: a quarter of RLIMIT_NOFILE, and 4096 at most. */
int clients_max(const struct clients *clients);

/* A request has arrived, whole. The time for the next one begins when it has
 * been answered. */
void clients_arrived(struct clients *clients, struct evhttp_request *request);

#endif
