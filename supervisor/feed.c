#include "supervisor/feed.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/uuid.h"
#include "supervisor/control.h"
#include "supervisor/supervisor.h"

enum {
	BATCH = 100,               /* events fetched for a reader at a time */
	PENDING_MAX = 64 * 1024,   /* bytes a reader may have outstanding */
	STUCK_SECONDS = 30
};

struct reader {
	TAILQ_ENTRY(reader) next;
	struct feed *feed;
	struct evhttp_request *request;
	struct bufferevent *bev;
	char escrow_id[UUID_TEXT]; /* or "" for all */
	int64_t since;
	bool follows;              /* it began with what was last, and not with a number */
	struct event *stuck;       /* pending while it has something to take */
	struct evbuffer_cb_entry *taken;
};

struct feed {
	struct supervisor *sv;
	TAILQ_HEAD(, reader) readers;
	int count;
	bool waits;                /* for the end of the store's turn */
};

static void
reader_free(struct reader *r)
{
	TAILQ_REMOVE(&r->feed->readers, r, next);
	r->feed->count--;
	if (r->taken != NULL)
		evbuffer_remove_cb_entry(bufferevent_get_output(r->bev), r->taken);
	event_free(r->stuck);
	free(r);
}

/* The connection is gone, by whomever's hand. When the client went, libevent
 * has taken the request out of it, and leaves it to us. */
static void
on_close(struct evhttp_connection *connection, void *arg)
{
	struct evhttp_request *request = ((struct reader *)arg)->request;

	(void)connection;
	reader_free(arg);
	if (evhttp_request_get_connection(request) == NULL)
		evhttp_request_free(request);
}

static void
end_stream(struct reader *r)
{
	struct evhttp_request *request = r->request;

	evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
	reader_free(r);
	evhttp_send_reply_end(request); /* may end the connection, and its buffers with it */
}

struct batch {
	struct evbuffer *chunk;
	int64_t last;
	int count;
};

static void
add_event(int64_t seq, const char *line, void *arg)
{
	struct batch *batch = arg;

	evbuffer_add_printf(batch->chunk, "%s\n", line);
	batch->last = seq;
	batch->count++;
}

static void
watch(struct reader *r)
{
	static const struct timeval limit = {STUCK_SECONDS, 0};

	event_add(r->stuck, &limit);
}

/* It took some of what there is for it: the time begins anew. */
static void
on_taken(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	struct reader *r = arg;

	(void)output;
	if (info->n_deleted > 0 && event_pending(r->stuck, EV_TIMEOUT, NULL))
		watch(r);
}

static void feed_reader(struct reader *r);

static void
on_drained(struct evhttp_connection *connection, void *arg)
{
	(void)connection;
	event_del(((struct reader *)arg)->stuck);
	feed_reader(arg);
}

/* feed_wake() comes after a commit; here the turn was rolled back: what was
 * durable before is still to be read, and the numbers of its events will be
 * those of others. */
static void
on_turn_end(bool durable, void *arg)
{
	struct supervisor *sv = arg;
	struct reader *r;

	if (sv->feed == NULL)
		return;
	sv->feed->waits = false;
	if (durable)
		return;
	TAILQ_FOREACH(r, &sv->feed->readers, next) {
		if (r->follows && r->since > store_last_event(sv->store))
			r->since = store_last_event(sv->store);
	}
	feed_wake(sv->feed);
}

/* What is not durable is not said. */
static void
wait_for_turn(struct feed *feed)
{
	if (feed->waits)
		return;
	feed->waits = true;
	store_when_durable(feed->sv->store, on_turn_end, feed->sv);
}

static void
feed_reader(struct reader *r)
{
	struct batch batch = {NULL, r->since, 0};

	if (evbuffer_get_length(bufferevent_get_output(r->bev)) > PENDING_MAX)
		return; /* goes on when it has taken that: on_drained() */
	if (store_turn_open(r->feed->sv->store)) {
		wait_for_turn(r->feed);
		return;
	}
	batch.chunk = evbuffer_new();
	if (batch.chunk == NULL)
		return;
	store_each_event(r->feed->sv->store, r->since, r->escrow_id[0] != '\0' ? r->escrow_id : NULL, BATCH,
	    add_event, &batch);
	r->since = batch.last;
	if (batch.count > 0) {
		if (!event_pending(r->stuck, EV_TIMEOUT, NULL))
			watch(r);
		evhttp_send_reply_chunk_with_cb(r->request, batch.chunk, on_drained, r);
	}
	evbuffer_free(batch.chunk);
}

/* Nothing was taken for too long. The connection is closed hard: a polite end
 * would have to wait behind what is not taken. */
static void
on_stuck(evutil_socket_t fd, short what, void *arg)
{
	struct reader *r = arg;

	(void)fd;
	(void)what;
	log_info("events_reader_cut_off", F_INT("seq", r->since));
	evhttp_connection_free(evhttp_request_get_connection(r->request)); /* on_close() frees the reader */
}

/* --- a new reader --------------------------------------------------------- */

static bool
parse_query(struct evhttp_request *request, struct reader *r, char *why, size_t why_size)
{
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
	struct evkeyvalq keys;
	struct evkeyval *pair;
	bool ok = true;

	if (query == NULL)
		return true;
	if (evhttp_parse_query_str(query, &keys) == -1) {
		snprintf(why, why_size, "the query cannot be read: /events?since=SEQ&escrow=ID\n");
		return false;
	}
	TAILQ_FOREACH(pair, &keys, next) {
		char *end = NULL;
		if (strcmp(pair->key, "since") == 0) {
			errno = 0;
			r->since = strtoll(pair->value, &end, 10);
			r->follows = false;
			if (*pair->value == '\0' || *end != '\0' || r->since < 0 || errno != 0) {
				snprintf(why, why_size, "since: \"%.40s\" is no number of an event\n", pair->value);
				ok = false;
			}
		} else if (strcmp(pair->key, "escrow") == 0) {
			if (!uuid_normalise(pair->value, r->escrow_id)) {
				snprintf(why, why_size, "escrow: \"%.40s\" is no UUID\n", pair->value);
				ok = false;
			}
		} else {
			snprintf(why, why_size, "unknown parameter \"%.40s\": there are since and escrow\n", pair->key);
			ok = false;
		}
	}
	evhttp_clear_headers(&keys);
	return ok;
}

static void
refuse(struct evhttp_request *request, int code, const char *reason, const char *why)
{
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "text/plain");
	evbuffer_add(body, why, strlen(why));
	evhttp_send_reply(request, code, reason, body);
	evbuffer_free(body);
}

void
feed_serve(struct feed *feed, struct evhttp_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);
	struct reader *r;
	char why[128];

	/* readers stay, and others must find a place */
	if (feed->count >= control_clients_max(feed->sv->control) / 2) {
		refuse(request, 503, "Service Unavailable", "there are too many readers of /events: try again later\n");
		return;
	}
	r = calloc(1, sizeof *r);
	if (r == NULL || (r->stuck = evtimer_new(feed->sv->base, on_stuck, r)) == NULL) {
		free(r);
		evhttp_send_error(request, 503, "out of memory");
		return;
	}
	r->feed = feed;
	r->request = request;
	r->bev = evhttp_connection_get_bufferevent(connection);
	r->since = store_last_event(feed->sv->store);
	r->follows = true;
	TAILQ_INSERT_TAIL(&feed->readers, r, next);
	feed->count++;
	if (!parse_query(request, r, why, sizeof why)) {
		reader_free(r);
		refuse(request, 400, "Bad Request", why);
		return;
	}
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/x-ndjson");
	evhttp_add_header(evhttp_request_get_output_headers(request), "Cache-Control", "no-store");
	evhttp_connection_set_closecb(connection, on_close, r);
	/* a quiet stream is no dead one: only `stuck` ends it */
	bufferevent_set_timeouts(r->bev, NULL, NULL);
	r->taken = evbuffer_add_cb(bufferevent_get_output(r->bev), on_taken, r);
	evhttp_send_reply_start(request, 200, "OK");
	feed_reader(r);
}

/* --- all of them ---------------------------------------------------------- */

struct feed *
feed_new(struct supervisor *sv)
{
	struct feed *feed = calloc(1, sizeof *feed);

	if (feed == NULL)
		return NULL;
	feed->sv = sv;
	TAILQ_INIT(&feed->readers);
	return feed;
}

void
feed_free(struct feed *feed)
{
	struct reader *r;

	if (feed == NULL)
		return;
	while ((r = TAILQ_FIRST(&feed->readers)) != NULL)
		end_stream(r);
	feed->sv->feed = NULL;
	free(feed);
}

void
feed_wake(struct feed *feed)
{
	struct reader *r, *next;

	TAILQ_FOREACH_SAFE(r, &feed->readers, next, next)
		feed_reader(r);
}
