/*
 * calibrate: one long call, and beside it the events that tell how far it is. A
 * table of what was tried, and what to write into msigd.conf.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/event_stream.h"
#include "msigctl/event_text.h"
#include "msigctl/interrupt.h"
#include "msigctl/output.h"
#include "msigctl/table.h"
#include "msigctl/terminal.h"
#include "msigctl/text.h"

/* A refusal comes at once, and there is nothing to be seen before the first
 * trial. It may wait for escrows, and 20 trials at each stagger take their time. */
enum { SILENT_MS = 300, LIMIT_MS = 24 * 60 * 60 * 1000 };

struct progress {
	const struct context *context;
	struct event_reader reader;
	struct event_stream *stream; /* NULL: not begun, or over */
	int64_t began_ms;
	bool begun, drawn;
	char text[EVENT_TEXT];
};

/* --- while it goes on ----------------------------------------------------- */

static bool
on_event(void *user, const json_t *event)
{
	struct progress *p = user;

	if (strcmp(member_text(event, "type"), "calibrate") == 0)
		event_text(event, p->text, sizeof p->text);
	return true;
}

static void
follow(struct progress *p)
{
	if (!p->begun)
		p->stream = event_stream_begin(p->context, &p->reader);
	p->begun = true;
	if (p->stream == NULL || event_stream_take(p->stream))
		return;
	event_stream_end(p->stream);
	p->stream = NULL;
}

static void
on_tick(void *user)
{
	struct progress *p = user;
	int64_t elapsed_ms = clock_monotonic_ms() - p->began_ms;
	char time[TEXT_TIME], text[EVENT_TEXT + TEXT_TIME + 2], line[4 * sizeof text];

	if (elapsed_ms < SILENT_MS)
		return;
	follow(p);
	text_elapsed(elapsed_ms, time, sizeof time);
	snprintf(text, sizeof text, "%s  %s", time, p->text);
	text_safe(text, line, sizeof line);
	text_cut(line, terminal_columns(stderr) - 1);
	terminal_draw_line(line);
	p->drawn = true;
}

static enum exit_status
ask(const struct context *context, json_t *params, json_t **result)
{
	struct progress p = {.context = context, .began_ms = clock_monotonic_ms(), .text = "calibrate: the first trial"};
	enum exit_status status;

	p.reader = (struct event_reader){.since = -1, .event = on_event, .user = &p};
	if (!context->quiet && terminal_can_redraw(stderr)) {
		interrupt_catch(); /* from here on there is a line to wipe */
		client_on_wait(on_tick, &p);
	}
	status = client_call(context, "calibrate", params, LIMIT_MS, result);
	client_on_wait(NULL, NULL);
	event_stream_end(p.stream);
	if (p.drawn)
		terminal_wipe_line();
	return status;
}

/* --- what came of it ------------------------------------------------------ */

/* As msigd.conf takes it. */
static void
format_key(int64_t ms, char *out, size_t size)
{
	if (ms % 1000 == 0)
		snprintf(out, size, ms == 0 ? "0" : "%llds", (long long)ms / 1000);
	else
		snprintf(out, size, "%lldms", (long long)ms);
}

static void
add_step(struct table *table, const json_t *step)
{
	const char *reason = json_string_value(json_array_get(json_object_get(step, "reasons"), 0));
	int64_t failed = member_int(step, "failed", 0), setup_ms = member_int(step, "setup_ms", -1);
	char text[TEXT_TIME] = "-";

	if (setup_ms >= 0)
		text_elapsed(setup_ms, text, sizeof text);
	table_cell(table, 3, text);
	duration_format(member_int(step, "stagger_ms", 0), text, sizeof text);
	table_cell(table, 0, text);
	table_cell_number(table, 1, member_int(step, "trials", 0));
	snprintf(text, sizeof text, "%lld", (long long)failed);
	table_cell_colour(table, 2, text, failed > 0 ? COLOUR_RED : COLOUR_NONE);
	table_cell(table, 4, reason != NULL ? reason : "");
}

static void
show_steps(const json_t *steps)
{
	static const struct column columns[] = {
		{"STAGGER", COLUMN_RIGHT}, {"TRIALS", COLUMN_RIGHT}, {"FAILED", COLUMN_RIGHT}, {"SET-UP", COLUMN_RIGHT},
		{"ERROR", COLUMN_CUT}, {0},
	};

	table_of(columns, steps, add_step);
}

static void
show_advice(const json_t *result)
{
	int64_t least = member_int(result, "stagger_ms", -1), configured = member_int(result, "configured_ms", 0);
	char text[TEXT_TIME], now[TEXT_TIME];

	format_key(least, text, sizeof text);
	format_key(configured, now, sizeof now);
	if (least == -1)
		say(stdout, "every stagger showed an error: no stagger-delay helps against that\n");
	else if (least == configured)
		say(stdout, "stagger-delay = %s, as it is now, works\n", text);
	else if (least == 0)
		say(stdout, "stagger-delay = 0, the default, works: take the line with %s out of msigd.conf\n", now);
	else
		say(stdout, "write into msigd.conf: stagger-delay = %s (it is %s now)\n", text, now);
}

static void
show(const struct context *context, const json_t *result)
{
	int64_t least = member_int(result, "stagger_ms", -1);
	char text[TEXT_TIME];

	if (!context->quiet) {
		show_steps(json_object_get(result, "steps"));
		show_advice(result);
	} else if (least != -1) {
		format_key(least, text, sizeof text);
		say(stdout, "%s\n", text);
	}
}

static void
tell_left(const struct context *context, const json_t *left)
{
	const json_t *wallet;
	size_t i;

	json_array_foreach(left, i, wallet)
		complain(context, "the files of wallet %s could not be removed: remove them by hand",
		    json_is_string(wallet) ? json_string_value(wallet) : "?");
}

enum exit_status
calibrate_run(const struct context *context, const struct arguments *arguments)
{
	int64_t trials = 0;
	json_t *params = json_object(), *result;
	enum exit_status status;
	bool found;

	if (!arguments_number(context, arguments, "trials", 1, &trials)) {
		json_decref(params);
		return STATUS_USAGE;
	}
	if (trials > 0)
		json_object_set_new(params, "trials", json_integer(trials));
	status = ask(context, params, &result);
	if (status != STATUS_DONE)
		return status;
	if (context->json)
		say_json(result);
	else
		show(context, result);
	tell_left(context, json_object_get(result, "left"));
	found = json_is_integer(json_object_get(result, "stagger_ms"));
	json_decref(result);
	return found ? STATUS_DONE : STATUS_REFUSED;
}
