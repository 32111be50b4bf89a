/* diagnose: what the rules found, for people and as JSON. */
#include <stdio.h>
#include <string.h>

#include "msigctl/text.h"
#include "msigtrace/diagnose_view.h"
#include "msigtrace/msigtrace.h"

enum { INDENT = 8 };

static const char *
remedy_of(const struct finding *f)
{
	return f->remedy[0] != '\0' ? f->remedy : f->rule->remedy;
}

static const char *
file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* Of another file it is said which. */
static void
print_evidence(const struct diagnosis *d, const struct finding *f)
{
	enum { TEXT = 2 * VIEW_EVENT + 256 };
	const char *own = d->traced[f->trace].trace->name;
	const json_t *e;
	size_t i;

	json_array_foreach(f->evidence, i, e) {
		const char *file = text_of(e, "file"), *name = strcmp(file, own) != 0 ? file_name(file) : "", *role = text_of(e, "role");
		char text[TEXT];

		if (*text_of(e, "event") == '\0')
			snprintf(text, sizeof text, "%.100s%s%s", name, *name != '\0' ? ": " : "", text_of(e, "note"));
		else
			snprintf(text, sizeof text, "%.100s%s#%.0f %+.1f ms %s%s%s: %s", name, *name != '\0' ? " " : "", number_of(e, "seq", 0),
			    number_of(e, "t_ms", 0), role, *role != '\0' ? " " : "", text_of(e, "event"), text_of(e, "note"));
		view_wrapped("    -", 6, text);
	}
}

static void
print_finding(const struct diagnosis *d, const struct finding *f)
{
	terminal_colour(stdout, COLOUR_RED);
	say(stdout, "  %s", f->rule->name);
	terminal_colour(stdout, COLOUR_NONE);
	putchar('\n');
	view_wrapped("  what", INDENT, f->what);
	view_wrapped("  do", INDENT, remedy_of(f));
	print_evidence(d, f);
}

static const char *
result_text(const struct traced *t, char ms[VIEW_MS])
{
	view_ms(t->result.total_ms, ms);
	switch (t->result.result) {
	case RESULT_READY:
		return "Ready after";
	case RESULT_FAILED:
		return "Failed after";
	case RESULT_UNDER_WAY:
		break;
	}
	return "under way or cut off, so far";
}

/* Nothing was left out of any of them: what is not found is not there. */
static bool
read_whole(const struct diagnosis *d)
{
	for (size_t i = 0; i < d->count; i++) {
		if (d->traced[i].trace->skipped > 0 || d->traced[i].trace->full)
			return false;
	}
	return true;
}

static void
print_diagnosis(const struct diagnosis *d)
{
	size_t next = 0;

	for (size_t i = 0; i < d->count; i++) {
		char name[64], ms[VIEW_MS];
		const char *result = result_text(&d->traced[i], ms), *label = d->traced[i].trace->label;

		if (next == d->finding_count || d->findings[next].trace != i)
			continue;
		say(stdout, "%s%s%s%s, attempt %lld, %s %s\n", escrow_name(d, i, name), *label != '\0' ? " (" : "", label,
		    *label != '\0' ? ")" : "", (long long)d->traced[i].result.attempt, result, ms);
		for (; next < d->finding_count && d->findings[next].trace == i; next++)
			print_finding(d, &d->findings[next]);
		putchar('\n');
	}
	if (d->finding_count == 0)
		say(stdout, "nothing found%s\n", read_whole(d) ? "" : ", but not all of the files could be read");
}

json_t *
finding_json(const struct diagnosis *d, const struct finding *f)
{
	const struct event *e = f->about;
	const struct trace *t = d->traced[f->trace].trace;
	json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:o, s:s, s:O}", "cause", f->rule->name, "file", t->name, "escrow_id",
	    t->escrow_id, "attempt", (json_int_t)e->attempt, "what", view_json_text(f->what), "remedy", remedy_of(f), "evidence",
	    f->evidence);

	if (json == NULL)
		return json_null();
	if (e->role != ROLE_COUNT)
		json_object_set_new(json, "role", json_string(role_name(e->role)));
	if (*e->endpoint != '\0')
		json_object_set_new(json, "endpoint", json_string(e->endpoint));
	if (e->port != 0)
		json_object_set_new(json, "port", json_integer(e->port));
	if (*e->method != '\0')
		json_object_set_new(json, "method", json_string(e->method));
	if (f->other[0] != '\0')
		json_object_set_new(json, "other_escrow", json_string(f->other));
	return json;
}

static json_t *
diagnosis_json(const struct diagnosis *d)
{
	json_t *files = json_array(), *findings = json_array();

	for (size_t i = 0; i < d->count; i++)
		json_array_append_new(files, view_trace_json(d->traced[i].trace));
	for (size_t i = 0; i < d->finding_count; i++)
		json_array_append_new(findings, finding_json(d, &d->findings[i]));
	return json_pack("{s:o, s:o}", "files", files, "findings", findings);
}

enum exit_status
diagnose_run(const struct context *context, const struct arguments *arguments)
{
	struct traces traces;
	struct diagnosis d;
	bool read = traces_read(context, arguments, &traces);
	enum exit_status status = STATUS_UNREADABLE;

	if (!diagnose(&d, traces.list, traces.count)) {
		complain(context, "out of memory");
	} else if (traces.count > 0) {
		if (context->json)
			view_json(diagnosis_json(&d));
		else
			print_diagnosis(&d);
		if (!read || (d.finding_count == 0 && !read_whole(&d)))
			status = STATUS_UNREADABLE;
		else
			status = d.finding_count > 0 ? STATUS_PROBLEMS : STATUS_CLEAN;
	}
	diagnosis_free(&d);
	traces_free(&traces);
	return status;
}
