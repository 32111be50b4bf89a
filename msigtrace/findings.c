/* What rules say: see diagnose.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigtrace/diagnose.h"
#include "msigtrace/view.h"

static size_t
found_by(const struct diagnosis *d, const struct rule *rule, size_t trace)
{
	size_t n = 0;

	for (size_t i = d->finding_count; i > 0 && d->findings[i - 1].trace == trace; i--)
		n += d->findings[i - 1].rule == rule;
	return n;
}

struct finding *
finding_new(struct diagnosis *d, size_t trace, const struct event *about)
{
	static const struct event nothing = {.role = ROLE_COUNT, .round = -1, .method = "", .endpoint = "", .wallet = ""};
	struct finding *f;

	if (found_by(d, d->rule, trace) >= FINDINGS_OF_RULE)
		return NULL;
	if (d->finding_count == d->room) {
		size_t room = d->room == 0 ? 16 : d->room * 2;
		f = reallocarray(d->findings, room, sizeof *f);
		if (f == NULL) {
			d->failed = true;
			return NULL;
		}
		d->findings = f;
		d->room = room;
	}
	f = &d->findings[d->finding_count++];
	*f = (struct finding){.rule = d->rule, .trace = trace, .about = about != NULL ? about : &nothing, .evidence = json_array()};
	return f;
}

static void
add_text(char *text, const char *format, va_list list)
{
	size_t have = strlen(text);

	vsnprintf(text + have, FINDING_TEXT - have, format, list);
}

void
finding_say(struct finding *f, const char *format, ...)
{
	va_list list;

	if (f == NULL)
		return;
	va_start(list, format);
	add_text(f->what, format, list);
	va_end(list);
}

void
finding_help(struct finding *f, const char *format, ...)
{
	va_list list;

	if (f == NULL)
		return;
	va_start(list, format);
	add_text(f->remedy, format, list);
	va_end(list);
}

void
finding_evidence(struct diagnosis *d, struct finding *f, size_t trace, const struct event *event, const char *format, ...)
{
	char note[FINDING_TEXT], shown[VIEW_EVENT] = "";
	va_list list;

	if (f == NULL)
		return;
	va_start(list, format);
	vsnprintf(note, sizeof note, format, list);
	va_end(list);
	if (event != NULL)
		view_event(event, shown);
	json_array_append_new(f->evidence, json_pack("{s:s, s:I, s:f, s:s, s:o, s:o}", "file", d->traced[trace].trace->name,
	    "seq", (json_int_t)(event != NULL ? event->seq : 0), "t_ms", event != NULL ? event->t_ms : 0.0,
	    "role", event != NULL ? view_role(event->role) : "", "event", view_json_text(shown),
	    "note", view_json_text(note)));
}

bool
finding_there(const struct diagnosis *d, const char *rule, size_t trace, enum role role, int64_t attempt)
{
	for (size_t i = d->finding_count; i > 0 && d->findings[i - 1].trace == trace; i--) {
		const struct finding *f = &d->findings[i - 1];
		if ((rule == NULL || strcmp(f->rule->name, rule) == 0) && (role == ROLE_COUNT || f->about->role == role) &&
		    (attempt == -1 || f->about->attempt == attempt))
			return true;
	}
	return false;
}

/* --- words ---------------------------------------------------------------------- */

void
place_text(const struct event *event, char out[PLACE_TEXT])
{
	if (*event->endpoint != '\0' && event->port != 0)
		snprintf(out, PLACE_TEXT, "the wallet-rpc on port %d (%.80s)", event->port, event->endpoint);
	else if (event->port != 0)
		snprintf(out, PLACE_TEXT, "the wallet-rpc on port %d", event->port);
	else if (*event->endpoint != '\0')
		snprintf(out, PLACE_TEXT, "the wallet-rpc %.80s", event->endpoint);
	else
		snprintf(out, PLACE_TEXT, "%s%swallet-rpc", view_role(event->role), event->role == ROLE_COUNT ? "a " : "'s ");
}

void
call_text(const struct call *call, char out[PLACE_TEXT])
{
	const struct event *e = call->at;
	char place[PLACE_TEXT];

	place_text(e, place);
	snprintf(out, PLACE_TEXT, "%s%s%.40s on %.100s", view_role(e->role), e->role == ROLE_COUNT ? "" : "'s ", e->method, place);
}

const char *
escrow_name(const struct diagnosis *d, size_t trace, char out[64])
{
	const struct trace *t = d->traced[trace].trace;

	if (*t->escrow_id != '\0')
		snprintf(out, 64, "escrow %.36s", t->escrow_id);
	else
		snprintf(out, 64, "the escrow of %.40s", t->name);
	return out;
}
