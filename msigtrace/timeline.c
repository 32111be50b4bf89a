/* timeline: every event on a line, in lanes where there is room for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigctl/terminal.h"
#include "msigctl/text.h"
#include "msigtrace/msigtrace.h"
#include "msigtrace/stats.h"

enum { TIME_WIDTH = 12, ROLE_WIDTH = 9, LANES_COLUMNS = 130, LANE_MIN = 36 };

/* Which calls took much longer than others of their kind: their ends. */
struct slow {
	const struct event **list;
	size_t count, next;
};

static bool
is_slow(struct slow *slow, const struct event *e)
{
	if (slow->next < slow->count && slow->list[slow->next] == e) {
		slow->next++;
		return true;
	}
	return false;
}

static int
by_place(const void *a, const void *b)
{
	const struct event *x = *(const struct event *const *)a, *y = *(const struct event *const *)b;

	return x < y ? -1 : x > y;
}

static bool
find_slow(const struct trace *trace, struct slow *slow)
{
	struct calls calls;
	bool good = calls_of(trace, &calls);

	*slow = (struct slow){NULL, 0, 0};
	slow->list = calloc(calls.count + 1, sizeof *slow->list);
	good = good && slow->list != NULL && stats_slow(&calls, slow->list, &slow->count);
	if (good)
		qsort(slow->list, slow->count, sizeof *slow->list, by_place);
	calls_free(&calls);
	return good;
}

static json_t *
event_json(const struct event *e, char mark)
{
	char text[VIEW_EVENT];
	json_t *json = json_pack("{s:I, s:I, s:f, s:s}", "seq", (json_int_t)e->seq, "attempt", (json_int_t)e->attempt, "t_ms", e->t_ms,
	    "type", e->type_name);

	view_event(e, text);
	if (e->role != ROLE_COUNT)
		json_object_set_new(json, "role", json_string(role_name(e->role)));
	if (e->round >= 0)
		json_object_set_new(json, "round", json_integer(e->round));
	if (*e->method != '\0')
		json_object_set_new(json, "method", json_string(e->method));
	if (*e->endpoint != '\0')
		json_object_set_new(json, "endpoint", json_string(e->endpoint));
	if (e->port != 0)
		json_object_set_new(json, "port", json_integer(e->port));
	if (e->duration_ms >= 0)
		json_object_set_new(json, "duration_ms", json_real(e->duration_ms));
	if (mark != ' ')
		json_object_set_new(json, "mark", json_string(mark == '!' ? "problem" : "notable"));
	json_object_set_new(json, "text", view_json_text(text));
	return json;
}

/* Made safe, and at most so many columns; padded when it stands before another. */
static void
print_lane(const char *text, int columns, bool pad)
{
	char safe[4 * VIEW_EVENT];
	int width;

	text_safe(text, safe, sizeof safe);
	if (columns > 0)
		text_cut(safe, columns - 1);
	width = text_width(safe);
	fputs(safe, stdout);
	if (pad && width < columns)
		printf("%*s", columns - width, "");
}

static void
print_event(const struct event *e, char mark, int lane)
{
	char text[VIEW_EVENT];

	view_event(e, text);
	if (mark != ' ')
		terminal_colour(stdout, view_colour(mark));
	printf("%+*.1f ms %c ", TIME_WIDTH - 3, e->t_ms, mark);
	if (lane == 0) {
		/* one line an event; but what went wrong is shown whole, however long */
		int room = terminal_is(stdout) && mark != '!' ? terminal_columns(stdout) - TIME_WIDTH - 3 - ROLE_WIDTH : 0;
		printf("%-*s", ROLE_WIDTH, view_role(e->role));
		print_lane(text, room > 0 ? room + 1 : 0, false);
	} else {
		/* nothing stands to the right of it: it may go on there */
		int left = e->role == ROLE_COUNT ? 0 : (int)e->role * lane;
		printf("%*s%s", left, "", e->role == ROLE_COUNT ? "== " : "");
		print_lane(text, ROLE_COUNT * lane - left, false);
	}
	if (mark != ' ')
		terminal_colour(stdout, COLOUR_NONE);
	putchar('\n');
}

static void
print_all(const struct trace *trace, struct slow *slow, bool lanes)
{
	int columns = terminal_columns(stdout), lane = 0;
	int64_t attempt = 0;

	if (lanes || (terminal_is(stdout) && columns >= LANES_COLUMNS)) {
		lane = (columns - TIME_WIDTH - 3) / ROLE_COUNT;
		lane = lane < LANE_MIN ? LANE_MIN : lane;
		printf("%*s", TIME_WIDTH + 3, "");
		for (int i = 0; i < ROLE_COUNT; i++)
			print_lane(role_name((enum role)i), lane, i < ROLE_COUNT - 1);
		putchar('\n');
	}
	for (const struct event *e = trace->events; e < trace->events + trace->count; e++) {
		if (e->attempt > attempt) {
			if (attempt > 0 || e->attempt > 1)
				printf("attempt %lld\n", (long long)e->attempt);
			attempt = e->attempt;
		}
		print_event(e, view_mark(e, is_slow(slow, e)), lane);
	}
}

static enum exit_status
status_of(const struct trace *trace)
{
	for (const struct event *e = trace->events; e < trace->events + trace->count; e++) {
		if (view_mark(e, false) == '!')
			return STATUS_PROBLEMS;
	}
	return STATUS_CLEAN;
}

enum exit_status
timeline_run(const struct context *context, const struct arguments *arguments)
{
	struct traces traces;
	struct slow slow = {NULL, 0, 0};
	enum exit_status status = STATUS_UNREADABLE;
	json_t *json, *events;

	if (!traces_read(context, arguments, &traces)) {
		; /* said */
	} else if (!find_slow(&traces.list[0], &slow)) {
		complain(context, "out of memory");
	} else if (context->json) {
		const struct trace *t = &traces.list[0];
		json = view_trace_json(t);
		events = json_array();
		for (const struct event *e = t->events; e < t->events + t->count; e++)
			json_array_append_new(events, event_json(e, view_mark(e, is_slow(&slow, e))));
		json_object_set_new(json, "timeline", events);
		view_json(json);
		status = status_of(&traces.list[0]);
	} else {
		print_all(&traces.list[0], &slow, arguments_has(arguments, "lanes"));
		status = status_of(&traces.list[0]);
	}
	free(slow.list);
	traces_free(&traces);
	return status;
}
