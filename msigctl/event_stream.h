/*
 * Reading GET /events: one JSON object a line, for as long as msigd sends
 * them. A reader that was cut off for being slow goes on by itself where it
 * was.
 */
#ifndef MSIGCTL_EVENT_STREAM_H
#define MSIGCTL_EVENT_STREAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "msigctl/command.h"

struct event_reader {
	const char *escrow_id; /* only events of this one; NULL: all */
	int64_t since;         /* events behind this seq; -1: from now on. Kept at the last one seen */
	int64_t deadline_ms;   /* clock_monotonic_ms() at which to end; 0: none */

	/* Called in this order; each but the event may be NULL. False ends it. */
	bool (*connected)(void *user); /* once: what happens from now on will be seen */
	bool (*event)(void *user, const json_t *event);
	void (*tick)(void *user);      /* after events, and at least once a second */
	void *user;
};

enum stream_end {
	STREAM_ENDED_BY_READER,
	STREAM_DEADLINE,
	STREAM_INTERRUPTED,
	STREAM_GONE,   /* msigd ended it, or went away: nothing has been said */
	STREAM_FAILED, /* said; *status is set */
};

enum stream_end event_stream_run(const struct context *context, struct event_reader *reader,
    enum exit_status *status);

/* The same beside something else, a bit at a time. Nobody is told of interrupts
 * and deadlines. NULL: it cannot begin, which has been said. */
struct event_stream;
struct event_stream *event_stream_begin(const struct context *context, struct event_reader *reader);
/* Takes what has come, without waiting. False: it has ended. */
bool event_stream_take(struct event_stream *stream);
/* stream may be NULL. */
void event_stream_end(struct event_stream *stream);

#endif
