/* Who holds the trace of an escrow, and which traces are kept how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/escrow.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace_folder.h"
#include "supervisor/trace_internal.h"
#include "tests/unit/trace_files.h"

#define OTHER "223e4567-e89b-42d3-a456-426614174000"

/* --- who holds one -------------------------------------------------------- */

static struct supervisor sv;
static struct config config;

static void
take_supervisor(int64_t keep_ms, bool instrumentation)
{
	memset(&sv, 0, sizeof sv);
	config = (struct config){.trace_dir = folder, .trace_keep_ms = keep_ms, .instrumentation = instrumentation};
	sv.config = &config;
	sv.base = event_base_new();
	sv.escrows = escrow_table_new();
	sv.traces = traces_new(&sv);
	assert_non_null(sv.traces);
}

static void
leave_supervisor(void)
{
	traces_free(sv.traces);
	escrow_table_free(sv.escrows);
	event_base_free(sv.base);
}

/* What was put off until the next turns of the loop. */
static void
take_turns(void)
{
	do
		event_base_loop(sv.base, EVLOOP_NONBLOCK);
	while (!TAILQ_EMPTY(&sv.traces->due));
}

static struct store_escrow
record_of(const char *id, enum phase phase, bool traced)
{
	struct store_escrow record = {.attempt = 2, .phase = phase, .trace = traced, .created_at = 1000};

	snprintf(record.escrow_id, sizeof record.escrow_id, "%s", id);
	return record;
}

static void
only_who_is_traced_has_one(void **state)
{
	struct store_escrow plain = record_of(ESCROW, PHASE_READY, false), wanted = record_of(OTHER, PHASE_READY, true);
	struct trace *t;

	(void)state;
	take_supervisor(0, false);
	assert_null(trace_hold(sv.traces, &plain));
	trace_event(NULL, TRACE_CUSTOM, json_object());
	trace_release(NULL);
	t = trace_hold(sv.traces, &wanted);
	assert_non_null(t);
	assert_false(there(lines)); /* holding it touches no file */
	trace_release(t);
	config.instrumentation = true;
	t = trace_hold(sv.traces, &plain);
	assert_non_null(t);
	trace_release(t);
	assert_false(there(lines) || there(whole));
	leave_supervisor();
}

static void
the_last_who_holds_it_finishes_it(void **state)
{
	struct store_escrow record = record_of(ESCROW, PHASE_READY, true);
	struct trace *t, *worker;

	(void)state;
	take_supervisor(0, false);
	t = trace_hold(sv.traces, &record);
	worker = trace_hold_for_worker(trace_find(sv.traces, ESCROW));
	assert_ptr_equal(t, worker);
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "one"));
	trace_race(sv.traces, ESCROW, "get_escrow", 5, 6);
	trace_release(t);
	assert_true(there(lines));
	trace_release_of_worker(worker);
	assert_true(there(lines) && !there(whole)); /* not while others wait */
	assert_null(trace_find(sv.traces, ESCROW));
	take_turns();
	assert_false(there(lines));
	assert_non_null(strstr(text_of(whole), "\"attempt\":2,\"t_ms\":"));
	assert_non_null(strstr(text_of(whole), "\"type\":\"RACE_DETECTED\",\"method\":\"get_escrow\",\"pid\":5,\"uid\":6"));
	assert_true(RB_EMPTY(&sv.traces->tree));
	leave_supervisor();
}

/* Between its end and the turn in which it is folded. */
static void
one_that_is_held_again_goes_on(void **state)
{
	struct store_escrow record = record_of(ESCROW, PHASE_READY, true);
	struct trace *t;

	(void)state;
	take_supervisor(0, false);
	t = trace_hold(sv.traces, &record);
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "one"));
	trace_release(t);
	assert_ptr_equal(t, trace_hold(sv.traces, &record));
	take_turns();
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "two"));
	assert_true(there(lines) && there(whole));
	trace_release(t);
	leave_supervisor(); /* at its end msigd folds what is due */
	assert_false(there(lines));
	assert_events(whole, "one,two");
}

/* The record is ahead of what is told, in the turn of a publication. */
static void
who_holds_it_too_tells_nothing(void **state)
{
	struct store_escrow record = record_of(ESCROW, PHASE_EXCHANGING, true), later = record_of(ESCROW, PHASE_READY, true);
	struct trace *t;

	(void)state;
	take_supervisor(0, false);
	record.round = 3;
	t = trace_hold(sv.traces, &record);
	assert_int_equal(t->phase, PHASE_EXCHANGING);
	assert_ptr_equal(t, trace_hold(sv.traces, &later));
	assert_int_equal(t->phase, PHASE_EXCHANGING);
	assert_int_equal(t->round, 3);
	later.attempt++; /* but a new attempt begins anew */
	later.phase = PHASE_NOT_STARTED;
	trace_hold(sv.traces, &later);
	assert_int_equal(t->attempt, later.attempt);
	assert_int_equal(t->phase, PHASE_NOT_STARTED);
	leave_supervisor();
}

static void
one_under_way_is_left_for_the_next_start(void **state)
{
	struct store_escrow record = record_of(ESCROW, PHASE_EXCHANGING, true);
	struct trace *t;
	bool complete;
	char path[TRACE_PATH_MAX];

	(void)state;
	take_supervisor(0, false);
	t = trace_hold(sv.traces, &record);
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "one"));
	trace_release(t);
	assert_true(there(lines) && !there(whole));
	assert_true(traces_look(sv.traces, ESCROW, path, &complete));
	assert_string_equal(path, lines);
	assert_false(complete);
	leave_supervisor();
}

static void
an_event_that_is_lost_is_told(void **state)
{
	struct store_escrow record = record_of(ESCROW, PHASE_EXCHANGING, true);
	struct trace *t;

	(void)state;
	log_open("test", LOG_TARGET_STDERR, NULL);
	log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	take_supervisor(0, false);
	t = trace_hold(sv.traces, &record);
	config.trace_dir = folder;
	t->file.folder = "/dev/null/at/all";
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "gone"));
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "gone"));
	t->file.folder = folder;
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "here"));
	assert_non_null(strstr(text_of(lines), "\"seq\":1,\"attempt\":2"));
	assert_non_null(strstr(text_of(lines), "\"name\":\"lost\",\"events\":2}\n{\"seq\":2"));
	trace_release(t);
	leave_supervisor();
}

static int warnings, notices;

static void
count_line(enum log_level level, const char *event, const struct log_field *fields)
{
	(void)fields;
	warnings += level == LOG_LEVEL_WARN && strcmp(event, "trace_not_written") == 0;
	notices += strcmp(event, "trace_written_again") == 0;
}

static void
one_bad_file_is_said_once(void **state)
{
	struct store_escrow record = record_of(ESCROW, PHASE_EXCHANGING, true), other = record_of(OTHER, PHASE_EXCHANGING, true);
	struct trace *bad, *good;

	(void)state;
	warnings = notices = 0;
	log_open("test", LOG_TARGET_FUNCTION, count_line);
	log_set(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	take_supervisor(0, false);
	bad = trace_hold(sv.traces, &record);
	good = trace_hold(sv.traces, &other);
	assert_int_equal(mkdir(lines, 0700), 0);
	for (int i = 0; i < 3; i++) {
		trace_event(bad, TRACE_CUSTOM, json_pack("{s:s}", "name", "lost"));
		trace_event(good, TRACE_CUSTOM, json_pack("{s:s}", "name", "here"));
	}
	assert_int_equal(warnings, 1);
	assert_int_equal(notices, 0);
	rmdir(lines);
	trace_event(bad, TRACE_CUSTOM, json_pack("{s:s}", "name", "here"));
	assert_int_equal(notices, 1);

	unlink(lines); /* again at once: that is enough for now */
	assert_int_equal(mkdir(lines, 0700), 0);
	trace_event(bad, TRACE_CUSTOM, json_pack("{s:s}", "name", "lost"));
	trace_event(bad, TRACE_CUSTOM, json_pack("{s:s}", "name", "lost"));
	assert_int_equal(warnings, 1);
	sv.traces->complained_ms = 0;
	trace_event(bad, TRACE_CUSTOM, json_pack("{s:s}", "name", "lost"));
	assert_int_equal(warnings, 2);
	rmdir(lines);
	trace_release(bad);
	trace_release(good);
	leave_supervisor();
	log_open("test", LOG_TARGET_STDERR, NULL);
	log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
}

static void
a_full_one_says_so_and_takes_no_more(void **state)
{
	struct store_escrow record = record_of(ESCROW, PHASE_EXCHANGING, true);
	struct trace *t;

	(void)state;
	take_supervisor(0, false);
	t = trace_hold(sv.traces, &record);
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "one"));
	t->file.size = TRACE_SIZE_MAX - 1000;
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "more"));
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "more"));
	assert_null(strstr(text_of(lines), "more"));
	assert_non_null(strstr(text_of(lines), "\"name\":\"full\""));
	trace_release(t);
	leave_supervisor();
}

/* --- how long they are kept ----------------------------------------------- */

static void
make(const char *name, const char *text, int64_t age_ms)
{
	int64_t at = clock_wall_ms() - age_ms;
	struct timespec times[2] = {{.tv_sec = at / 1000}, {.tv_sec = at / 1000}};
	char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_true(atomic_file_write(path, text, strlen(text), 0600, false));
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Until it has gone through the folder. */
static void
look_through(void)
{
	traces_wake(sv.traces);
	do
		event_base_loop(sv.base, EVLOOP_ONCE);
	while (sv.traces->folder != NULL);
}

static bool
has(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return there(path);
}

static void
old_ones_go_and_others_stay(void **state)
{
	static const char header[] = "{\"version\":1,\"started_at\":1000}\n";

	(void)state;
	take_supervisor(60000, false);
	make("escrow_" ESCROW ".json", "{}", 120000);
	make("escrow_" OTHER ".json", "{}", 1000);
	make(".msigd.escrow_" OTHER ".json", "", 24 * 3600 * 1000);
	make(".msigd.escrow_" OTHER ".jsonl", "", 0);
	make("escrow_" OTHER ".json.backup", "mine", 24 * 3600 * 1000);
	make("notes.json", "mine", 120000);
	make("escrow_323e4567-e89b-42d3-a456-426614174000.jsonl", header, 0);
	make("escrow_423e4567-e89b-42d3-a456-426614174000.jsonl", "{\"ver", 0);
	look_through();
	assert_false(has("escrow_" ESCROW ".json"));
	assert_true(has("escrow_" OTHER ".json"));
	assert_false(has(".msigd.escrow_" OTHER ".json"));
	assert_true(has(".msigd.escrow_" OTHER ".jsonl"));
	assert_true(has("escrow_" OTHER ".json.backup"));
	assert_true(has("notes.json"));
	assert_true(has("escrow_323e4567-e89b-42d3-a456-426614174000.json"));
	assert_false(has("escrow_323e4567-e89b-42d3-a456-426614174000.jsonl"));
	assert_false(has("escrow_423e4567-e89b-42d3-a456-426614174000.jsonl"));
	leave_supervisor();
}

/* Also one that cannot be folded; and folding makes none younger. */
static void
lines_are_kept_as_long(void **state)
{
	static const char header[] = "{\"version\":1,\"started_at\":1000}\n";
	struct stat st;

	(void)state;
	take_supervisor(60000, false);
	make("escrow_" ESCROW ".jsonl", header, 120000);
	assert_int_equal(mkdir(whole, 0700), 0); /* in the way */
	make("escrow_" OTHER ".jsonl", header, 30000);
	look_through();
	assert_false(there(lines));
	assert_false(has("escrow_" OTHER ".jsonl"));
	snprintf(lines, sizeof lines, "%s/escrow_" OTHER ".json", folder);
	assert_int_equal(stat(lines, &st), 0);
	assert_in_range(clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000, 30000, 60000);
	rmdir(whole);
	leave_supervisor();
}

static void
those_in_use_stay(void **state)
{
	struct store_escrow record = record_of(ESCROW, PHASE_READY, true);
	struct trace *t;

	(void)state;
	take_supervisor(0, false);
	make("escrow_" ESCROW ".json", "{\"version\":1,\"started_at\":1000,\"events\":[\n]}\n", 120000);
	t = trace_hold(sv.traces, &record);
	trace_event(t, TRACE_CUSTOM, json_pack("{s:s}", "name", "one"));
	look_through();
	assert_true(there(lines) && there(whole));
	trace_release(t);
	take_turns();
	assert_false(there(lines));
	look_through();
	assert_false(there(whole));
	leave_supervisor();
}

int
main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_trace_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(only_who_is_traced_has_one),
		IN_FOLDER(the_last_who_holds_it_finishes_it),
		IN_FOLDER(one_that_is_held_again_goes_on),
		IN_FOLDER(who_holds_it_too_tells_nothing),
		IN_FOLDER(one_under_way_is_left_for_the_next_start),
		IN_FOLDER(an_event_that_is_lost_is_told),
		IN_FOLDER(one_bad_file_is_said_once),
		IN_FOLDER(a_full_one_says_so_and_takes_no_more),
		IN_FOLDER(old_ones_go_and_others_stay),
		IN_FOLDER(lines_are_kept_as_long),
		IN_FOLDER(those_in_use_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
