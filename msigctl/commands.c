/*
 * The table of commands and of their options: the only place where they are
 * listed. Adding a command: a row here, its handler, its man page section, the
 * completion (test_msigctl_arguments compares the three).
 */
#include "msigctl/command.h"

const struct option_spec global_options[] = {
	{"json", NULL, "print exactly one JSON document: the API's result", 'j', false},
	{"quiet", NULL, "print less: only ids, names, the address", 'q', false},
	{"socket", "SOCKET", "msigd's socket; else $" SOCKET_VARIABLE ", or\n" DEFAULT_SOCKET, 's', false},
	{"version", NULL, "print the version", 'V', false},
	{"help", NULL, "print this help", 'h', false},
	{0},
};

static const struct option_spec open_options[] = {
	{"id", "UUID", "the escrow's id; without it a random one is made", 0, false},
	{"label", "TEXT", "a text of yours, shown by list and status", 0, false},
	{"meta", "K=V", "a text of yours, kept with the escrow", 0, true},
	{"external", "ROLE", "buyer, vendor or arbiter, who has a wallet of its own", 0, true},
	{"trace", NULL, "write a trace file of this escrow", 0, false},
	{"wait", NULL, "wait until it is Ready or Failed", 0, false},
	{"timeout", "T", "with --wait: end the waiting, not the escrow, after T", 0, false},
	{0},
};

static const struct option_spec status_options[] = {
	{"refresh", NULL, "ask the wallets too; they stay open as a session", 0, false},
	{0},
};

static const struct option_spec list_options[] = {
	{"phase", "P", "NotStarted, Preparing, Exchanging, Ready or Failed", 0, false},
	{"limit", "N", "at most so many", 0, false},
	{"after", "ID", "go on behind this escrow", 0, false},
	{0},
};

static const struct option_spec watch_options[] = {
	{"since", "SEQ", "begin behind this event; 0: the oldest kept", 0, false},
	{0},
};

static const struct option_spec check_options[] = {
	{"repair", NULL, "first bring back wallets that are lost, from the store", 0, false},
	{"elsewhere", NULL, "and those whose endpoint is gone for good, on others", 0, false},
	{0},
};

static const struct option_spec calibrate_options[] = {
	{"trials", "N", "set-ups at each stagger, 1 to 20; else 3", 0, false},
	{0},
};

static const struct option_spec stop_options[] = {
	{"drain", NULL, "first let the escrows under way come to their end", 0, false},
	{0},
};

const struct command commands[] = {
	{"open", "", 0, 0, "open an escrow",
	 "Asks msigd for a new 2-of-3 escrow. Without --wait it is only put in the queue.\n"
	 "The same --id with the same options again is the same escrow, so repeating a\n"
	 "command whose answer was lost does no harm; with other options it is refused.\n"
	 "Ending the waiting (--timeout, Ctrl-C) does not end the escrow. --meta and\n"
	 "--external may be given more than once; T is written 500ms, 90s, 10m or 2h.",
	 open_options,
	 "msigctl open --wait\n"
	 "msigctl open --label \"order 1234\" --meta shop=books --meta order=1234\n"
	 "msigctl -q open --wait --timeout 2m       # prints the address, nothing else",
	 open_run},
	{"status", "[ID]", 0, 1, "one escrow; without ID: counts, queue, endpoints",
	 "With --refresh the three wallets are asked for state, address, balance and\n"
	 "height. If they are not open they are opened first, which takes seconds, and\n"
	 "more where an endpoint has to be waited for; then they stay open as a session.",
	 status_options,
	 "msigctl status\n"
	 "msigctl status 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11\n"
	 "msigctl status 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11 --refresh\n"
	 "msigctl -j status 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11 | jq -r .address",
	 status_run},
	{"list", "", 0, 0, "many escrows", NULL,
	 list_options,
	 "msigctl list --phase Failed\n"
	 "msigctl list --limit 50 --after 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11\n"
	 "msigctl -q list --phase Ready             # ids only",
	 list_run},
	{"watch", "[ID]", 0, 1, "what happens, as it happens",
	 "One line an event, until Ctrl-C or until msigd ends. When msigd ends, the number\n"
	 "of the last event is shown, for --since. With -j: one JSON object a line.",
	 watch_options,
	 "msigctl watch\n"
	 "msigctl watch 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11 --since 0\n"
	 "msigctl -j watch | jq -r 'select(.type == \"phase\" and .phase == \"Ready\") | .address'",
	 watch_run},
	{"retry", "ID", 1, 1, "start the next attempt of an escrow that Failed", NULL, NULL,
	 "msigctl retry 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11", retry_run},
	{"cancel", "ID", 1, 1, "stop an escrow that is not Ready or Failed", NULL, NULL,
	 "msigctl cancel 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11", cancel_run},
	{"messages", "ID ROLE", 2, 2, "what a party with a wallet of its own does next", NULL, NULL, NULL, NULL},
	{"submit", "ID ROLE [FILE]", 2, 3, "its answer", NULL, NULL, NULL, NULL},
	{"endpoints", "", 0, 0, "the wallet-rpcs and what each of them does", NULL, NULL,
	 "msigctl endpoints\n"
	 "msigctl -j endpoints | jq -r '.[] | select(.state == \"down\") | .url'",
	 endpoints_run},
	{"endpoint", "NAME in|out", 2, 2, "take an endpoint out of use by hand, or back in",
	 "out: the endpoint gets no new escrow; the one it serves goes on. in: it is\n"
	 "probed, cleaned and used again.",
	 NULL,
	 "msigctl endpoint wallet-3 out\n"
	 "msigctl endpoint wallet-3 in", endpoint_run},
	{"sessions", "", 0, 0, "escrows whose wallets are kept open", NULL, NULL,
	 "msigctl sessions\n"
	 "msigctl -q sessions | xargs -rn1 msigctl close     # all of them", sessions_run},
	{"close", "ID", 1, 1, "close an escrow's session",
	 "A request under way is answered first. The wallets are closed and their\n"
	 "endpoints given back; the next status --refresh opens them again.",
	 NULL,
	 "msigctl close 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11", close_run},
	{"trace", "ID", 1, 1, "the path of an escrow's trace file",
	 "It ends in .json once the escrow is Ready or Failed and nothing works for it,\n"
	 "and in .jsonl, an event a line, while something does.",
	 NULL,
	 "msigtrace show \"$(msigctl trace 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11)\"", trace_run},
	{"metrics", "", 0, 0, "numbers, as OpenMetrics text", NULL, NULL,
	 "msigctl metrics | grep escrows", metrics_run},
	{"info", "", 0, 0, "version, store, key, sandbox", NULL, NULL,
	 "msigctl info\n"
	 "msigctl -j info | jq -r .key.fingerprint", info_run},
	{"calibrate", "", 0, 0, "find the least safe stagger-delay",
	 "Tries whole set-ups, up to the gate, in wallets that are removed afterwards, on\n"
	 "three of msigd's endpoints: first with no stagger, and if that shows an error,\n"
	 "from 10 seconds down by halves as long as none does. Escrows come first. Exit\n"
	 "status 1 when every stagger showed an error. Ctrl-C ends only the waiting.",
	 calibrate_options,
	 "msigctl calibrate\n"
	 "msigctl calibrate --trials 10\n"
	 "msigctl -q calibrate                      # prints the value, nothing else",
	 calibrate_run},
	{"backup", "FILE", 1, 1, "write a consistent copy of the store",
	 "Written by msigctl, mode 0600; an existing FILE is never replaced, and on any\n"
	 "error none is left. The copy is of no use without the key file: keep that too,\n"
	 "in another place.",
	 NULL,
	 "msigctl backup /backup/msigd-$(date +%F).db", backup_run},
	{"check", "", 0, 0, "look at the store, wallets and locks",
	 "Exit status 1 when something is wrong.", check_options,
	 "msigctl check\n"
	 "msigctl check --repair", check_run},
	{"reload", "", 0, 0, "make msigd read its configuration again", NULL, NULL,
	 "msigctl reload", reload_run},
	{"stop", "", 0, 0, "end msigd",
	 "Workers end at their next step, and escrows not finished are begun anew at\n"
	 "the next start. Under\n"
	 "systemd use systemctl stop msigd.", stop_options,
	 "msigctl stop --drain", stop_run},
	{0},
};
