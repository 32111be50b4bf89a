/*
 * msigctl: the operator's client of msigd. Here: the command line and the way
 * to the command. What each command does is in the file that command.h names.
 */
#include <curl/curl.h>
#include <locale.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigctl/arguments.h"
#include "msigctl/command.h"
#include "msigctl/connect_error.h"
#include "msigctl/help.h"
#include "msigctl/output.h"

static enum exit_status
unknown_command(const struct context *context, const char *name)
{
	const char *meant = command_suggest(name);

	if (meant != NULL)
		complain(context, "no command \"%s\"; did you mean %s?", name, meant);
	else
		complain(context, "no command \"%s\"; msigctl --help lists them", name);
	return STATUS_USAGE;
}

static enum exit_status
run_help(const struct context *context, const char *name)
{
	const struct command *command;

	if (name == NULL) {
		help_general(stdout);
		return STATUS_DONE;
	}
	command = command_find(name);
	if (command == NULL)
		return unknown_command(context, name);
	help_command(stdout, command);
	return STATUS_DONE;
}

static enum exit_status
run_command(struct context *context, const struct command *command, const struct arguments *arguments)
{
	if (command->run == NULL) {
		complain(context, "this command is not there yet in msigctl %s", MSIGD_VERSION);
		return STATUS_REFUSED;
	}
	if (!connect_path_fits(context->socket)) {
		complain(context, "socket \"%s\": a socket's path has 1 to 107 bytes", context->socket);
		return STATUS_USAGE;
	}
	return command->run(context, arguments);
}

/* argv[0] is the command's name. */
static enum exit_status
dispatch(struct context *context, int argc, char **argv)
{
	const struct command *command = command_find(argv[0]);
	struct arguments arguments;
	enum exit_status status = STATUS_USAGE;

	if (command == NULL)
		return unknown_command(context, argv[0]);
	context->command = command->name;
	if (arguments_parse(context, command, argc, argv, &arguments, NULL)) {
		if (arguments.help)
			help_command(stdout, command);
		else if (arguments.version)
			puts("msigctl " MSIGD_VERSION);
		status = arguments.help || arguments.version ? STATUS_DONE : run_command(context, command, &arguments);
	}
	arguments_free(&arguments);
	return status;
}

static enum exit_status
run(struct context *context, int argc, char **argv)
{
	struct arguments global;
	enum exit_status status = STATUS_USAGE;
	int next = argc;
	bool parsed = arguments_parse(context, NULL, argc, argv, &global, &next);

	if (!parsed) {
		; /* said */
	} else if (global.version) {
		puts("msigctl " MSIGD_VERSION);
		status = STATUS_DONE;
	} else if (global.help) {
		status = run_help(context, argv[next]);
	} else if (next == argc) {
		help_general(stderr);
	} else if (strcmp(argv[next], "help") == 0) {
		status = run_help(context, argv[next + 1]);
	} else {
		status = dispatch(context, argc - next, argv + next);
	}
	arguments_free(&global);
	return status;
}

int
main(int argc, char **argv)
{
	struct context context = {.socket = getenv(SOCKET_VARIABLE)};
	enum exit_status status;

	setlocale(LC_ALL, "");
	if (context.socket == NULL || context.socket[0] == '\0')
		context.socket = DEFAULT_SOCKET;
	if (sodium_init() == -1 || curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
		complain(&context, "libsodium or libcurl cannot be started");
		return STATUS_REFUSED;
	}
	status = run(&context, argc, argv);
	curl_global_cleanup();
	if (!output_finish(&context) && status == STATUS_DONE)
		status = STATUS_REFUSED;
	return (int)status;
}
