/* The command line, and that help, manual and completion know every command. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/atomic_file.h"
#include "msigctl/arguments.h"
#include "msigctl/help.h"

enum { WORDS_MAX = 16 };

/* One command line, parsed as main.c does it. */
struct line {
	struct context context;
	struct arguments global, arguments;
	char *words[WORDS_MAX + 1];
	char *storage;
	char *said; /* on standard error */
	bool ok;
};

static void
parse(struct line *line, const char *text)
{
	FILE *real = stderr;
	size_t size;
	int count = 0, next;

	memset(line, 0, sizeof *line);
	line->storage = strdup(text);
	for (char *word = strtok(line->storage, " "); word != NULL; word = strtok(NULL, " "))
		line->words[count++] = word;
	stderr = open_memstream(&line->said, &size);
	line->ok = arguments_parse(&line->context, NULL, count, line->words, &line->global, &next);
	if (line->ok && next < count) {
		const struct command *command = command_find(line->words[next]);
		assert_non_null(command);
		line->context.command = command->name;
		line->ok = arguments_parse(&line->context, command, count - next, line->words + next, &line->arguments, NULL);
	}
	fclose(stderr);
	stderr = real;
}

static void
release(struct line *line)
{
	arguments_free(&line->global);
	arguments_free(&line->arguments);
	free(line->storage);
	free(line->said);
}

static void
takes_options_before_and_behind(void **state)
{
	static const char *const same[] = {
		"msigctl -j -s /s status ID --refresh",
		"msigctl status --refresh ID -js /s",
		"msigctl -s/s status ID --json --refresh",
		"msigctl status -j --socket=/s --ref -- ID",
	};

	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		struct line line;
		parse(&line, same[i]);
		assert_true(line.ok);
		assert_true(line.context.json);
		assert_false(line.context.quiet);
		assert_string_equal(line.context.socket, "/s");
		assert_true(arguments_has(&line.arguments, "refresh"));
		assert_string_equal(arguments_positional(&line.arguments, 0), "ID");
		assert_null(arguments_positional(&line.arguments, 1));
		release(&line);
	}
}

static void
keeps_repeated_options_in_order(void **state)
{
	struct line line;

	(void)state;
	parse(&line, "msigctl open --meta a=1 --external buyer --meta b=2 --label x");
	assert_true(line.ok);
	assert_int_equal(line.arguments.given_count, 4);
	assert_string_equal(line.arguments.given[0].value, "a=1");
	assert_string_equal(line.arguments.given[2].value, "b=2");
	assert_string_equal(arguments_value(&line.arguments, "label"), "x");
	assert_null(arguments_value(&line.arguments, "id"));
	release(&line);
}

static void
names_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"msigctl open --lable x", "msigctl: open: unknown option --lable; did you mean --label?\n"},
		{"msigctl open --xyzzy", "msigctl: open: unknown option --xyzzy\n"},
		{"msigctl open -x", "msigctl: open: unknown option -x\n"},
		{"msigctl -jx open", "msigctl: unknown option -x\n"},
		{"msigctl --wait open", "msigctl: option --wait comes behind its command\n"},
		{"msigctl open --label", "msigctl: open: option --label needs a value: --label TEXT\n"},
		{"msigctl -s", "msigctl: option --socket needs a value: --socket SOCKET\n"},
		{"msigctl open --wait=5", "msigctl: open: option --wait takes no value\n"},
		{"msigctl open --label a --label b", "msigctl: open: option --label is given twice\n"},
		{"msigctl cancel", "msigctl: cancel: an argument is missing; usage: msigctl cancel ID\n"},
		{"msigctl endpoint x", "msigctl: endpoint: another argument is missing; usage: msigctl endpoint NAME in|out\n"},
		{"msigctl list x", "msigctl: list: unexpected argument \"x\"; usage: msigctl list [OPTION]...\n"},
		{"msigctl retry a \033[31m", "msigctl: retry: unexpected argument \"\\x1b[31m\"; usage: msigctl retry ID\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct line line;
		parse(&line, cases[i].text);
		assert_false(line.ok);
		assert_string_equal(line.said, cases[i].said);
		release(&line);
	}
}

static void
checks_numbers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t number;
	} cases[] = {
		{"msigctl list --limit 1", true, 1}, {"msigctl list --limit 007", true, 7},
		{"msigctl list --limit 9223372036854775807", true, INT64_MAX},
		{"msigctl list --limit 9223372036854775808", false, 0}, {"msigctl list --limit 0", false, 0},
		{"msigctl list --limit -1", false, 0}, {"msigctl list --limit +1", false, 0},
		{"msigctl list --limit 1x", false, 0}, {"msigctl list --limit=", false, 0}, {"msigctl list", true, -7},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct line line;
		int64_t number = -7;
		char *said;
		size_t size;
		FILE *real = stderr;
		parse(&line, cases[i].text);
		assert_true(line.ok);
		stderr = open_memstream(&said, &size);
		assert_int_equal(arguments_number(&line.context, &line.arguments, "limit", 1, &number), cases[i].ok);
		fclose(stderr);
		stderr = real;
		free(said);
		assert_int_equal(number, cases[i].ok ? cases[i].number : -7);
		release(&line);
	}
}

static void
help_needs_no_arguments(void **state)
{
	struct line line;

	(void)state;
	parse(&line, "msigctl cancel --help");
	assert_true(line.ok);
	assert_true(line.arguments.help);
	release(&line);
	parse(&line, "msigctl -V");
	assert_true(line.ok);
	assert_true(line.global.version);
	release(&line);
}

static void
help_fits_a_terminal(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->name != NULL; c++) {
		char *text;
		size_t size;
		FILE *stream = open_memstream(&text, &size);
		help_general(stream);
		help_command(stream, c);
		fclose(stream);
		for (char *l = strtok(text, "\n"); l != NULL; l = strtok(NULL, "\n"))
			if (strlen(l) > 80 && strstr(l, "jq") == NULL)
				fail_msg("%s: longer than 80 columns: %s", c->name, l);
		free(text);
	}
}

/* Every command and option is named in this file, in the words given. */
static void
assert_mentions(const char *path, const char *command_form, const char *option_form)
{
	size_t size;
	char word[64], *text = (char *)atomic_file_read(path, 1 << 20, &size);

	if (text == NULL)
		fail_msg("%s cannot be read: run this in the source folder", path);
	for (const struct command *c = commands; c->name != NULL; c++) {
		snprintf(word, sizeof word, command_form, c->name);
		if (strstr(text, word) == NULL)
			fail_msg("%s does not know the command %s", path, c->name);
		for (const struct option_spec *s = c->options; s != NULL && s->name != NULL; s++) {
			snprintf(word, sizeof word, option_form, s->name);
			if (strstr(text, word) == NULL)
				fail_msg("%s does not know the option --%s of %s", path, s->name, c->name);
		}
	}
	free(text);
}

static void
manual_and_completion_know_all(void **state)
{
	(void)state;
	assert_mentions("man/msigctl.1", ".It Ic %s", "Fl -%s");
	assert_mentions("etc/completions/msigctl", "%s", "--%s");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_options_before_and_behind),
		cmocka_unit_test(keeps_repeated_options_in_order),
		cmocka_unit_test(names_what_is_wrong),
		cmocka_unit_test(checks_numbers),
		cmocka_unit_test(help_needs_no_arguments),
		cmocka_unit_test(help_fits_a_terminal),
		cmocka_unit_test(manual_and_completion_know_all),
	};

	setlocale(LC_ALL, "C.UTF-8");
	program_invocation_short_name = (char[]){"msigctl"};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
