/* A login-file: what is taken, and what is refused without a word of it told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/config.h"
#include "tests/unit/folder.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static char login[sizeof folder + 16];

static int
set_up(void **state)
{
	int made = make_folder(state);

	snprintf(login, sizeof login, "%s/login", folder);
	return made;
}

static char *
read_login(const char *data, size_t size, mode_t mode, char *why, size_t why_size)
{
	struct config_endpoint endpoint = {.name = "a", .login_file = login};

	unlink(login);
	write_file(login, data, size, mode);
	why[0] = '\0';
	return config_read_login(&endpoint, why, why_size);
}

static void
reads_logins(void **state)
{
	char longest[512 + 3], why[256], *got;
	static const struct {
		const char *data, *login;
		mode_t mode;
	} cases[] = {
		{"user:password\n", "user:password", 0600}, {"user:password", "user:password", 0400}, {"u:p\r\n", "u:p", 0700},
		{"u:p:q r\nsecond line\n", "u:p:q r", 0600},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		got = read_login(cases[i].data, strlen(cases[i].data), cases[i].mode, why, sizeof why);
		if (got == NULL)
			fail_msg("%s", why);
		assert_string_equal(got, cases[i].login);
		free(got);
	}
	memset(longest, 'x', sizeof longest);
	memcpy(longest, "u:", 2);
	got = read_login(longest, 512, 0600, why, sizeof why);
	assert_non_null(got);
	assert_int_equal(strlen(got), 512);
	free(got);
	memcpy(longest + 512, "\r\n", 2);
	got = read_login(longest, 514, 0600, why, sizeof why);
	assert_non_null(got);
	assert_int_equal(strlen(got), 512);
	free(got);
	assert_null(read_login(longest, 511, 0640, why, sizeof why));
	memset(longest + 512, 'x', 1);
	assert_null(read_login(longest, 513, 0600, why, sizeof why));
	assert_non_null(strstr(why, "512 bytes"));
}

static void
refuses_logins(void **state)
{
	static const struct {
		const char *data;
		size_t size;
		mode_t mode;
		const char *words;
	} cases[] = {
		{"u:secret\n", 9, 0640, "chmod 600"}, {"u:secret\n", 9, 0604, "chmod 600"}, {"u:secret\n", 9, 0620, "chmod 600"},
		{"u:secret\n", 9, 0602, "chmod 600"}, {"", 0, 0600, "USER:PASSWORD"}, {"\nu:secret\n", 10, 0600, "USER:PASSWORD"},
		{"secret\n", 7, 0600, "USER:PASSWORD"}, {":secret\n", 8, 0600, "USER:PASSWORD"}, {"secret:\n", 8, 0600, "USER:PASSWORD"},
		{"u:se\0cret\n", 10, 0600, "NUL"},
	};
	struct config_endpoint endpoint = {.name = "a"};
	char why[256];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_null(read_login(cases[i].data, cases[i].size, cases[i].mode, why, sizeof why));
		if (strstr(why, cases[i].words) == NULL || strstr(why, login) == NULL)
			fail_msg("case %zu: %s", i, why);
		assert_null(strstr(why, "secret"));
	}
	assert_null(config_read_login(&endpoint, why, sizeof why));
	assert_non_null(strstr(why, "no login-file"));
	endpoint.login_file = folder;
	assert_null(config_read_login(&endpoint, why, sizeof why));
	assert_non_null(strstr(why, "not a regular file"));
	unlink(login);
	endpoint.login_file = login;
	assert_null(config_read_login(&endpoint, why, sizeof why));
	assert_non_null(strstr(why, "No such file"));
	/* does not wait for somebody who writes */
	assert_int_equal(mkfifo(login, 0600), 0);
	assert_null(config_read_login(&endpoint, why, sizeof why));
	assert_non_null(strstr(why, "not a regular file"));
	if (geteuid() == 0) {
		unlink(login);
		write_file(login, "u:secret\n", 9, 0600);
		assert_int_equal(chown(login, 12345, 12345), 0);
		assert_null(config_read_login(&endpoint, why, sizeof why));
		assert_non_null(strstr(why, "12345"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_logins, set_up, remove_folder),
		cmocka_unit_test_setup_teardown(refuses_logins, set_up, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
