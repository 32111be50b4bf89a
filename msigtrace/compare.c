/* compare: two escrows step by step, role by role, until they part. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigtrace/msigtrace.h"
#include "msigtrace/snapshots.h"

/* The calls of one attempt, until it was Ready or Failed. */
struct side {
	const struct trace *trace;
	struct calls calls;
	int64_t attempt;
	const struct event *end;   /* behind the last event that counts */
};

/* Where they part. */
struct parting {
	enum role role;
	const struct call *good, *bad; /* one may be NULL: that side made no further call */
};

/* The attempt that went wrong first, or the last one. */
static int64_t
attempt_of(const struct trace *t, bool bad)
{
	struct result_of result = trace_result(t);

	for (const struct event *e = t->events; bad && e < t->events + t->count; e++) {
		if (strcmp(event_phase(e), "Failed") == 0 || e->type == RETRY || e->type == ERROR_FINAL || view_mark(e, false) == '!')
			return e->attempt;
	}
	return result.attempt;
}

static bool
side_open(struct side *side, const struct trace *trace, bool bad)
{
	side->trace = trace;
	side->attempt = attempt_of(trace, bad);
	side->end = trace->events + trace->count;
	for (const struct event *e = trace->events; e < side->end; e++) {
		const char *phase = event_phase(e);
		if (e->attempt == side->attempt && (strcmp(phase, "Ready") == 0 || strcmp(phase, "Failed") == 0))
			side->end = e + 1;
	}
	return calls_of(trace, &side->calls);
}

/* A step: a call of the rounds. One that goes well in round 0 is none: whether a wallet
 * was made or a spare taken is no difference. */
static bool
is_step(const struct side *side, const struct call *c, enum role role)
{
	return c->at->role == role && c->at->attempt == side->attempt && c->at < side->end &&
	    (c->at->round > 0 || call_is_bad(c));
}

static const struct call *
next_step(const struct side *side, const struct call *from, enum role role)
{
	const struct call *end = side->calls.list + side->calls.count;

	while (from < end && !is_step(side, from, role))
		from++;
	return from < end ? from : NULL;
}

static bool
same_step(const struct call *a, const struct call *b)
{
	return strcmp(a->at->method, b->at->method) == 0 && a->at->round == b->at->round && a->outcome == b->outcome &&
	    a->code == b->code;
}

/* The first step that is not the same; false: there is none. */
static bool
parting_of(const struct side *good, const struct side *bad, enum role role, struct parting *parting)
{
	const struct call *a = next_step(good, good->calls.list, role), *b = next_step(bad, bad->calls.list, role);

	while (a != NULL && b != NULL && same_step(a, b)) {
		a = next_step(good, a + 1, role);
		b = next_step(bad, b + 1, role);
	}
	*parting = (struct parting){role, a, b};
	return a != NULL || b != NULL;
}

static double
when(const struct parting *p, const struct side *bad)
{
	if (p->bad != NULL)
		return p->bad->t_ms;
	return bad->end > bad->trace->events ? bad->end[-1].t_ms : 0;
}

/* Of all roles the one that goes another way first; what simply ends comes behind what
 * went wrong. */
static bool
first_parting(const struct side *good, const struct side *bad, struct parting *first)
{
	bool found = false;

	for (int i = 0; i < ROLE_COUNT; i++) {
		struct parting p;
		if (!parting_of(good, bad, (enum role)i, &p))
			continue;
		if (!found || (p.bad != NULL) > (first->bad != NULL) ||
		    ((p.bad != NULL) == (first->bad != NULL) && when(&p, bad) < when(first, bad)))
			*first = p;
		found = true;
	}
	return found;
}

/* The snapshot of this role nearest to the call: before it, or behind it. */
static const struct event *
snapshot_near(const struct side *side, const struct call *call, enum role role, bool behind)
{
	const struct event *at = call != NULL ? call->at : side->end, *found = NULL;

	for (const struct event *e = side->trace->events; e < side->end; e++) {
		if (!event_is_snapshot(e) || e->role != role || e->attempt != side->attempt)
			continue;
		if (!behind && e < at)
			found = e;
		else if (behind && e > at)
			return e;
	}
	return found;
}

/* --- what is shown ------------------------------------------------------------------------ */

static void
step_text(const struct call *c, const char *none, char out[VIEW_EVENT])
{
	char outcome[32], ms[VIEW_MS];

	if (c == NULL) {
		snprintf(out, VIEW_EVENT, "%s", none);
		return;
	}
	outcome_text(c, outcome, sizeof outcome);
	view_ms(c->duration_ms, ms);
	snprintf(out, VIEW_EVENT, "%.60s, round %d: %s, %s, at %+.1f ms", c->at->method, c->at->round, outcome, ms, c->t_ms);
}

/* The same point in the other. */
static const struct event *
snapshot_like(const struct side *side, const struct event *other)
{
	for (const struct event *e = side->trace->events; other != NULL && e < side->end; e++) {
		if (e->type == other->type && e->role == other->role && e->attempt == side->attempt)
			return e;
	}
	return NULL;
}

/* The point of the bad one, the same of the good one, and what differs. */
static json_t *
snapshots_of(const struct parting *p, const struct side *good, const struct side *bad, bool behind)
{
	const struct event *b = snapshot_near(bad, p->bad, p->role, behind);
	const struct event *a = b != NULL ? snapshot_like(good, b) : NULL;

	if (b == NULL)
		return json_null();
	return json_pack("{s:s, s:b, s:o}", "point", b->type_name, "in_good", a != NULL, "different",
	    snapshot_difference(a != NULL ? event_snapshot(a) : NULL, event_snapshot(b), true));
}

static void
print_snapshots(const char *where, const json_t *json)
{
	char text[SNAPSHOT_DIFFERENCE];

	if (!json_is_object(json))
		return;
	snapshot_difference_text(json_object_get(json, "different"), text);
	say(stdout, "%s %s: %s\n", where, text_of(json, "point"), answer_of(json, "in_good") != ANSWER_YES ? "GOOD has no such snapshot" :
	    *text != '\0' ? text : "alike");
}

static void
compare_cells(struct table *table, enum role role, int round, const struct call *a, const struct call *b)
{
	char text[VIEW_MS];
	bool same = a != NULL && b != NULL && same_step(a, b);

	table_line(table);
	table_cell(table, 0, role_name(role));
	table_cell_number(table, 1, round);
	table_cell(table, 2, a != NULL ? a->at->method : "-");
	view_ms(a != NULL ? a->duration_ms : -1, text);
	table_cell(table, 3, text);
	table_cell_colour(table, 4, b == NULL ? "-" : same && b->outcome == OUTCOME_OK ? "the same" : b->at->method,
	    same ? COLOUR_NONE : COLOUR_RED);
	view_ms(b != NULL ? b->duration_ms : -1, text);
	table_cell(table, 5, text);
	if (b != NULL)
		outcome_text(b, text, sizeof text);
	table_cell_colour(table, 6, b == NULL ? "" : text, same ? COLOUR_NONE : COLOUR_RED);
}

/* One of the two may be NULL. */
static void
print_step(struct table *table, enum role role, const struct call *a, const struct call *b)
{
	if (a != NULL)
		compare_cells(table, role, a->at->round, a, b);
	else if (b != NULL)
		compare_cells(table, role, b->at->round, a, b);
}

/* Side by side until they part, and that step. */
static void
print_steps(const struct side *good, const struct side *bad)
{
	static const struct column columns[] = {{"ROLE", COLUMN_WHOLE}, {"ROUND", COLUMN_RIGHT}, {"GOOD", COLUMN_WHOLE},
	    {"TOOK", COLUMN_RIGHT}, {"BAD", COLUMN_WHOLE}, {"TOOK", COLUMN_RIGHT}, {"OUTCOME", COLUMN_WHOLE}, {0}};
	struct table *table = table_new(columns);

	for (int i = 0; i < ROLE_COUNT; i++) {
		const struct call *a = next_step(good, good->calls.list, (enum role)i);
		const struct call *b = next_step(bad, bad->calls.list, (enum role)i);
		while (a != NULL || b != NULL) {
			print_step(table, (enum role)i, a, b);
			if (a == NULL || b == NULL || !same_step(a, b))
				break;
			a = next_step(good, a + 1, (enum role)i);
			b = next_step(bad, b + 1, (enum role)i);
		}
	}
	table_print(table);
}

static void
print_parting(const struct parting *p, const struct side *good, const struct side *bad, json_t *before, json_t *after)
{
	char a[VIEW_EVENT], b[VIEW_EVENT];

	print_steps(good, bad);
	if (p == NULL) {
		fputs("\nthe two go the same way\n", stdout);
		return;
	}
	step_text(p->good, "no further call", a);
	step_text(p->bad, "no further call", b);
	putchar('\n');
	say(stdout, "the first difference: %s, attempt %lld of %s\n", role_name(p->role), (long long)bad->attempt, bad->trace->name);
	say(stdout, "GOOD  %s\n", a);
	say(stdout, "BAD   %s\n", b);
	print_snapshots("before", before);
	print_snapshots("after", after);
}

static json_t *
step_json(const struct call *c)
{
	if (c == NULL)
		return json_null();
	return json_pack("{s:s, s:i, s:s, s:i, s:f, s:f}", "method", c->at->method, "round", c->at->round, "outcome",
	    outcome_name(c->outcome), "code", c->code, "t_ms", c->t_ms, "duration_ms", c->duration_ms);
}

static bool
compare(const struct context *context, const struct side *good, const struct side *bad)
{
	struct parting p;
	bool parts = first_parting(good, bad, &p);
	json_t *before = parts ? snapshots_of(&p, good, bad, false) : NULL, *after = parts ? snapshots_of(&p, good, bad, true) : NULL;

	if (!context->json) {
		print_parting(parts ? &p : NULL, good, bad, before, after);
		json_decref(before);
		json_decref(after);
	} else if (parts) {
		view_json(json_pack("{s:s, s:s, s:b, s:s, s:I, s:o, s:o, s:o, s:o}", "good", good->trace->name, "bad", bad->trace->name,
		    "same", 0, "role", role_name(p.role), "attempt", (json_int_t)bad->attempt, "good_step", step_json(p.good),
		    "bad_step", step_json(p.bad), "snapshots_before", before, "snapshots_after", after));
	} else {
		view_json(json_pack("{s:s, s:s, s:b}", "good", good->trace->name, "bad", bad->trace->name, "same", 1));
	}
	return parts;
}

enum exit_status
compare_run(const struct context *context, const struct arguments *arguments)
{
	struct traces traces;
	struct side good = {.calls = {NULL, 0}}, bad = {.calls = {NULL, 0}};
	enum exit_status status = STATUS_UNREADABLE;

	if (!traces_read(context, arguments, &traces))
		; /* said */
	else if (traces.count < 2)
		complain(context, "two escrows are needed, and this is one");
	else if (!side_open(&good, &traces.list[0], false) || !side_open(&bad, &traces.list[1], true))
		complain(context, "out of memory");
	else
		status = compare(context, &good, &bad) ? STATUS_PROBLEMS : STATUS_CLEAN;
	calls_free(&good.calls);
	calls_free(&bad.calls);
	traces_free(&traces);
	return status;
}
