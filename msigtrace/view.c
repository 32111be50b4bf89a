/* See view.h. */
#include "msigtrace/view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"

/* Whatever a file says, it can be converted and printed. */
static const double MS_MAX = 1e15;

void
view_ms(double ms, char out[VIEW_MS])
{
	ms = ms < MS_MAX ? ms : MS_MAX;
	if (ms < 0)
		snprintf(out, VIEW_MS, "-");
	else if (ms < 9.95)
		snprintf(out, VIEW_MS, "%.1f ms", ms);
	else if (ms < 999.5)
		snprintf(out, VIEW_MS, "%.0f ms", ms);
	else if (ms < 60000)
		snprintf(out, VIEW_MS, "%.2f s", ms / 1000);
	else
		duration_format((int64_t)ms, out, VIEW_MS);
}

void
view_hash(const char *hash, char out[VIEW_HASH])
{
	snprintf(out, VIEW_HASH, "%.8s", *hash != '\0' ? hash : "-");
}

const char *
view_role(enum role role)
{
	return role == ROLE_COUNT ? "" : role_name(role);
}

/* --- an event on one line ------------------------------------------------------ */

struct line {
	char *out;
	size_t have;
};

static void __attribute__((format(printf, 2, 3)))
put(struct line *line, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(line->out + line->have, VIEW_EVENT - line->have, format, list);
	va_end(list);
	if (n > 0)
		line->have += (size_t)n < VIEW_EVENT - line->have ? (size_t)n : VIEW_EVENT - line->have - 1;
}

/* ", NAME TEXT" when there is one. */
static void
put_text(struct line *line, const char *name, const char *text)
{
	if (*text != '\0')
		put(line, ", %s%s%.160s", name, *name != '\0' ? " " : "", text);
}

static void
put_ms(struct line *line, const char *name, double ms)
{
	char text[VIEW_MS];

	if (ms < 0)
		return;
	view_ms(ms, text);
	put_text(line, name, text);
}

static void
put_port(struct line *line, const struct event *e)
{
	if (*e->endpoint != '\0')
		put(line, ", %.60s", e->endpoint);
	if (e->port != 0)
		put(line, ", port %d", e->port);
}

static void
put_call(struct line *line, const struct event *e)
{
	const json_t *message = json_object_get(e->json, "message");
	char hash[VIEW_HASH];

	put(line, "%.60s", e->method);
	if (e->type == RPC_CALL_START) {
		put(line, " ...");
		return;
	}
	put_ms(line, "", e->duration_ms);
	if (json_is_object(message)) {
		view_hash(text_of(message, "sha256"), hash);
		put(line, ", message %s", hash);
	}
	if (e->type == RPC_CALL_ERROR) {
		put_text(line, "outcome", event_text(e, "outcome"));
		if (event_number(e, "code", 0) != 0)
			put(line, ", code %.0f", event_number(e, "code", 0));
		if (answer_of(e->json, "expected") == ANSWER_YES)
			put(line, ", expected");
		put_text(line, "", event_text(e, "error"));
	}
}

static void
put_snapshot(struct line *line, const struct event *e)
{
	const json_t *s = event_snapshot(e);
	char hash[VIEW_HASH];

	put(line, "snapshot %s", e->type_name + strlen("SNAPSHOT_"));
	if (answer_of(s, "is_multisig") == ANSWER_YES)
		put(line, ", multisig %.0f/%.0f%s", number_of(s, "threshold", 0), number_of(s, "total", 0),
		    answer_of(s, "ready") == ANSWER_YES ? " ready" : "");
	else if (answer_of(s, "is_multisig") == ANSWER_NO)
		put(line, ", not multisig");
	if (*text_of(s, "address_hash") != '\0') {
		view_hash(text_of(s, "address_hash"), hash);
		put(line, ", address %s", hash);
	}
	if (answer_of(s, "stamp_ok") == ANSWER_NO)
		put(line, ", NOT ITS STAMP");
	put_text(line, "found escrow", text_of(s, "found_escrow"));
	if (e->ok == ANSWER_NO)
		put(line, ", not all of it could be had");
}

static void
put_worker(struct line *line, const struct event *e)
{
	const json_t *last = json_object_get(e->json, "last");
	bool exited = e->type == WORKER_EXITED;

	put(line, "worker %.0f %s", event_number(e, "worker", 0), exited ? "ended" : "started");
	put_text(line, "", event_text(e, "job"));
	put_text(line, "", event_text(e, "outcome"));
	put_text(line, "signal", event_text(e, "signal"));
	put_text(line, "by msigd for", event_text(e, "fault"));
	if (exited && event_number(e, "exit_code", 0) != 0)
		put(line, ", exit status %.0f", event_number(e, "exit_code", 0));
	if (exited && e->ok == ANSWER_NO && json_is_object(last))
		put(line, ", last %.40s%s%.20s%s%.40s", text_of(last, "type"), *text_of(last, "role") != '\0' ? " " : "",
		    text_of(last, "role"), *text_of(last, "method") != '\0' ? " " : "", text_of(last, "method"));
}

static void
put_state_change(struct line *line, const struct event *e)
{
	put(line, "STATE_CHANGE%s%.20s -> %.20s", *event_text(e, "from") != '\0' ? " " : "", event_text(e, "from"), event_text(e, "phase"));
	if (event_number(e, "multisig_round", 0) > 0)
		put(line, ", round %.0f", event_number(e, "multisig_round", 0));
	put_text(line, "", event_text(e, "reason"));
}

static void
put_numbers(struct line *line, const struct event *e)
{
	static const struct {
		const char *member, *shown;
	} times[] = {{"wait_ms", "waited"}, {"hold_ms", "held"}, {"asked_ms", "asked"}, {"measured_ms", "measured"},
	    {"delay_ms", "after"}};

	if (event_number(e, "next_attempt", 0) > 0)
		put(line, ", next is attempt %.0f", event_number(e, "next_attempt", 0));
	if (event_number(e, "bytes", -1) >= 0)
		put(line, ", %.0f bytes", event_number(e, "bytes", -1));
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		put_ms(line, times[i].shown, event_number(e, times[i].member, -1));
	if (event_number(e, "busy_tries", 0) > 0)
		put(line, ", busy %.0f times", event_number(e, "busy_tries", 0));
	if (answer_of(e->json, "clean") == ANSWER_NO)
		put(line, ", not clean");
	put_ms(line, "", e->duration_ms);
}

/* The members that a type has beside those of struct event: what is there is
 * shown, in this order; names, which are long, at the end. */
static void
put_members(struct line *line, const struct event *e)
{
	static const struct {
		const char *member, *shown;
	} texts[] = {{"what", ""}, {"lock", ""}, {"holder", "held by"}, {"kind", ""}, {"from", "from"}, {"to", "to"}, {"cause", ""},
	    {"reason", ""}, {"found", ""}, {"found_escrow", "of escrow"}, {"error", ""}};
	const char *what = event_text(e, e->type == CUSTOM ? "name" : "op");

	put(line, "%.60s%s%.60s", e->type_name, *what != '\0' ? " " : "", what);
	if (e->ok == ANSWER_NO && e->type != ERROR_FINAL)
		put(line, ", %s", e->type == LOCK_ACQUIRED ? "not had" : "failed");
	put_text(line, "", e->method);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		put_text(line, texts[i].shown, event_text(e, texts[i].member));
	put_numbers(line, e);
	put_port(line, e);
	if (*event_text(e, "file") != '\0')
		put_text(line, "", event_text(e, "file"));
	else
		put_text(line, "wallet", e->wallet);
}

void
view_event(const struct event *e, char out[VIEW_EVENT])
{
	struct line line = {out, 0};

	out[0] = '\0';
	if (e->type <= RPC_CALL_ERROR)
		put_call(&line, e);
	else if (event_is_snapshot(e))
		put_snapshot(&line, e);
	else if (e->type == WORKER_STARTED || e->type == WORKER_EXITED)
		put_worker(&line, e);
	else if (e->type == STATE_CHANGE)
		put_state_change(&line, e);
	else
		put_members(&line, e);
}

/* --- what stands out --------------------------------------------------------------- */

/* What follows from an interruption, and that the trace is not whole. */
static bool
is_notable(const struct event *e)
{
	static const char *const names[] = {"taken_up", "interrupted", "restore", "lost", "full"};

	for (size_t i = 0; e->type == CUSTOM && i < sizeof names / sizeof *names; i++) {
		if (strcmp(event_text(e, "name"), names[i]) == 0)
			return true;
	}
	return e->type == RETRY || e->type == FAILOVER || strcmp(event_phase(e), "Ready") == 0;
}

char
view_mark(const struct event *e, bool slow)
{
	if (answer_of(e->json, "expected") == ANSWER_YES)
		return ' ';
	if (event_is_snapshot(e) && answer_of(event_snapshot(e), "stamp_ok") == ANSWER_NO)
		return '!';
	if (event_was_stopped(e))
		return '*';
	if (event_is_snapshot(e)) /* one that could not be had changes nothing */
		return e->ok == ANSWER_NO ? '*' : ' ';
	if (e->type == RPC_CALL_ERROR || e->type == ERROR_FINAL || e->type == CACHE_POLLUTION_DETECTED ||
	    *event_text(e, "signal") != '\0' || strcmp(event_phase(e), "Failed") == 0 || e->ok == ANSWER_NO)
		return '!';
	return slow || is_notable(e) ? '*' : ' ';
}

enum colour
view_colour(char mark)
{
	return mark == '!' ? COLOUR_RED : mark == '*' ? COLOUR_YELLOW : COLOUR_NONE;
}

/* --- lines --------------------------------------------------------------------------- */

/* Lines are broken where a blank is. */
void
view_wrapped(const char *label, int indent, const char *text)
{
	enum { WIDTH = 92 };
	int width = terminal_is(stdout) && terminal_columns(stdout) < WIDTH ? terminal_columns(stdout) : WIDTH, column = indent;

	say(stdout, "%-*s", indent, label);
	while (*text != '\0') {
		size_t length = strcspn(text, " "), blanks = strspn(text + length, " ");
		size_t next = strcspn(text + length + blanks, " ");

		say(stdout, "%.*s", (int)length, text);
		column += (int)length + 1;
		text += length + blanks;
		if (*text != '\0' && column + (int)next > width) {
			printf("\n%*s", indent, "");
			column = indent;
		} else if (*text != '\0') {
			putchar(' ');
		}
	}
	putchar('\n');
}

/* --- JSON ------------------------------------------------------------------------- */

void
view_json(json_t *document)
{
	/* a microsecond in a week has twelve digits */
	char *text = json_dumps(document, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15) |
	    (terminal_is(stdout) ? JSON_INDENT(2) : 0));

	/* DEL, which jansson leaves as it is, can only be within a string */
	for (const char *c = text != NULL ? text : "null"; *c != '\0'; c++) {
		if (*c == 0x7f)
			fputs("\\u007f", stdout);
		else
			putchar(*c);
	}
	putchar('\n');
	free(text);
	json_decref(document);
}

json_t *
view_json_text(const char *text)
{
	json_t *json = json_string(text);
	char *ascii;

	if (json != NULL || (ascii = strdup(text)) == NULL)
		return json;
	for (char *c = ascii; *c != '\0'; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	json = json_string(ascii);
	free(ascii);
	return json;
}

json_t *
view_trace_json(const struct trace *trace)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:b}", "file", trace->name, "escrow_id", trace->escrow_id,
	    "trace_id", trace->trace_id, "label", trace->label, "started_at", (json_int_t)trace->started_at, "events", (json_int_t)trace->count, "skipped",
	    (json_int_t)trace->skipped, "cut", trace->cut || trace->full);
}

/* --- files ------------------------------------------------------------------------- */

static void
say_defects(const struct context *context, const struct trace *trace)
{
	if (trace->headless)
		complain(context, "%s: it has no header: whose it is and when it began is not known", trace->name);
	if (trace->skipped > 0)
		complain(context, "%s: %zu broken %s%s left out, the first is %s %zu", trace->name, trace->skipped,
		    trace->lines ? "line" : "event", trace->skipped == 1 ? "" : "s", trace->lines ? "line" : "event",
		    trace->first_skipped);
	if (trace->cut)
		complain(context, "%s: its last line is not whole: it was cut off in the midst of writing", trace->name);
	if (trace->full)
		complain(context, "%s: only the first %d events are looked at", trace->name, TRACE_EVENTS_MAX);
}

/* The same file; or "X.json" and "X.jsonl", as they lie there while something is added. */
static bool
is_pair(const char *a, const char *b)
{
	size_t longer = strlen(a) > strlen(b) ? strlen(a) : strlen(b), shorter = strlen(a) + strlen(b) - longer;

	return strcmp(a, b) == 0 || (longer == shorter + 1 && strncmp(a, b, shorter) == 0 && (a[shorter] == 'l' || b[shorter] == 'l'));
}

static int64_t
last_seq(const struct trace *t)
{
	int64_t last = 0;

	for (size_t i = 0; i < t->count; i++)
		last = t->events[i].seq > last ? t->events[i].seq : last;
	return last;
}

/* Of two files of one escrow one counts: that which goes further, as msigd has it
 * (common/trace.h). */
static void
leave_out_twins(const struct context *context, struct traces *traces)
{
	struct trace *last = &traces->list[traces->count - 1];

	for (struct trace *t = traces->list; t < last; t++) {
		struct trace better, worse;
		bool first;

		if (*last->escrow_id == '\0' || strcmp(t->escrow_id, last->escrow_id) != 0)
			continue;
		first = last_seq(t) != last_seq(last) ? last_seq(t) > last_seq(last) : t->count >= last->count;
		better = first ? *t : *last;
		worse = first ? *last : *t;
		if (!is_pair(t->name, last->name))
			complain(context, "%s and %s are of one escrow: only %s is looked at", t->name, last->name, better.name);
		*t = better;
		trace_free(&worse);
		traces->count--;
		return;
	}
}

bool
traces_read(const struct context *context, const struct arguments *arguments, struct traces *traces)
{
	int count = arguments->positional_count;
	char why[TRACE_WHY_MAX];
	bool good = true;

	traces->count = 0;
	traces->list = calloc((size_t)count + 1, sizeof *traces->list);
	if (traces->list == NULL) {
		complain(context, "out of memory");
		return false;
	}
	for (int i = 0; i < count; i++) {
		const char *path = arguments_positional(arguments, i);

		if (!trace_read_file(&traces->list[traces->count], path, why)) {
			complain(context, "%s: %s", path, why);
			good = false;
			continue;
		}
		say_defects(context, &traces->list[traces->count++]);
		leave_out_twins(context, traces);
	}
	return good;
}

void
traces_free(struct traces *traces)
{
	for (size_t i = 0; i < traces->count; i++)
		trace_free(&traces->list[i]);
	free(traces->list);
	traces->list = NULL;
	traces->count = 0;
}
