/*
 * What msigctl knows of its commands: name, arguments, options and help of
 * each, in one table (commands.c) that parsing, help and "did you mean" read.
 * Exit statuses are part of the interface: DESIGN.md, "The surface".
 */
#ifndef MSIGCTL_COMMAND_H
#define MSIGCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum exit_status {
	STATUS_DONE = 0,
	STATUS_REFUSED = 1,       /* msigd said no, or the escrow failed */
	STATUS_USAGE = 2,
	STATUS_NO_DAEMON = 3,
	STATUS_TIMED_OUT = 4,
	STATUS_INTERRUPTED = 130, /* as a shell shows SIGINT */
};

#define DEFAULT_SOCKET "/run/msigd/msigd.sock"
#define SOCKET_VARIABLE "MSIGD_SOCKET"

/* What holds for the whole run. */
struct context {
	const char *command; /* its name, for messages; NULL before it is known */
	const char *socket;
	bool json;           /* -j */
	bool quiet;          /* -q */
};

struct option_spec {
	const char *name;     /* the long name; NULL ends a list */
	const char *argument; /* what stands for its value in help; NULL: takes none */
	const char *help;
	char letter;          /* 0: none */
	bool repeat;          /* may be given more than once */
};

struct arguments;

struct command {
	const char *name;
	const char *usage;                 /* positional arguments, as help shows them */
	int min, max;                      /* how many of these */
	const char *summary;               /* one line, no full stop */
	const char *details;               /* paragraphs for its own help, or NULL */
	const struct option_spec *options; /* or NULL */
	const char *examples;              /* lines, or NULL */
	enum exit_status (*run)(const struct context *, const struct arguments *); /* NULL: not there yet */
};

/* The table; name NULL ends it. */
extern const struct command commands[];
extern const struct option_spec global_options[];

const struct command *command_find(const char *name);

/* The name that was probably meant, or NULL. */
const char *command_suggest(const char *name);

/* escrow.c */
enum exit_status open_run(const struct context *context, const struct arguments *arguments);
enum exit_status status_run(const struct context *context, const struct arguments *arguments);
enum exit_status list_run(const struct context *context, const struct arguments *arguments);
enum exit_status retry_run(const struct context *context, const struct arguments *arguments);
enum exit_status cancel_run(const struct context *context, const struct arguments *arguments);
/* watch.c */
enum exit_status watch_run(const struct context *context, const struct arguments *arguments);
/* pool.c */
enum exit_status endpoints_run(const struct context *context, const struct arguments *arguments);
enum exit_status endpoint_run(const struct context *context, const struct arguments *arguments);
/* session.c */
enum exit_status sessions_run(const struct context *context, const struct arguments *arguments);
enum exit_status close_run(const struct context *context, const struct arguments *arguments);
enum exit_status trace_run(const struct context *context, const struct arguments *arguments);
/* daemon.c */
enum exit_status metrics_run(const struct context *context, const struct arguments *arguments);
enum exit_status info_run(const struct context *context, const struct arguments *arguments);
enum exit_status check_run(const struct context *context, const struct arguments *arguments);
enum exit_status reload_run(const struct context *context, const struct arguments *arguments);
enum exit_status stop_run(const struct context *context, const struct arguments *arguments);
/* calibrate.c */
enum exit_status calibrate_run(const struct context *context, const struct arguments *arguments);
/* backup.c */
enum exit_status backup_run(const struct context *context, const struct arguments *arguments);

#endif
