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

static const char *const level_names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};
static const int level_priorities[LOG_LEVEL_COUNT] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

static enum log_level threshold = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;
static enum log_target line_target = LOG_TARGET_STDERR;
static log_sink sink_function;

void
log_open(const char *program, enum log_target target, log_sink sink)
{
	line_target = target;
	sink_function = sink;
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
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
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
static bool
is_said_already(const struct log_field *fields, const struct log_field *field)
{
	static const char *const own[] = {"time", "level", "event"};

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (strcmp(own[i], field->name) == 0)
			return true;
	}
	for (; fields < field; fields++) {
		if (strcmp(fields->name, field->name) == 0)
			return true;
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
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c < ' ' || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void
put_text(FILE *f, enum log_level level, const char *event, const struct log_field *fields)
{
	char when[32];

	if (line_target == LOG_TARGET_STDERR) {
		timestamp(when);
		fprintf(f, "time=%s ", when);
	}
	fprintf(f, "level=%s event=", level_names[level]);
	put_text_name(f, event);
	for (const struct log_field *field = fields; field->name != NULL; field++) {
		if ((field->is_string && field->string == NULL) || is_said_already(fields, field))
			continue;
		fputc(' ', f);
		put_text_name(f, field->name);
		fputc('=', f);
		if (field->is_string)
			put_text_value(f, field->string);
		else
			fprintf(f, "%lld", (long long)field->number);
	}
}

static void
put_json(FILE *f, enum log_level level, const char *event, const struct log_field *fields)
{
	char when[32];
	json_t *line = json_object();

	timestamp(when);
	json_object_set_new(line, "time", json_string(when));
	json_object_set_new(line, "level", json_string(level_names[level]));
	json_object_set_new(line, "event", json_string(event));
	for (const struct log_field *field = fields; field->name != NULL; field++) {
		json_t *value = NULL;
		if (is_said_already(fields, field))
			continue;
		if (!field->is_string)
			value = json_integer(field->number);
		else if (field->string != NULL)
			/* NULL when it is not UTF-8: say so rather than lose the line */
			value = json_string(field->string);
		if (field->is_string && field->string != NULL && value == NULL)
			value = json_string("(not UTF-8)");
		if (value != NULL)
			json_object_set_new(line, field->name, value);
	}
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
		else if (write(STDERR_FILENO, line, size) == -1)
			(void)0; /* nowhere left to say it */
	}
	free(line);
}
