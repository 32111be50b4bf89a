/* Commands about msigd itself: metrics, info, reload, stop. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/output.h"
#include "msigctl/table.h"
#include "msigctl/text.h"

enum exit_status
metrics_run(const struct context *context, const struct arguments *arguments)
{
	char *text;
	enum exit_status status = client_get(context, "/metrics", &text);

	(void)arguments;
	if (status != STATUS_DONE)
		return status;
	if (context->json) {
		json_t *document = json_pack("{s:s}", "openmetrics", text);
		if (document != NULL)
			say_json(document);
		else
			complain(context, "msigd's metrics are not valid UTF-8");
		status = document != NULL ? STATUS_DONE : STATUS_REFUSED;
		json_decref(document);
	} else {
		fputs(text, stdout);
	}
	free(text);
	return status;
}

/* How members of get_info are shown; everything else is shown as it is. */
static void
info_time(const json_t *value, char *out, size_t size)
{
	text_date(json_integer_value(value), out, size);
}

static void
info_duration(const json_t *value, char *out, size_t size)
{
	duration_format(json_integer_value(value) / 1000 * 1000, out, size);
}

static void
info_size(const json_t *value, char *out, size_t size)
{
	text_size(json_integer_value(value), out, size);
}

static const struct {
	const char *member, *shown;
	void (*format)(const json_t *, char *, size_t);
} info_members[] = {
	{"started at", "started", info_time},
	{"uptime ms", "uptime", info_duration},
	{"store size bytes", "store size", info_size},
	{"store trouble since", "store trouble since", info_time},
};

static void
add_info(struct table *table, const char *name, const json_t *value)
{
	char text[64], *dump;

	table_line(table);
	table_cell(table, 0, name);
	for (size_t i = 0; i < sizeof info_members / sizeof *info_members; i++) {
		if (strcmp(name, info_members[i].member) == 0 && json_is_integer(value)) {
			info_members[i].format(value, text, sizeof text);
			table_cell(table, 0, info_members[i].shown);
			table_cell(table, 1, text);
			return;
		}
	}
	if (json_is_string(value)) {
		table_cell(table, 1, json_string_value(value));
	} else if (json_is_boolean(value)) {
		table_cell(table, 1, json_is_true(value) ? "yes" : "no");
	} else {
		dump = json_dumps(value, JSON_ENCODE_ANY);
		table_cell(table, 1, dump != NULL ? dump : "?");
		free(dump);
	}
}

/* "wallet_dir" is shown as "wallet dir", and {"store": {"path": …}} as "store path". */
static void
add_members(struct table *table, const char *prefix, const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) {
		char name[128];
		snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] != '\0' ? " " : "", key);
		for (char *c = name; *c != '\0'; c++)
			if (*c == '_')
				*c = ' ';
		if (json_is_object(value))
			add_members(table, name, value);
		else if (!json_is_null(value))
			add_info(table, name, value);
	}
}

static void
show_info(const struct context *context, const json_t *info, const void *arg)
{
	static const struct column columns[] = {{"", COLUMN_WHOLE}, {"", COLUMN_WHOLE}, {0}};
	struct table *table = table_new(columns);

	(void)context;
	(void)arg;
	table_no_headings(table);
	add_members(table, "", info);
	table_print(table);
}

enum exit_status
info_run(const struct context *context, const struct arguments *arguments)
{
	(void)arguments;
	return client_show(context, "get_info", json_object(), CLIENT_QUICK_MS, show_info, NULL);
}

static void
show_keys(const char *intro, const json_t *keys)
{
	const json_t *key;
	size_t i;

	if (json_array_size(keys) == 0)
		return;
	say(stdout, "%s", intro);
	json_array_foreach(keys, i, key)
		say(stdout, " %s", json_is_string(key) ? json_string_value(key) : "?");
	putchar('\n');
}

static void
show_reload(const struct context *context, const json_t *result, const void *arg)
{
	const json_t *changed = json_object_get(result, "changed"), *restart = json_object_get(result, "restart_needed");

	(void)arg;
	if (context->quiet)
		return;
	show_keys("changed:", changed);
	show_keys("changed only after a restart of msigd:", restart);
	if (json_array_size(changed) + json_array_size(restart) == 0)
		puts("nothing has changed");
}

enum exit_status
reload_run(const struct context *context, const struct arguments *arguments)
{
	(void)arguments;
	return client_show(context, "reload", json_object(), CLIENT_QUICK_MS, show_reload, NULL);
}

static void
show_stop(const struct context *context, const json_t *result, const void *drain)
{
	long long workers = member_int(result, "workers", 0);

	if (context->quiet)
		return;
	if (workers == 0)
		puts("msigd is stopping; nothing is under way");
	else
		say(stdout, "msigd is stopping once %lld worker%s ended%s\n", workers, workers == 1 ? " has" : "s have",
		    *(const bool *)drain ? "" : ", each at its next step; what is not finished then is begun anew at the next start");
}

enum exit_status
stop_run(const struct context *context, const struct arguments *arguments)
{
	bool drain = arguments_has(arguments, "drain");
	json_t *params = json_object();

	if (drain)
		json_object_set_new(params, "drain", json_true());
	return client_show(context, "stop", params, CLIENT_QUICK_MS, show_stop, &drain);
}
