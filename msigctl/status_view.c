/* See status_view.h. */
#include "msigctl/status_view.h"

#include <stdio.h>

#include "common/duration.h"
#include "msigctl/client.h"
#include "msigctl/output.h"
#include "msigctl/table.h"
#include "msigctl/text.h"

/* {"idle": 3, "leased": 6, "down": 0} as "3 idle, 6 leased". */
static void
counts_text(const json_t *counts, char *out, size_t size)
{
	const char *name;
	json_t *count;
	size_t have = 0;

	snprintf(out, size, "none");
	json_object_foreach((json_t *)counts, name, count) {
		if (!json_is_integer(count) || json_integer_value(count) == 0 || have >= size)
			continue;
		have += (size_t)snprintf(out + have, size - have, "%s%lld %s", have > 0 ? ", " : "",
		    (long long)json_integer_value(count), name);
	}
}

static void
print_queue(const json_t *queue)
{
	int64_t length = member_int(queue, "length", 0), oldest = member_int(queue, "oldest_ms", 0);
	const char *waiting_for = member_text(queue, "waiting_for");
	char age[TEXT_TIME], line[512];

	if (length == 0) {
		print_property("queue", "empty");
		return;
	}
	duration_format(oldest < 1000 ? oldest : oldest / 1000 * 1000, age, sizeof age);
	snprintf(line, sizeof line, "%lld waiting, the oldest for %s", (long long)length, age);
	print_property_colour("queue", line, COLOUR_YELLOW);
	print_property("waiting for", waiting_for);
}

/* Nothing, as long as it works. */
static void
print_store_trouble(const json_t *trouble)
{
	char date[TEXT_TIME], line[640];

	if (!json_is_object(trouble))
		return;
	text_date(member_int(trouble, "since", 0), date, sizeof date);
	snprintf(line, sizeof line, "failing since %s: %s", date, member_text(trouble, "error"));
	print_property_colour("store", line, COLOUR_RED);
}

static void
show_overview(const struct context *context, const json_t *result, const void *arg)
{
	char line[256];

	(void)context;
	(void)arg;
	counts_text(json_object_get(result, "escrows"), line, sizeof line);
	print_property("escrows", line);
	print_queue(json_object_get(result, "queue"));
	counts_text(json_object_get(result, "endpoints"), line, sizeof line);
	print_property("endpoints", line);
	snprintf(line, sizeof line, "%lld", (long long)member_int(result, "workers", 0));
	print_property("workers", line);
	print_store_trouble(json_object_get(result, "store_trouble"));
	if (member_true(result, "stopping"))
		print_property_colour("msigd", "is stopping", COLOUR_YELLOW);
}

enum exit_status
status_overview(const struct context *context)
{
	return client_show(context, "get_status", json_object(), CLIENT_QUICK_MS, show_overview, NULL);
}
