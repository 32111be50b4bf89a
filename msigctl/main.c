/*
 * msigctl: the operator's client of msigd. Here: the command line and the way
 * to the command. What each command does is in the file that command.h names.
 */
#include <curl/curl.h>
#include <locale.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "msigctl/arguments.h"
#include "msigctl/connect_error.h"
#include "msigctl/help.h"
#include "msigctl/output.h"
#include "msigctl/program.h"

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

int
main(int argc, char **argv)
{
	static const struct program program = {.name = "msigctl", .help = help_general, .run = run_command};
	struct context context = {.socket = getenv(SOCKET_VARIABLE)};
	enum exit_status status;

	setlocale(LC_ALL, "");
	if (context.socket == NULL || context.socket[0] == '\0')
		context.socket = DEFAULT_SOCKET;
	if (sodium_init() == -1 || curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
		complain(&context, "libsodium or libcurl cannot be started");
		return STATUS_REFUSED;
	}
	status = program_run(&program, &context, argc, argv);
	curl_global_cleanup();
	if (!output_finish(&context) && status == STATUS_DONE)
		status = STATUS_REFUSED;
	return (int)status;
}
