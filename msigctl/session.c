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

	table_line(table);
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
show_sessions(const struct context *context, const json_t *sessions)
{
	static const struct column columns[] = {
		{"ESCROW", COLUMN_WHOLE}, {"SINCE", COLUMN_WHOLE}, {"LAST USED", COLUMN_WHOLE}, {"USES", COLUMN_RIGHT},
		{"ENDPOINTS", COLUMN_CUT}, {0},
	};
	struct table *table = table_new(columns);
	const json_t *session;
	size_t i;

	json_array_foreach(sessions, i, session) {
		if (context->quiet)
			say(stdout, "%s\n", member_text(session, "escrow_id"));
		else
			add_session(table, session);
	}
	table_print(table);
	if (json_array_size(sessions) == 0)
		hint(context, "there are none");
}

enum exit_status
sessions_run(const struct context *context, const struct arguments *arguments)
{
	json_t *result;
	enum exit_status status = client_call(context, "get_sessions", json_object(), CLIENT_QUICK_MS, &result);

	(void)arguments;
	if (status != STATUS_DONE)
		return status;
	if (context->json)
		say_json(result);
	else
		show_sessions(context, result);
	json_decref(result);
	return STATUS_DONE;
}

enum exit_status
close_run(const struct context *context, const struct arguments *arguments)
{
	char id[UUID_TEXT];
	json_t *result;
	enum exit_status status;

	if (!arguments_uuid(context, "ID", arguments_positional(arguments, 0), id))
		return STATUS_USAGE;
	status = client_call(context, "close_session", json_pack("{s:s}", "escrow_id", id), CLIENT_CANCEL_MS, &result);
	if (status != STATUS_DONE)
		return status;
	if (context->json)
		say_json(result);
	else if (!context->quiet)
		say(stdout, "the session of escrow %s is closed\n", id);
	json_decref(result);
	return STATUS_DONE;
}
