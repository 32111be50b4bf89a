/*
 * msigtrace: looks into the traces that msigd writes. It reads files, and nothing
 * else: no daemon, no network. Here: the command line and the way to the command;
 * what each does is in the file that msigtrace.h names.
 */
#include <locale.h>
#include <stdio.h>

#include "msigctl/program.h"
#include "msigtrace/msigtrace.h"

static void
help(FILE *stream)
{
	fputs("usage: msigtrace [-jV] COMMAND [OPTION]... FILE...\n\n"
	    "Looks into the traces of msigd: .json, and .jsonl of escrows that are under way\n"
	    "or were cut off.\n\n"
	    "Commands:\n", stream);
	for (const struct command *c = commands; c->name != NULL; c++)
		fprintf(stream, "  %-10s %-19s %s\n", c->name, c->usage, c->summary);
	fputs("\nOptions, before or behind the command:\n"
	    "  -j, --json            print exactly one JSON document\n"
	    "  -V, --version         print the version\n"
	    "  -h, --help            print this help, or that of a command\n\n"
	    "Exit status: 0 clean; 1 problems found; 2 wrong usage, or a file that cannot\n"
	    "be read.\n\n"
	    "More: msigtrace help COMMAND, msigtrace(1)\n", stream);
}

int
main(int argc, char **argv)
{
	static const struct program program = {.name = "msigtrace", .help = help};
	struct context context = {.socket = ""};
	enum exit_status status;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");
	status = program_run(&program, &context, argc, argv);
	if (!output_finish(&context))
		status = STATUS_UNREADABLE;
	return (int)status;
}
