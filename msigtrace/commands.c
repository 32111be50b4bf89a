/*
 * The table of commands and of their options: the only place where they are listed.
 * Adding a command: a row here, its handler, its man page section, the completion.
 */
#include <limits.h>

#include "msigtrace/msigtrace.h"

const struct option_spec global_options[] = {
	{"json", NULL, "print exactly one JSON document", 'j', false},
	{"version", NULL, "print the version", 'V', false},
	{"help", NULL, "print this help", 'h', false},
	{0},
};

static const struct option_spec timeline_options[] = {
	{"lanes", NULL, "the three roles side by side, however wide it gets", 0, false},
	{0},
};

static const struct option_spec export_options[] = {
	{"format", "F", "chrome or html", 'f', false},
	{0},
};

const struct command commands[] = {
	{"show", "FILE", 1, 1, "what came out, and where the time went",
	 "Result, total, time by round and by call, the slowest calls, errors.\n"
	 "Exit status 1 when the escrow failed or a call went wrong.", NULL,
	 "msigtrace show escrow_3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11.json", show_run},
	{"timeline", "FILE", 1, 1, "every event, a line each",
	 "On a terminal of at least 130 columns the three roles stand side by side. \"!\" is\n"
	 "a problem, \"*\" what is worth a look: a retry, a slow call.", timeline_options,
	 "msigtrace timeline FILE | less", timeline_run},
	{"stats", "FILE...", 1, INT_MAX, "calls, endpoints, locks and copies in numbers", NULL, NULL,
	 "msigtrace stats /var/lib/msigd/traces/*", stats_run},
	{"snapshots", "FILE", 1, 1, "the state of the three wallets at each point",
	 "And what is different from the point before.", NULL,
	 "msigtrace snapshots FILE", snapshots_run},
	{"compare", "GOOD BAD", 2, 2, "where one escrow went another way than the other",
	 "Aligned by role and step; with the snapshots around the first difference.\n"
	 "Exit status 1 when there is one.", NULL,
	 "msigtrace compare GOOD BAD", compare_run},
	{"diagnose", "FILE...", 1, INT_MAX, "what went wrong, why, and what to do",
	 "Give it the traces of all escrows of that time: who left a wallet open for the\n"
	 "next one is found in another file. Exit status 1 when something is found.", NULL,
	 "msigtrace diagnose /var/lib/msigd/traces/*", diagnose_run},
	{"export", "--format F FILE...", 1, INT_MAX, "for Perfetto, or one page of HTML",
	 "To standard output. chrome: trace events in JSON, for ui.perfetto.dev or\n"
	 "chrome://tracing. html: a page by itself, which loads nothing.", export_options,
	 "msigtrace export --format html FILE > trace.html\n"
	 "msigtrace export --format chrome FILE > trace.json", export_run},
	{0},
};
