/*
 * A trace file as msigtrace sees it: the header and the events, in the order of
 * the file. Whatever is in a file, reading it is safe: sizes are limited, what is
 * missing or of another type is "nothing", unknown types and members are kept and
 * passed over. Nothing here is made safe for a terminal: say() and the tables do.
 */
#ifndef MSIGTRACE_TRACE_H
#define MSIGTRACE_TRACE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/role.h"

/* A trace is 10 to 50 KB; what is larger than these is not read any further. */
enum {
	TRACE_FILE_MAX = 16 * 1024 * 1024,
	TRACE_LINE_MAX = 256 * 1024,
	TRACE_EVENTS_MAX = 100000,
	TRACE_WHY_MAX = 256
};

enum event_type {
	RPC_CALL_START, RPC_CALL_END, RPC_CALL_ERROR,
	/* in the order in which they come */
	SNAPSHOT_PRE_ROUND1, SNAPSHOT_POST_PREPARE, SNAPSHOT_POST_MAKE_MULTISIG, SNAPSHOT_PRE_ROUND2,
	SNAPSHOT_POST_EXPORT_MULTISIG, SNAPSHOT_PRE_ROUND3, SNAPSHOT_POST_IMPORT_MULTISIG, SNAPSHOT_FINAL,
	STATE_CHANGE, FILE_OPERATION, LOCK_ACQUIRED, LOCK_RELEASED, LEASE, RELEASE, FAILOVER, RACE_DETECTED, RETRY, DELAY,
	CACHE_POLLUTION_DETECTED, WORKER_STARTED, WORKER_EXITED, ERROR_FINAL, CUSTOM,
	EVENT_UNKNOWN,
	EVENT_TYPE_COUNT
};

/* The names in the files; of EVENT_UNKNOWN "". */
extern const char *const event_type_names[EVENT_TYPE_COUNT];

enum answer { ANSWER_NONE = -1, ANSWER_NO, ANSWER_YES };

struct event {
	const json_t *json;     /* the trace's; for members that are not below */
	enum event_type type;
	const char *type_name;  /* as in the file */
	int64_t seq;            /* 0: none */
	int64_t attempt;        /* 0: none */
	double t_ms;            /* since started_at; at least 0 */
	double duration_ms;     /* -1: none */
	enum role role;         /* ROLE_COUNT: none */
	int round;              /* -1: outside the rounds */
	int port;               /* 0: none */
	const char *method, *endpoint, *wallet; /* "": none */
	enum answer ok;
};

struct trace {
	char *name;             /* of the file, as it was given; UTF-8, '?' for what is none */
	json_t *document;       /* owns everything below */
	const char *escrow_id, *trace_id, *label; /* "": none */
	int64_t started_at;     /* ms since the epoch; 0: unknown */
	bool lines;             /* it was read line by line: a .jsonl, or a .json that is damaged */
	struct event *events;
	size_t count;
	/* what was wrong with it */
	size_t skipped;         /* lines or events in the midst that are no events */
	size_t first_skipped;   /* line, or place of the event; from 1 */
	bool cut;               /* the last line is not whole, or not there */
	bool headless;          /* there is no header */
	bool full;              /* more than TRACE_EVENTS_MAX: the rest was left out */
};

/* Reads what is in a file: .json or .jsonl, told by what it says. name is copied.
 * False: why says why not, and trace need not be freed. */
bool trace_read(struct trace *trace, const char *name, const char *data, size_t size, char why[TRACE_WHY_MAX]);
/* path, or if it is not there the same with the other of .json and .jsonl. */
bool trace_read_file(struct trace *trace, const char *path, char why[TRACE_WHY_MAX]);
void trace_free(struct trace *trace);

/* --- members of events ------------------------------------------------------ */

bool event_is_snapshot(const struct event *event);
/* The end of a worker that was told to stop and did, or that msigd ended before it
 * began: nothing went wrong. */
bool event_was_stopped(const struct event *event);

/* Members beside those of struct event: missing, "" and ANSWER_NONE for what is
 * not there, null, or of another type. Works on any object, NULL too. */
const char *text_of(const json_t *object, const char *name);
double number_of(const json_t *object, const char *name, double missing);
enum answer answer_of(const json_t *object, const char *name);

/* Members of the event itself, and its snapshot or found, NULL: none. */
const char *event_text(const struct event *event, const char *name);
double event_number(const struct event *event, const char *name, double missing);
const json_t *event_snapshot(const struct event *event);
const json_t *event_found(const struct event *event);

/* It ended or changed the phase: "Ready", "Failed"; else "". */
const char *event_phase(const struct event *event);

#endif
