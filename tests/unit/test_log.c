/* Lines of the log: one each, whatever a worker calls its fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

/* What a line of these fields looks like; without its time. */
static const char *
line_of(enum log_format format, const char *event, const struct log_field *fields)
{
	static char line[1024];
	int ends[2], errors = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	log_open("test", LOG_TARGET_STDERR, NULL);
	log_set(LOG_LEVEL_DEBUG, format);
	dup2(ends[1], STDERR_FILENO);
	log_write(LOG_LEVEL_INFO, event, fields);
	dup2(errors, STDERR_FILENO);
	n = read(ends[0], line, sizeof line - 1);
	line[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	close(ends[1]);
	close(errors);
	return format == LOG_FORMAT_TEXT ? strchr(line, ' ') + 1 : line;
}

static void
values_are_quoted_when_they_must_be(void **state)
{
	static const struct log_field fields[] = {F_STR("a", "plain"), F_STR("b", "two words\n\"x\"\x01"), F_STR("c", NULL),
	    F_INT("d", -1), {0}};

	(void)state;
	assert_string_equal(line_of(LOG_FORMAT_TEXT, "said", fields),
	    "level=info event=said a=plain b=\"two words\\n\\\"x\\\"\\x01\" d=-1\n");
}

static void
names_forge_neither_lines_nor_fields(void **state)
{
	static const struct log_field fields[] = {F_STR("a=1 level", "x"), F_INT("b\nlevel=error event", 1), {0}};

	(void)state;
	assert_string_equal(line_of(LOG_FORMAT_TEXT, "said\nlevel=error event=forged", fields),
	    "level=info event=said?level?error?event?forged a?1?level=x b?level?error?event=1\n");
}

static void
a_name_stands_once_and_the_first_of_it_counts(void **state)
{
	static const struct log_field fields[] = {F_STR("escrow", "mine"), F_STR("level", "error"), F_STR("escrow", "other"),
	    F_STR("event", "forged"), F_STR("time", "never"), {0}};
	const char *line;

	(void)state;
	assert_string_equal(line_of(LOG_FORMAT_TEXT, "said", fields), "level=info event=said escrow=mine\n");
	line = line_of(LOG_FORMAT_JSON, "said", fields);
	assert_non_null(strstr(line, "\"level\":\"info\",\"event\":\"said\",\"escrow\":\"mine\"}"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_quoted_when_they_must_be),
		cmocka_unit_test(names_forge_neither_lines_nor_fields),
		cmocka_unit_test(a_name_stands_once_and_the_first_of_it_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
