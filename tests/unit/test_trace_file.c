/* The file of a trace: what its writer leaves, and what becomes of what a SIGKILL
 * or a full disk left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "supervisor/trace_folder.h"
#include "supervisor/trace_internal.h"
#include "tests/unit/trace_files.h"

#define TRACE "123e4567e89b42d3a456426614174000"

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

static void
append(const char *path, const char *text, size_t size)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, text, size), (ssize_t)size);
	close(fd);
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

int
main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_trace_folder, remove_folder)
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
