/* What the worker may say of a wallet-rpc's words, and the placeholder address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "worker/job.h"
#include "worker/wallet_rpc.h"

static void
placeholders_are_recognised(void **state)
{
	(void)state;
	assert_true(address_is_placeholder(
	    "9sCrDesy9LK11111111111111111111111111111111116qBPJQpcVWMYSXHEwScJM1kkgAVvZMgoY8tC4DT7r4TJ95KQAj"));
	assert_false(address_is_placeholder(
	    "A1uB8arfRaS4osqrc97pQEKLHNU2bfhMKK77HAFTMVA4hkEdmTPgNWCMYSXHEwScJM1kkgAVvZMgoY8tC4DT7r4TJ8bkN4z"));
	assert_false(address_is_placeholder(""));
	assert_false(address_is_placeholder("9sCrDesy9LK1111111111111111111111111111111"));
}

static void
words_stay_and_secrets_go(void **state)
{
	char out[160];

	(void)state;
	rpc_clean_text("Wallet is already multisig", out, sizeof out);
	assert_string_equal(out, "Wallet is already multisig");
	rpc_clean_text("bad info MultisigxV2R1EFcGsTvMultisigxV2R1EFcGsTvMultisigxV2R1EFcGsTv end", out, sizeof out);
	assert_null(strstr(out, "MultisigxV2R1EFcGsTv"));
	assert_non_null(strstr(out, " end"));
	rpc_clean_text("a\nb\x1b[31mc", out, sizeof out);
	assert_string_equal(out, "a b [31mc");
	memset(out, 0, sizeof out);
	rpc_clean_text("0123456789", out, 5);
	assert_string_equal(out, "0123");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(placeholders_are_recognised),
		cmocka_unit_test(words_stay_and_secrets_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
