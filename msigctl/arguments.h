/*
 * The command line: getopt_long(3) driven by the tables of command.h. Options
 * may stand before or after positional arguments; the global ones also before
 * the command.
 */
#ifndef MSIGCTL_ARGUMENTS_H
#define MSIGCTL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msigctl/command.h"

struct given {
	const struct option_spec *spec;
	const char *value; /* NULL when it takes none; points into argv */
};

struct arguments {
	struct given *given; /* in the order given */
	size_t given_count;
	char **positional;   /* points into argv */
	int positional_count;
	bool help, version;
};

/* Parses what stands before the command (command NULL; *next is the index of
 * the command's name, or argc) or behind it (argv[0] is its name). Global
 * options go to context. False: what is wrong has been said on standard error.
 * arguments_free() in any case. */
bool arguments_parse(struct context *context, const struct command *command, int argc, char **argv,
    struct arguments *arguments, int *next);
void arguments_free(struct arguments *arguments);

/* The value of an option, or NULL; whether it was given. name is a long one. */
const char *arguments_value(const struct arguments *arguments, const char *name);
bool arguments_has(const struct arguments *arguments, const char *name);

/* The positional argument at this place, or NULL. */
const char *arguments_positional(const struct arguments *arguments, int place);

/* A whole number of at least min. False: it has been said what is wrong. A
 * missing option leaves *number untouched and is fine. */
bool arguments_number(const struct context *context, const struct arguments *arguments,
    const char *name, int64_t min, int64_t *number);

/* text as an escrow's id in lower case; what names it in the message. False: said. */
bool arguments_uuid(const struct context *context, const char *what, const char *text, char out[37]);

#endif
