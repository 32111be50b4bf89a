/* See wait.h. The escrow is asked for once the events flow, so nothing can
 * happen unseen between the two; what an event says of its end is believed only
 * when get_escrow says the same (a failed attempt may have a successor). */
#include "msigctl/wait.h"

#include <string.h>

#include "common/clock.h"
#include "common/phase.h"
#include "msigctl/client.h"
#include "msigctl/event_stream.h"
#include "msigctl/event_text.h"
#include "msigctl/interrupt.h"
#include "msigctl/output.h"
#include "msigctl/progress.h"
#include "msigctl/terminal.h"

/* How often to ask what a waiting escrow waits for. */
enum { ASK_AGAIN_MS = 5000 };

struct wait {
	const struct context *context;
	const char *id;
	json_t **escrow;
	struct progress progress;
	int64_t began_ms, asked_ms;
	bool draw, drawn;
	bool stopping; /* msigd said that it ends */
	enum exit_status failure; /* of get_escrow */
};

static void
draw(struct wait *wait)
{
	char line[PROGRESS_LINE];

	if (!wait->draw)
		return;
	progress_line(&wait->progress, clock_monotonic_ms() - wait->began_ms, terminal_utf8(),
	    terminal_columns(stderr) - 1, line, sizeof line);
	terminal_draw_line(line);
	wait->drawn = true;
}

static void
wipe(struct wait *wait)
{
	if (wait->drawn)
		terminal_wipe_line();
	wait->drawn = false;
}

static bool
is_over(const json_t *escrow)
{
	enum phase phase;

	return phase_parse(member_text(escrow, "phase"), &phase) && phase_is_terminal(phase);
}

/* Asks how it stands. False: it is over, or that could not be learned. */
static bool
ask(struct wait *wait)
{
	json_t *escrow;

	wait->asked_ms = clock_monotonic_ms();
	wait->failure = client_call(wait->context, "get_escrow", json_pack("{s:s}", "escrow_id", wait->id),
	    CLIENT_QUICK_MS, &escrow);
	if (wait->failure != STATUS_DONE)
		return false;
	json_decref(*wait->escrow);
	*wait->escrow = escrow;
	progress_escrow(&wait->progress, escrow);
	return !is_over(escrow);
}

static bool
wait_connected(void *user)
{
	return ask(user);
}

static bool
wait_event(void *user, const json_t *event)
{
	struct wait *wait = user;
	const char *type = member_text(event, "type");
	int64_t before = wait->progress.attempt;
	char text[EVENT_TEXT];

	progress_event(&wait->progress, event);
	if (strcmp(type, "stopping") == 0)
		wait->stopping = true;
	if (strcmp(type, "attempt") == 0 && wait->progress.attempt > before && wait->draw) {
		wipe(wait);
		event_text(event, text, sizeof text);
		terminal_colour(stderr, COLOUR_YELLOW);
		say(stderr, "%s\n", text);
		terminal_colour(stderr, COLOUR_NONE);
	}
	return !phase_is_terminal(wait->progress.phase) || ask(wait);
}

static void
wait_tick(void *user)
{
	struct wait *wait = user;

	if (wait->draw && wait->progress.phase == PHASE_NOT_STARTED &&
	    clock_monotonic_ms() - wait->asked_ms >= ASK_AGAIN_MS)
		ask(wait); /* its end comes as an event too */
	draw(wait);
}

enum exit_status
wait_for_escrow(const struct context *context, const char *id, json_t **escrow, int64_t deadline_ms)
{
	struct wait wait = {
		.context = context, .id = id, .escrow = escrow, .began_ms = clock_monotonic_ms(),
		.draw = !context->quiet && terminal_can_redraw(stderr),
	};
	struct event_reader reader = {
		.escrow_id = id, .since = 0, .deadline_ms = deadline_ms, .connected = wait_connected,
		.event = wait_event, .tick = wait_tick, .user = &wait,
	};
	enum exit_status status;
	enum stream_end end;

	interrupt_catch();
	progress_init(&wait.progress, id);
	progress_escrow(&wait.progress, *escrow);
	draw(&wait);
	end = event_stream_run(context, &reader, &status);
	wipe(&wait);
	switch (end) {
	case STREAM_ENDED_BY_READER: return wait.failure;
	case STREAM_DEADLINE:        return STATUS_TIMED_OUT;
	case STREAM_INTERRUPTED:     return (enum exit_status)interrupt_status();
	case STREAM_FAILED:          return status;
	case STREAM_GONE:            break;
	}
	complain(context, wait.stopping ? "msigd has ended" : "msigd went away");
	return STATUS_NO_DAEMON;
}
