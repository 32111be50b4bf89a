#include "ipc/channel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

struct channel {
	struct bufferevent *bev;
	channel_frame_fn on_frame;
	channel_end_fn on_end;
	void *arg;
	bool *freed; /* set while a callback runs: it may free the channel */
};

static void
end(struct channel *channel, enum channel_end how, const char *why)
{
	bufferevent_disable(channel->bev, EV_READ | EV_WRITE);
	channel->on_end(how, why, channel->arg);
}

/* Takes one whole frame off the input. Returns 1 with *frame, 0 when there is
 * none yet, -1 with *why when what is there is no frame. */
static int
take_frame(struct evbuffer *input, json_t **frame, const char **why)
{
	uint32_t size;
	unsigned char *text;

	if (evbuffer_copyout(input, &size, sizeof size) != sizeof size)
		return 0;
	size = ntohl(size);
	if (size > CHANNEL_FRAME_MAX) {
		*why = "a frame longer than 64 KiB";
		return -1;
	}
	if (evbuffer_get_length(input) < sizeof size + size)
		return 0;
	evbuffer_drain(input, sizeof size);
	text = evbuffer_pullup(input, (ev_ssize_t)size);
	*frame = json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, NULL);
	evbuffer_drain(input, size);
	if (!json_is_object(*frame)) {
		json_decref(*frame);
		*why = "a frame that is no JSON object";
		return -1;
	}
	return 1;
}

/* Hands over all whole frames that are there. False: the channel was freed. */
static bool
take_frames(struct channel *channel)
{
	const char *why = NULL;
	bool freed = false;
	json_t *frame;
	int got;

	/* cleared again below, unless the channel is no more */
	channel->freed = &freed; // cppcheck-suppress autoVariables
	while ((got = take_frame(bufferevent_get_input(channel->bev), &frame, &why)) == 1) {
		channel->on_frame(frame, channel->arg);
		json_decref(frame);
		if (freed)
			return false;
	}
	if (got == -1)
		end(channel, CHANNEL_GARBAGE, why);
	if (!freed)
		channel->freed = NULL;
	return !freed;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	take_frames(arg);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct channel *channel = arg;

	/* the other side has closed; what it said before is still to be read, and EOF comes behind it */
	if ((what & BEV_EVENT_ERROR) && (what & BEV_EVENT_WRITING)) {
		bufferevent_disable(bev, EV_WRITE);
		return;
	}
	if (what & BEV_EVENT_ERROR)
		end(channel, errno == ECONNRESET || errno == EPIPE ? CHANNEL_EOF : CHANNEL_ERROR, strerror(errno));
	else if (evbuffer_get_length(bufferevent_get_input(bev)) > 0)
		end(channel, CHANNEL_GARBAGE, "end of file inside a frame");
	else
		end(channel, CHANNEL_EOF, "end of file");
}

struct channel *
channel_new(struct event_base *base, int fd, channel_frame_fn on_frame, channel_end_fn on_end, void *arg)
{
	struct channel *channel = calloc(1, sizeof *channel);

	if (channel == NULL)
		return NULL;
	evutil_make_socket_nonblocking(fd);
	channel->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (channel->bev == NULL) {
		free(channel);
		return NULL;
	}
	channel->on_frame = on_frame;
	channel->on_end = on_end;
	channel->arg = arg;
	bufferevent_setcb(channel->bev, on_read, NULL, on_event, channel);
	bufferevent_enable(channel->bev, EV_READ | EV_WRITE);
	return channel;
}

void
channel_free(struct channel *channel)
{
	if (channel == NULL)
		return;
	if (channel->freed != NULL)
		*channel->freed = true;
	bufferevent_free(channel->bev);
	free(channel);
}

bool
channel_send(struct channel *channel, json_t *frame)
{
	char *text = json_dumps(frame, JSON_COMPACT);
	size_t size = text != NULL ? strlen(text) : 0;
	uint32_t header = htonl((uint32_t)size);
	bool ok = text != NULL && size <= CHANNEL_FRAME_MAX &&
	    bufferevent_write(channel->bev, &header, sizeof header) == 0 &&
	    bufferevent_write(channel->bev, text, size) == 0;

	if (text != NULL)
		explicit_bzero(text, size); /* a start holds the subkey and logins */
	free(text);
	json_decref(frame);
	return ok;
}

void
channel_push(struct channel *channel)
{
	struct evbuffer *output = bufferevent_get_output(channel->bev);

	if ((bufferevent_get_enabled(channel->bev) & EV_WRITE) == 0)
		return; /* the other side has closed */
	evbuffer_unfreeze(output, 1); /* a bufferevent keeps the front of its output frozen */
	evbuffer_write(output, bufferevent_getfd(channel->bev)); /* what it does not take goes out in a turn of the loop */
	evbuffer_freeze(output, 1);
}

void
channel_drain(struct channel *channel)
{
	struct evbuffer *input = bufferevent_get_input(channel->bev);
	int fd = bufferevent_getfd(channel->bev), got;

	do {
		if ((bufferevent_get_enabled(channel->bev) & EV_READ) == 0)
			return; /* it has ended */
		evbuffer_unfreeze(input, 0); /* a bufferevent keeps the end of its input frozen */
		got = evbuffer_read(input, fd, CHANNEL_FRAME_MAX);
		evbuffer_freeze(input, 0);
	} while (got > 0 && take_frames(channel));
}

bool
channel_is_closed(const struct channel *channel)
{
	struct pollfd p = {.fd = bufferevent_getfd(channel->bev), .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool
channel_flush(struct channel *channel, int timeout_ms)
{
	struct evbuffer *output = bufferevent_get_output(channel->bev);
	int fd = bufferevent_getfd(channel->bev);
	int64_t until = clock_monotonic_ms() + timeout_ms;

	bufferevent_disable(channel->bev, EV_WRITE);
	evbuffer_unfreeze(output, 1); /* a bufferevent keeps the front of its output frozen */
	while (evbuffer_get_length(output) > 0) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		int64_t left = until - clock_monotonic_ms();
		if (left <= 0 || poll(&p, 1, (int)left) != 1)
			return false;
		if (evbuffer_write(output, fd) == -1)
			return false;
	}
	return true;
}
