/* Phases: which change may follow which; roles, networks, escrow ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/phase.h"
#include "common/role.h"
#include "common/uuid.h"

static void
names_go_round(void **state)
{
	enum phase phase;
	enum role role;

	(void)state;
	for (int i = 0; i < PHASE_COUNT; i++) {
		assert_true(phase_parse(phase_name((enum phase)i), &phase));
		assert_int_equal(phase, i);
	}
	assert_false(phase_parse("ready", &phase));
	for (int i = 0; i < ROLE_COUNT; i++) {
		assert_true(role_parse(role_name((enum role)i), false, &role));
		assert_int_equal(role, i);
	}
	assert_false(role_parse("any", false, &role));
	assert_true(role_parse("any", true, &role));
	assert_int_equal(role, ROLE_ANY);
	assert_false(role_parse("seller", true, &role));
}

static void
nothing_leaves_a_terminal_phase(void **state)
{
	(void)state;
	for (int to = 0; to < PHASE_COUNT; to++) {
		assert_false(phase_may_follow(PHASE_READY, (enum phase)to));
		assert_false(phase_may_follow(PHASE_FAILED, (enum phase)to));
	}
	assert_true(phase_is_terminal(PHASE_READY) && phase_is_terminal(PHASE_FAILED));
}

static void
only_exchanging_leads_to_ready(void **state)
{
	(void)state;
	for (int from = 0; from < PHASE_COUNT; from++)
		assert_int_equal(phase_may_follow((enum phase)from, PHASE_READY), from == PHASE_EXCHANGING);
}

static void
every_live_phase_may_fail(void **state)
{
	(void)state;
	for (int from = 0; from < PHASE_COUNT; from++)
		assert_int_equal(phase_may_follow((enum phase)from, PHASE_FAILED), !phase_is_terminal((enum phase)from));
	assert_true(phase_may_follow(PHASE_EXCHANGING, PHASE_EXCHANGING));
	assert_false(phase_may_follow(PHASE_PREPARING, PHASE_PREPARING));
}

static void
uuids_are_normalised_or_refused(void **state)
{
	static const char *const bad[] = {
		"", "x", "123e4567e89b42d3a456426614174000", "123e4567-e89b-42d3-a456-42661417400",
		"123e4567-e89b-42d3-a456-4266141740000", "123e4567-e89b-42d3-a456-42661417400g",
		"{23e4567-e89b-42d3-a456-426614174000}", "123e4567_e89b_42d3_a456_426614174000",
	};
	char out[UUID_TEXT] = "untouched";
	unsigned char bytes[UUID_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(uuid_normalise(bad[i], out));
		assert_string_equal(out, "untouched");
	}
	assert_true(uuid_normalise("123E4567-E89B-42D3-A456-426614174000", out));
	assert_string_equal(out, "123e4567-e89b-42d3-a456-426614174000");
	uuid_to_bytes(out, bytes);
	assert_int_equal(bytes[0], 0x12);
	assert_int_equal(bytes[15], 0x00);
}

/* RFC 9562: milliseconds first, so that ids lie in the order in which they were made. */
static void
new_uuids_are_in_the_order_of_time(void **state)
{
	char first[UUID_TEXT], second[UUID_TEXT], normal[UUID_TEXT], digits[13];
	int64_t before = clock_wall_ms(), after, told;

	(void)state;
	uuid_new(first);
	after = clock_wall_ms();
	assert_true(uuid_normalise(first, normal));
	assert_string_equal(first, normal);
	assert_int_equal(first[14], '7');
	assert_non_null(strchr("89ab", first[19]));
	snprintf(digits, sizeof digits, "%.8s%.4s", first, first + 9);
	told = strtoll(digits, NULL, 16);
	assert_true(told >= before && told <= after);
	while (clock_wall_ms() <= after)
		;
	uuid_new(second);
	assert_true(strcmp(first, second) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_round),
		cmocka_unit_test(nothing_leaves_a_terminal_phase),
		cmocka_unit_test(only_exchanging_leads_to_ready),
		cmocka_unit_test(every_live_phase_may_fail),
		cmocka_unit_test(uuids_are_normalised_or_refused),
		cmocka_unit_test(new_uuids_are_in_the_order_of_time),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
