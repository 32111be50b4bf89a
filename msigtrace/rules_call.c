/* Calls that were not answered, or not as they should be. */
#include <stdio.h>
#include <string.h>

#include "msigtrace/diagnose.h"
#include "msigtrace/view.h"

enum { NO_WALLET_OPEN = -13, ANY_ATTEMPT = -1 };

/* Whether an event has this cause (failure_cause_name()): a code, not a text. */
static bool
has_cause(const struct event *e, const char *cause)
{
	return strcmp(event_text(e, "cause"), cause) == 0;
}

/* --- an answer that never came --------------------------------------------------------- */

void
look_for_unknown_outcome(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;
	const struct calls *calls = &d->traced[trace].calls;

	for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
		const struct event *shown;
		struct finding *f;
		enum ran ran;
		char text[PLACE_TEXT], ms[VIEW_MS];

		/* the end of the attempt's time has a rule of its own */
		if (c->outcome != OUTCOME_UNKNOWN || c->expected || has_cause(c->end, "timeout"))
			continue;
		ran = had_run(t, c, &shown);
		if ((ran == RAN_HARMLESS && finding_there(d, d->rule->name, trace, c->at->role, c->at->attempt)) ||
		    (f = finding_new(d, trace, c->at)) == NULL)
			continue;
		call_text(c, text);
		view_ms(c->duration_ms, ms);
		finding_say(f, "%s went out and was not answered within %s; %s", text, ms, ran_text(ran));
		finding_evidence(d, f, trace, c->end, "no answer");
		if (shown != NULL)
			finding_evidence(d, f, trace, shown, "the next look at the wallet");
	}
}

/* --- wallet-rpcs that ended, or do not answer ---------------------------------------------- */

/* A call of the role to the same wallet-rpc that went well before; NULL: none. */
static const struct call *
good_before(const struct calls *calls, const struct call *bad)
{
	for (const struct call *c = bad; c > calls->list; c--) {
		if (c[-1].outcome == OUTCOME_OK && c[-1].at->role == bad->at->role && same_endpoint(c[-1].at, bad->at))
			return c - 1;
	}
	return NULL;
}

void
look_for_wallet_closed(struct diagnosis *d, size_t trace)
{
	const struct calls *calls = &d->traced[trace].calls;

	for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
		const struct call *before;
		struct finding *f;
		char text[PLACE_TEXT];

		if (c->outcome != OUTCOME_ERROR || c->code != NO_WALLET_OPEN || c->expected ||
		    finding_there(d, d->rule->name, trace, c->at->role, c->at->attempt) ||
		    (f = finding_new(d, trace, c->at)) == NULL)
			continue;
		call_text(c, text);
		finding_say(f, "%s: no wallet was open there any more (-13): the wallet-rpc was restarted, or another program closed it",
		    text);
		before = good_before(calls, c);
		if (before != NULL)
			finding_evidence(d, f, trace, before->end, "here it was open");
		finding_evidence(d, f, trace, c->end, "and here it was not");
	}
}

static void
look_for_outcome(struct diagnosis *d, size_t trace, enum outcome outcome, const char *what, const char *what_later)
{
	const struct calls *calls = &d->traced[trace].calls;

	for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
		const struct call *before;
		struct finding *f;
		char text[PLACE_TEXT];

		if (c->outcome != outcome || c->expected || finding_there(d, d->rule->name, trace, c->at->role, c->at->attempt) ||
		    (f = finding_new(d, trace, c->at)) == NULL)
			continue;
		before = good_before(calls, c);
		call_text(c, text);
		finding_say(f, "%s: %s", text, before != NULL ? what_later : what);
		if (before != NULL)
			finding_evidence(d, f, trace, before->end, "here it answered");
		finding_evidence(d, f, trace, c->end, "%s", outcome_name(outcome));
	}
}

void
look_for_endpoint_down(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;
	const struct event *before = NULL; /* what is gone on after: the end of an attempt, or a pause in it */

	look_for_outcome(d, trace, OUTCOME_DOWN, "no connection: nothing listens there",
	    "no connection, though it answered before: the wallet-rpc has ended or was restarted");
	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		struct finding *f;

		if (e->type == RETRY || (e->type == CUSTOM && strcmp(event_text(e, "name"), "interrupted") == 0))
			before = e;
		/* a failover after something else is no fault of that endpoint */
		if (e->type != FAILOVER || before == NULL || !has_cause(before, "endpoint_down") ||
		    finding_there(d, d->rule->name, trace, ROLE_COUNT, before->attempt) ||
		    finding_there(d, d->rule->name, trace, ROLE_COUNT, e->attempt) || (f = finding_new(d, trace, e)) == NULL)
			continue;
		finding_say(f, "%s went on with %.80s, for %.80s did not serve it", view_role(e->role), event_text(e, "to"),
		    event_text(e, "from"));
		finding_evidence(d, f, trace, e, "failover");
	}
}

void
look_for_endpoint_refused(struct diagnosis *d, size_t trace)
{
	look_for_outcome(d, trace, OUTCOME_REFUSED, "the request was refused (login, TLS or HTTP status)",
	    "the request was refused (login, TLS or HTTP status), though an earlier one was not");
}

/* --- the network ----------------------------------------------------------------------------- */

static const char *
nettype_of(const struct event *e)
{
	const char *type = text_of(event_found(e), "nettype");

	return *type != '\0' ? type : text_of(event_snapshot(e), "nettype");
}

/* What this role's wallet-rpc said of its network last before this, or NULL. */
static const struct event *
nettype_before(const struct trace *t, const struct event *cause)
{
	for (const struct event *e = cause; e > t->events; e--) {
		if ((cause->role == ROLE_COUNT || e[-1].role == cause->role) &&
		    (*nettype_of(&e[-1]) != '\0' || strcmp(e[-1].method, "validate_address") == 0))
			return e - 1;
	}
	return NULL;
}

static void
tell_network(struct diagnosis *d, size_t trace, const struct event *e, const struct event *said, const char *others)
{
	const struct event *about = e->port != 0 || said == NULL ? e : said;
	struct finding *f;
	char place[PLACE_TEXT];

	if (finding_there(d, d->rule->name, trace, ROLE_COUNT, e->attempt) || (f = finding_new(d, trace, about)) == NULL)
		return;
	place_text(about, place);
	finding_say(f, "%s is on another network than %s", place, *others != '\0' ? others : "msigd");
	if (said != NULL && *nettype_of(said) != '\0')
		finding_say(f, ": on %.20s", nettype_of(said));
	if (said != NULL)
		finding_evidence(d, f, trace, said, "what it says of its address");
	if (said != e)
		finding_evidence(d, f, trace, e, "cause wrong_network");
}

void
look_for_wrong_network(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;
	const struct event *first[ROLE_COUNT + 1] = {NULL};

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		/* a STATE_CHANGE has no role: the event that has one follows it */
		if (e->type != STATE_CHANGE && has_cause(e, "wrong_network") && !finding_there(d, d->rule->name, trace, ROLE_COUNT, e->attempt))
			tell_network(d, trace, e, nettype_before(t, e), "");
	}
	if (finding_there(d, d->rule->name, trace, ROLE_COUNT, ANY_ATTEMPT))
		return;
	/* nobody says so, but they differ among themselves: who is it? */
	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		if (*nettype_of(e) != '\0')
			first[e->role] = e;
	}
	for (int i = 0; i < ROLE_COUNT; i++) {
		const struct event *a = first[i], *b = first[(i + 1) % ROLE_COUNT], *c = first[(i + 2) % ROLE_COUNT];
		if (a != NULL && b != NULL && c != NULL && strcmp(nettype_of(a), nettype_of(b)) != 0 &&
		    strcmp(nettype_of(b), nettype_of(c)) == 0)
			tell_network(d, trace, a, a, "the other two");
	}
}

/* --- time ----------------------------------------------------------------------------------------- */

static void
tell_last_call(struct diagnosis *d, struct finding *f, size_t trace, enum role role, const struct call *last)
{
	const struct event *shown = NULL;
	char text[PLACE_TEXT];

	finding_evidence(d, f, trace, last->at, "%s: the last call, %s", role_name(role), outcome_name(last->outcome));
	if (last->outcome < OUTCOME_UNKNOWN || last->expected)
		return;
	call_text(last, text);
	finding_say(f, "; %s was not answered: %s", text, ran_text(had_run(d->traced[trace].trace, last, &shown)));
	if (shown != NULL)
		finding_evidence(d, f, trace, shown, "the next look at the wallet");
}

/* What each role was at when it ended: the last call that it began. */
void
look_for_timeout(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;
	const struct calls *calls = &d->traced[trace].calls;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		const struct call *last[ROLE_COUNT + 1] = {NULL};
		struct finding *f;

		if ((e->type != ERROR_FINAL && e->type != RETRY && e->type != STATE_CHANGE) || !has_cause(e, "timeout") ||
		    finding_there(d, d->rule->name, trace, ROLE_COUNT, e->attempt) || (f = finding_new(d, trace, e)) == NULL)
			continue;
		finding_say(f, "the time of the attempt (setup-timeout) ran out");
		for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
			if (c->at < e && c->at->attempt == e->attempt)
				last[c->at->role] = c;
		}
		finding_evidence(d, f, trace, e, "it ended here");
		for (int i = 0; i < ROLE_COUNT; i++) {
			if (last[i] != NULL)
				tell_last_call(d, f, trace, (enum role)i, last[i]);
		}
	}
}
