/*
 * The log: one line an event, key=value or JSON, always UTF-8, to standard error
 * (in the foreground), the journal or syslog(3). Levels say who cares: error, an operator must act;
 * warn, something failed that was dealt with; info, what was done; debug, how.
 * Never hand a secret to it: no password, key, seed or round message. A line that
 * names an escrow gets its trace id, `trace` (common/trace.h), by itself.
 *
 *     log_info("worker_started", F_STR("escrow", id), F_INT("pid", pid));
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/trace.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_COUNT };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
/* LOG_TARGET_JOURNAL: after log_journal_take() (log_journal.h). */
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_JOURNAL, LOG_TARGET_SYSLOG, LOG_TARGET_FUNCTION };

/* A field of a line. name == NULL ends a list; a string that is NULL is left out. */
struct log_field {
	const char *name;
	const char *string;
	int64_t number;
	bool is_string;
};

#define F_STR(name, value) ((struct log_field){(name), (value), 0, true})
#define F_INT(name, value) ((struct log_field){(name), 0, (int64_t)(value), false})

/* The first field is one that is left out: so a line may have none. */
#define log_event(level, event, ...) \
	log_write((level), (event), (const struct log_field[]){F_STR("", 0), ##__VA_ARGS__, {0, 0, 0, false}})
#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, ##__VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)

/* Where lines go for LOG_TARGET_FUNCTION (a worker sends them to its supervisor). */
typedef void (*log_sink)(enum log_level level, const char *event, const struct log_field *fields);

void log_open(const char *program, enum log_target target, log_sink sink);
void log_set(enum log_level level, enum log_format format);
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* Whether a field of these stands in the line: it is not left out, and its name
 * neither stands before it nor belongs to every line. */
bool log_field_counts(const struct log_field *fields, const struct log_field *field);

/* The trace id of the escrow that the line names (common/trace.h); false: it names none. */
bool log_trace(const struct log_field *fields, char out[TRACE_ID_TEXT]);

const char *log_level_name(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level);

#endif
