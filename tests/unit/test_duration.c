#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/duration.h"

static void
takes_what_people_write(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"0", 0}, {"0ms", 0}, {"0d", 0}, {"1", 1000}, {"90", 90000}, {"500ms", 500}, {"10s", 10000},
		{"10m", 600000}, {"2h", 7200000}, {"7d", 604800000}, {"007s", 7000}, {"3650d", INT64_C(315360000000)},
		{"87600h", INT64_C(315360000000)}, {"315360000000ms", INT64_C(315360000000)}, {"315360000", INT64_C(315360000000)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t ms = -1;
		if (!duration_parse(cases[i].text, &ms))
			fail_msg("\"%s\" was refused", cases[i].text);
		if (ms != cases[i].ms)
			fail_msg("\"%s\" gave %lld", cases[i].text, (long long)ms);
	}
}

static void
refuses_the_rest_and_leaves_ms_alone(void **state)
{
	static const char *const cases[] = {
		"", " ", "s", "ms", "-1", "-1s", "+1", "1.5h", "1,5h", "10 s", " 10s", "10s ", "10S", "10min", "10sec", "10mss",
		"1h30m", "0x10", "1e3", "ten", "3651d", "87601h", "315360001", "315360000001ms", "9223372036854775808",
		"18446744073709551617ms", "99999999999999999999999999d", "10\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t ms = 42;
		if (duration_parse(cases[i], &ms))
			fail_msg("\"%s\" was taken for %lld ms", cases[i], (long long)ms);
		assert_int_equal(ms, 42);
	}
}

static void
formats_for_people(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{0, "0 ms"}, {1, "1 ms"}, {870, "870 ms"}, {999, "999 ms"}, {1000, "1 s"}, {1240, "1.24 s"}, {1200, "1.20 s"},
		{1005, "1.00 s"}, {59999, "59.99 s"}, {60000, "1 min"}, {200000, "3 min 20 s"}, {3599999, "59 min 59 s"},
		{3600000, "1 h"}, {7500000, "2 h 5 min"}, {86399999, "23 h 59 min"}, {86400000, "1 d"},
		{INT64_C(100800000), "1 d 4 h"}, {604800000, "7 d"}, {-870, "-870 ms"}, {-200000, "-3 min 20 s"},
		{INT64_MIN, "-106751991167 d 7 h"}, {INT64_MAX, "106751991167 d 7 h"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char out[64];
		duration_format(cases[i].ms, out, sizeof out);
		assert_string_equal(out, cases[i].text);
	}
}

static void
formats_into_little_room(void **state)
{
	char out[8] = "#######";

	(void)state;
	duration_format(-200000, out, 1);
	assert_string_equal(out, "");
	duration_format(-200000, out, 4);
	assert_string_equal(out, "-3 ");
	assert_int_equal(out[4], '#');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_people_write),
		cmocka_unit_test(refuses_the_rest_and_leaves_ms_alone),
		cmocka_unit_test(formats_for_people),
		cmocka_unit_test(formats_into_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
