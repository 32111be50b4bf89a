/* Text that is cut to fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/text.h"

static void
cuts_between_characters(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *copy;
	} cases[] = {
		{"", 4, ""}, {"abc", 4, "abc"}, {"abcd", 4, "abc"}, {"abc", 1, ""},
		{"a\xc3\xa4z", 5, "a\xc3\xa4z"}, {"a\xc3\xa4z", 4, "a\xc3\xa4"}, {"a\xc3\xa4z", 3, "a"},
		{"\xe2\x82\xac" "b", 5, "\xe2\x82\xac" "b"}, {"\xe2\x82\xac" "b", 4, "\xe2\x82\xac"}, {"\xe2\x82\xac" "b", 3, ""},
		{"\xf0\x9f\x98\x80", 5, "\xf0\x9f\x98\x80"}, {"\xf0\x9f\x98\x80", 4, ""}, {"\xf0\x9f\x98\x80", 2, ""},
		/* cut before it came here */
		{"ab\xc3", 9, "ab"}, {"ab\xe2\x82", 9, "ab"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char out[16];
		memset(out, 'x', sizeof out);
		text_copy(out, cases[i].size, cases[i].text);
		assert_string_equal(out, cases[i].copy);
		assert_int_equal(out[cases[i].size], 'x');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
