/* See help.h. */
#include "msigctl/help.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

static void
print_options(FILE *stream, const struct option_spec *options)
{
	for (const struct option_spec *s = options; s->name != NULL; s++) {
		char flag[48], letter[8] = "    ";
		if (s->letter != 0)
			snprintf(letter, sizeof letter, "-%c, ", s->letter);
		snprintf(flag, sizeof flag, "%s--%s%s%s", letter, s->name,
		    s->argument != NULL ? " " : "", s->argument != NULL ? s->argument : "");
		fprintf(stream, "  %-21s ", flag);
		for (const char *c = s->help; *c != '\0'; c++) {
			fputc(*c, stream);
			if (*c == '\n')
				fprintf(stream, "%24s", "");
		}
		fputc('\n', stream);
	}
}

static void
print_commands(FILE *stream, bool there)
{
	for (const struct command *c = commands; c->name != NULL; c++) {
		char call[48];
		if ((c->run != NULL) != there)
			continue;
		snprintf(call, sizeof call, "%s %s", c->name, c->usage);
		fprintf(stream, "  %-24s %s\n", call, c->summary);
	}
}

void
help_general(FILE *stream)
{
	fputs("usage: msigctl [-jqV] [-s SOCKET] COMMAND [OPTION]... [ARGUMENT]...\n\n"
	    "Asks msigd to open 2-of-3 Monero multisig escrows and shows how they go.\n\n"
	    "Commands:\n", stream);
	print_commands(stream, true);
	fputs("\nNot there yet:\n", stream);
	print_commands(stream, false);
	fputs("\nOptions, before or behind the command:\n", stream);
	print_options(stream, global_options);
	fputs("\nExit status: 0 done; 1 refused, or the escrow failed; 2 wrong usage; 3 no\n"
	    "daemon there; 4 time-out.\n\n"
	    "Examples:\n"
	    "  msigctl open --wait --label \"order 1234\"\n"
	    "  msigctl list --phase Failed\n"
	    "  msigctl watch\n\n"
	    "More: msigctl help COMMAND, msigctl(1), msigd-api(7)\n", stream);
}

static void
print_indented(FILE *stream, const char *lines)
{
	while (*lines != '\0') {
		size_t length = strcspn(lines, "\n");
		fprintf(stream, "  %.*s\n", (int)length, lines);
		lines += length + (lines[length] == '\n' ? 1 : 0);
	}
}

void
help_command(FILE *stream, const struct command *command)
{
	fprintf(stream, "usage: %s %s%s%s%s\n\n%c%s.\n", program_invocation_short_name, command->name,
	    command->options != NULL ? " [OPTION]..." : "", command->usage[0] != '\0' ? " " : "",
	    command->usage, toupper((unsigned char)command->summary[0]), command->summary + 1);
	if (command->run == NULL)
		fputs("\nThis command is not there yet.\n", stream);
	if (command->details != NULL)
		fprintf(stream, "\n%s\n", command->details);
	if (command->options != NULL) {
		fputs("\nOptions:\n", stream);
		print_options(stream, command->options);
	}
	fputs("\nOptions of every command:\n", stream);
	print_options(stream, global_options);
	if (command->examples != NULL) {
		fputs("\nExamples:\n", stream);
		print_indented(stream, command->examples);
	}
}
