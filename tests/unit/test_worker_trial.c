/* What a trial removes: the files of a trial's wallets, and never any other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/job.h"
#include "worker/wallet_files.h"

#define ID "123e4567-e89b-42d3-a456-426614174000"

static char folder[64];
static struct party party;

static const char *const suffixes[] = {"", ".keys", ".address.txt"};
enum { SUFFIXES = sizeof suffixes / sizeof suffixes[0] };

static int
make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/msigd-unit.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	party = (struct party){.endpoint = "a", .wallet_dir = folder, .wallet_dir_sure = true};
	return 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static const char *
path_of(const char *wallet, int suffix)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s%s", folder, wallet, suffixes[suffix]);
	return path;
}

static void
make_files(const char *wallet)
{
	for (int i = 0; i < SUFFIXES; i++) {
		int fd = open(path_of(wallet, i), O_WRONLY | O_CREAT | O_EXCL, 0600);
		assert_int_not_equal(fd, -1);
		close(fd);
	}
}

static int
count_files(const char *wallet)
{
	int count = 0;

	for (int i = 0; i < SUFFIXES; i++)
		count += access(path_of(wallet, i), F_OK) == 0;
	return count;
}

static void
files_of_a_trials_wallet_are_removed(void **state)
{
	static const char *const wallets[] = {"trial-" ID "-buyer", "trial-" ID "-vendor", "trial-" ID "-arbiter"};

	(void)state;
	for (size_t i = 0; i < sizeof wallets / sizeof wallets[0]; i++) {
		assert_true(wallet_is_trial(wallets[i]));
		make_files(wallets[i]);
		assert_true(wallet_remove_files(&party, wallets[i]));
		assert_int_equal(count_files(wallets[i]), 0);
	}
}

static void
files_of_no_other_wallet_are(void **state)
{
	static const char *const others[] = {
		ID "-1-buyer",                              /* an escrow's */
		"msigd-" ID,                                /* a spare */
		"trial-" ID,
		"trial-" ID "-",
		"trial-" ID "-any",
		"trial-" ID "-buyers",
		"trial-" ID "-1-buyer",
		"trial-" ID "_buyer",
		"trial-buyer",
		"trial-123e4567-e89b-42d3-a456-42661417400-buyer",
		"trial-123E4567-E89B-42D3-A456-426614174000-buyer",
		"Trial-" ID "-buyer",
		"a trial-" ID "-buyer",
	};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		assert_false(wallet_is_trial(others[i]));
		make_files(others[i]);
		assert_false(wallet_remove_files(&party, others[i]));
		assert_int_equal(count_files(others[i]), SUFFIXES);
		for (int s = 0; s < SUFFIXES; s++)
			unlink(path_of(others[i], s));
	}
	assert_false(wallet_remove_files(&party, ""));
	assert_false(wallet_remove_files(&party, "../trial-" ID "-buyer"));
	assert_false(wallet_remove_files(&party, "trial-../../../../../../../../../../../../-buyer"));
}

/* Then nobody can say whether they are gone. */
static void
in_a_folder_that_is_not_known_nothing_is_removed(void **state)
{
	char none[] = "";

	(void)state;
	party.wallet_dir = none;
	assert_false(wallet_remove_files(&party, "trial-" ID "-buyer"));
	party.wallet_dir = folder;
	assert_true(wallet_remove_files(&party, "trial-" ID "-buyer")); /* there are none */
	party.wallet_dir_sure = false;
	assert_false(wallet_remove_files(&party, "trial-" ID "-buyer")); /* or they are elsewhere */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_of_a_trials_wallet_are_removed, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(files_of_no_other_wallet_are, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(in_a_folder_that_is_not_known_nothing_is_removed, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
