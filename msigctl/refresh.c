/* See refresh.h. Wallets that are not open have to be opened first, on
 * endpoints that may have to be waited for: seconds, during which a person
 * wants to see that something happens, and what. */
#include "msigctl/refresh.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "msigctl/client.h"
#include "msigctl/interrupt.h"
#include "msigctl/output.h"
#include "msigctl/terminal.h"
#include "msigctl/text.h"

/* An answer that comes at once is not announced. */
enum { SILENT_MS = 300 };

struct refresh {
	const char *id;
	bool has_session; /* its wallets were open when they were asked */
	int64_t began_ms;
	bool drawn;
};

static void
draw(void *user)
{
	struct refresh *refresh = user;
	int64_t elapsed_ms = clock_monotonic_ms() - refresh->began_ms;
	char short_id[TEXT_SHORT_ID], time[TEXT_TIME], line[128];

	if (elapsed_ms < SILENT_MS)
		return;
	text_short_id(refresh->id, short_id);
	text_elapsed(elapsed_ms, time, sizeof time);
	snprintf(line, sizeof line, "%s  %s its wallets  %s", short_id, refresh->has_session ? "asking" : "opening", time);
	text_cut(line, terminal_columns(stderr) - 1);
	terminal_draw_line(line);
	refresh->drawn = true;
}

/* Whether the wallets are open already. */
static enum exit_status
look_for_session(const struct context *context, struct refresh *refresh)
{
	json_t *sessions, *session;
	enum exit_status status = client_call(context, "get_sessions", json_object(), CLIENT_QUICK_MS, &sessions);
	size_t i;

	if (status != STATUS_DONE)
		return status;
	json_array_foreach(sessions, i, session) {
		if (strcmp(member_text(session, "escrow_id"), refresh->id) == 0)
			refresh->has_session = true;
	}
	json_decref(sessions);
	return STATUS_DONE;
}

enum exit_status
refresh_escrow(const struct context *context, const char *id, json_t **escrow)
{
	struct refresh refresh = {.id = id, .began_ms = clock_monotonic_ms()};
	enum exit_status status = STATUS_DONE;

	if (!context->quiet && terminal_can_redraw(stderr)) {
		interrupt_catch(); /* from here on there is a line to wipe */
		status = look_for_session(context, &refresh);
		client_on_wait(draw, &refresh);
	}
	if (status == STATUS_DONE)
		status = client_call(context, "get_escrow", json_pack("{s:s, s:b}", "escrow_id", id, "refresh", 1),
		    CLIENT_SLOW_MS, escrow);
	client_on_wait(NULL, NULL);
	if (refresh.drawn)
		terminal_wipe_line();
	return status;
}
