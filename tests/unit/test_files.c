/* Whole files and locks, in a folder of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/lock.h"
#include "tests/unit/folder.h"

static int
count_files(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.' ? 1 : 0;
	closedir(dir);
	return count;
}

static void
path_of(char *out, const char *name)
{
	snprintf(out, 512, "%s/%s", folder, name);
}

static void
a_file_is_written_whole_with_its_mode(void **state)
{
	char path[512];
	unsigned char *data;
	struct stat st;
	size_t size;

	(void)state;
	path_of(path, "key");
	assert_true(atomic_file_write(path, "one", 3, 0400, true));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_false(atomic_file_write(path, "two", 3, 0400, true));
	assert_int_equal(errno, EEXIST);
	data = atomic_file_read(path, 3, &size);
	assert_non_null(data);
	assert_string_equal((char *)data, "one");
	free(data);
	assert_true(atomic_file_write(path, "three", 5, 0600, false));
	assert_null(atomic_file_read(path, 4, &size));
	assert_int_equal(errno, EFBIG);
	assert_int_equal(count_files(), 1); /* no temporary one */
}

static int syncs;

int
fsync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fsync, fd);
}

static void
only_what_must_last_waits_for_the_disk(void **state)
{
	char path[512];

	(void)state;
	path_of(path, "file");
	syncs = 0;
	assert_true(atomic_file_write_unsynced(path, "one", 3, 0644));
	assert_int_equal(syncs, 0);
	assert_true(atomic_file_write_unsynced(path, "two", 3, 0644));
	assert_int_equal(count_files(), 1);
	assert_true(atomic_file_write(path, "three", 5, 0644, false));
	assert_int_equal(syncs, 2); /* the file and its name */
}

static void
a_failed_write_leaves_nothing(void **state)
{
	char path[512];

	(void)state;
	path_of(path, "missing/key");
	assert_false(atomic_file_write(path, "x", 1, 0600, false));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(count_files(), 0);
}

static off_t
size_of(const char *name)
{
	char path[512];
	struct stat st;

	path_of(path, name);
	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void
a_lock_has_one_holder_and_says_who(void **state)
{
	struct lock mine, theirs;
	char holder[128];

	(void)state;
	lock_init_endpoint(&mine, "http://127.0.0.1:18082");
	lock_init_endpoint(&theirs, "http://127.0.0.1:18082");
	assert_string_equal(mine.name, "endpoint-http:%2F%2F127.0.0.1:18082.lock");
	assert_int_equal(lock_try(&mine, folder, "setup", holder, sizeof holder), LOCK_TAKEN);
	assert_int_equal(lock_try(&theirs, folder, "tend", holder, sizeof holder), LOCK_BUSY);
	assert_non_null(strstr(holder, "setup"));
	assert_int_equal(theirs.busy_tries, 1);
	lock_release(&mine);
	assert_int_equal(lock_try(&theirs, folder, "tend", holder, sizeof holder), LOCK_TAKEN);
	assert_true(size_of(theirs.name) > 0);
	lock_release(&theirs);
	assert_int_equal(count_files(), 1); /* never unlinked */
	assert_int_equal(size_of(theirs.name), 0); /* a page of a small tmpfs, for ever */
}

static void
who_holds_a_lock_is_told_in_plain_letters(void **state)
{
	struct lock mine, theirs;
	char holder[128];

	(void)state;
	lock_init_escrow(&mine, "123e4567-e89b-42d3-a456-426614174000");
	theirs = mine;
	assert_int_equal(lock_try(&mine, folder, "caf\xc3\xa9 \xff\x1b[1m", holder, sizeof holder), LOCK_TAKEN);
	assert_int_equal(lock_try(&theirs, folder, "tend", holder, sizeof holder), LOCK_BUSY);
	assert_non_null(strstr(holder, "caf?? ??[1m"));
	lock_release(&mine);
}

static void
a_lock_goes_with_its_holder(void **state)
{
	struct lock lock;
	char name[] = "123e4567-e89b-42d3-a456-426614174000";
	int ready[2], status;
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		lock_init_escrow(&lock, name);
		if (lock_try(&lock, folder, "child", NULL, 0) != LOCK_TAKEN || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	lock_init_escrow(&lock, name);
	assert_int_equal(lock_try(&lock, folder, "us", NULL, 0), LOCK_BUSY);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_int_equal(lock_try(&lock, folder, "us", NULL, 0), LOCK_TAKEN);
	lock_release(&lock);
	close(ready[0]);
	close(ready[1]);
}

static void
a_lock_never_follows_a_link(void **state)
{
	struct lock lock;
	char path[512];

	(void)state;
	lock_init_escrow(&lock, "x");
	path_of(path, lock.name);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(lock_try(&lock, folder, "us", NULL, 0), LOCK_ERROR);
}

static void
a_shortage_passes_and_other_errors_do_not(void **state)
{
	(void)state;
	assert_true(lock_error_passes(ENOSPC) && lock_error_passes(EDQUOT) && lock_error_passes(EMFILE) && lock_error_passes(ENFILE));
	assert_false(lock_error_passes(EACCES) || lock_error_passes(ENOENT) || lock_error_passes(EROFS) || lock_error_passes(ELOOP));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_written_whole_with_its_mode, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(only_what_must_last_waits_for_the_disk, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_failed_write_leaves_nothing, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_lock_has_one_holder_and_says_who, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(who_holds_a_lock_is_told_in_plain_letters, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_lock_goes_with_its_holder, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_lock_never_follows_a_link, make_folder, remove_folder),
		cmocka_unit_test(a_shortage_passes_and_other_errors_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
