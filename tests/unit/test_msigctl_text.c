/* What people are shown: nothing that commands their terminal, and times in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/suggest.h"
#include "msigctl/text.h"

static void
shows_nothing_that_commands_the_terminal(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", ""},
		{"order 17", "order 17"},
		{"\033[2J", "\\x1b[2J"},
		{"a\nb\tc\177", "a\\x0ab\\x09c\\x7f"},
		{"b\xc3\xa4r \xe2\x82\xac \xf0\x9f\x8e\x81", "b\xc3\xa4r \xe2\x82\xac \xf0\x9f\x8e\x81"},
		{"\xc2\x9b" "31m", "\\x9b31m"},        /* the C1 control that is ESC [ */
		{"\xff\xc3", "\\xff\\xc3"},             /* no UTF-8 */
		{"\xe2\x82", "\\xe2\\x82"},             /* cut off */
		{"\xc0\xaf", "\\xc0\\xaf"},             /* overlong */
		{"\xed\xa0\x80", "?"},                  /* a surrogate */
		{"a\xe2\x80\xaetxt", "a?txt"},          /* right-to-left override */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[64];
		text_safe(cases[i].in, out, sizeof out);
		assert_string_equal(out, cases[i].out);
	}
}

static void
leaves_out_what_does_not_fit(void **state)
{
	char out[6];

	(void)state;
	text_safe("abcdefgh", out, sizeof out);
	assert_string_equal(out, "abcde");
	text_safe("abcd\xc3\xa4", out, sizeof out); /* no half character */
	assert_string_equal(out, "abcd");
	text_safe("abc\033", out, sizeof out); /* no half escape */
	assert_string_equal(out, "abc");
}

static void
in_another_locale_shows_ascii(void **state)
{
	char out[16];

	(void)state;
	setlocale(LC_ALL, "C");
	text_safe("b\xc3\xa4r", out, sizeof out);
	setlocale(LC_ALL, "C.UTF-8");
	assert_string_equal(out, "b?r");
}

static void
cuts_by_columns(void **state)
{
	char text[] = "b\xc3\xa4r \xe4\xb8\xad"; /* the last is two columns wide */

	(void)state;
	assert_int_equal(text_width(text), 6);
	text_cut(text, 6);
	assert_int_equal(text_width(text), 6);
	text_cut(text, 5);
	assert_string_equal(text, "b\xc3\xa4r ");
	text_cut(text, 2);
	assert_string_equal(text, "b\xc3\xa4");
	text_cut(text, 0);
	assert_string_equal(text, "");
}

static void
says_times(void **state)
{
	char out[TEXT_TIME];
	const int64_t at = INT64_C(1795251600123);

	(void)state;
	text_date(at, out, sizeof out);
	assert_string_equal(out, "2026-11-21 09:00:00");
	text_clock(at, out, sizeof out);
	assert_string_equal(out, "09:00:00.123");
	text_iso(at, out, sizeof out);
	assert_string_equal(out, "2026-11-21T09:00:00.123Z");
	text_date(0, out, sizeof out);
	assert_string_equal(out, "-");
	text_clock(0, out, sizeof out);
	assert_string_equal(out, "-");
	text_iso(-1, out, sizeof out);
	assert_string_equal(out, "-");
}

static void
says_ages(void **state)
{
	static const struct {
		int64_t ago_ms;
		const char *text;
	} cases[] = {
		{-5000, "now"}, {0, "now"}, {999, "now"}, {1000, "1 s ago"}, {59999, "59 s ago"}, {60000, "1 min ago"},
		{3599999, "59 min ago"}, {3600000, "1 h ago"}, {47 * INT64_C(3600000), "47 h ago"},
		{48 * INT64_C(3600000), "2 d ago"}, {INT64_C(31536000000), "365 d ago"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[TEXT_TIME];
		text_age(INT64_C(1795251600123) - cases[i].ago_ms, INT64_C(1795251600123), out, sizeof out);
		assert_string_equal(out, cases[i].text);
	}
}

static void
says_no_age_of_what_has_no_date(void **state)
{
	char out[TEXT_TIME];

	(void)state;
	text_age(0, INT64_C(1795251600123), out, sizeof out);
	assert_string_equal(out, "-");
	text_age(INT64_MIN, INT64_C(1795251600123), out, sizeof out);
	assert_string_equal(out, "-");
}

static void
says_elapsed_time_and_sizes(void **state)
{
	char out[TEXT_TIME];

	(void)state;
	text_elapsed(0, out, sizeof out);
	assert_string_equal(out, "0.0 s");
	text_elapsed(1849, out, sizeof out);
	assert_string_equal(out, "1.8 s");
	text_elapsed(59999, out, sizeof out);
	assert_string_equal(out, "59.9 s");
	text_elapsed(200456, out, sizeof out);
	assert_string_equal(out, "3 min 20 s");
	text_size(0, out, sizeof out);
	assert_string_equal(out, "0 bytes");
	text_size(1023, out, sizeof out);
	assert_string_equal(out, "1023 bytes");
	text_size(1700003, out, sizeof out);
	assert_string_equal(out, "1.6 MiB");
	text_size(INT64_MAX, out, sizeof out);
	assert_string_equal(out, "8388608.0 TiB");
}

/* To the last atomic unit, and never less than there is. */
static void
says_amounts(void **state)
{
	static const struct {
		int64_t atomic;
		const char *text;
	} cases[] = {
		{0, "0.000000000000"}, {1, "0.000000000001"}, {999999999999, "0.999999999999"},
		{INT64_C(1000000000000), "1.000000000000"}, {INT64_C(18400000000000000), "18400.000000000000"},
		{INT64_C(12345678901234567), "12345.678901234567"}, {INT64_MAX, "9223372.036854775807"},
		{-1, "-"}, {INT64_MIN, "-"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[TEXT_TIME];
		text_xmr(cases[i].atomic, out, sizeof out);
		assert_string_equal(out, cases[i].text);
	}
}

static void
finds_what_was_meant(void **state)
{
	static const char *const words[] = {"open", "status", "list", "watch", "endpoints", "endpoint", "check", "reload"};
	static const struct {
		const char *word, *meant;
	} cases[] = {
		{"opne", "open"}, {"opem", "open"}, {"OPEN", "open"}, {"stat", "status"}, {"wtach", "watch"},
		{"endpoitn", "endpoint"}, {"endpointss", "endpoints"}, {"relaod", "reload"}, {"lst", "list"},
		{"xyzzy", NULL}, {"", NULL}, {"o", NULL}, {"help-me-please-whoever-you-are-out-there", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *meant = suggest(cases[i].word, words, sizeof words / sizeof *words);
		if (cases[i].meant == NULL)
			assert_null(meant);
		else
			assert_string_equal(meant, cases[i].meant);
	}
	assert_int_equal(suggest_distance("session_Max", "session-max"), 0);
	assert_int_equal(suggest_distance("kitten", "sitting"), 3);
	assert_int_equal(suggest_distance("ab", "ba"), 1);
	assert_int_equal(suggest_distance("", "abc"), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_nothing_that_commands_the_terminal),
		cmocka_unit_test(leaves_out_what_does_not_fit),
		cmocka_unit_test(in_another_locale_shows_ascii),
		cmocka_unit_test(cuts_by_columns),
		cmocka_unit_test(says_times),
		cmocka_unit_test(says_ages),
		cmocka_unit_test(says_no_age_of_what_has_no_date),
		cmocka_unit_test(says_elapsed_time_and_sizes),
		cmocka_unit_test(says_amounts),
		cmocka_unit_test(finds_what_was_meant),
	};

	setlocale(LC_ALL, "C.UTF-8");
	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
