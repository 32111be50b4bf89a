/* See event_stream.h. */
#include "msigctl/event_stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "msigctl/client.h"
#include "msigctl/interrupt.h"
#include "msigctl/output.h"

enum { LINE_MAX_BYTES = 1024 * 1024, TICK_MS = 1000 };

/* Beside the ends that callers see. */
enum { STREAM_GOES_ON = -1, STREAM_CUT_OFF = -2 };

struct stream {
	const struct context *context;
	struct event_reader *reader;
	CURL *curl;
	CURLM *multi;
	char *data; /* what came and is not yet a whole line */
	size_t size;
	bool answered; /* the header is here */
	bool resumed;  /* an earlier connection was cut off */
	bool moved;    /* events came on this connection */
	bool stopping; /* the last of them said that msigd stops */
};

static size_t
stream_append(char *data, size_t one, size_t size, void *user)
{
	struct stream *stream = user;
	char *bigger = realloc(stream->data, stream->size + size + 1);

	(void)one; /* always 1 */
	if (bigger == NULL)
		return 0;
	memcpy(bigger + stream->size, data, size);
	stream->data = bigger;
	stream->size += size;
	stream->data[stream->size] = '\0';
	return size;
}

static size_t
stream_header(char *data, size_t one, size_t size, void *user)
{
	struct stream *stream = user;

	(void)one;
	if (size == 2 && memcmp(data, "\r\n", 2) == 0)
		stream->answered = true;
	return size;
}

static bool
stream_open(struct stream *stream)
{
	const struct event_reader *reader = stream->reader;
	char path[128], since[48] = "";

	if (reader->since >= 0)
		snprintf(since, sizeof since, "since=%" PRId64, reader->since);
	snprintf(path, sizeof path, "/events%s%s%s%s%s",
	    since[0] != '\0' || reader->escrow_id != NULL ? "?" : "", since,
	    since[0] != '\0' && reader->escrow_id != NULL ? "&" : "",
	    reader->escrow_id != NULL ? "escrow=" : "", reader->escrow_id != NULL ? reader->escrow_id : "");
	stream->curl = client_handle(stream->context, path);
	if (stream->curl == NULL)
		return false;
	stream->multi = curl_multi_init();
	if (stream->multi == NULL)
		return false;
	curl_easy_setopt(stream->curl, CURLOPT_WRITEFUNCTION, stream_append);
	curl_easy_setopt(stream->curl, CURLOPT_WRITEDATA, stream);
	curl_easy_setopt(stream->curl, CURLOPT_HEADERFUNCTION, stream_header);
	curl_easy_setopt(stream->curl, CURLOPT_HEADERDATA, stream);
	return curl_multi_add_handle(stream->multi, stream->curl) == CURLM_OK;
}

static void
stream_close(struct stream *stream)
{
	if (stream->multi != NULL && stream->curl != NULL)
		curl_multi_remove_handle(stream->multi, stream->curl);
	curl_easy_cleanup(stream->curl);
	curl_multi_cleanup(stream->multi);
	free(stream->data);
}

/* One line, an event. */
static int
take_line(struct stream *stream, const char *line, size_t size, enum exit_status *status)
{
	struct event_reader *reader = stream->reader;
	json_t *event = json_loadb(line, size, 0, NULL);
	int64_t seq = member_int(event, "seq", -1);
	int end = STREAM_GOES_ON;

	if (!json_is_object(event)) {
		complain(stream->context, "msigd sent a line that is no event: %.*s", (int)(size < 60 ? size : 60), line);
		*status = STATUS_REFUSED;
		end = STREAM_FAILED;
	} else {
		if (seq > reader->since)
			reader->since = seq;
		stream->moved = true;
		stream->stopping = strcmp(member_text(event, "type"), "stopping") == 0;
		if (!reader->event(reader->user, event))
			end = STREAM_ENDED_BY_READER;
	}
	json_decref(event);
	return end;
}

static int
take_lines(struct stream *stream, enum exit_status *status)
{
	size_t done = 0;
	int end = STREAM_GOES_ON;

	while (end == STREAM_GOES_ON && done < stream->size) {
		const char *line = stream->data + done;
		const char *newline = memchr(line, '\n', stream->size - done);
		if (newline == NULL)
			break;
		done += (size_t)(newline - line) + 1;
		if (newline > line)
			end = take_line(stream, line, (size_t)(newline - line), status);
	}
	if (done > 0) {
		memmove(stream->data, stream->data + done, stream->size - done);
		stream->size -= done;
	}
	if (end == STREAM_GOES_ON && stream->size > LINE_MAX_BYTES) {
		complain(stream->context, "msigd sent an event that is too long");
		*status = STATUS_REFUSED;
		return STREAM_FAILED;
	}
	return end;
}

/* The transfer is over. msigd cuts off a reader that takes nothing for a while
 * (a paused terminal, say): one that had got somewhere goes on from there. */
static int
stream_over(struct stream *stream, CURLcode code, long http_status, enum exit_status *status)
{
	if (stream->answered && http_status == 200)
		return stream->moved && !stream->stopping ? STREAM_CUT_OFF : STREAM_GONE;
	if (stream->resumed)
		return STREAM_GONE;
	if (code == CURLE_OK)
		*status = client_refused(stream->context, http_status, stream->data);
	else
		*status = client_failed(stream->context, code, CLIENT_QUICK_MS);
	return STREAM_FAILED;
}

/* What came in the last turn. */
static int
stream_take(struct stream *stream, bool *connected, enum exit_status *status)
{
	struct event_reader *reader = stream->reader;

	if (!*connected && reader->connected != NULL && !reader->connected(reader->user))
		return STREAM_ENDED_BY_READER;
	*connected = true;
	return take_lines(stream, status);
}

/* Waits at most so long for something to come, and takes it. */
static int
stream_turn(struct stream *stream, int pause_ms, bool *connected, enum exit_status *status)
{
	CURLcode code;
	long http_status = 0;
	int end = STREAM_GOES_ON;
	bool over = client_pump(stream->multi, pause_ms, &code);

	curl_easy_getinfo(stream->curl, CURLINFO_RESPONSE_CODE, &http_status);
	if (interrupted())
		return STREAM_INTERRUPTED;
	if (stream->answered && http_status == 200)
		end = stream_take(stream, connected, status);
	return end == STREAM_GOES_ON && over ? stream_over(stream, code, http_status, status) : end;
}

static int
stream_follow(struct stream *stream, bool *connected, enum exit_status *status)
{
	struct event_reader *reader = stream->reader;
	int64_t patience = clock_monotonic_ms() + CLIENT_QUICK_MS;

	for (;;) {
		int64_t left = reader->deadline_ms - clock_monotonic_ms();
		int end;

		if (reader->deadline_ms != 0 && left <= 0)
			return STREAM_DEADLINE;
		end = stream_turn(stream, reader->deadline_ms != 0 && left < TICK_MS ? (int)left : TICK_MS, connected, status);
		if (end != STREAM_GOES_ON)
			return end;
		if (!stream->answered && clock_monotonic_ms() > patience)
			return stream_over(stream, CURLE_OPERATION_TIMEDOUT, 0, status);
		if (reader->tick != NULL)
			reader->tick(reader->user);
	}
}

enum stream_end
event_stream_run(const struct context *context, struct event_reader *reader, enum exit_status *status)
{
	bool connected = false;
	int end;

	do {
		struct stream stream = {.context = context, .reader = reader, .resumed = connected};
		*status = STATUS_REFUSED;
		end = stream_open(&stream) ? stream_follow(&stream, &connected, status) : STREAM_FAILED;
		stream_close(&stream);
	} while (end == STREAM_CUT_OFF);
	return (enum stream_end)end;
}

struct event_stream {
	struct stream stream;
	bool connected;
};

struct event_stream *
event_stream_begin(const struct context *context, struct event_reader *reader)
{
	struct event_stream *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->stream.context = context;
	s->stream.reader = reader;
	if (stream_open(&s->stream))
		return s;
	event_stream_end(s);
	return NULL;
}

bool
event_stream_take(struct event_stream *s)
{
	enum exit_status status;

	return stream_turn(&s->stream, 0, &s->connected, &status) == STREAM_GOES_ON;
}

void
event_stream_end(struct event_stream *s)
{
	if (s == NULL)
		return;
	stream_close(&s->stream);
	free(s);
}
