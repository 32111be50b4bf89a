/* The command trace. */
#include "common/uuid.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/output.h"

static void
show_path(const struct context *context, const json_t *result, const void *arg)
{
	(void)context;
	(void)arg;
	say(stdout, "%s\n", member_text(result, "path"));
}

enum exit_status
trace_run(const struct context *context, const struct arguments *arguments)
{
	char id[UUID_TEXT];

	if (!arguments_uuid(context, "ID", arguments_positional(arguments, 0), id))
		return STATUS_USAGE;
	return client_show(context, "get_trace", json_pack("{s:s}", "escrow_id", id), CLIENT_QUICK_MS, show_path, NULL);
}
