/* show: one escrow as an operator wants it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigctl/text.h"
#include "msigtrace/msigtrace.h"
#include "msigtrace/stats.h"

enum { ROUNDS = 8, SLOWEST = 5, ERRORS_SHOWN = 20 };

/* A round: from the first call that began in it to the last that ended. */
struct round {
	double from, to, calls_ms;
	size_t calls;
};

struct summary {
	const struct trace *trace;
	struct calls calls;
	struct result_of result;
	struct table_of_series methods;
	struct round rounds[ROUNDS]; /* of the last attempt, until its end */
	const struct call *slowest[SLOWEST];
	size_t later;                /* calls after the end, which are in none of the above */
	double later_ms;
	size_t bad;                  /* of all calls */
	size_t problems;             /* events that are one, and no calls */
};

/* What else stands out: no calls, and not what the head says. */
static bool
stands_out(const struct event *e)
{
	if (e->type <= RPC_CALL_ERROR || e->type == STATE_CHANGE || e->type == ERROR_FINAL)
		return false;
	return view_mark(e, false) != ' ';
}

static const char *
result_name(enum result result)
{
	switch (result) {
	case RESULT_UNDER_WAY: return "under way";
	case RESULT_READY: return "Ready";
	case RESULT_FAILED: return "Failed";
	}
	return "";
}

static void
round_add(struct round *r, const struct call *c)
{
	double end = c->t_ms + (c->duration_ms > 0 ? c->duration_ms : 0);

	r->from = r->calls == 0 || c->t_ms < r->from ? c->t_ms : r->from;
	r->to = r->calls == 0 || end > r->to ? end : r->to;
	r->calls_ms += c->duration_ms > 0 ? c->duration_ms : 0;
	r->calls++;
}

/* Into the slowest, in order. */
static void
consider(const struct call **slowest, const struct call *c)
{
	for (int i = 0; i < SLOWEST && c != NULL; i++) {
		if (slowest[i] == NULL || slowest[i]->duration_ms < c->duration_ms) {
			const struct call *pushed = slowest[i];
			slowest[i] = c;
			c = pushed;
		}
	}
}

/* Of a session, a check or a repair: the set-up had its end before. */
static bool
is_later(const struct summary *s, const struct event *e)
{
	return s->result.end != NULL && e > s->result.end;
}

static bool
summarise(const struct trace *trace, struct summary *s)
{
	*s = (struct summary){.trace = trace, .result = trace_result(trace)};
	if (!calls_of(trace, &s->calls))
		return false;
	for (const struct call *c = s->calls.list; c < s->calls.list + s->calls.count; c++) {
		s->bad += call_is_bad(c) && (c->outcome != OUTCOME_UNFINISHED || s->result.result != RESULT_UNDER_WAY);
		if (is_later(s, c->at)) {
			s->later++;
			s->later_ms += c->duration_ms > 0 ? c->duration_ms : 0;
			continue;
		}
		series_add(&s->methods, c->at->method, c->duration_ms, call_is_bad(c));
		if (c->duration_ms >= 0)
			consider(s->slowest, c);
		if (c->at->attempt == s->result.attempt && c->at->round >= 0 && c->at->round < ROUNDS)
			round_add(&s->rounds[c->at->round], c);
	}
	for (const struct event *e = trace->events; e < trace->events + trace->count; e++)
		s->problems += stands_out(e) && view_mark(e, false) == '!';
	series_sort(&s->methods);
	return !s->methods.failed;
}

static void
summary_free(struct summary *s)
{
	series_free(&s->methods);
	calls_free(&s->calls);
}

/* The last event of that type, or NULL. */
static const struct event *
last_of(const struct trace *t, enum event_type type)
{
	for (const struct event *e = t->events + t->count; e > t->events; e--) {
		if (e[-1].type == type)
			return e - 1;
	}
	return NULL;
}

/* --- for people -------------------------------------------------------------------- */

static void
print_head(const struct summary *s)
{
	const struct trace *t = s->trace;
	const struct event *error = last_of(t, ERROR_FINAL);
	bool failed = s->result.result == RESULT_FAILED;
	char text[VIEW_EVENT], ms[VIEW_MS], date[TEXT_TIME];

	view_ms(s->result.total_ms, ms);
	print_property("escrow", t->escrow_id);
	print_property("label", t->label);
	print_property("trace", t->trace_id);
	text_date(t->started_at, date, sizeof date);
	print_property("began", date);
	snprintf(text, sizeof text, "%s%s%s", result_name(s->result.result), s->result.end != NULL ? " after " : ", so far ", ms);
	print_property_colour("result", text, failed ? COLOUR_RED : s->result.end != NULL ? COLOUR_GREEN : COLOUR_YELLOW);
	if (failed && error != NULL) {
		snprintf(text, sizeof text, "%.60s%s%.300s", event_text(error, "cause"), *event_text(error, "error") != '\0' ? ": " : "",
		    event_text(error, "error"));
		print_property("cause", text);
	}
	snprintf(text, sizeof text, "%lld", (long long)s->result.attempt);
	print_property("attempt", s->result.attempt > 1 ? text : "");
	if (s->bad > 0)
		snprintf(text, sizeof text, "%zu events, %zu calls, %zu of them wrong", t->count, s->calls.count, s->bad);
	else
		snprintf(text, sizeof text, "%zu events, %zu calls, none wrong", t->count, s->calls.count);
	print_property("trace has", text);
	view_ms(s->later_ms, ms);
	snprintf(text, sizeof text, "%zu of these calls, %s together, not counted below", s->later, ms);
	print_property("afterwards", s->later > 0 ? text : "");
}

static void
print_leases(const struct summary *s)
{
	static const struct column columns[] = {{"ROLE", COLUMN_WHOLE}, {"ENDPOINT", COLUMN_WHOLE}, {"PORT", COLUMN_RIGHT},
	    {"WAITED", COLUMN_RIGHT}, {"SPARE", COLUMN_WHOLE}, {"LEASED AT", COLUMN_RIGHT}, {0}};
	struct table *table = NULL;
	const struct trace *t = s->trace;
	char text[VIEW_MS + 2];

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		if (e->type != LEASE || is_later(s, e))
			continue;
		if (table == NULL)
			table = table_new(columns);
		table_line(table);
		table_cell(table, 0, view_role(e->role));
		table_cell(table, 1, e->endpoint);
		table_cell_number(table, 2, e->port);
		view_ms(event_number(e, "wait_ms", -1), text);
		table_cell(table, 3, text);
		table_cell(table, 4, answer_of(e->json, "spare") == ANSWER_YES ? "yes" : "no");
		snprintf(text, sizeof text, "%+.1f ms", e->t_ms);
		table_cell(table, 5, text);
	}
	if (table != NULL) {
		putchar('\n');
		table_print(table);
	}
}

static void
print_rounds(const struct summary *s)
{
	static const struct column columns[] = {{"ROUND", COLUMN_WHOLE}, {"FROM", COLUMN_RIGHT}, {"TOOK", COLUMN_RIGHT},
	    {"IN CALLS", COLUMN_RIGHT}, {"CALLS", COLUMN_RIGHT}, {0}};
	static const char *const names[ROUNDS] = {"0 create", "1 prepare, make", "2 exchange", "3 exchange", "4", "5", "6", "7"};
	struct table *table = NULL;
	char text[VIEW_MS + 2];

	for (int i = 0; i < ROUNDS; i++) {
		const struct round *r = &s->rounds[i];
		if (r->calls == 0)
			continue;
		if (table == NULL)
			table = table_new(columns);
		table_line(table);
		table_cell(table, 0, names[i]);
		snprintf(text, sizeof text, "%+.1f ms", r->from);
		table_cell(table, 1, text);
		view_ms(r->to - r->from, text);
		table_cell(table, 2, text);
		view_ms(r->calls_ms, text);
		table_cell(table, 3, text);
		table_cell_number(table, 4, (long long)r->calls);
	}
	if (table != NULL) {
		putchar('\n');
		table_print(table);
	}
}

static double
sum_of(const struct series *s)
{
	double sum = 0;

	for (size_t i = 0; i < s->count; i++)
		sum += s->values[i];
	return sum;
}

static void
print_methods(const struct summary *s)
{
	static const struct column columns[] = {{"CALL", COLUMN_WHOLE}, {"COUNT", COLUMN_RIGHT}, {"WRONG", COLUMN_FILLED_RIGHT},
	    {"TOGETHER", COLUMN_RIGHT}, {"MEDIAN", COLUMN_RIGHT}, {"MAX", COLUMN_RIGHT}, {0}};
	struct table *table;
	char text[VIEW_MS];

	if (s->methods.count == 0)
		return;
	table = table_new(columns);
	for (size_t i = 0; i < s->methods.count; i++) {
		const struct series *m = &s->methods.list[i];
		table_line(table);
		table_cell(table, 0, m->name);
		table_cell_number(table, 1, (long long)m->seen);
		snprintf(text, sizeof text, "%zu", m->errors);
		table_cell_colour(table, 2, m->errors > 0 ? text : "", COLOUR_RED);
		view_ms(sum_of(m), text);
		table_cell(table, 3, text);
		view_ms(series_percentile(m, 50), text);
		table_cell(table, 4, text);
		view_ms(series_percentile(m, 100), text);
		table_cell(table, 5, text);
	}
	putchar('\n');
	table_print(table);
}

static void
print_call(const struct call *c)
{
	char ms[VIEW_MS], outcome[32];

	view_ms(c->duration_ms, ms);
	outcome_text(c, outcome, sizeof outcome);
	say(stdout, "  %+10.1f ms  %-8s %-24s %9s  %s%s%s\n", c->t_ms, view_role(c->at->role), c->at->method, ms, outcome,
	    c->end != NULL && *event_text(c->end, "error") != '\0' ? ": " : "", c->end != NULL ? event_text(c->end, "error") : "");
}

static void
print_calls(const struct summary *s)
{
	int shown = 0;

	if (s->slowest[0] != NULL)
		fputs("\nslowest\n", stdout);
	for (int i = 0; i < SLOWEST && s->slowest[i] != NULL; i++)
		print_call(s->slowest[i]);
	if (s->bad > 0)
		fputs("\nwrong\n", stdout);
	for (const struct call *c = s->calls.list; c < s->calls.list + s->calls.count && shown < ERRORS_SHOWN; c++) {
		if (call_is_bad(c)) {
			print_call(c);
			shown++;
		}
	}
	if (s->bad > ERRORS_SHOWN)
		say(stdout, "  and %zu more\n", s->bad - ERRORS_SHOWN);
}

/* The other events that stand out. */
static void
print_events(const struct summary *s)
{
	size_t shown = 0;

	for (const struct event *e = s->trace->events; e < s->trace->events + s->trace->count; e++) {
		char text[VIEW_EVENT];

		if (!stands_out(e))
			continue;
		if (++shown > ERRORS_SHOWN)
			continue;
		if (shown == 1)
			fputs("\nwhat else happened\n", stdout);
		view_event(e, text);
		terminal_colour(stdout, view_colour(view_mark(e, false)));
		say(stdout, "  %+10.1f ms  %-8s %s", e->t_ms, view_role(e->role), text);
		terminal_colour(stdout, COLOUR_NONE);
		putchar('\n');
	}
	if (shown > ERRORS_SHOWN)
		say(stdout, "  and %zu more\n", shown - ERRORS_SHOWN);
}

/* --- JSON ----------------------------------------------------------------------------- */

static json_t *
call_json(const struct call *c)
{
	json_t *json = json_pack("{s:f, s:f, s:s, s:s, s:i, s:i, s:s, s:b}", "t_ms", c->t_ms, "duration_ms", c->duration_ms, "role",
	    view_role(c->at->role), "method", c->at->method, "round", c->at->round, "port", c->at->port, "outcome",
	    outcome_name(c->outcome), "expected", c->expected);

	if (c->code != 0)
		json_object_set_new(json, "code", json_integer(c->code));
	return json;
}

static json_t *
events_json(const struct trace *trace)
{
	json_t *list = json_array();

	for (const struct event *e = trace->events; e < trace->events + trace->count; e++) {
		char text[VIEW_EVENT];

		if (!stands_out(e))
			continue;
		view_event(e, text);
		json_array_append_new(list, json_pack("{s:I, s:I, s:f, s:s, s:s, s:s, s:o}", "seq", (json_int_t)e->seq, "attempt",
		    (json_int_t)e->attempt, "t_ms", e->t_ms, "role", view_role(e->role), "type", e->type_name, "mark",
		    view_mark(e, false) == '!' ? "problem" : "notable", "text", view_json_text(text)));
	}
	return list;
}

static json_t *
summary_json(const struct summary *s)
{
	json_t *json = view_trace_json(s->trace), *rounds = json_array(), *methods = json_array(), *slowest = json_array(),
	    *wrong = json_array();
	const struct event *error = last_of(s->trace, ERROR_FINAL);

	for (int i = 0; i < ROUNDS; i++) {
		if (s->rounds[i].calls > 0)
			json_array_append_new(rounds, json_pack("{s:i, s:f, s:f, s:f, s:I}", "round", i, "from_ms", s->rounds[i].from,
			    "took_ms", s->rounds[i].to - s->rounds[i].from, "calls_ms", s->rounds[i].calls_ms, "calls",
			    (json_int_t)s->rounds[i].calls));
	}
	for (size_t i = 0; i < s->methods.count; i++) {
		const struct series *m = &s->methods.list[i];
		json_array_append_new(methods, json_pack("{s:o, s:I, s:I, s:f, s:f, s:f}", "method", view_json_text(m->name), "count",
		    (json_int_t)m->seen, "wrong", (json_int_t)m->errors, "total_ms", sum_of(m), "median_ms", series_percentile(m, 50),
		    "max_ms", series_percentile(m, 100)));
	}
	for (int i = 0; i < SLOWEST && s->slowest[i] != NULL; i++)
		json_array_append_new(slowest, call_json(s->slowest[i]));
	for (const struct call *c = s->calls.list; c < s->calls.list + s->calls.count; c++) {
		if (call_is_bad(c))
			json_array_append_new(wrong, call_json(c));
	}
	json_object_set_new(json, "result", json_string(result_name(s->result.result)));
	json_object_set_new(json, "attempt", json_integer(s->result.attempt));
	json_object_set_new(json, "total_ms", json_real(s->result.total_ms));
	if (s->result.result == RESULT_FAILED && error != NULL)
		json_object_set_new(json, "cause", json_string(event_text(error, "cause")));
	json_object_set_new(json, "rounds", rounds);
	json_object_set_new(json, "calls", methods);
	json_object_set_new(json, "slowest", slowest);
	json_object_set_new(json, "later_calls", json_integer((json_int_t)s->later));
	json_object_set_new(json, "later_calls_ms", json_real(s->later_ms));
	json_object_set_new(json, "wrong", wrong);
	json_object_set_new(json, "notable", events_json(s->trace));
	return json;
}

enum exit_status
show_run(const struct context *context, const struct arguments *arguments)
{
	struct traces traces;
	struct summary s = {.trace = NULL};
	enum exit_status status = STATUS_UNREADABLE;

	if (!traces_read(context, arguments, &traces)) {
		; /* said */
	} else if (!summarise(&traces.list[0], &s)) {
		complain(context, "out of memory");
	} else {
		status = s.bad > 0 || s.problems > 0 || s.result.result == RESULT_FAILED ? STATUS_PROBLEMS : STATUS_CLEAN;
		if (context->json) {
			view_json(summary_json(&s));
		} else {
			print_head(&s);
			print_leases(&s);
			print_rounds(&s);
			print_methods(&s);
			print_calls(&s);
			print_events(&s);
		}
	}
	summary_free(&s);
	traces_free(&traces);
	return status;
}
