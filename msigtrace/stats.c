/* See stats.h; and the command stats. */
#include "msigtrace/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigctl/text.h"
#include "msigtrace/msigtrace.h"

enum {
	SERIES_MAX = 256, /* more names than these go into the last one, "others" */
	SLOW_MS = 100, SLOW_TIMES = 3
};

/* --- series ------------------------------------------------------------------------ */

static struct series *
series_find(struct table_of_series *table, const char *name)
{
	struct series *more;

	for (size_t i = 0; i < table->count; i++) {
		if (strncmp(table->list[i].name, name, sizeof table->list[i].name - 1) == 0)
			return &table->list[i];
	}
	if (table->count == SERIES_MAX)
		return &table->list[SERIES_MAX - 1];
	if (table->count == table->room) {
		more = reallocarray(table->list, table->room = table->room == 0 ? 16 : table->room * 2, sizeof *more);
		if (more == NULL) {
			table->failed = true;
			return NULL;
		}
		table->list = more;
	}
	more = &table->list[table->count++];
	*more = (struct series){.name = ""};
	snprintf(more->name, sizeof more->name, "%s", table->count == SERIES_MAX ? "others" : name);
	return more;
}

void
series_add(struct table_of_series *table, const char *name, double value, bool error)
{
	struct series *s = series_find(table, name);
	double *more;

	if (s == NULL)
		return;
	s->seen++;
	s->errors += error;
	if (value < 0)
		return;
	if (s->count == s->room) {
		more = reallocarray(s->values, s->room == 0 ? 16 : s->room * 2, sizeof *more);
		if (more == NULL) {
			table->failed = true;
			return;
		}
		s->values = more;
		s->room = s->room == 0 ? 16 : s->room * 2;
	}
	s->values[s->count++] = value;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct series *)a)->name, ((const struct series *)b)->name);
}

void
series_sort(struct table_of_series *table)
{
	if (table->count == 0)
		return;
	qsort(table->list, table->count, sizeof *table->list, by_name);
	for (size_t i = 0; i < table->count; i++) {
		if (table->list[i].count > 0)
			qsort(table->list[i].values, table->list[i].count, sizeof(double), by_value);
	}
}

void
series_free(struct table_of_series *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->list[i].values);
	free(table->list);
	*table = (struct table_of_series){NULL, 0, 0, false};
}

double
series_percentile(const struct series *s, unsigned percent)
{
	size_t rank = (s->count * percent + 99) / 100;

	return s->count == 0 ? -1 : s->values[rank == 0 ? 0 : rank - 1];
}

bool
stats_slow(const struct calls *calls, const struct event **list, size_t *count)
{
	struct table_of_series methods = {NULL, 0, 0, false};
	bool good;

	*count = 0;
	for (size_t i = 0; i < calls->count; i++)
		series_add(&methods, calls->list[i].at->method, calls->list[i].duration_ms, false);
	series_sort(&methods);
	for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
		const struct series *s = series_find(&methods, c->at->method);
		if (s != NULL && c->end != NULL && c->duration_ms >= SLOW_MS && c->duration_ms > SLOW_TIMES * series_percentile(s, 50))
			list[(*count)++] = c->end;
	}
	good = !methods.failed;
	series_free(&methods);
	return good;
}

/* --- the command ---------------------------------------------------------------------- */

/* What a file says can be more than an integer holds. */
static const double BYTES_MAX = 1e12, RATE_MAX = 1e18;

struct stats {
	struct table_of_series methods, endpoints, waits, holds, copies;
	double copied_bytes, copied_ms;
};

/* "lock-dir/escrow-3f2a….lock" of every escrow is one kind. */
static void
lock_kind(const char *lock, char *out, size_t size)
{
	const char *name = strrchr(lock, '/') != NULL ? strrchr(lock, '/') + 1 : lock;
	size_t letters = strspn(name, "abcdefghijklmnopqrstuvwxyz");

	snprintf(out, size, "%.*s", letters > 0 && letters < 40 ? (int)letters : 40, name);
}

static bool
is_copy(const struct event *e)
{
	if (e->type == CUSTOM)
		return strcmp(event_text(e, "name"), "copy") == 0;
	return e->type == FILE_OPERATION && (strcmp(event_text(e, "op"), "read") == 0 || strcmp(event_text(e, "op"), "write") == 0);
}

static void
take_event(struct stats *stats, const struct event *e)
{
	char kind[96];

	lock_kind(event_text(e, "lock"), kind, sizeof kind);
	if (e->type == LOCK_ACQUIRED)
		series_add(&stats->waits, kind, event_number(e, "wait_ms", -1), e->ok == ANSWER_NO);
	if (e->type == LOCK_RELEASED)
		series_add(&stats->holds, kind, event_number(e, "hold_ms", -1), false);
	if (is_copy(e)) {
		double bytes = event_number(e, "bytes", -1);
		snprintf(kind, sizeof kind, "%.20s %.60s", e->type == CUSTOM ? "sealed" : event_text(e, "op"), event_text(e, "what"));
		series_add(&stats->copies, kind, bytes >= 0 && e->duration_ms > 0 ? bytes / e->duration_ms * 1000 : -1, e->ok == ANSWER_NO);
		/* reading is a part of the same copy */
		if (e->type == CUSTOM && bytes >= 0 && bytes < BYTES_MAX && e->duration_ms > 0) {
			stats->copied_bytes += bytes;
			stats->copied_ms += e->duration_ms;
		}
	}
}

static bool
take_trace(struct stats *stats, const struct trace *trace)
{
	struct calls calls;
	char name[96];

	if (!calls_of(trace, &calls))
		return false;
	for (const struct call *c = calls.list; c < calls.list + calls.count; c++) {
		series_add(&stats->methods, c->at->method, c->duration_ms, call_is_bad(c));
		if (*c->at->endpoint != '\0' && c->at->port != 0)
			snprintf(name, sizeof name, "port %d, %.60s", c->at->port, c->at->endpoint); /* its end may be cut off */
		else if (c->at->port != 0)
			snprintf(name, sizeof name, "port %d", c->at->port);
		else
			snprintf(name, sizeof name, "%.60s", *c->at->endpoint != '\0' ? c->at->endpoint : "-");
		series_add(&stats->endpoints, name, c->duration_ms, call_is_bad(c));
	}
	calls_free(&calls);
	for (const struct event *e = trace->events; e < trace->events + trace->count; e++)
		take_event(stats, e);
	return true;
}

static json_t *
series_json(const struct table_of_series *table, const char *unit)
{
	json_t *list = json_array();

	for (size_t k = 0; k < table->count; k++) {
		const struct series *s = &table->list[k];
		static const struct {
			const char *name;
			unsigned percent;
		} points[] = {{"min", 0}, {"median", 50}, {"p95", 95}, {"p99", 99}, {"max", 100}};
		json_t *json = json_pack("{s:o, s:I, s:I}", "name", view_json_text(s->name), "count", (json_int_t)s->seen,
		    "errors", (json_int_t)s->errors);
		for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
			char name[32];
			snprintf(name, sizeof name, "%s_%s", points[i].name, unit);
			json_object_set_new(json, name, s->count > 0 ? json_real(series_percentile(s, points[i].percent)) : json_null());
		}
		json_array_append_new(list, json);
	}
	return list;
}


static void
show_rate(double value, char out[VIEW_MS])
{
	char size[TEXT_TIME];

	text_size((int64_t)(value < RATE_MAX ? value : RATE_MAX), size, sizeof size);
	snprintf(out, VIEW_MS, value < 0 ? "-" : "%.16s/s", size);
}

static void
print_series(const struct table_of_series *table, const char *heading, void (*show)(double value, char out[VIEW_MS]))
{
	const struct column columns[] = {{heading, COLUMN_CUT}, {"COUNT", COLUMN_RIGHT}, {"ERRORS", COLUMN_FILLED_RIGHT},
	    {"MIN", COLUMN_RIGHT}, {"MEDIAN", COLUMN_RIGHT}, {"P95", COLUMN_RIGHT}, {"P99", COLUMN_RIGHT}, {"MAX", COLUMN_RIGHT}, {0}};
	static const unsigned percents[] = {0, 50, 95, 99, 100};
	struct table *out;
	char text[VIEW_MS];

	if (table->count == 0)
		return;
	out = table_new(columns);
	for (const struct series *s = table->list; s < table->list + table->count; s++) {
		table_line(out);
		table_cell(out, 0, s->name);
		table_cell_number(out, 1, (long long)s->seen);
		if (s->errors > 0) {
			snprintf(text, sizeof text, "%zu", s->errors);
			table_cell_colour(out, 2, text, COLOUR_RED);
		}
		for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
			show(series_percentile(s, percents[i]), text);
			table_cell(out, 3 + i, text);
		}
	}
	table_print(out);
	putchar('\n');
}

static void
print_stats(const struct stats *s)
{
	char rate[VIEW_MS], size[TEXT_TIME];

	print_series(&s->methods, "METHOD", view_ms);
	print_series(&s->endpoints, "ENDPOINT", view_ms);
	print_series(&s->waits, "LOCK WAIT", view_ms);
	print_series(&s->holds, "LOCK HOLD", view_ms);
	print_series(&s->copies, "COPY", show_rate);
	if (s->copied_ms > 0) {
		text_size((int64_t)s->copied_bytes, size, sizeof size);
		show_rate(s->copied_bytes / s->copied_ms * 1000, rate);
		say(stdout, "sealed copies: %s, %s\n", size, rate);
	}
}

static enum exit_status
status_of(const struct stats *s)
{
	const struct table_of_series *counted[] = {&s->methods, &s->waits, &s->copies};

	for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
		for (size_t k = 0; k < counted[i]->count; k++) {
			if (counted[i]->list[k].errors > 0)
				return STATUS_PROBLEMS;
		}
	}
	return STATUS_CLEAN;
}

enum exit_status
stats_run(const struct context *context, const struct arguments *arguments)
{
	struct traces traces;
	struct stats s = {.copied_bytes = 0};
	struct table_of_series *all[] = {&s.methods, &s.endpoints, &s.waits, &s.holds, &s.copies};
	bool read = traces_read(context, arguments, &traces), good = true;
	enum exit_status status;

	for (size_t i = 0; i < traces.count; i++)
		good = take_trace(&s, &traces.list[i]) && good;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		series_sort(all[i]);
		good = good && !all[i]->failed;
	}
	if (!good)
		complain(context, "out of memory");
	else if (traces.count > 0 && context->json)
		view_json(json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:f, s:f}", "files", (json_int_t)traces.count,
		    "methods", series_json(&s.methods, "ms"), "endpoints", series_json(&s.endpoints, "ms"),
		    "lock_wait", series_json(&s.waits, "ms"), "lock_hold", series_json(&s.holds, "ms"),
		    "copies", series_json(&s.copies, "bytes_per_second"), "copied_bytes", s.copied_bytes, "copied_ms", s.copied_ms));
	else if (traces.count > 0)
		print_stats(&s);
	status = read && good ? status_of(&s) : STATUS_UNREADABLE;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		series_free(all[i]);
	traces_free(&traces);
	return status;
}
