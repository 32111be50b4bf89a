/*
 * What the views share: how a time, an event, a problem of reading is shown; JSON
 * that cannot command a terminal; and files as the commands take them.
 */
#ifndef MSIGTRACE_VIEW_H
#define MSIGTRACE_VIEW_H

#include "msigctl/arguments.h"
#include "msigctl/output.h"
#include "msigctl/table.h"
#include "msigtrace/calls.h"

/* Exit status; the numbers are those of msigctl. */
#define STATUS_CLEAN STATUS_DONE
#define STATUS_PROBLEMS STATUS_REFUSED
#define STATUS_UNREADABLE STATUS_USAGE

enum { VIEW_MS = 24, VIEW_EVENT = 512, VIEW_HASH = 9 };

/* "0.6 ms", "302 ms", "1.24 s", "40 min"; "-" for less than 0. */
void view_ms(double ms, char out[VIEW_MS]);

/* An event without time and role, on one line: "make_multisig, 302 ms". Not made
 * safe for a terminal. */
void view_event(const struct event *event, char out[VIEW_EVENT]);

/* What stands out: a problem ('!'), a thing to look at ('*'), nothing (' '). slow
 * is for calls. */
char view_mark(const struct event *event, bool slow);
enum colour view_colour(char mark);

/* The first eight digits; "-" for none. */
void view_hash(const char *hash, char out[VIEW_HASH]);

/* "buyer"; "" for none. */
const char *view_role(enum role role);

/* The label, and text from the column indent on; it goes on below itself where the
 * line would get too long for the terminal, or to be read. */
void view_wrapped(const char *label, int indent, const char *text);

/* One JSON document to standard output, ASCII only. Takes the reference. */
void view_json(json_t *document);

/* text as a JSON string, also when it was cut in the midst of a character. */
json_t *view_json_text(const char *text);

/* file, escrow_id, trace_id, label, and what was wrong with the file, as members. */
json_t *view_trace_json(const struct trace *trace);

/* --- files ----------------------------------------------------------------------- */

struct traces {
	struct trace *list;
	size_t count;
};

/* Reads all files of the command line; what is wrong is said on standard error.
 * Of two files of one escrow the one counts whose last seq is higher. False: one is
 * unreadable, or out of memory. */
bool traces_read(const struct context *context, const struct arguments *arguments, struct traces *traces);
void traces_free(struct traces *traces);

#endif
