/* Commands about the wallet-rpcs: endpoints, endpoint. */
#include <string.h>

#include "common/clock.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/output.h"
#include "msigctl/table.h"
#include "msigctl/text.h"

static enum colour
state_colour(const char *state)
{
	if (strcmp(state, "down") == 0 || strcmp(state, "out") == 0)
		return COLOUR_RED;
	return strcmp(state, "dirty") == 0 ? COLOUR_YELLOW : COLOUR_NONE;
}

static void
add_endpoint(struct table *table, const json_t *endpoint)
{
	const char *state = member_text(endpoint, "state"), *escrow = member_text(endpoint, "escrow_id");
	const char *spare = member_text(endpoint, "spare");
	int64_t since = member_int(endpoint, "since", 0), rtt = member_int(endpoint, "last_rtt_ms", -1);
	char text[TEXT_TIME] = "-", note[128];

	table_cell(table, 0, member_text(endpoint, "name"));
	table_cell_colour(table, 1, state, state_colour(state));
	if (since > 0)
		text_rough(clock_wall_ms() - since, text, sizeof text);
	table_cell(table, 2, text);
	table_cell(table, 3, member_text(endpoint, "role"));
	table_cell_number(table, 4, member_int(endpoint, "leases", 0));
	table_cell_number(table, 5, member_int(endpoint, "failures", 0));
	snprintf(text, sizeof text, rtt >= 0 ? "%lld ms" : "-", (long long)rtt);
	table_cell(table, 6, text);
	table_cell(table, 7, member_true(endpoint, "managed") ? "managed" : "given");
	table_cell(table, 8, member_text(endpoint, "url"));
	snprintf(note, sizeof note, "spare %s", spare);
	table_cell(table, 9, escrow[0] != '\0' ? escrow : spare[0] != '\0' ? note : member_text(endpoint, "reason"));
}

static void
show_endpoints(const struct context *context, const json_t *endpoints, const void *arg)
{
	static const struct column columns[] = {
		{"NAME", COLUMN_WHOLE}, {"STATE", COLUMN_WHOLE}, {"FOR", COLUMN_RIGHT}, {"ROLE", COLUMN_WHOLE},
		{"LEASES", COLUMN_WIDE_RIGHT}, {"FAILED", COLUMN_RIGHT}, {"RTT", COLUMN_WIDE_RIGHT}, {"KIND", COLUMN_WIDE},
		{"URL", COLUMN_WHOLE}, {"NOTE", COLUMN_CUT}, {0},
	};

	(void)arg;
	table_of_named(context, columns, endpoints, "name", "msigd has no endpoints", add_endpoint);
}

enum exit_status
endpoints_run(const struct context *context, const struct arguments *arguments)
{
	(void)arguments;
	return client_show(context, "get_endpoints", json_object(), CLIENT_QUICK_MS, show_endpoints, NULL);
}

static void
show_endpoint(const struct context *context, const json_t *endpoint, const void *arg)
{
	(void)arg;
	if (!context->quiet)
		say(stdout, "endpoint %s is %s\n", member_text(endpoint, "name"), member_text(endpoint, "state"));
}

enum exit_status
endpoint_run(const struct context *context, const struct arguments *arguments)
{
	const char *name = arguments_positional(arguments, 0), *state = arguments_positional(arguments, 1);

	if (strcmp(state, "in") != 0 && strcmp(state, "out") != 0) {
		complain(context, "\"%s\": not in or out", state);
		return STATUS_USAGE;
	}
	return client_show(context, "set_endpoint", json_pack("{s:s, s:s}", "name", name, "state", state), CLIENT_QUICK_MS,
	    show_endpoint, NULL);
}
