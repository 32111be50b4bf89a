/* Lines of the log: one each, whatever a worker calls its fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/log_journal.h"
#include "common/text.h"

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

/* --- UTF-8 ---------------------------------------------------------------- */

static void
what_is_no_character_is_told_from_what_is(void **state)
{
	static const struct {
		const char *text;
		size_t size;
	} cases[] = {{"a", 1}, {"\xc3\xa4", 2}, {"\xe2\x82\xac", 3}, {"\xf0\x9f\x98\x80", 4}, {"\xf4\x8f\xbf\xbf", 4},
	    {"\x80", 0}, {"\xc0\x80", 0}, {"\xc1\xbf", 0}, {"\xe0\x9f\xbf", 0}, {"\xed\xa0\x80", 0}, {"\xf0\x8f\xbf\xbf", 0},
	    {"\xf4\x90\x80\x80", 0}, {"\xf5\x80\x80\x80", 0}, {"\xff", 0}, {"\xc3", 0}, {"\xe2\x82", 0}, {"\xf0\x9f\x98", 0},
	    {"\xc3" "a", 0}, {"\xe2\x82" "a", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(text_character(cases[i].text), cases[i].size);
}

/* Each pair of bytes, which jansson is to take, in each of the places there are. */
static void
a_line_is_json_whatever_is_in_it(void **state)
{
	char event[3] = "", name[3] = "", value[3] = "";
	const struct log_field fields[] = {F_STR(name, value), F_STR("error", "kept"), {0}};

	(void)state;
	for (unsigned pair = 0; pair < 0x10000; pair += 7) {
		const char *line;
		json_t *json;
		value[0] = name[0] = event[0] = (char)(pair >> 8);
		value[1] = name[1] = event[1] = (char)pair;
		line = line_of(LOG_FORMAT_JSON, event, fields);
		json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		assert_string_equal(json_string_value(json_object_get(json, "error")), "kept");
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		json_decref(json);
	}
}

static void
bytes_that_are_no_text_are_shown(void **state)
{
	static const struct log_field fields[] = {F_STR("path", "/a\xff/\xc3\xa4"), {0}};

	(void)state;
	assert_string_equal(line_of(LOG_FORMAT_TEXT, "said", fields), "level=info event=said path=\"/a\\xff/\xc3\xa4\"\n");
	assert_non_null(strstr(line_of(LOG_FORMAT_JSON, "said", fields), "\"path\":\"/a\xef\xbf\xbd/\xc3\xa4\""));
}

/* --- the journal ---------------------------------------------------------- */

static int journal;
static char socket_path[64];

/* A socket in the place of journald's; standard error goes to it, says JOURNAL_STREAM. */
static int
make_journal(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char folder[] = "/tmp/msigd-unit.XXXXXX", stream[64];
	struct stat st;

	(void)state;
	if (mkdtemp(folder) == NULL || fstat(STDERR_FILENO, &st) == -1)
		return -1;
	snprintf(socket_path, sizeof socket_path, "%s/socket", folder);
	memcpy(address.sun_path, socket_path, sizeof socket_path);
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	return bind(journal, (struct sockaddr *)&address, sizeof address);
}

static int
remove_journal(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	close(journal);
	unlink(socket_path);
	*strrchr(socket_path, '/') = '\0';
	return rmdir(socket_path);
}

/* The next datagram; "" when there is none. */
static const char *
sent(void)
{
	static char datagram[4096];
	ssize_t n = recv(journal, datagram, sizeof datagram - 1, 0);

	datagram[n > 0 ? n : 0] = '\0';
	return datagram;
}

static void
begin_journal(enum log_format format)
{
	assert_true(log_journal_take(socket_path));
	log_open("test", LOG_TARGET_JOURNAL, NULL);
	log_set(LOG_LEVEL_INFO, format);
}

static void
the_journal_gets_each_field_by_itself(void **state)
{
	static const struct log_field fields[] = {F_STR("escrow", "e 1"), F_INT("setup_ms", -7), F_STR("left", NULL),
	    F_STR("ESCROW", "forged"), F_STR("event", "forged"), F_STR("a.b", "x"), F_STR("message", "m"), {0}};

	(void)state;
	begin_journal(LOG_FORMAT_TEXT);
	log_write(LOG_LEVEL_DEBUG, "not_said", fields);
	log_write(LOG_LEVEL_WARN, "said", fields);
	assert_string_equal(sent(), "MESSAGE=level=warn event=said escrow=\"e 1\" setup_ms=-7 ESCROW=forged a.b=x message=m\n"
	    "PRIORITY=4\nSYSLOG_IDENTIFIER=test\nMSIGD_EVENT=said\nMSIGD_ESCROW=e 1\nMSIGD_SETUP_MS=-7\nMSIGD_A_B=x\n"
	    "MSIGD_MESSAGE=m\n");
	assert_string_equal(sent(), "");
}

static void
the_journal_gets_the_trace_too(void **state)
{
	static const struct log_field fields[] = {F_STR("escrow", "123e4567-e89b-42d3-a456-426614174000"), F_STR("trace", "forged"), {0}};

	(void)state;
	begin_journal(LOG_FORMAT_TEXT);
	log_write(LOG_LEVEL_WARN, "said", fields);
	assert_non_null(strstr(sent(), "MSIGD_ESCROW=123e4567-e89b-42d3-a456-426614174000\n"
	    "MSIGD_TRACE=123e4567e89b42d3a456426614174000\n"));
}

static void
a_value_with_a_newline_forges_no_field(void **state)
{
	static const struct log_field fields[] = {F_STR("reason", "a\nMESSAGE=forged"), {0}};
	static const char wanted[] = "MSIGD_REASON\n\x10\0\0\0\0\0\0\0a\nMESSAGE=forged\n";
	char datagram[4096];
	ssize_t n;

	(void)state;
	begin_journal(LOG_FORMAT_JSON);
	log_write(LOG_LEVEL_ERROR, "said", fields);
	n = recv(journal, datagram, sizeof datagram, 0);
	assert_true(n > (ssize_t)sizeof wanted);
	assert_memory_equal(datagram, "MESSAGE={\"time\":", 16);
	assert_memory_equal(datagram + n - (sizeof wanted - 1), wanted, sizeof wanted - 1);
}

static void
lines_that_a_full_journal_does_not_take_are_told(void **state)
{
	static const struct log_field none[] = {{0}};
	char lost[32];
	int taken = 0;

	(void)state;
	begin_journal(LOG_FORMAT_TEXT);
	for (int i = 0; i < 1000; i++)
		log_write(LOG_LEVEL_INFO, "said", none);
	while (strstr(sent(), "MSIGD_EVENT=said\n") != NULL)
		taken++;
	assert_in_range(taken, 1, 999);
	log_write(LOG_LEVEL_INFO, "again", none);
	assert_non_null(strstr(sent(), "MSIGD_EVENT=again\n"));
	snprintf(lost, sizeof lost, "\nMSIGD_LINES=%d\n", 1000 - taken);
	assert_non_null(strstr(sent(), lost));
	log_write(LOG_LEVEL_INFO, "again", none);
	assert_non_null(strstr(sent(), "MSIGD_EVENT=again\n"));
	assert_string_equal(sent(), "");
}

/* There was room for a line, and not for another that tells of those before. */
static void
lines_that_were_lost_are_told_until_they_are(void **state)
{
	static const struct log_field none[] = {{0}};
	char lost[32];
	int taken = 1;

	(void)state;
	begin_journal(LOG_FORMAT_TEXT);
	for (int i = 0; i < 1000; i++)
		log_write(LOG_LEVEL_INFO, "said", none);
	assert_non_null(strstr(sent(), "MSIGD_EVENT=said\n"));
	log_write(LOG_LEVEL_INFO, "again", none);
	while (strstr(sent(), "MSIGD_EVENT=said\n") != NULL)
		taken++;
	log_write(LOG_LEVEL_INFO, "at last", none);
	assert_non_null(strstr(sent(), "MSIGD_EVENT=at last\n"));
	snprintf(lost, sizeof lost, "\nMSIGD_LINES=%d\n", 1000 - taken);
	assert_non_null(strstr(sent(), lost));
}

static void
another_standard_error_is_no_journal(void **state)
{
	(void)state;
	assert_true(log_journal_take(socket_path));
	assert_false(log_journal_take("/nonexistent"));
	setenv("JOURNAL_STREAM", "1:1", 1);
	assert_false(log_journal_take(socket_path));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	assert_false(log_journal_take(socket_path));
	unsetenv("JOURNAL_STREAM");
	assert_false(log_journal_take(socket_path));
}

static void
a_line_that_names_an_escrow_has_its_trace(void **state)
{
	static const struct log_field fields[] = {F_STR("escrow", "123e4567-e89b-42d3-a456-426614174000"), F_STR("trace", "forged"),
	    F_INT("n", 1), {0}};

	(void)state;
	assert_string_equal(line_of(LOG_FORMAT_TEXT, "said", fields), "level=info event=said "
	    "escrow=123e4567-e89b-42d3-a456-426614174000 n=1 trace=123e4567e89b42d3a456426614174000\n");
	assert_non_null(strstr(line_of(LOG_FORMAT_JSON, "said", fields), ",\"n\":1,\"trace\":\"123e4567e89b42d3a456426614174000\"}"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_quoted_when_they_must_be),
		cmocka_unit_test(names_forge_neither_lines_nor_fields),
		cmocka_unit_test(a_name_stands_once_and_the_first_of_it_counts),
		cmocka_unit_test(what_is_no_character_is_told_from_what_is),
		cmocka_unit_test(a_line_is_json_whatever_is_in_it),
		cmocka_unit_test(bytes_that_are_no_text_are_shown),
		cmocka_unit_test_setup_teardown(the_journal_gets_each_field_by_itself, make_journal, remove_journal),
		cmocka_unit_test_setup_teardown(the_journal_gets_the_trace_too, make_journal, remove_journal),
		cmocka_unit_test_setup_teardown(a_value_with_a_newline_forges_no_field, make_journal, remove_journal),
		cmocka_unit_test_setup_teardown(lines_that_a_full_journal_does_not_take_are_told, make_journal, remove_journal),
		cmocka_unit_test_setup_teardown(lines_that_were_lost_are_told_until_they_are, make_journal, remove_journal),
		cmocka_unit_test_setup_teardown(another_standard_error_is_no_journal, make_journal, remove_journal),
		cmocka_unit_test(a_line_that_names_an_escrow_has_its_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
