/* A copy of the store, for a backup or to be looked at: whole, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/store_file.h"

static struct {
	int fd, calls;
	char error[256];
} copied;

static void
note_copy(int fd, const char *error, void *arg)
{
	(void)arg;
	copied.fd = fd;
	copied.calls++;
	snprintf(copied.error, sizeof copied.error, "%s", error != NULL ? error : "");
}

/* One file that needs no other beside it, and has no name. */
static void
a_copy_is_whole_and_has_no_name(void **state)
{
	char row[UUID_TEXT] = "";
	struct stat st;
	sqlite3 *db;
	sqlite3_stmt *statement;
	unsigned char versions[2];
	unsigned char *data;

	(void)state;
	memset(&copied, 0, sizeof copied);
	add(id);
	turn();
	assert_non_null(store_copy(t.store, note_copy, NULL));
	while (copied.calls == 0)
		event_base_loop(t.base, EVLOOP_ONCE);
	assert_int_not_equal(copied.fd, -1);
	assert_int_equal(fstat(copied.fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(pread(copied.fd, versions, 2, 18), 2);
	assert_memory_equal(versions, "\1\1", 2);
	data = malloc((size_t)st.st_size);
	assert_int_equal(pread(copied.fd, data, (size_t)st.st_size, 0), st.st_size);
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_deserialize(db, "main", data, st.st_size, st.st_size, SQLITE_DESERIALIZE_READONLY), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT escrow_id FROM escrow", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	snprintf(row, sizeof row, "%s", (const char *)sqlite3_column_text(statement, 0));
	assert_string_equal(row, id);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	free(data);
	close(copied.fd);
}

/* What could not all be written is no copy, whoever of SQLite's calls says so. */
static void
a_copy_that_fails_is_an_error(void **state)
{
	struct rlimit was, small = {8192, RLIM_INFINITY};

	(void)state;
	memset(&copied, 0, sizeof copied);
	add(id);
	turn();
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small.rlim_max = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_non_null(store_copy(t.store, note_copy, NULL));
	while (copied.calls == 0)
		event_base_loop(t.base, EVLOOP_ONCE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(copied.fd, -1);
	assert_int_not_equal(copied.error[0], '\0');
}

static void
a_copy_that_is_cancelled_tells_nobody(void **state)
{
	struct store_copy *copy;

	(void)state;
	memset(&copied, 0, sizeof copied);
	copy = store_copy(t.store, note_copy, NULL);
	assert_non_null(copy);
	store_copy_cancel(copy);
	turn();
	assert_int_equal(copied.calls, 0);
}

/* A copy is made between turns: it does not wait for one that could wait long. */
static void
a_copy_ends_a_turn_that_could_wait(void **state)
{
	struct store_copy *copy;

	(void)state;
	memset(&copied, 0, sizeof copied);
	write_patiently(id);
	copy = store_copy(t.store, note_copy, NULL);
	assert_non_null(copy);
	event_base_loop(t.base, EVLOOP_ONCE);
	assert_int_equal(t.durable, 1);
	if (copied.calls == 0)
		store_copy_cancel(copy);
	else
		close(copied.fd);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_copy_is_whole_and_has_no_name),
		TEST(a_copy_that_fails_is_an_error),
		TEST(a_copy_that_is_cancelled_tells_nobody),
		TEST(a_copy_ends_a_turn_that_could_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
