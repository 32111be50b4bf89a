/* Sealing: opens in its place and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/seal.h"

static const char id[] = "123e4567-e89b-42d3-a456-426614174000";
static const char other_id[] = "123e4567-e89b-42d3-a456-426614174001";
static const char text[] = "a password";

static void
opens_in_its_place_only(void **state)
{
	struct seal_place place = {id, 1, ROLE_BUYER, 2, SEAL_KEYS}, wrong;
	unsigned char master[SEAL_KEY_BYTES] = {1}, key[SEAL_KEY_BYTES], other[SEAL_KEY_BYTES];
	unsigned char sealed[sizeof text + SEAL_OVERHEAD], out[sizeof text];

	(void)state;
	seal_subkey(master, id, key);
	seal_subkey(master, other_id, other);
	assert_memory_not_equal(key, other, sizeof key);
	seal(key, &place, text, sizeof text, sealed);
	assert_true(unseal(key, &place, sealed, sizeof sealed, out));
	assert_memory_equal(out, text, sizeof text);

	assert_false(unseal(other, &place, sealed, sizeof sealed, out));
	wrong = place, wrong.escrow_id = other_id;
	assert_false(unseal(key, &wrong, sealed, sizeof sealed, out));
	wrong = place, wrong.attempt = 2;
	assert_false(unseal(key, &wrong, sealed, sizeof sealed, out));
	wrong = place, wrong.role = ROLE_VENDOR;
	assert_false(unseal(key, &wrong, sealed, sizeof sealed, out));
	wrong = place, wrong.round = 3;
	assert_false(unseal(key, &wrong, sealed, sizeof sealed, out));
	wrong = place, wrong.kind = SEAL_SEED;
	assert_false(unseal(key, &wrong, sealed, sizeof sealed, out));
}

static void
every_flipped_bit_is_found(void **state)
{
	struct seal_place place = {id, 1, ROLE_BUYER, 0, SEAL_PASSWORD};
	unsigned char key[SEAL_KEY_BYTES] = {7}, sealed[sizeof text + SEAL_OVERHEAD], out[sizeof text];

	(void)state;
	seal(key, &place, text, sizeof text, sealed);
	for (size_t i = 0; i < sizeof sealed * 8; i++) {
		sealed[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_false(unseal(key, &place, sealed, sizeof sealed, out));
		sealed[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	for (size_t size = 0; size < sizeof sealed; size++)
		assert_false(unseal(key, &place, sealed, size, out));
	assert_true(unseal(key, &place, sealed, sizeof sealed, out));
}

static void
the_same_is_never_sealed_alike(void **state)
{
	struct seal_place place = {id, 1, ROLE_BUYER, 0, SEAL_PASSWORD};
	unsigned char key[SEAL_KEY_BYTES] = {7}, a[sizeof text + SEAL_OVERHEAD], b[sizeof text + SEAL_OVERHEAD];

	(void)state;
	seal(key, &place, text, sizeof text, a);
	seal(key, &place, text, sizeof text, b);
	assert_memory_not_equal(a, b, sizeof a);
}

static void
base64_goes_round(void **state)
{
	struct seal_place place = {id, 1, ROLE_ARBITER, 1, SEAL_MESSAGE};
	unsigned char key[SEAL_KEY_BYTES] = {9}, *plain;
	char *sealed = seal_base64(key, &place, text, strlen(text));
	size_t size;

	(void)state;
	plain = unseal_base64(key, &place, sealed, &size);
	assert_non_null(plain);
	assert_int_equal(size, strlen(text));
	assert_string_equal((char *)plain, text);
	free(plain);
	assert_null(unseal_base64(key, &place, "no base64!", &size));
	assert_null(unseal_base64(key, &place, "", &size));
	free(sealed);
}

static void
a_fingerprint_tells_keys_apart(void **state)
{
	unsigned char a[SEAL_KEY_BYTES] = {1}, b[SEAL_KEY_BYTES] = {2};
	char fa[SEAL_FINGERPRINT_TEXT], fb[SEAL_FINGERPRINT_TEXT];

	(void)state;
	seal_fingerprint(a, fa);
	seal_fingerprint(b, fb);
	assert_int_equal(strlen(fa), SEAL_FINGERPRINT_TEXT - 1);
	assert_string_not_equal(fa, fb);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_in_its_place_only),
		cmocka_unit_test(every_flipped_bit_is_found),
		cmocka_unit_test(the_same_is_never_sealed_alike),
		cmocka_unit_test(base64_goes_round),
		cmocka_unit_test(a_fingerprint_tells_keys_apart),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
