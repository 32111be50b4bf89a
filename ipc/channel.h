/*
 * Frames over a stream socket: a length of 4 bytes in network order and a JSON
 * object of at most CHANNEL_FRAME_MAX bytes. Used by both ends of a worker's
 * fd 3, on a libevent loop. Says nothing about what frames mean: message.h does.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

enum { CHANNEL_FRAME_MAX = 64 * 1024 };

enum channel_end {
	CHANNEL_EOF,     /* the other side closed, between two frames */
	CHANNEL_GARBAGE, /* too long, no JSON, no object, or EOF in the middle */
	CHANNEL_ERROR    /* errno is in the text */
};

struct channel;

/* frame is borrowed: incref what is kept. The callback may free the channel. */
typedef void (*channel_frame_fn)(json_t *frame, void *arg);

/* Called once; no frame comes after it. why is for people, in the words of the
 * reader of a log. The callback may free the channel. */
typedef void (*channel_end_fn)(enum channel_end end, const char *why, void *arg);

/* Takes fd over (non-blocking). NULL when out of memory. */
struct channel *channel_new(struct event_base *base, int fd, channel_frame_fn on_frame,
    channel_end_fn on_end, void *arg);

/* Closes the descriptor. Frames not yet written are lost: see channel_flush(). */
void channel_free(struct channel *channel);

/* Queues a frame and takes the reference. False: longer than CHANNEL_FRAME_MAX
 * or out of memory, and nothing was queued. */
bool channel_send(struct channel *channel, json_t *frame);

/* Writes what can be written without waiting, rather than in the next turn of the
 * loop: what is written is there also when this process is killed. */
void channel_push(struct channel *channel);

/* Reads and hands over what the other side wrote before it died. Does not wait,
 * and does not report the end. */
void channel_drain(struct channel *channel);

/* Whether the other side has closed, also when what it said before, or the end
 * itself, was not read yet. */
bool channel_is_closed(const struct channel *channel);

/* Writes what is queued, blocking, for at most timeout_ms. Only for a process
 * that is about to end. */
bool channel_flush(struct channel *channel, int timeout_ms);

#endif
