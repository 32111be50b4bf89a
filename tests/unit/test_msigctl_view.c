/* An escrow as people see it: what its wallets tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "msigctl/escrow_view.h"

#define ESCROW "{\"escrow_id\": \"3f2a81c0\", \"phase\": \"Ready\", \"address\": \"9w\", \"participants\": []%s}"
#define WALLET "{\"role\": \"%s\", \"ready\": %s, \"threshold\": 2, \"total\": 3, \"balance\": %s, " \
	"\"unlocked_balance\": 0, \"height\": 7, \"address\": \"%s\"}"

static char shown[4096];

/* escrow_view() of this, into shown. */
static void
view(const char *more)
{
	char text[2048], path[] = "/tmp/msigd-unit-view.XXXXXX";
	int out = dup(STDOUT_FILENO), fd = mkstemp(path);
	json_t *escrow;
	ssize_t n;

	snprintf(text, sizeof text, ESCROW, more);
	escrow = json_loads(text, 0, NULL);
	assert_non_null(escrow);
	unlink(path);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	escrow_view(escrow);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	n = pread(fd, shown, sizeof shown - 1, 0);
	shown[n > 0 ? n : 0] = '\0';
	close(fd);
	close(out);
	json_decref(escrow);
}

static void
shows_what_the_wallets_tell(void **state)
{
	char wallets[1024];

	(void)state;
	snprintf(wallets, sizeof wallets, ", \"wallets\": [" WALLET ", " WALLET ", " WALLET "]", "buyer", "true", "1500000000001",
	    "9w", "vendor", "false", "0", "9w", "arbiter", "true", "null", "another");
	view(wallets);
	assert_non_null(strstr(shown, "\nROLE     READY  MULTISIG         BALANCE        UNLOCKED  HEIGHT  ADDRESS\n"
	    "buyer    yes    2/3       1.500000000001  0.000000000000       7  equal\n"
	    "vendor   NO     2/3       0.000000000000  0.000000000000       7  equal\n"
	    "arbiter  yes    2/3                    -  0.000000000000       7  DIFFERENT\n"));
}

static void
shows_no_wallets_that_were_not_asked(void **state)
{
	(void)state;
	view("");
	assert_non_null(strstr(shown, "3f2a81c0"));
	assert_null(strstr(shown, "BALANCE"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_what_the_wallets_tell),
		cmocka_unit_test(shows_no_wallets_that_were_not_asked),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
