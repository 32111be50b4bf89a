/* Reading traces: whole ones, damaged ones, and what is no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "msigtrace/calls.h"
#include "msigtrace/export.h"
#include "msigtrace/stats.h"
#include "msigtrace/view.h"

#define HEADER "{\"version\":1,\"trace_id\":\"ab\",\"escrow_id\":\"e\",\"started_at\":1763800000000}"
#define EVENT(seq, type, more) "{\"seq\":" #seq ",\"attempt\":1,\"t_ms\":" #seq ",\"type\":\"" type "\"" more "}"

static char why[TRACE_WHY_MAX];

static bool
reads(struct trace *trace, const char *text)
{
	return trace_read(trace, "t", text, strlen(text), why);
}

static void
reads_lines(void **state)
{
	struct trace t;

	(void)state;
	assert_true(reads(&t, HEADER "\n" EVENT(1, "LEASE", ",\"role\":\"vendor\",\"port\":18082") "\n" EVENT(2, "RELEASE", "") "\n"));
	assert_true(t.lines);
	assert_int_equal(t.count, 2);
	assert_string_equal(t.escrow_id, "e");
	assert_int_equal(t.started_at, 1763800000000);
	assert_int_equal(t.events[0].type, LEASE);
	assert_int_equal(t.events[0].role, ROLE_VENDOR);
	assert_int_equal(t.events[0].port, 18082);
	assert_int_equal(t.events[1].role, ROLE_COUNT);
	assert_false(t.cut || t.headless || t.full);
	assert_int_equal(t.skipped, 0);
	trace_free(&t);
}

static void
reads_a_document(void **state)
{
	struct trace t;

	(void)state;
	assert_true(reads(&t, "{\"escrow_id\":\"e\",\n\"started_at\":5,\"events\":[" EVENT(1, "LEASE", "") ",\n 7, " EVENT(2, "NEW_TYPE", ",\"x\":[1]")
	    "]}"));
	assert_false(t.lines);
	assert_int_equal(t.count, 2);
	assert_int_equal(t.skipped, 1);
	assert_int_equal(t.first_skipped, 2);
	assert_int_equal(t.events[1].type, EVENT_UNKNOWN);
	assert_string_equal(t.events[1].type_name, "NEW_TYPE");
	trace_free(&t);
}

static void
a_header_alone_is_a_trace(void **state)
{
	struct trace t;

	(void)state;
	assert_true(reads(&t, HEADER "\n"));
	assert_int_equal(t.count, 0);
	trace_free(&t);
}

static void
a_cut_last_line_is_told(void **state)
{
	struct trace t;

	(void)state;
	assert_true(reads(&t, HEADER "\n" EVENT(1, "LEASE", "") "\n{\"seq\":2,\"type\":\"REL"));
	assert_true(t.cut);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.skipped, 0);
	trace_free(&t);
	/* one that is whole but for its newline is an event */
	assert_true(reads(&t, HEADER "\n" EVENT(1, "LEASE", "")));
	assert_false(t.cut);
	assert_int_equal(t.count, 1);
	trace_free(&t);
}

static void
broken_lines_in_the_midst_cost_themselves(void **state)
{
	struct trace t;

	(void)state;
	assert_true(reads(&t, HEADER "\n" EVENT(1, "LEASE", "") "\n\xff\xfe nonsense\n[]\n\n" EVENT(2, "RELEASE", "") "\n"));
	assert_int_equal(t.count, 2);
	assert_int_equal(t.skipped, 2);
	assert_int_equal(t.first_skipped, 3);
	assert_false(t.cut);
	trace_free(&t);
}

/* A .json as msigd writes it, an event a line. */
static void
a_broken_line_of_a_document_costs_itself(void **state)
{
	struct trace t;

	(void)state;
	assert_true(reads(&t, "{\"escrow_id\":\"e\",\"started_at\":5,\"events\":[\n" EVENT(1, "LEASE", "") ",\n{\"seq\":2,\"ty,\n"
	    EVENT(3, "DELAY", "") ",\n" EVENT(4, "RELEASE", "") "\n]}\n"));
	assert_int_equal(t.count, 3);
	assert_int_equal(t.skipped, 1);
	assert_int_equal(t.first_skipped, 3);
	assert_int_equal(t.events[2].type, RELEASE);
	assert_string_equal(t.escrow_id, "e");
	assert_int_equal(t.started_at, 5);
	assert_false(t.cut || t.headless);
	trace_free(&t);
	/* one that has no end */
	assert_true(reads(&t, "{\"escrow_id\":\"e\",\"started_at\":5,\"events\":[\n" EVENT(1, "LEASE", "") ",\n"));
	assert_true(t.cut);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.skipped, 0);
	trace_free(&t);
}

static void
without_a_header_the_events_are_there(void **state)
{
	struct trace t;

	(void)state;
	assert_true(reads(&t, EVENT(1, "LEASE", "") "\n" EVENT(2, "RELEASE", "") "\n"));
	assert_true(t.headless);
	assert_int_equal(t.count, 2);
	trace_free(&t);
}

static void
what_is_no_trace_is_refused(void **state)
{
	static const char *const texts[] = {"", "\n\n", "hello\n", "[1, 2]", "{\"a\": 1}", "\177ELF"};
	struct trace t;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_false(reads(&t, texts[i]));
		assert_true(why[0] != '\0');
	}
}

static void
wrong_types_are_nothing(void **state)
{
	struct trace t;

	(void)state;
	assert_true(reads(&t, HEADER "\n{\"type\":\"LEASE\",\"seq\":\"x\",\"t_ms\":-1e300,\"duration_ms\":1e300,\"role\":7,\"port\":1e9,"
	    "\"round\":null,\"ok\":\"yes\",\"method\":[],\"attempt\":-3}\n"));
	assert_true(t.events[0].t_ms >= 0);
	assert_true(t.events[0].duration_ms < 1e10);
	assert_int_equal(t.events[0].role, ROLE_COUNT);
	assert_int_equal(t.events[0].port, 65535);
	assert_int_equal(t.events[0].round, -1);
	assert_int_equal(t.events[0].ok, ANSWER_NONE);
	assert_string_equal(t.events[0].method, "");
	assert_int_equal(t.events[0].attempt, 0);
	trace_free(&t);
}

static void
too_many_events_and_too_long_lines_are_left_out(void **state)
{
	enum { MORE = 10 };
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct trace t;

	(void)state;
	fprintf(out, HEADER "\n{\"type\":\"LEASE\",\"x\":\"%*s\"}\n", TRACE_LINE_MAX, "");
	for (int i = 0; i < TRACE_EVENTS_MAX + MORE; i++)
		fputs("{\"type\":\"LEASE\"}\n", out);
	fclose(out);
	assert_true(reads(&t, text));
	assert_int_equal(t.count, TRACE_EVENTS_MAX);
	assert_int_equal(t.skipped, 1);
	assert_true(t.full);
	trace_free(&t);
	free(text);
}

static void
calls_are_paired_by_role(void **state)
{
	struct trace t;
	struct calls calls;

	(void)state;
	assert_true(reads(&t, HEADER "\n"
	    EVENT(1, "RPC_CALL_START", ",\"role\":\"buyer\",\"method\":\"store\"") "\n"
	    EVENT(2, "RPC_CALL_START", ",\"role\":\"vendor\",\"method\":\"store\"") "\n"
	    EVENT(3, "RPC_CALL_ERROR", ",\"role\":\"vendor\",\"method\":\"store\",\"outcome\":\"error\",\"code\":-13,\"expected\":true") "\n"
	    EVENT(4, "RPC_CALL_END", ",\"role\":\"buyer\",\"method\":\"store\",\"duration_ms\":2.5") "\n"
	    EVENT(5, "RPC_CALL_START", ",\"role\":\"buyer\",\"method\":\"make_multisig\"") "\n"
	    EVENT(6, "RPC_CALL_ERROR", ",\"role\":\"arbiter\",\"method\":\"store\",\"outcome\":\"unknown\",\"duration_ms\":3") "\n"));
	assert_true(calls_of(&t, &calls));
	assert_int_equal(calls.count, 4);
	assert_int_equal(calls.list[0].outcome, OUTCOME_OK);
	assert_true(calls.list[0].duration_ms > 2.4);
	assert_int_equal(calls.list[1].outcome, OUTCOME_ERROR);
	assert_int_equal(calls.list[1].code, -13);
	assert_false(call_is_bad(&calls.list[1]));
	assert_int_equal(calls.list[2].outcome, OUTCOME_UNFINISHED);
	assert_int_equal(calls.list[3].outcome, OUTCOME_UNKNOWN);
	assert_null(calls.list[3].start);
	calls_free(&calls);
	trace_free(&t);
}

static void
percentiles_are_by_nearest_rank(void **state)
{
	struct table_of_series table = {NULL, 0, 0, false};

	(void)state;
	for (int i = 100; i > 0; i--)
		series_add(&table, "store", i, i > 98);
	series_add(&table, "store", -1, false);
	series_sort(&table);
	assert_int_equal(table.count, 1);
	assert_int_equal(table.list[0].seen, 101);
	assert_int_equal(table.list[0].errors, 2);
	assert_true(series_percentile(&table.list[0], 0) == 1.0);
	assert_true(series_percentile(&table.list[0], 50) == 50.0);
	assert_true(series_percentile(&table.list[0], 99) == 99.0);
	assert_true(series_percentile(&table.list[0], 100) == 100.0);
	series_free(&table);
}

/* What export_html() makes of a trace whose texts are hostile. */
static void
html_cannot_be_broken_out_of(void **state)
{
	struct trace t;
	struct diagnosis d;
	char *page = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&page, &size);

	(void)state;
	assert_true(reads(&t, "{\"escrow_id\":\"</style><script>x()</script>\",\"started_at\":1,\"label\":\"\\u001b[2J\\u009b\\u202e'\\\"\"}\n"
	    EVENT(1, "RPC_CALL_ERROR", ",\"method\":\"<img src=x onerror=y>\",\"error\":\"&\\u0007\"") "\n"
	    EVENT(2, "STATE_CHANGE", ",\"phase\":\"</svg><script>\"") "\n"));
	assert_true(diagnose(&d, &t, 1));
	assert_true(export_html(out, &d));
	fclose(out);
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "<img"));
	assert_null(strchr(page, '\033'));
	assert_null(strchr(page, '\a'));
	assert_null(strstr(page, "\xc2\x9b"));
	assert_null(strstr(page, "\xe2\x80\xae"));
	assert_non_null(strstr(page, "&#60;img"));
	free(page);
	diagnosis_free(&d);
	trace_free(&t);
}

/* A worker that was told to stop has not done its work, and nothing is wrong with it. */
static void
a_worker_that_was_stopped_is_no_problem(void **state)
{
	static const struct {
		const char *how;
		char mark;
	} ends[] = {{"\"ok\":true,\"outcome\":\"done\"", ' '}, {"\"ok\":false,\"outcome\":\"stopped\",\"exit_code\":0", '*'},
	    {"\"ok\":false,\"outcome\":\"stopped\",\"signal\":\"SIGKILL\"", '!'},
	    {"\"ok\":false,\"outcome\":\"stopped\",\"exit_code\":0,\"fault\":\"deadline\"", '!'},
	    {"\"ok\":false,\"outcome\":\"failed\",\"exit_code\":0", '!'}};
	struct trace t;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		snprintf(text, sizeof text, "{\"type\":\"WORKER_EXITED\",\"worker\":7,%s}\n", ends[i].how);
		assert_true(reads(&t, text));
		assert_int_equal(view_mark(&t.events[0], false), ends[i].mark);
		trace_free(&t);
	}
}

/* The words of an error are cut to fit a line. */
static void
a_page_has_whole_characters_only(void **state)
{
	char text[512] = "{\"type\":\"RPC_CALL_ERROR\",\"method\":\"m\",\"error\":\"-", *page = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&page, &size);
	struct diagnosis d;
	struct trace t;

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(text, "\xc3\xa9");
	strcat(text, "\"}\n");
	assert_true(reads(&t, text));
	assert_true(diagnose(&d, &t, 1));
	assert_true(export_html(out, &d));
	fclose(out);
	assert_non_null(strstr(page, "\xc3\xa9\xc3\xa9\xef\xbf\xbd"));
	assert_true(mbstowcs(NULL, page, 0) != (size_t)-1);
	free(page);
	diagnosis_free(&d);
	trace_free(&t);
}

static void
text_cut_in_a_character_is_still_json(void **state)
{
	json_t *json = view_json_text("ab\xc3");

	(void)state;
	assert_string_equal(json_string_value(json), "ab?");
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_lines),
		cmocka_unit_test(reads_a_document),
		cmocka_unit_test(a_header_alone_is_a_trace),
		cmocka_unit_test(a_cut_last_line_is_told),
		cmocka_unit_test(broken_lines_in_the_midst_cost_themselves),
		cmocka_unit_test(a_broken_line_of_a_document_costs_itself),
		cmocka_unit_test(without_a_header_the_events_are_there),
		cmocka_unit_test(what_is_no_trace_is_refused),
		cmocka_unit_test(wrong_types_are_nothing),
		cmocka_unit_test(too_many_events_and_too_long_lines_are_left_out),
		cmocka_unit_test(calls_are_paired_by_role),
		cmocka_unit_test(percentiles_are_by_nearest_rank),
		cmocka_unit_test(html_cannot_be_broken_out_of),
		cmocka_unit_test(a_worker_that_was_stopped_is_no_problem),
		cmocka_unit_test(a_page_has_whole_characters_only),
		cmocka_unit_test(text_cut_in_a_character_is_still_json),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
