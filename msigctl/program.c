#include "msigctl/program.h"

#include <string.h>

#include "common/suggest.h"
#include "msigctl/arguments.h"
#include "msigctl/help.h"
#include "msigctl/output.h"

enum { COMMANDS_MAX = 64 };

const struct command *
command_find(const char *name)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

const char *
command_suggest(const char *name)
{
	const char *names[COMMANDS_MAX];
	size_t n = 0;

	for (const struct command *c = commands; c->name != NULL && n < COMMANDS_MAX; c++)
		names[n++] = c->name;
	return suggest(name, names, n);
}

static enum exit_status
unknown_command(const struct program *program, const struct context *context, const char *name)
{
	const char *meant = command_suggest(name);

	if (meant != NULL)
		complain(context, "no command \"%s\"; did you mean %s?", name, meant);
	else
		complain(context, "no command \"%s\"; %s --help lists them", name, program->name);
	return STATUS_USAGE;
}

/* name NULL: in general. */
static enum exit_status
run_help(const struct program *program, const struct context *context, const char *name)
{
	const struct command *command = name != NULL ? command_find(name) : NULL;

	if (name != NULL && command == NULL)
		return unknown_command(program, context, name);
	if (command != NULL)
		help_command(stdout, command);
	else
		program->help(stdout);
	return STATUS_DONE;
}

static enum exit_status
print_version(const struct program *program)
{
	printf("%s " MSIGD_VERSION "\n", program->name);
	return STATUS_DONE;
}

/* argv[0] is the command's name. */
static enum exit_status
dispatch(const struct program *program, struct context *context, int argc, char **argv)
{
	const struct command *command = command_find(argv[0]);
	struct arguments arguments;
	enum exit_status status = STATUS_USAGE;

	if (command == NULL)
		return unknown_command(program, context, argv[0]);
	context->command = command->name;
	if (!arguments_parse(context, command, argc, argv, &arguments, NULL))
		; /* said */
	else if (arguments.help)
		status = run_help(program, context, command->name);
	else if (arguments.version)
		status = print_version(program);
	else
		status = program->run != NULL ? program->run(context, command, &arguments) : command->run(context, &arguments);
	arguments_free(&arguments);
	return status;
}

enum exit_status
program_run(const struct program *program, struct context *context, int argc, char **argv)
{
	struct arguments global;
	enum exit_status status = STATUS_USAGE;
	int next = argc;

	if (!arguments_parse(context, NULL, argc, argv, &global, &next))
		; /* said */
	else if (global.version)
		status = print_version(program);
	else if (global.help)
		status = run_help(program, context, argv[next]);
	else if (next == argc)
		program->help(stderr);
	else if (strcmp(argv[next], "help") == 0)
		status = run_help(program, context, argv[next + 1]);
	else
		status = dispatch(program, context, argc - next, argv + next);
	arguments_free(&global);
	return status;
}
