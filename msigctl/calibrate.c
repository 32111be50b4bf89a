/*
 * calibrate: one long call. A table of what was tried, and what to write into
 * msigd.conf.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/duration.h"
#include "msigctl/arguments.h"
#include "msigctl/long_call.h"
#include "msigctl/output.h"
#include "msigctl/table.h"
#include "msigctl/terminal.h"
#include "msigctl/text.h"

/* It may wait for escrows, and 20 trials at each stagger take their time. */
enum { LIMIT_MS = 24 * 60 * 60 * 1000 };

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
	status = long_call(context, "calibrate", params, LIMIT_MS, "calibrate", "calibrate: the first trial", &result);
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
