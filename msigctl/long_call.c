/* See long_call.h: one call, and beside it the events that tell how far it is. */
#include "msigctl/long_call.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "msigctl/client.h"
#include "msigctl/event_stream.h"
#include "msigctl/event_text.h"
#include "msigctl/interrupt.h"
#include "msigctl/output.h"
#include "msigctl/terminal.h"
#include "msigctl/text.h"

/* A refusal comes at once, and there is nothing to be seen before the first event. */
enum { SILENT_MS = 300 };

struct progress {
	const struct context *context;
	const char *type;
	struct event_reader reader;
	struct event_stream *stream; /* NULL: not begun, or over */
	int64_t began_ms;
	bool begun, drawn;
	char text[EVENT_TEXT];
};

static bool
on_event(void *user, const json_t *event)
{
	struct progress *p = user;

	if (strcmp(member_text(event, "type"), p->type) == 0)
		event_text(event, p->text, sizeof p->text);
	return true;
}

static void
follow(struct progress *p)
{
	if (!p->begun)
		p->stream = event_stream_begin(p->context, &p->reader);
	p->begun = true;
	if (p->stream == NULL || event_stream_take(p->stream))
		return;
	event_stream_end(p->stream);
	p->stream = NULL;
}

static void
on_tick(void *user)
{
	struct progress *p = user;
	int64_t elapsed_ms = clock_monotonic_ms() - p->began_ms;
	char time[TEXT_TIME], text[EVENT_TEXT + TEXT_TIME + 2], line[4 * sizeof text];

	if (elapsed_ms < SILENT_MS)
		return;
	follow(p);
	text_elapsed(elapsed_ms, time, sizeof time);
	snprintf(text, sizeof text, "%s  %s", time, p->text);
	text_safe(text, line, sizeof line);
	text_cut(line, terminal_columns(stderr) - 1);
	terminal_draw_line(line);
	p->drawn = true;
}

enum exit_status
long_call(const struct context *context, const char *method, json_t *params, int64_t limit_ms, const char *event,
    const char *text, json_t **result)
{
	struct progress p = {.context = context, .type = event, .began_ms = clock_monotonic_ms()};
	enum exit_status status;

	snprintf(p.text, sizeof p.text, "%s", text);
	p.reader = (struct event_reader){.since = -1, .event = on_event, .user = &p};
	if (!context->quiet && terminal_can_redraw(stderr)) {
		interrupt_catch(); /* from here on there is a line to wipe */
		client_on_wait(on_tick, &p);
	}
	status = client_call(context, method, params, limit_ms, result);
	client_on_wait(NULL, NULL);
	event_stream_end(p.stream);
	if (p.drawn)
		terminal_wipe_line();
	return status;
}
