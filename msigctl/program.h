/* What msigctl and msigtrace are as programs: options, help, and the way to the
 * command, by the table of command.h. */
#ifndef MSIGCTL_PROGRAM_H
#define MSIGCTL_PROGRAM_H

#include <stdio.h>

#include "msigctl/command.h"

struct program {
	const char *name;
	void (*help)(FILE *stream); /* in general */
	/* NULL: the command's own */
	enum exit_status (*run)(struct context *context, const struct command *command, const struct arguments *arguments);
};

/* The whole command line, argv[0] included. What is wrong with it has been said. */
enum exit_status program_run(const struct program *program, struct context *context, int argc, char **argv);

#endif
