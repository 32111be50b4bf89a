/* Commands about sessions, the escrows whose wallets are kept open: sessions,
 * close. */
#include <string.h>

#include "common/clock.h"
#include "common/uuid.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/output.h"
#include "msigctl/table.h"
#include "msigctl/text.h"

/* "wallet-1, wallet-4, wallet-2" */
static void
endpoints_text(const json_t *endpoints, char *out, size_t size)
{
	const json_t *name;
	size_t i, have = 0;

	snprintf(out, size, "waits for them");
	json_array_foreach(endpoints, i, name) {
		if (json_is_string(name) && have < size)
			have += (size_t)snprintf(out + have, size - have, "%s%s", have > 0 ? ", " : "", json_string_value(name));
	}
}

static void
add_session(struct table *table, const json_t *session)
{
	int64_t now = clock_wall_ms(), uses = member_int(session, "uses", 0);
	char age[TEXT_TIME], endpoints[256];

	table_cell(table, 0, member_text(session, "escrow_id"));
	text_age(member_int(session, "since", 0), now, age, sizeof age);
	table_cell(table, 1, age);
	text_age(member_int(session, "last_used", 0), now, age, sizeof age);
	table_cell(table, 2, uses > 0 ? age : "never");
	table_cell_number(table, 3, uses);
	endpoints_text(json_object_get(session, "endpoints"), endpoints, sizeof endpoints);
	table_cell(table, 4, endpoints);
}

static void
show_sessions(const struct context *context, const json_t *sessions, const void *arg)
{
	static const struct column columns[] = {
		{"ESCROW", COLUMN_WHOLE}, {"SINCE", COLUMN_WHOLE}, {"LAST USED", COLUMN_WHOLE}, {"USES", COLUMN_RIGHT},
		{"ENDPOINTS", COLUMN_CUT}, {0},
	};

	(void)arg;
	table_of_named(context, columns, sessions, "escrow_id", "there are none", add_session);
}

enum exit_status
sessions_run(const struct context *context, const struct arguments *arguments)
{
	(void)arguments;
	return client_show(context, "get_sessions", json_object(), CLIENT_QUICK_MS, show_sessions, NULL);
}

static void
show_closed(const struct context *context, const json_t *result, const void *id)
{
	(void)result;
	if (!context->quiet)
		say(stdout, "the session of escrow %s is closed\n", (const char *)id);
}

enum exit_status
close_run(const struct context *context, const struct arguments *arguments)
{
	char id[UUID_TEXT];

	if (!arguments_uuid(context, "ID", arguments_positional(arguments, 0), id))
		return STATUS_USAGE;
	return client_show(context, "close_session", json_pack("{s:s}", "escrow_id", id), CLIENT_CANCEL_MS, show_closed, id);
}
