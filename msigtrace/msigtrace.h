/* The commands of msigtrace, a file for each; the table of them is in commands.c. Exit
 * statuses: view.h. */
#ifndef MSIGTRACE_MSIGTRACE_H
#define MSIGTRACE_MSIGTRACE_H

#include "msigtrace/view.h"

enum exit_status show_run(const struct context *context, const struct arguments *arguments);
enum exit_status timeline_run(const struct context *context, const struct arguments *arguments);
enum exit_status stats_run(const struct context *context, const struct arguments *arguments);
enum exit_status snapshots_run(const struct context *context, const struct arguments *arguments);
enum exit_status compare_run(const struct context *context, const struct arguments *arguments);
enum exit_status diagnose_run(const struct context *context, const struct arguments *arguments);
enum exit_status export_run(const struct context *context, const struct arguments *arguments);

#endif
