/* Reading trace files: see trace.h. A .jsonl, and a .json that is damaged, is read line
 * by line, so that one broken line costs that line only. */
#include "msigtrace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { T_MAX_MS = 2000000000 /* 23 days: nothing in a trace takes longer, and times stay printable */ };

/* --- one event -------------------------------------------------------------- */

static enum event_type
type_of(const char *name)
{
	for (int i = 0; i < EVENT_UNKNOWN; i++) {
		if (strcmp(name, event_type_names[i]) == 0)
			return (enum event_type)i;
	}
	return EVENT_UNKNOWN;
}

/* Within limits, so that it can be converted and printed whatever a file says. */
static double
limited(double number, double min, double max)
{
	return number >= min ? (number <= max ? number : max) : min;
}

static bool
add_event(struct trace *trace, size_t *room, const json_t *json)
{
	struct event *e, *more;
	const char *type = text_of(json, "type");

	if (*type == '\0')
		return false;
	if (trace->count == TRACE_EVENTS_MAX) {
		trace->full = true;
		return true;
	}
	if (trace->count == *room) {
		*room *= 2;
		more = reallocarray(trace->events, *room, sizeof *more);
		if (more == NULL)
			return false;
		trace->events = more;
	}
	e = &trace->events[trace->count++];
	*e = (struct event){
		.json = json,
		.type = type_of(type),
		.type_name = type,
		.seq = (int64_t)limited(number_of(json, "seq", 0), 0, 1e12),
		.attempt = (int64_t)limited(number_of(json, "attempt", 0), 0, 1e6),
		.t_ms = limited(number_of(json, "t_ms", 0), 0, T_MAX_MS),
		.duration_ms = limited(number_of(json, "duration_ms", -1), -1, T_MAX_MS),
		.role = ROLE_COUNT,
		.round = (int)limited(number_of(json, "round", -1), -1, 1000),
		.port = (int)limited(number_of(json, "port", 0), 0, 65535),
		.method = text_of(json, "method"),
		.endpoint = text_of(json, "endpoint"),
		.wallet = text_of(json, "wallet"),
		.ok = answer_of(json, "ok"),
	};
	role_parse(text_of(json, "role"), false, &e->role);
	return true;
}

static void
skip(struct trace *trace, size_t place)
{
	if (trace->skipped++ == 0)
		trace->first_skipped = place;
}

/* --- the two forms ------------------------------------------------------------ */

static void
take_header(struct trace *trace, const json_t *header)
{
	trace->escrow_id = text_of(header, "escrow_id");
	trace->trace_id = text_of(header, "trace_id");
	trace->label = text_of(header, "label");
	trace->started_at = (int64_t)limited(number_of(header, "started_at", 0), 0, 1e14);
	trace->headless = trace->escrow_id[0] == '\0' && trace->started_at == 0;
}

/* document: {header…, "events": […]} */
static void
read_document(struct trace *trace)
{
	const json_t *event;
	size_t i, room = 1;

	take_header(trace, trace->document);
	json_array_foreach(json_object_get(trace->document, "events"), i, event) {
		if (!add_event(trace, &room, event))
			skip(trace, i + 1);
	}
}

/* One line of it; NULL: it is no JSON object. */
static json_t *
parse_line(const char *line, size_t length)
{
	json_t *json = length <= TRACE_LINE_MAX ? json_loadb(line, length, 0, NULL) : NULL;

	if (json_is_object(json))
		return json;
	json_decref(json);
	return NULL;
}

static bool
is_blank(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (strchr(" \t\r", line[i]) == NULL || line[i] == '\0')
			return false;
	}
	return true;
}

/* The first line of a .json is the header, and the array of the events begins in it. */
static json_t *
parse_begin(const char *line, size_t length)
{
	static const char begin[] = "\"events\":[", end[] = "]}";
	json_t *json = NULL;
	char *whole;

	while (length > 0 && is_blank(line + length - 1, 1))
		length--;
	if (length < sizeof begin - 1 || length > TRACE_LINE_MAX || memcmp(line + length - (sizeof begin - 1), begin, sizeof begin - 1) != 0)
		return NULL;
	whole = malloc(length + sizeof end);
	if (whole != NULL) {
		memcpy(whole, line, length);
		memcpy(whole + length, end, sizeof end);
		json = parse_line(whole, length + sizeof end - 1);
	}
	free(whole);
	return json;
}

/* Between two events of a .json is a comma. */
static size_t
without_comma(const char *line, size_t length)
{
	size_t end = length;

	while (end > 0 && is_blank(line + end - 1, 1))
		end--;
	return end > 0 && line[end - 1] == ',' ? end - 1 : length;
}

/* "]}" */
static bool
is_end(const char *line, size_t length)
{
	return length >= 2 && memcmp(line, "]}", 2) == 0 && is_blank(line + 2, length - 2);
}

/* A line that is whole goes into document; number counts from 1. False: it is broken. */
static bool
take_line(struct trace *trace, size_t *room, json_t *lines, json_t *json, size_t number)
{
	if (json == NULL)
		return false;
	json_array_append_new(lines, json);
	if (number == 1 && *text_of(json, "type") == '\0') {
		take_header(trace, json);
		return true;
	}
	return add_event(trace, room, json);
}

/* One that is not whole: the last was cut off, others were damaged. */
static void
miss_line(struct trace *trace, size_t number, bool last)
{
	if (last)
		trace->cut = true;
	else
		skip(trace, number);
}

static void
read_lines(struct trace *trace, const char *data, size_t size)
{
	size_t number = 0, room = 1;
	bool of_array = false, ended = false;

	trace->lines = true;
	trace->document = json_array();
	take_header(trace, NULL);
	for (const char *end = data + size; data < end && !trace->full;) {
		const char *newline = memchr(data, '\n', (size_t)(end - data));
		size_t length = newline != NULL ? (size_t)(newline - data) : (size_t)(end - data);
		json_t *json = ++number == 1 ? parse_begin(data, length) : NULL;

		of_array = of_array || json != NULL;
		if (is_end(data, length))
			ended = true;
		else if (!is_blank(data, length) && !take_line(trace, &room, trace->document,
		    json != NULL ? json : parse_line(data, without_comma(data, length)), number))
			miss_line(trace, number, newline == NULL || newline + 1 == end);
		data += length + (newline != NULL ? 1 : 0);
	}
	trace->cut = trace->cut || (of_array && !ended && !trace->full);
}

/* Whether its first line is an object by itself without events: then it is a
 * .jsonl. */
static bool
begins_with_a_line(const char *data, size_t size)
{
	const char *newline = memchr(data, '\n', size);
	json_t *first = parse_line(data, newline != NULL ? (size_t)(newline - data) : size);
	bool is_line = first != NULL && json_object_get(first, "events") == NULL;

	json_decref(first);
	return is_line;
}

/* A file's name may have any bytes, and a JSON string may not. */
static char *
name_of(const char *name)
{
	char *copy = strdup(name);
	json_t *json = json_string(name);

	for (char *c = copy; json == NULL && c != NULL && *c != '\0'; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	json_decref(json);
	return copy;
}

bool
trace_read(struct trace *trace, const char *name, const char *data, size_t size, char why[TRACE_WHY_MAX])
{
	json_error_t error = {.line = 0};

	memset(trace, 0, sizeof *trace);
	trace->name = name_of(name);
	trace->events = calloc(1, sizeof *trace->events); /* never NULL: others walk along it */
	if (trace->name == NULL || trace->events == NULL) {
		trace_free(trace);
		snprintf(why, TRACE_WHY_MAX, "out of memory");
		return false;
	}
	if (!begins_with_a_line(data, size))
		trace->document = json_loadb(data, size, 0, &error);
	if (json_is_array(json_object_get(trace->document, "events"))) {
		read_document(trace);
		return true;
	}
	json_decref(trace->document);
	read_lines(trace, data, size);
	if (trace->count > 0 || !trace->headless)
		return true;
	if (error.line > 1)
		snprintf(why, TRACE_WHY_MAX, "no trace file: line %d: %.120s", error.line, error.text);
	else
		snprintf(why, TRACE_WHY_MAX, size == 0 ? "the file is empty" : "no trace file: there is no header and no event in it");
	trace_free(trace);
	return false;
}

/* --- files --------------------------------------------------------------------- */

/* All of it, from malloc; NULL: errno. */
static char *
read_all(int fd, size_t *size)
{
	char *data = NULL, *more;
	size_t room = 0;
	ssize_t n;

	*size = 0;
	do {
		if (*size == room) {
			if (room > TRACE_FILE_MAX) {
				errno = EFBIG;
				break;
			}
			room = room == 0 ? 64 * 1024 : room * 2;
			if ((more = realloc(data, room)) == NULL)
				break;
			data = more;
		}
		n = read(fd, data + *size, room - *size);
		if (n == 0)
			return data;
		if (n > 0)
			*size += (size_t)n;
	} while (n > 0 || errno == EINTR);
	free(data);
	return NULL;
}

/* Of X.jsonl, which is folded into X.json, or taken up again, just when somebody was
 * told of it, the other one. */
static char *
other_form(const char *path)
{
	const char *dot = strrchr(path, '.');
	char *other = NULL;

	if (dot == NULL || (strcmp(dot, ".jsonl") != 0 && strcmp(dot, ".json") != 0))
		return NULL;
	return asprintf(&other, "%.*s%s", (int)(dot - path), path, strcmp(dot, ".json") == 0 ? ".jsonl" : ".json") == -1 ? NULL : other;
}

static int
open_trace(const char *path)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, fd = open(path, flags);
	char *other = fd == -1 && errno == ENOENT ? other_form(path) : NULL;

	if (other != NULL)
		fd = open(other, flags);
	free(other);
	return fd;
}

/* A pipe is read to its end, however slowly it comes; one that nobody has opened for
 * writing yet is waited for, as cat does. */
static void
wait_for_writer(int fd)
{
	struct pollfd pipe = {.fd = fd, .events = POLLIN};

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	while (poll(&pipe, 1, -1) == -1 && errno == EINTR)
		;
}

static bool
is_readable(int fd, const struct stat *st, char why[TRACE_WHY_MAX])
{
	if (S_ISFIFO(st->st_mode)) {
		wait_for_writer(fd);
	} else if (!S_ISREG(st->st_mode)) {
		snprintf(why, TRACE_WHY_MAX, "neither a file nor a pipe");
		return false;
	}
	return true;
}

bool
trace_read_file(struct trace *trace, const char *path, char why[TRACE_WHY_MAX])
{
	int fd = open_trace(path);
	struct stat st;
	char *data = NULL;
	size_t size = 0;
	bool good = false;

	if (fd == -1 || fstat(fd, &st) == -1)
		snprintf(why, TRACE_WHY_MAX, "%s", strerror(errno));
	else if (!is_readable(fd, &st, why))
		; /* said */
	else if (st.st_size <= TRACE_FILE_MAX && (data = read_all(fd, &size)) == NULL && errno != EFBIG)
		snprintf(why, TRACE_WHY_MAX, "%s", strerror(errno));
	else if (data == NULL || size > TRACE_FILE_MAX)
		snprintf(why, TRACE_WHY_MAX, "larger than %d MiB: no trace of msigd's", TRACE_FILE_MAX / 1024 / 1024);
	else
		good = trace_read(trace, path, data, size, why);
	free(data);
	if (fd != -1)
		close(fd);
	return good;
}
