/* What befell workers and msigd, and what was waited for: locks and endpoints. */
#include <stdio.h>
#include <string.h>

#include "msigtrace/diagnose.h"
#include "msigtrace/view.h"

enum {
	LOCK_WAIT_MS = 1000,   /* one worker hands a lock to the next in less */
	QUEUE_WAIT_MS = 1000,
	QUEUE_TIMES = 2        /* so much longer than the set-up itself is waiting too long */
};

/* --- ends of workers ------------------------------------------------------------------ */

/* The calls that were under way when this worker ended, and whether they had run. */
static void
tell_under_way(struct diagnosis *d, struct finding *f, size_t trace, const struct event *from, const struct event *exited)
{
	const struct trace *t = d->traced[trace].trace;
	const struct calls *calls = &d->traced[trace].calls;
	const struct event *shown;
	int told = 0;

	for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
		char text[PLACE_TEXT];
		enum ran ran;

		if (c->outcome != OUTCOME_UNFINISHED || c->at < from || c->at > exited || told == ROLE_COUNT)
			continue;
		ran = had_run(t, c, &shown);
		call_text(c, text);
		finding_say(f, "; %s was under way: %s", text, ran_text(ran));
		finding_evidence(d, f, trace, c->at, "under way");
		if (shown != NULL)
			finding_evidence(d, f, trace, shown, "the next look at that wallet");
		told++;
	}
}

static const struct event *
started(const struct trace *t, const struct event *exited)
{
	double worker = event_number(exited, "worker", -1);

	for (const struct event *e = exited; e > t->events; e--) {
		if (e[-1].type == WORKER_STARTED && (worker < 0 || event_number(&e[-1], "worker", -1) == worker))
			return e - 1;
	}
	return t->events;
}

static bool
ended_badly(const struct event *e)
{
	return e->type == WORKER_EXITED && !event_was_stopped(e) &&
	    (*event_text(e, "signal") != '\0' || event_number(e, "exit_code", 0) != 0);
}

void
look_for_worker_killed(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		const json_t *last = json_object_get(e->json, "last");
		struct finding *f;

		if (!ended_badly(e) || *event_text(e, "fault") != '\0' || (f = finding_new(d, trace, e)) == NULL)
			continue;
		if (*event_text(e, "signal") != '\0')
			finding_say(f, "worker %.0f was killed by %.20s", event_number(e, "worker", 0), event_text(e, "signal"));
		else
			finding_say(f, "worker %.0f ended without a word, exit status %.0f", event_number(e, "worker", 0),
			    event_number(e, "exit_code", 0));
		if (*text_of(last, "type") != '\0')
			finding_say(f, ", last at %s%s%.20s%s%.40s", text_of(last, "type"), *text_of(last, "role") != '\0' ? " of " : "",
			    text_of(last, "role"), *text_of(last, "method") != '\0' ? ", " : "", text_of(last, "method"));
		finding_evidence(d, f, trace, e, "its end");
		tell_under_way(d, f, trace, started(t, e), e);
	}
}

/* msigd ended it itself. What it refused may be a message that is another's: then that
 * is the cause. */
void
look_for_worker_refused(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		const char *fault = event_text(e, "fault");
		struct finding *f;

		if (e->type != WORKER_EXITED || *fault == '\0' || finding_there(d, d->rule->name, trace, ROLE_COUNT, e->attempt) ||
		    finding_there(d, "foreign_message", trace, ROLE_COUNT, e->attempt) || (f = finding_new(d, trace, e)) == NULL)
			continue;
		if (strcmp(fault, "deadline") == 0)
			finding_say(f, "msigd ended worker %.0f: its time was over, and it had not ended by itself", event_number(e, "worker", 0));
		else if (strcmp(fault, "version") == 0)
			finding_say(f, "msigd ended worker %.0f: it speaks another version", event_number(e, "worker", 0));
		else
			finding_say(f, "msigd ended worker %.0f: it said what cannot be (%.20s)", event_number(e, "worker", 0), fault);
		finding_evidence(d, f, trace, e, "its end");
		tell_under_way(d, f, trace, started(t, e), e);
	}
}

/* msigd could not write some events, or any further ones: the end of a worker may be
 * among them. What a worker could not tell is no end. */
static bool
is_gap(const struct event *e)
{
	const char *name = event_text(e, "name");

	return e->type == CUSTOM && (strcmp(name, "lost") == 0 || strcmp(name, "full") == 0) && event_number(e, "worker", -1) < 0;
}

/* One worker at a time has an escrow: another begins only when the one before has
 * ended, and if msigd has not seen that, it was not there. */
void
look_for_interrupted(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;
	const struct event *running = NULL;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		if (e->type == WORKER_EXITED || is_gap(e))
			running = NULL;
		if (e->type != WORKER_STARTED)
			continue;
		if (running != NULL && event_number(running, "worker", 0) != event_number(e, "worker", 0)) {
			struct finding *f = finding_new(d, trace, running);
			finding_say(f, "msigd ended while worker %.0f was at work: nobody saw its end",
			    event_number(running, "worker", 0));
			finding_evidence(d, f, trace, running, "it began here, and has no end");
			finding_evidence(d, f, trace, e, "the next one began here");
			tell_under_way(d, f, trace, running, e);
		}
		running = e;
	}
}

/* --- locks -------------------------------------------------------------------------------- */

static void
tell_holder(struct diagnosis *d, struct finding *f, size_t trace, const struct event *e)
{
	double when = absolute_ms(d, trace, e);

	for (size_t i = 0; i < d->count && f != NULL; i++) {
		const struct trace *t = d->traced[i].trace;
		const struct event *held = NULL;
		char name[64];

		for (const struct event *k = t->events; i != trace && k < t->events + t->count && absolute_ms(d, i, k) <= when; k++) {
			if (strcmp(event_text(k, "lock"), event_text(e, "lock")) != 0)
				continue;
			held = k->type == LOCK_ACQUIRED && k->ok != ANSWER_NO ? k : NULL;
		}
		if (held == NULL)
			continue;
		finding_say(f, "; %s had it", escrow_name(d, i, name));
		strncpy(f->other, t->escrow_id, sizeof f->other - 1);
		finding_evidence(d, f, i, held, "taken there, and not released by then");
		return;
	}
}

void
look_for_lock_contention(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		double waited = event_number(e, "wait_ms", 0);
		struct finding *f;
		char ms[VIEW_MS];

		if (e->type != LOCK_ACQUIRED ||
		    (e->ok != ANSWER_NO && (waited < LOCK_WAIT_MS || event_number(e, "busy_tries", 1) < 1)) ||
		    (f = finding_new(d, trace, e)) == NULL)
			continue;
		view_ms(waited, ms);
		finding_say(f, e->ok == ANSWER_NO ? "the lock %.80s was not had: given up after %s" : "the lock %.80s was waited for, %s",
		    event_text(e, "lock"), ms);
		if (*event_text(e, "holder") != '\0')
			finding_say(f, "; it was held by %.120s", event_text(e, "holder"));
		finding_evidence(d, f, trace, e, "found busy %.0f times", event_number(e, "busy_tries", 0));
		tell_holder(d, f, trace, e);
	}
}

/* --- waiting for endpoints ---------------------------------------------------------------- */

/* From the first lease of this attempt to its end. */
static double
set_up_ms(const struct trace *t, const struct event *lease)
{
	const struct event *last = lease;

	for (const struct event *e = lease; e < t->events + t->count && e->attempt == lease->attempt; e++) {
		last = e;
		if (*event_phase(e) == 'R' || *event_phase(e) == 'F')
			break;
	}
	return last->t_ms - lease->t_ms;
}

/* Somebody else had the endpoint while it was waited for; or the queue was not empty. */
static const struct lease *
held_by_another(const struct diagnosis *d, size_t trace, const struct event *lease, double waited)
{
	double until = absolute_ms(d, trace, lease);

	for (const struct lease *l = d->leases; l < d->leases + d->lease_count; l++) {
		if (l->trace != trace && same_endpoint(l->lease, lease) && l->from < until && l->to > until - waited)
			return l;
	}
	return NULL;
}

static const struct event *
queue_before(const struct trace *t, const struct event *lease)
{
	for (const struct event *e = lease; e > t->events && e[-1].attempt == lease->attempt; e--) {
		if (e[-1].type == CUSTOM && strcmp(event_text(&e[-1], "name"), "queue") == 0)
			return e - 1;
	}
	return NULL;
}

/* How far an escrow waited because others were served: endpoints that are only just
 * being made ready are no saturation. */
void
look_for_saturation(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		double waited = event_number(e, "wait_ms", 0), own;
		const struct event *queue;
		const struct lease *other;
		struct finding *f;
		char wait[VIEW_MS], work[VIEW_MS], name[64];

		if (e->type != LEASE || waited < QUEUE_WAIT_MS || finding_there(d, d->rule->name, trace, ROLE_COUNT, e->attempt))
			continue;
		own = set_up_ms(t, e);
		queue = queue_before(t, e);
		other = held_by_another(d, trace, e, waited);
		if (waited < QUEUE_TIMES * own || (other == NULL && (queue == NULL || event_number(queue, "length", 0) < 1)) ||
		    (f = finding_new(d, trace, e)) == NULL)
			continue;
		view_ms(waited, wait);
		view_ms(own, work);
		finding_say(f, "it waited %s for endpoints, and its set-up then took %s: there are too few wallet-rpcs for so many "
		    "escrows at once", wait, work);
		finding_evidence(d, f, trace, e, "the wait ended here");
		if (queue != NULL)
			finding_evidence(d, f, trace, queue, "%.0f waited still", event_number(queue, "length", 0));
		if (other != NULL)
			finding_evidence(d, f, other->trace, other->lease, "meanwhile %s had this endpoint",
			    escrow_name(d, other->trace, name));
	}
}

/* --- and if nothing else is found ------------------------------------------------------------ */

/* What a cause (failure_cause_name()) that no rule looks for means, and what to do; without
 * help the rule's. */
static const struct reason {
	const char *cause, *means, *help;
} reasons[] = {
	{"cancelled", "it was cancelled", "Nothing: somebody asked for it."},
	{"wallet_error", "a wallet-rpc answered with an error",
	    "See what this wallet-rpc logs, and whether it can write its wallet-dir; then: msigctl retry ID."},
	{"wallet_files", "the files of a wallet could not be read or written, or it does not open",
	    "See that the endpoint's wallet-dir is this wallet-rpc's own --wallet-dir, that msigd may read and write there, and that "
	    "the disk is not full; then: msigctl retry ID."},
	{"gate", "the three wallets do not agree, so no address was published",
	    "Use none of this attempt's wallets. See that each role has a wallet-rpc of its own; then msigctl retry ID begins anew, "
	    "with other wallets."},
	{"locks", "a lock was not had, or lock-dir cannot be used",
	    "See that lock-dir is there, has room and is msigd's to write; then: msigctl retry ID."},
	{"not_recovered", "a wallet is lost, and no copy of its .keys is on record",
	    "It cannot be gone on with; no address was published. msigctl retry ID begins anew, with other wallets. With a wallet-dir "
	    "for each endpoint msigd keeps copies."},
	{"store_older", "the store is older than the wallets, and this escrow may have an address already",
	    "Do not try it again as long as that is not known: another address would be published for it. Look for a newer backup of "
	    "the store, as msigd(8) says under Disaster."},
	{"internal", "there is a mistake in msigd, or there was no memory",
	    "See msigd's log; report it with this trace. msigctl retry ID begins anew."},
	{0},
};

static void
tell_reason(struct finding *f, const struct event *last)
{
	const char *cause = event_text(last, "cause"), *error = event_text(last, "error");
	const struct reason *r = reasons;

	while (r->cause != NULL && strcmp(r->cause, cause) != 0)
		r++;
	if (r == reasons) {
		finding_say(f, "%s", r->means);
	} else if (r->cause != NULL) {
		finding_say(f, "it failed: %s (%s)", r->means, cause);
	} else {
		finding_say(f, "it failed%s%.40s", *cause != '\0' ? ", cause " : "", cause);
		if (*error == '\0')
			finding_say(f, ", and nothing in the trace says why");
	}
	if (r->help != NULL)
		finding_help(f, "%s", r->help);
	if (*error != '\0' && r != reasons)
		finding_say(f, ". msigd said: %.300s", error);
}

/* The finding is the cause's; the words of the error are passed on. */
void
look_for_failure(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;
	const struct event *last = NULL;
	struct finding *f;

	if (d->traced[trace].result.result != RESULT_FAILED || finding_there(d, NULL, trace, ROLE_COUNT, -1))
		return;
	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		if (e->type == ERROR_FINAL || (last == NULL && e == d->traced[trace].result.end))
			last = e;
	}
	if (last == NULL || (f = finding_new(d, trace, last)) == NULL)
		return;
	tell_reason(f, last);
	finding_evidence(d, f, trace, last, "its end");
	for (const struct event *e = last; e > t->events; e--) {
		if (e[-1].type == RPC_CALL_ERROR && answer_of(e[-1].json, "expected") != ANSWER_YES) {
			finding_evidence(d, f, trace, &e[-1], "the last error of a wallet-rpc before it");
			break;
		}
	}
}
