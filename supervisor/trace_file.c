#include "supervisor/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/fault.h"
#include "common/trace.h"
#include "supervisor/trace_folder.h"

#define LINES ".jsonl"
#define WHOLE ".json"

/* Between the header and the events of a .json. A newline in a string is escaped,
 * so it stands nowhere else. */
static const char events_begin[] = ",\"events\":[\n", events_end[] = "]}\n";

/* --- names ---------------------------------------------------------------- */

enum { TRACE_NAME_MAX = 64 };

/* Returns name. */
static const char *
name_of(const struct trace_file *f, const char *suffix, char name[TRACE_NAME_MAX])
{
	snprintf(name, TRACE_NAME_MAX, "escrow_%s%s", f->escrow_id, suffix);
	return name;
}

void
trace_file_path(const char *folder, const char *escrow_id, const char *suffix, char path[TRACE_PATH_MAX])
{
	snprintf(path, TRACE_PATH_MAX, "%.3900s/escrow_%s%s", folder, escrow_id, suffix);
}

enum trace_name
trace_file_name(const char *name, char escrow_id[UUID_TEXT])
{
	static const char prefix[] = "escrow_", mark[] = TRACE_FOLDER_TEMPORARY;
	const size_t id = sizeof prefix - 1, end = id + UUID_TEXT - 1;
	const bool temporary = strncmp(name, mark, sizeof mark - 1) == 0;
	char given[UUID_TEXT];

	if (temporary)
		name += sizeof mark - 1;
	if (strncmp(name, prefix, id) != 0 || strlen(name) < end)
		return TRACE_NAME_OTHER;
	snprintf(given, sizeof given, "%.*s", UUID_TEXT - 1, name + id);
	if (!uuid_normalise(given, escrow_id) || strcmp(given, escrow_id) != 0)
		return TRACE_NAME_OTHER;
	if (strcmp(name + end, LINES) == 0)
		return temporary ? TRACE_NAME_TEMPORARY : TRACE_NAME_LINES;
	if (strcmp(name + end, WHOLE) == 0)
		return temporary ? TRACE_NAME_TEMPORARY : TRACE_NAME_WHOLE;
	return TRACE_NAME_OTHER;
}

void
trace_file_init(struct trace_file *f, const char *folder, const char *escrow_id, int64_t started_at)
{
	*f = (struct trace_file){.folder = folder, .started_at = started_at};
	snprintf(f->escrow_id, sizeof f->escrow_id, "%s", escrow_id);
}

/* --- lines ---------------------------------------------------------------- */

/* A whole line: what a crash of the machine leaves may have NULs in it. */
static bool
is_object(const char *line, size_t length)
{
	return length >= 2 && line[0] == '{' && line[length - 1] == '}' && memchr(line, '\0', length) == NULL;
}

/* The length of the line at text, without its newline; false: it has none. */
static bool
line_at(const char *text, const char *end, size_t *length)
{
	const char *newline = text < end ? memchr(text, '\n', (size_t)(end - text)) : NULL;

	*length = newline != NULL ? (size_t)(newline - text) : 0;
	return newline != NULL;
}

static char *
read_file(const struct trace_file *f, const char *suffix, size_t *size)
{
	char name[TRACE_NAME_MAX];

	return trace_folder_read(f->folder, name_of(f, suffix, name), 2 * TRACE_SIZE_MAX, size);
}

static bool
write_file(const struct trace_file *f, const char *suffix, const char *text, size_t size, const struct timespec *modified)
{
	char name[TRACE_NAME_MAX];

	return trace_folder_write(f->folder, name_of(f, suffix, name), text, size, modified);
}

/* -1: errno is set. */
static int
open_lines(const struct trace_file *f, int flags)
{
	char name[TRACE_NAME_MAX];

	return trace_folder_open_file(f->folder, name_of(f, LINES, name), flags);
}

/* --- beginning ------------------------------------------------------------ */

/* In place of what is there, which has not even a header. A SIGKILL in the midst
 * of it leaves the same again. */
static bool
make_new(struct trace_file *f, const char *label)
{
	char id[TRACE_ID_TEXT];
	json_t *header;
	char *text;
	int fd, saved;
	bool ok;

	trace_id(f->escrow_id, id);
	header = json_pack("{s:i, s:s, s:s, s:I, s:s*}", "version", TRACE_VERSION, "trace_id", id, "escrow_id", f->escrow_id,
	    "started_at", (json_int_t)f->started_at, "label", label != NULL && label[0] != '\0' ? label : NULL);
	text = json_dumps(header, JSON_COMPACT);
	json_decref(header);
	if (text == NULL) {
		errno = ENOMEM;
		return false;
	}
	f->size = (off_t)strlen(text) + 1;
	text[f->size - 1] = '\n'; /* in the place of the NUL */
	fd = open_lines(f, O_WRONLY | O_CREAT);
	ok = fd != -1 && ftruncate(fd, 0) == 0 && file_write_all(fd, text, (size_t)f->size);
	saved = errno;
	if (fd != -1)
		close(fd);
	free(text);
	errno = saved;
	f->seq = 0;
	return ok;
}

/* seq of an event, 0: it is none. */
static int64_t
seq_of(const char *line, size_t length)
{
	json_t *event = is_object(line, length) ? json_loadb(line, length, 0, NULL) : NULL;
	int64_t seq = json_integer_value(json_object_get(event, "seq"));

	json_decref(event);
	return seq;
}

/* seq of the last event of the .json, 0: there is none. */
static int64_t
seq_of_whole(const struct trace_file *f)
{
	static const size_t tail = sizeof events_end - 1;
	size_t size, begin;
	int64_t seq = 0;
	char *text = read_file(f, WHOLE, &size);

	if (text != NULL && size > tail + 1 && memcmp(text + size - tail, events_end, tail) == 0) {
		size -= tail + 1; /* and the newline */
		for (begin = size; begin > 0 && text[begin - 1] != '\n'; begin--)
			;
		seq = seq_of(text + begin, size - begin);
	}
	free(text);
	return seq;
}

/* Where the last sound event ends, or the header if there is none. */
static size_t
find_end(struct trace_file *f, const char *text, size_t header, size_t size)
{
	size_t end = size;

	f->seq = 0;
	while (end > header) {
		size_t begin = end - 1; /* of the line that ends here, at its newline if it has one */
		while (begin > header && text[begin - 1] != '\n')
			begin--;
		if (text[end - 1] == '\n' && (f->seq = seq_of(text + begin, end - 1 - begin)) > 0)
			return end;
		end = begin;
	}
	return header;
}

static bool
cut_off(const struct trace_file *f, size_t end)
{
	int fd = open_lines(f, O_WRONLY), saved;
	bool ok = fd != -1 && ftruncate(fd, (off_t)end) == 0;

	saved = errno;
	if (fd != -1)
		close(fd);
	errno = saved;
	return ok;
}

/* As an earlier writer left it. ENODATA: without a header. */
static bool
take_up(struct trace_file *f)
{
	size_t size, length, end;
	char *text;
	json_t *header;
	bool ok;

	if ((text = read_file(f, LINES, &size)) == NULL)
		return false;
	header = line_at(text, text + size, &length) ? json_loadb(text, length, 0, NULL) : NULL;
	if (!json_is_integer(json_object_get(header, "started_at"))) {
		json_decref(header);
		free(text);
		errno = ENODATA;
		return false;
	}
	f->started_at = json_integer_value(json_object_get(header, "started_at"));
	json_decref(header);
	end = find_end(f, text, length + 1, size);
	free(text);
	ok = end == size || cut_off(f, end);
	f->size = (off_t)end;
	return ok;
}

/* From the .json, which stays until it is written again. ENODATA: it is not one
 * of ours. */
static bool
unfold(struct trace_file *f)
{
	size_t size, length, used;
	char *text = read_file(f, WHOLE, &size), *out, *at, *end;
	bool ok;

	if (text == NULL)
		return false;
	at = memmem(text, size, events_begin, sizeof events_begin - 1);
	end = text + size - (sizeof events_end - 1);
	out = at != NULL ? malloc(size + 2) : NULL;
	if (out == NULL || memcmp(end, events_end, sizeof events_end - 1) != 0) {
		errno = at != NULL && out == NULL ? ENOMEM : ENODATA;
		free(out);
		free(text);
		return false;
	}
	used = (size_t)(at - text);
	memcpy(out, text, used);
	memcpy(out + used, "}\n", 2);
	used += 2;
	for (at += sizeof events_begin - 1; line_at(at, end, &length); at += length + 1) {
		size_t whole = length > 0 && at[length - 1] == ',' ? length - 1 : length;
		memcpy(out + used, at, whole);
		out[used + whole] = '\n';
		used += whole + 1;
	}
	ok = write_file(f, LINES, out, used, NULL);
	free(out);
	free(text);
	return ok;
}

bool
trace_file_begin(struct trace_file *f, const char *label)
{
	if (f->open)
		return true;
	f->open = take_up(f);
	if (f->open) {
		if (seq_of_whole(f) > f->seq)
			f->open = unfold(f) && take_up(f);
		return f->open;
	}
	if (errno != ENOENT && errno != ENODATA)
		return false;
	f->open = (unfold(f) && take_up(f)) || ((errno == ENOENT || errno == ENODATA) && make_new(f, label));
	return f->open;
}

/* --- an event ------------------------------------------------------------- */

/* All of it or nothing. */
static bool
append(struct trace_file *f, const char *line, size_t size)
{
	int fd = open_lines(f, O_WRONLY | O_APPEND), saved;
	ssize_t n;

	if (fd == -1) {
		f->open = false; /* somebody removed it: it is begun anew */
		return false;
	}
	while ((n = write(fd, line, size)) == -1 && errno == EINTR)
		;
	saved = n >= 0 ? ENOSPC : errno;
	if (n != (ssize_t)size && ftruncate(fd, f->size) == -1)
		f->open = false; /* whoever begins it again cuts that off */
	close(fd);
	errno = saved;
	return n == (ssize_t)size;
}

bool
trace_file_add(struct trace_file *f, json_t *event)
{
	size_t size;
	char *line;
	bool ok;

	json_object_set_new(event, "seq", json_integer(f->seq + 1));
	/* a double of three decimals has them, and not its nearest neighbour's */
	line = json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(15));
	if (line == NULL) {
		errno = ENOMEM;
		return false;
	}
	size = strlen(line) + 1;
	line[size - 1] = '\n';
	if (f->size + (off_t)size > TRACE_SIZE_MAX) {
		free(line);
		errno = EFBIG;
		return false;
	}
	ok = append(f, line, size);
	if (ok) {
		f->seq++;
		f->size += (off_t)size;
	}
	free(line);
	return ok;
}

/* --- the end -------------------------------------------------------------- */

/* text: the lines. Returns it as a .json from malloc, or NULL with errno. */
static char *
fold(const char *text, size_t size, size_t *folded)
{
	const char *end = text + size, *at;
	size_t length, used;
	bool first = true;
	char *out;

	if (!line_at(text, end, &length) || !is_object(text, length)) {
		errno = ENODATA;
		return NULL;
	}
	out = malloc(2 * size + sizeof events_begin + sizeof events_end);
	if (out == NULL)
		return NULL;
	used = length - 1;
	memcpy(out, text, used);
	memcpy(out + used, events_begin, sizeof events_begin - 1);
	used += sizeof events_begin - 1;
	for (at = text + length + 1; line_at(at, end, &length); at += length + 1) {
		if (!is_object(at, length))
			continue;
		if (!first)
			memcpy(out + used++ - 1, ",\n", 2);
		first = false;
		memcpy(out + used, at, length);
		out[used + length] = '\n';
		used += length + 1;
	}
	memcpy(out + used, events_end, sizeof events_end - 1);
	*folded = used + sizeof events_end - 1;
	return out;
}

/* Whether the .json has more than these lines, which an earlier writer left. */
static bool
is_behind(struct trace_file *f, const char *text, size_t size)
{
	size_t length;

	if (!line_at(text, text + size, &length))
		return false; /* fold() says what it is */
	find_end(f, text, length + 1, size);
	return seq_of_whole(f) > f->seq;
}

bool
trace_file_finish(struct trace_file *f)
{
	char lines[TRACE_NAME_MAX], *text, *out;
	bool ok, known = f->open;
	struct timespec at;
	size_t size;

	f->open = false;
	name_of(f, LINES, lines);
	if ((text = read_file(f, LINES, &size)) == NULL)
		return false;
	if (!known && is_behind(f, text, size)) {
		free(text);
		return trace_folder_remove(f->folder, lines);
	}
	out = fold(text, size, &size);
	free(text);
	if (out == NULL) {
		int saved = errno;
		if (saved == ENODATA)
			trace_folder_remove(f->folder, lines);
		errno = saved;
		return false;
	}
	/* of the last event, for trace-keep */
	FAULT("trace", "fold", "", -1);
	ok = write_file(f, WHOLE, out, size, trace_folder_modified(f->folder, lines, &at) ? &at : NULL);
	FAULT("trace", "folded", "", -1);
	ok = ok && trace_folder_remove(f->folder, lines);
	free(out);
	return ok;
}
