/* check: what is wrong and what to do about it; what a repair has brought back;
 * what lies about and does no harm. */
#include <stdio.h>
#include <string.h>

#include "common/duration.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/long_call.h"
#include "msigctl/output.h"
#include "msigctl/terminal.h"
#include "msigctl/text.h"

/* A repair opens every wallet, for 1 to 2 seconds each. */
enum { REPAIR_LIMIT_MS = 24 * 60 * 60 * 1000, NAMED_MAX = 10 };

static const char *
plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

static void
show_problems(const json_t *problems)
{
	const json_t *problem;
	size_t i;

	json_array_foreach(problems, i, problem) {
		const char *id = member_text(problem, "escrow_id"), *remedy = member_text(problem, "remedy");
		terminal_colour(stdout, COLOUR_RED);
		say(stdout, "%s%s%s", id, id[0] != '\0' ? ": " : "", member_text(problem, "what"));
		terminal_colour(stdout, COLOUR_NONE);
		say(stdout, "\n");
		if (remedy[0] != '\0')
			say(stdout, "    %s\n", remedy);
	}
}

static void
show_repaired(const json_t *repaired)
{
	const json_t *one;
	size_t i;

	json_array_foreach(repaired, i, one)
		say(stdout, "%s: %s: wallet %s was brought back on %s, from its %s\n", member_text(one, "escrow_id"),
		    member_text(one, "role"), member_text(one, "wallet"), member_text(one, "endpoint"),
		    strcmp(member_text(one, "from"), "seed") == 0 ? "seed" : ".keys on record");
}

/* The next time one of them is to go; how many never are. */
static void
show_attic(const json_t *attic)
{
	int64_t count = member_int(attic, "count", 0), next = member_int(attic, "next", 0), kept = member_int(attic, "kept", 0);
	char size[TEXT_TIME], since[TEXT_TIME], date[TEXT_TIME], keep[TEXT_TIME];

	if (count == 0)
		return;
	text_size(member_int(attic, "bytes", 0), size, sizeof size);
	text_date(member_int(attic, "since", 0), since, sizeof since);
	duration_format(member_int(attic, "keep_ms", 0), keep, sizeof keep);
	say(stdout, "attic: %lld wallet%s that nothing uses any more, %lld file%s, %s, since %s\n", (long long)count, plural(count),
	    (long long)member_int(attic, "files", 0), plural(member_int(attic, "files", 0)), size, since);
	if (next != 0) {
		text_date(next, date, sizeof date);
		say(stdout, "    their files are removed %s after that (trace-keep), the first at %s\n", keep, date);
	}
	if (kept > 0)
		say(stdout, "    %lld never: an address may have been published with %s\n", (long long)kept,
		    kept == 1 ? "it" : "them");
}

/* Those of one kind in a line, with the first names. */
static void
show_leftovers_of(const json_t *files, const char *kind)
{
	const json_t *file;
	int64_t count = 0;
	size_t i;

	json_array_foreach(files, i, file) {
		if (strcmp(member_text(file, "kind"), kind) != 0)
			continue;
		if (count++ == 0)
			say(stdout, "left over: %s\n", member_text(file, "what"));
		if (count <= NAMED_MAX)
			say(stdout, "    %s/%s\n", member_text(file, "folder"), member_text(file, "file"));
	}
	if (count > NAMED_MAX)
		say(stdout, "    and %lld more\n", (long long)(count - NAMED_MAX));
}

static void
show_leftovers(const json_t *leftovers)
{
	static const char *const kinds[] = {"unknown", "spare", "unused", "trial", "unfinished", "orphan", "foreign"};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		show_leftovers_of(json_object_get(leftovers, "files"), kinds[i]);
}

static void
show_locks(const json_t *locks)
{
	const json_t *lock;
	size_t i;

	json_array_foreach(locks, i, lock)
		say(stdout, "lock %s is held by %s\n", member_text(lock, "name"), member_text(lock, "holder"));
}

static void
show_counts(const json_t *result)
{
	int64_t unseen = member_int(result, "not_looked_at", 0);
	size_t problems = json_array_size(json_object_get(result, "problems"));
	const char *name, *separator = "checked ";
	json_t *count;

	json_object_foreach(json_object_get(result, "checked"), name, count) {
		size_t length = strlen(name);
		if (json_integer_value(count) == 1 && length > 0 && name[length - 1] == 's')
			length--;
		say(stdout, "%s%lld %.*s", separator, (long long)json_integer_value(count), (int)length, name);
		separator = ", ";
	}
	if (unseen > 0)
		say(stdout, " (and %lld wallet%s whose files msigd cannot read)", (long long)unseen, plural(unseen));
	if (problems == 0)
		say(stdout, "%s\n", member_true(result, "ok") ? ": all is well" : ": not well");
	else
		say(stdout, ": %zu problem%s\n", problems, plural((int64_t)problems));
}

static void
show(const struct context *context, const json_t *result)
{
	show_problems(json_object_get(result, "problems"));
	if (context->quiet)
		return;
	show_repaired(json_object_get(result, "repaired"));
	show_attic(json_object_get(result, "attic"));
	show_leftovers(json_object_get(result, "leftovers"));
	show_locks(json_object_get(result, "locks"));
	show_counts(result);
}

enum exit_status
check_run(const struct context *context, const struct arguments *arguments)
{
	bool repair = arguments_has(arguments, "repair");
	json_t *params = json_object(), *result;
	enum exit_status status;

	if (repair)
		json_object_set_new(params, "repair", json_true());
	if (arguments_has(arguments, "elsewhere"))
		json_object_set_new(params, "elsewhere", json_true());
	status = repair ? long_call(context, "check", params, REPAIR_LIMIT_MS, "repair", "check: the first escrow", &result)
	    : client_call(context, "check", params, CLIENT_SLOW_MS, &result);
	if (status != STATUS_DONE)
		return status;
	if (context->json)
		say_json(result);
	else
		show(context, result);
	status = member_true(result, "ok") ? STATUS_DONE : STATUS_REFUSED;
	json_decref(result);
	return status;
}
