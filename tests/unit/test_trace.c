/* The file of a trace: what its writer leaves, and what becomes of what a SIGKILL
 * or a full disk left. And which traces are kept how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/clock.h"
#include "common/log.h"
#include "supervisor/escrow.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace_folder.h"
#include "supervisor/trace_internal.h"

#define ESCROW "123e4567-e89b-42d3-a456-426614174000"
#define OTHER  "223e4567-e89b-42d3-a456-426614174000"
#define TRACE  "123e4567e89b42d3a456426614174000"

static char folder[64], lines[128], whole[128];

static int
make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/msigd-unit.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(lines, sizeof lines, "%s/escrow_%s.jsonl", folder, ESCROW);
	snprintf(whole, sizeof whole, "%s/escrow_%s.json", folder, ESCROW);
	return 0;
}

static int
remove_folder(void **state)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	(void)state;
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	return rmdir(folder);
}

/* --- helpers -------------------------------------------------------------- */

static int syncs; /* how often somebody waited for the disk */

int
fsync(int fd)
{
	(void)fd;
	syncs++;
	return 0;
}

static void
begin(struct trace_file *f)
{
	trace_file_init(f, folder, ESCROW, 1000);
	assert_true(trace_file_begin(f, "a label"));
}

static bool
add(struct trace_file *f, const char *name)
{
	json_t *event = json_pack("{s:i, s:s}", "seq", 0, "name", name);
	bool ok = trace_file_add(f, event);

	json_decref(event);
	return ok;
}

/* Without its NUL behind it the text would not end. */
static char *
text_of(const char *path)
{
	static char text[64 * 1024];
	size_t size;
	unsigned char *data = atomic_file_read(path, sizeof text - 1, &size);

	assert_non_null(data);
	memcpy(text, data, size + 1);
	free(data);
	return text;
}

static void
append(const char *path, const char *text, size_t size)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, text, size), (ssize_t)size);
	close(fd);
}

/* The names of the events, with seq 1, 2, …, comma between. */
static void
assert_events(const char *path, const char *names)
{
	json_error_t error;
	json_t *document = json_load_file(path, 0, &error), *events = json_object_get(document, "events"), *event;
	char found[1024] = "";
	size_t i;

	assert_non_null(document);
	assert_string_equal(json_string_value(json_object_get(document, "escrow_id")), ESCROW);
	json_array_foreach(events, i, event) {
		assert_int_equal(json_integer_value(json_object_get(event, "seq")), (int)i + 1);
		snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i > 0 ? "," : "",
		    json_string_value(json_object_get(event, "name")));
	}
	assert_string_equal(found, names);
	json_decref(document);
}

static bool
there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* --- the file ------------------------------------------------------------- */

static void
a_header_and_a_line_an_event(void **state)
{
	struct trace_file f;
	struct stat st;

	(void)state;
	begin(&f);
	assert_true(add(&f, "one"));
	assert_true(add(&f, "two"));
	assert_string_equal(text_of(lines), "{\"version\":1,\"trace_id\":\"" TRACE "\",\"escrow_id\":\"" ESCROW
	    "\",\"started_at\":1000,\"label\":\"a label\"}\n{\"seq\":1,\"name\":\"one\"}\n{\"seq\":2,\"name\":\"two\"}\n");
	assert_int_equal(stat(lines, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_false(there(whole));
}

static void
numbers_have_three_decimals(void **state)
{
	struct trace_file f;
	json_t *event = json_pack("{s:f, s:f}", "a", trace_round_ms(1234567890.1 + 0.0004), "b", trace_round_ms(0.1234));

	(void)state;
	begin(&f);
	assert_true(trace_file_add(&f, event));
	assert_non_null(strstr(text_of(lines), "\"a\":1234567890.1,\"b\":0.123,"));
	json_decref(event);
}

static void
a_finished_one_is_whole_and_goes_on(void **state)
{
	struct trace_file f;
	struct stat st;

	(void)state;
	begin(&f);
	add(&f, "one");
	add(&f, "two");
	assert_true(trace_file_finish(&f));
	assert_false(there(lines));
	assert_int_equal(stat(whole, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_events(whole, "one,two");

	/* a later worker; the header stays as it was */
	trace_file_init(&f, folder, ESCROW, 5);
	assert_true(trace_file_begin(&f, "another label"));
	assert_int_equal(f.started_at, 1000);
	assert_true(there(lines) && there(whole));
	assert_true(add(&f, "three"));
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one,two,three");
	assert_non_null(strstr(text_of(whole), "\"label\":\"a label\""));
}

static void
nobody_waits_for_the_disk(void **state)
{
	struct trace_file f;

	(void)state;
	syncs = 0;
	begin(&f);
	add(&f, "one");
	assert_true(trace_file_finish(&f));
	begin(&f); /* from the .json */
	add(&f, "two");
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one,two");
	assert_int_equal(syncs, 0);
}

static void
what_a_sigkill_left_of_writing_is_replaced(void **state)
{
	char temporary[160];
	struct trace_file f;

	(void)state;
	snprintf(temporary, sizeof temporary, "%s/.msigd.escrow_%s.json", folder, ESCROW);
	begin(&f);
	add(&f, "one");
	assert_true(atomic_file_write(temporary, "{\"ver", 5, 0400, false));
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one");
	assert_false(there(temporary));
}

static void
one_without_events_is_whole_too(void **state)
{
	struct trace_file f;

	(void)state;
	begin(&f);
	assert_true(trace_file_finish(&f));
	assert_events(whole, "");
	begin(&f);
	add(&f, "one");
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one");
}

/* Whatever part of a line a SIGKILL left. */
static void
a_broken_last_line_is_cut_off(void **state)
{
	static const char line[] = "{\"seq\":2,\"name\":\"broken\"}";
	struct trace_file f;

	(void)state;
	begin(&f);
	add(&f, "one");
	for (size_t n = 1; n < sizeof line; n++) {
		append(lines, line, n);
		begin(&f);
		assert_int_equal(f.seq, 1);
	}
	/* what a crash of the machine may leave */
	append(lines, "{\"seq\":2}\0\0\0\n\0\0", 15);
	begin(&f);
	assert_int_equal(f.seq, 1);
	assert_true(add(&f, "two"));
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one,two");
}

static void
a_broken_header_is_made_anew(void **state)
{
	struct trace_file f;
	size_t length;

	(void)state;
	begin(&f);
	length = strlen(text_of(lines));
	for (size_t n = 0; n < length; n++) {
		assert_int_equal(truncate(lines, (off_t)n), 0);
		begin(&f);
		assert_int_equal(strlen(text_of(lines)), length);
	}
	add(&f, "one");
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one");
}

static void
of_both_the_lines_win(void **state)
{
	struct trace_file f;

	(void)state;
	begin(&f);
	add(&f, "one");
	assert_true(trace_file_finish(&f));
	begin(&f);
	add(&f, "two");
	begin(&f); /* another writer, after a SIGKILL */
	assert_int_equal(f.seq, 2);
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one,two");
}

/* After a crash of the machine the lines may lack their end. */
static void
of_both_the_one_with_more_wins(void **state)
{
	struct trace_file f;
	size_t size;

	(void)state;
	begin(&f);
	add(&f, "one");
	size = (size_t)f.size;
	add(&f, "two");
	assert_true(trace_file_finish(&f));
	begin(&f); /* the lines again, beside it */
	assert_int_equal(truncate(lines, (off_t)size), 0);
	trace_file_init(&f, folder, ESCROW, 0);
	assert_true(trace_file_finish(&f)); /* as trace-keep does */
	assert_events(whole, "one,two");
	assert_false(there(lines));

	begin(&f);
	assert_int_equal(truncate(lines, (off_t)size), 0);
	begin(&f); /* and one who goes on */
	assert_int_equal(f.seq, 2);
	add(&f, "three");
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one,two,three");
}

static void
a_line_that_does_not_fit_leaves_nothing(void **state)
{
	struct rlimit limit, before;
	struct trace_file f;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	begin(&f);
	add(&f, "one");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)f.size + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_false(add(&f, "lost")); /* ten bytes of it fit */
	assert_false(add(&f, "lost"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(add(&f, "two"));
	assert_true(trace_file_finish(&f));
	assert_events(whole, "one,two");
}

static void
one_that_somebody_removed_is_begun_anew(void **state)
{
	struct trace_file f;

	(void)state;
	begin(&f);
	add(&f, "one");
	unlink(lines);
	assert_false(add(&f, "lost"));
	assert_false(f.open);
	assert_true(trace_file_begin(&f, NULL));
	assert_true(add(&f, "two"));
	assert_int_equal(f.seq, 1);
}

/* Whatever stands in its place: it is not waited for, and not followed. */
static void
what_is_no_plain_file_is_left_alone(void **state)
{
	char elsewhere[128];
	struct trace_file f;

	(void)state;
	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
	assert_true(atomic_file_write(elsewhere, "{\"started_at\":1}\nmine", 21, 0600, false));
	trace_file_init(&f, folder, ESCROW, 1000);
	assert_int_equal(symlink(elsewhere, lines), 0);
	assert_false(trace_file_begin(&f, NULL));
	assert_false(trace_file_finish(&f));
	assert_string_equal(text_of(elsewhere), "{\"started_at\":1}\nmine");
	unlink(lines);
	assert_int_equal(symlink(elsewhere, whole), 0);
	assert_false(trace_file_begin(&f, NULL));
	unlink(whole);

	alarm(10); /* for one that waits */
	assert_int_equal(mkfifo(lines, 0600), 0);
	assert_false(trace_file_begin(&f, NULL));
	assert_false(trace_file_finish(&f));
	unlink(lines);
	begin(&f);
	unlink(lines);
	assert_int_equal(mkfifo(lines, 0600), 0);
	assert_false(add(&f, "lost"));
	alarm(0);
}

static void
the_folder_is_made_with_its_parents(void **state)
{
	char path[3][128];
	struct trace_file f;
	struct stat st;

	(void)state;
	snprintf(path[0], sizeof path[0], "%s/a", folder);
	snprintf(path[1], sizeof path[1], "%s/a/b", folder);
	snprintf(path[2], sizeof path[2], "%s/a/b/escrow_%s.jsonl", folder, ESCROW);
	trace_file_init(&f, path[1], ESCROW, 1000);
	assert_true(trace_file_begin(&f, NULL));
	assert_int_equal(stat(path[1], &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_null(trace_folder_trouble(path[1]));
	assert_int_equal(unlink(path[2]) | rmdir(path[1]) | rmdir(path[0]), 0);
}

static void
a_folder_of_another_user_is_not_written_to(void **state)
{
	struct trace_file f;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(folder, 65534, (gid_t)-1), 0);
	trace_file_init(&f, folder, ESCROW, 1000);
	assert_false(trace_file_begin(&f, NULL));
	assert_int_equal(errno, EPERM);
	assert_string_equal(trace_folder_trouble(folder), "it belongs to another user");
	assert_false(there(lines));
}

static void
a_name_is_told(void **state)
{
	static const struct {
		const char *name;
		enum trace_name is;
	} names[] = {
		{"escrow_" ESCROW ".json", TRACE_NAME_WHOLE},
		{"escrow_" ESCROW ".jsonl", TRACE_NAME_LINES},
		{".msigd.escrow_" ESCROW ".json", TRACE_NAME_TEMPORARY},
		{".msigd.escrow_" ESCROW ".jsonl", TRACE_NAME_TEMPORARY},
		{".msigd.escrow_" ESCROW ".json~", TRACE_NAME_OTHER},
		{"escrow_" ESCROW ".json.backup", TRACE_NAME_OTHER},
		{"escrow_" ESCROW ".jsonl.aB3dE6", TRACE_NAME_OTHER},
		{"escrow_" ESCROW ".json.bak", TRACE_NAME_OTHER},
		{"escrow_" ESCROW, TRACE_NAME_OTHER},
		{"escrow_" ESCROW "x.json", TRACE_NAME_OTHER},
		{"escrow_123E4567-e89b-42d3-a456-426614174000.json", TRACE_NAME_OTHER},
		{"escrow_.json", TRACE_NAME_OTHER},
		{"notes", TRACE_NAME_OTHER},
		{"..", TRACE_NAME_OTHER},
	};
	char id[UUID_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_int_equal(trace_file_name(names[i].name, id), names[i].is);
}

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
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(a_header_and_a_line_an_event),
		IN_FOLDER(numbers_have_three_decimals),
		IN_FOLDER(a_finished_one_is_whole_and_goes_on),
		IN_FOLDER(nobody_waits_for_the_disk),
		IN_FOLDER(what_a_sigkill_left_of_writing_is_replaced),
		IN_FOLDER(one_without_events_is_whole_too),
		IN_FOLDER(a_broken_last_line_is_cut_off),
		IN_FOLDER(a_broken_header_is_made_anew),
		IN_FOLDER(of_both_the_lines_win),
		IN_FOLDER(of_both_the_one_with_more_wins),
		IN_FOLDER(a_line_that_does_not_fit_leaves_nothing),
		IN_FOLDER(one_that_somebody_removed_is_begun_anew),
		IN_FOLDER(what_is_no_plain_file_is_left_alone),
		IN_FOLDER(the_folder_is_made_with_its_parents),
		IN_FOLDER(a_folder_of_another_user_is_not_written_to),
		IN_FOLDER(a_name_is_told),
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
