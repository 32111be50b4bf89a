#include "common/log.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/log_journal.h"
#include "common/text.h"
#include "common/trace.h"

static const char *const level_names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};
static const int level_priorities[LOG_LEVEL_COUNT] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

static enum log_level threshold = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;
static enum log_target line_target = LOG_TARGET_STDERR;
static log_sink sink_function;
static const char *program_name;

void
log_open(const char *program, enum log_target target, log_sink sink)
{
	line_target = target;
	sink_function = sink;
	program_name = program;
	if (target == LOG_TARGET_SYSLOG)
		openlog(program, LOG_PID, LOG_DAEMON);
}

void
log_set(enum log_level level, enum log_format format)
{
	threshold = level;
	line_format = format;
}

const char *
log_level_name(enum log_level level)
{
	return level_names[level];
}

bool
log_level_parse(const char *name, enum log_level *level)
{
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* 2026-11-21T09:00:00.123Z */
static void
timestamp(char out[32])
{
	struct timespec now;
	struct tm tm;
	char seconds[24];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 32, "%s.%03uZ", seconds, (unsigned)(now.tv_nsec / 1000000) % 1000);
}

static bool
is_bare(const char *s)
{
	size_t size;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s += size) {
		unsigned char c = (unsigned char)*s;
		size = text_character(s);
		if (size == 0 || c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
			return false;
	}
	return true;
}

/* Names come from workers too: one with a space or newline in it would make more
 * fields, or lines, of one. */
static void
put_text_name(FILE *f, const char *s)
{
	for (; *s != '\0'; s++)
		fputc(isalnum((unsigned char)*s) || *s == '_' || *s == '-' || *s == '.' ? *s : '?', f);
}

/* A line has each name once, the first: a worker cannot say for itself what is
 * said of it. */
bool
log_field_counts(const struct log_field *fields, const struct log_field *field)
{
	static const char *const own[] = {"time", "level", "event", "trace"};

	if (field->is_string && field->string == NULL)
		return false;
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (strcmp(own[i], field->name) == 0)
			return false;
	}
	for (; fields < field; fields++) {
		if (strcmp(fields->name, field->name) == 0)
			return false;
	}
	return true;
}

bool
log_trace(const struct log_field *fields, char out[TRACE_ID_TEXT])
{
	for (; fields->name != NULL; fields++) {
		if (fields->is_string && fields->string != NULL && strcmp(fields->name, "escrow") == 0)
			return trace_id(fields->string, out);
	}
	return false;
}

static void
put_text_value(FILE *f, const char *s)
{
	if (is_bare(s)) {
		fputs(s, f);
		return;
	}
	fputc('"', f);
	for (size_t size; *s != '\0'; s += size > 0 ? size : 1) {
		unsigned char c = (unsigned char)*s;
		size = text_character(s);
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (size == 0 || c < ' ' || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fwrite(s, 1, size, f);
	}
	fputc('"', f);
}

static void
put_text(FILE *f, enum log_level level, const char *event, const struct log_field *fields)
{
	char when[32], trace[TRACE_ID_TEXT];

	if (line_target == LOG_TARGET_STDERR) {
		timestamp(when);
		fprintf(f, "time=%s ", when);
	}
	fprintf(f, "level=%s event=", level_names[level]);
	put_text_name(f, event);
	for (const struct log_field *field = fields; field->name != NULL; field++) {
		if (!log_field_counts(fields, field))
			continue;
		fputc(' ', f);
		put_text_name(f, field->name);
		fputc('=', f);
		if (field->is_string)
			put_text_value(f, field->string);
		else
			fprintf(f, "%lld", (long long)field->number);
	}
	if (log_trace(fields, trace))
		fprintf(f, " trace=%s", trace);
}

/* JSON takes nothing but UTF-8: in the place of each byte that is none stands
 * U+FFFD. From malloc; NULL: out of memory. */
static char *
valid_text(const char *s)
{
	char *out = NULL;
	size_t length = 0;
	FILE *f = open_memstream(&out, &length);

	if (f == NULL)
		return NULL;
	for (size_t size; *s != '\0'; s += size > 0 ? size : 1) {
		size = text_character(s);
		if (size > 0)
			fwrite(s, 1, size, f);
		else
			fputs("\xef\xbf\xbd", f);
	}
	return fclose(f) == 0 ? out : NULL;
}

static void
set_json(json_t *line, const char *name, json_t *value)
{
	char *valid = valid_text(name);

	json_object_set_new(line, valid != NULL ? valid : "?", value);
	free(valid);
}

static json_t *
json_text(const char *text)
{
	char *valid = valid_text(text);
	json_t *json = json_string(valid != NULL ? valid : "?");

	free(valid);
	return json;
}

static void
put_json(FILE *f, enum log_level level, const char *event, const struct log_field *fields)
{
	char when[32], trace[TRACE_ID_TEXT];
	json_t *line = json_object();

	timestamp(when);
	json_object_set_new(line, "time", json_string(when));
	json_object_set_new(line, "level", json_string(level_names[level]));
	json_object_set_new(line, "event", json_text(event));
	for (const struct log_field *field = fields; field->name != NULL; field++) {
		if (log_field_counts(fields, field))
			set_json(line, field->name, field->is_string ? json_text(field->string) : json_integer(field->number));
	}
	if (log_trace(fields, trace))
		json_object_set_new(line, "trace", json_string(trace));
	json_dumpf(line, f, JSON_COMPACT);
	json_decref(line);
}

void
log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f;

	if (level > threshold)
		return;
	if (line_target == LOG_TARGET_FUNCTION) {
		sink_function(level, event, fields);
		return;
	}
	f = open_memstream(&line, &size);
	if (f == NULL)
		return;
	if (line_format == LOG_FORMAT_JSON)
		put_json(f, level, event, fields);
	else
		put_text(f, level, event, fields);
	if (line_target == LOG_TARGET_STDERR)
		fputc('\n', f);
	if (fclose(f) == 0) {
		if (line_target == LOG_TARGET_SYSLOG)
			syslog(level_priorities[level], "%s", line);
		else if (line_target == LOG_TARGET_JOURNAL)
			log_journal_send(program_name, level_priorities[level], line, event, fields);
		else if (write(STDERR_FILENO, line, size) == -1)
			(void)0; /* nowhere left to say it */
	}
	free(line);
}
