/*
 * watch: events as they come, a line each. On a terminal with local times and
 * short ids, elsewhere as a log: time in UTC, seq, id, what happened.
 */
#include <string.h>

#include "common/uuid.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/event_stream.h"
#include "msigctl/event_text.h"
#include "msigctl/interrupt.h"
#include "msigctl/output.h"
#include "msigctl/terminal.h"
#include "msigctl/text.h"

struct watch {
	const struct context *context;
	const char *escrow_id; /* NULL: all */
	bool terminal;
	enum exit_status failure;
};

/* Says how the escrow stands now, which tells too that there is such a one. */
static bool
watch_connected(void *user)
{
	struct watch *watch = user;
	json_t *escrow;
	const char *status;

	if (watch->escrow_id == NULL) {
		hint(watch->context, "watching; Ctrl-C ends it");
		return true;
	}
	watch->failure = client_call(watch->context, "get_escrow",
	    json_pack("{s:s}", "escrow_id", watch->escrow_id), CLIENT_QUICK_MS, &escrow);
	if (watch->failure != STATUS_DONE)
		return false;
	status = member_text(escrow, "status");
	hint(watch->context, "now %s%s%s; Ctrl-C ends the watching", member_text(escrow, "phase"),
	    status[0] != '\0' ? ": " : "", status);
	json_decref(escrow);
	return true;
}

static void
print_on_terminal(const struct watch *watch, const json_t *event, const char *text)
{
	const char *id = member_text(event, "escrow_id");
	bool opened = strcmp(member_text(event, "type"), "escrow_opened") == 0;
	char time[TEXT_TIME], short_id[TEXT_SHORT_ID];

	text_clock(member_int(event, "at", 0), time, sizeof time);
	text_short_id(id, short_id);
	terminal_colour(stdout, COLOUR_DIM);
	say(stdout, "%s", time);
	terminal_colour(stdout, COLOUR_NONE);
	if (watch->escrow_id == NULL)
		say(stdout, "  %-8s", short_id);
	if (event_colour(event) != COLOUR_NONE)
		terminal_colour(stdout, event_colour(event));
	say(stdout, "  %s", text);
	if (event_colour(event) != COLOUR_NONE)
		terminal_colour(stdout, COLOUR_NONE);
	/* the whole id once, to have it at hand */
	say(stdout, opened && watch->escrow_id == NULL ? "  (%s)\n" : "%.0s\n", id);
}

static bool
watch_event(void *user, const json_t *event)
{
	struct watch *watch = user;
	const char *id = member_text(event, "escrow_id");
	char text[EVENT_TEXT], time[TEXT_TIME];

	if (watch->context->json) {
		say_json_line(event);
		return !ferror(stdout);
	}
	event_text(event, text, sizeof text);
	if (watch->terminal) {
		print_on_terminal(watch, event, text);
	} else {
		text_iso(member_int(event, "at", 0), time, sizeof time);
		say(stdout, "%s %lld %s %s\n", time, (long long)member_int(event, "seq", 0), id[0] != '\0' ? id : "-", text);
	}
	return fflush(stdout) == 0;
}

static enum exit_status
watch_ended(const struct context *context, const struct event_reader *reader, enum stream_end end,
    enum exit_status status)
{
	switch (end) {
	case STREAM_ENDED_BY_READER: return status;
	case STREAM_DEADLINE:        return STATUS_TIMED_OUT;
	case STREAM_INTERRUPTED:     return (enum exit_status)interrupt_status();
	case STREAM_FAILED:          return status;
	case STREAM_GONE:            break;
	}
	if (reader->since >= 0)
		complain(context, "msigd went away; go on later with: msigctl watch%s%s --since %lld",
		    reader->escrow_id != NULL ? " " : "", reader->escrow_id != NULL ? reader->escrow_id : "",
		    (long long)reader->since);
	else
		complain(context, "msigd went away; no event had been seen");
	return STATUS_NO_DAEMON;
}

enum exit_status
watch_run(const struct context *context, const struct arguments *arguments)
{
	const char *text = arguments_positional(arguments, 0);
	struct watch watch = {.context = context, .terminal = terminal_is(stdout)};
	struct event_reader reader = {
		.since = -1, .connected = watch_connected, .event = watch_event, .user = &watch,
	};
	enum exit_status status;
	enum stream_end end;
	char id[UUID_TEXT];

	if (text != NULL && !arguments_uuid(context, "ID", text, id))
		return STATUS_USAGE;
	if (!arguments_number(context, arguments, "since", 0, &reader.since))
		return STATUS_USAGE;
	if (text != NULL)
		reader.escrow_id = watch.escrow_id = id;
	end = event_stream_run(context, &reader, &status);
	return watch_ended(context, &reader, end, end == STREAM_ENDED_BY_READER ? watch.failure : status);
}
