/*
 * The trace file of one escrow (common/trace.h has its form): the one who writes
 * it. An event is one write(2) at the end of the .jsonl, and nothing of it stays
 * in memory; the file is open for that write only, so that thousands of escrows
 * cost no descriptor. A line that a SIGKILL or a full disk broke is cut off before
 * the next one. No fsync: a trace is lost with the machine, an escrow is not. The
 * .json is written atomically, and the .jsonl goes after it. Nothing in the folder
 * can hold up who writes (trace_folder.h).
 */
#ifndef SUPERVISOR_TRACE_FILE_H
#define SUPERVISOR_TRACE_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/uuid.h"

enum { TRACE_PATH_MAX = 4096, TRACE_SIZE_MAX = 8 * 1024 * 1024 /* after it nothing is added */ };

struct trace_file {
	const char *folder;      /* borrowed */
	char escrow_id[UUID_TEXT];
	int64_t started_at;      /* wall, ms; that of the header, once there is one */
	bool open;               /* the .jsonl is there, and seq and size are what it has */
	int64_t seq;             /* of the last event */
	off_t size;
};

void trace_file_init(struct trace_file *file, const char *folder, const char *escrow_id, int64_t started_at);

/* label: for the header, "" or NULL for none. Makes sure that the .jsonl is there:
 * new, as it was left, or from the .json. False: errno is set. */
bool trace_file_begin(struct trace_file *file, const char *label);

/* Adds the event (borrowed; it gets its seq) to one that has begun. False: errno
 * is set (EFBIG: it is full), and the file is as it was. */
bool trace_file_add(struct trace_file *file, json_t *event);

/* The .jsonl becomes the .json, or goes where that has more events. False: errno is set (ENODATA: there is nothing in
 * it, and it is gone), and the .jsonl is there still. */
bool trace_file_finish(struct trace_file *file);

/* "escrow_<id>.json" or with ".jsonl" in folder. */
void trace_file_path(const char *folder, const char *escrow_id, const char *suffix, char path[TRACE_PATH_MAX]);

/* What a name in the folder is. */
enum trace_name {
	TRACE_NAME_OTHER,     /* not ours */
	TRACE_NAME_LINES,     /* .jsonl */
	TRACE_NAME_WHOLE,     /* .json */
	TRACE_NAME_TEMPORARY  /* what a SIGKILL left of writing one */
};
enum trace_name trace_file_name(const char *name, char escrow_id[UUID_TEXT]);

#endif
