/* What a repair looks at without a wallet-rpc: who has a wallet open, and the folder
 * of monero-wallet-cli. */
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
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "worker/repair.h"
#include "worker/wallet_files.h"

#define ESCROW "123e4567-e89b-42d3-a456-426614174000"

static char folder[64], path[128];
static struct job job;
static struct party *const buyer = &job.parties[0];

static int
make(void **state)
{
	(void)state;
	memset(&job, 0, sizeof job);
	strcpy(folder, "/tmp/msigd-unit.XXXXXX");
	job.base = event_base_new();
	strcpy(job.escrow_id, ESCROW);
	buyer->job = &job;
	buyer->role = ROLE_BUYER;
	buyer->seed = strdup("abcdef");
	if (mkdtemp(folder) == NULL)
		return -1;
	buyer->wallet_dir = strdup(folder);
	snprintf(path, sizeof path, "%s/program", folder);
	return atomic_file_write(path, "#!/bin/sh\nexec sleep 1000\n", 26, 0700, true) ? 0 : -1;
}

static int
count_unfinished(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	while ((entry = readdir(dir)) != NULL)
		count += strncmp(entry->d_name, ".restore-", 9) == 0 ? 1 : 0;
	closedir(dir);
	return count;
}

static int
end(void **state)
{
	(void)state;
	unlink(path);
	event_base_free(job.base);
	return rmdir(folder);
}

/* --- who has it open ------------------------------------------------------- */

static void
only_a_file_that_is_not_there_is_surely_not_open(void **state)
{
	char keys[128];
	int fd;

	(void)state;
	snprintf(keys, sizeof keys, "%s/W.keys", folder);
	assert_null(wallet_is_locked(keys));
	assert_int_equal(mkdir(keys, 0700), 0); /* cannot be opened, whoever asks */
	assert_string_equal(wallet_is_locked(keys), "Is a directory");
	rmdir(keys);
	fd = open(keys, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_null(wallet_is_locked(keys));
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_string_equal(wallet_is_locked(keys), WALLET_OPEN_ELSEWHERE);
	close(fd);
	unlink(keys);
	job_clear(&job);
}

/* --- what monero-wallet-cli leaves ------------------------------------------ */

static void
not_called(struct party *p, const unsigned char *keys, size_t size, const char *why)
{
	(void)p, (void)keys, (void)size, (void)why;
	fail();
}

/* valgrind knows no pidfd. */
static void
skip_without_pidfd(void)
{
	int fd = pidfd_open(getpid(), 0);

	if (fd == -1 && errno == ENOSYS) {
		job_clear(&job);
		skip();
	}
	close(fd);
}

static void
its_folder_goes_however_the_job_ends(void **state)
{
	(void)state;
	skip_without_pidfd();
	seed_restore(buyer, path, not_called);
	assert_int_equal(count_unfinished(), 1);
	job_clear(&job);
	assert_int_equal(count_unfinished(), 0);
}

static void
the_next_removes_what_is_left_of_its_own(void **state)
{
	static const char *const names[] = {".restore-" ESCROW "-buyer-a1B2c3", ".restore-" ESCROW "-vendor-a1B2c3"};
	char one[160];

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(one, sizeof one, "%s/%s", folder, names[i]);
		assert_int_equal(mkdir(one, 0700), 0);
	}
	snprintf(one, sizeof one, "%s/%s/wallet.keys", folder, names[0]);
	assert_true(atomic_file_write(one, "keys", 4, 0600, true));
	seed_restore_clean(buyer);
	assert_int_equal(count_unfinished(), 1);
	snprintf(one, sizeof one, "%s/%s", folder, names[1]);
	assert_int_equal(rmdir(one), 0); /* the vendor's is there still */
	job_clear(&job);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_a_file_that_is_not_there_is_surely_not_open, make, end),
		cmocka_unit_test_setup_teardown(its_folder_goes_however_the_job_ends, make, end),
		cmocka_unit_test_setup_teardown(the_next_removes_what_is_left_of_its_own, make, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
