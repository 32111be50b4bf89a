/*
 * Messages of the key exchange that do not belong where they were used. Each is known
 * by its SHA-256: what a wallet gave, in which escrow, attempt and round, against what
 * the other wallets were then given.
 */
#include <stdlib.h>
#include <string.h>

#include "msigtrace/diagnose.h"
#include "msigtrace/view.h"

/* More than a real trace has: a file that lies must not cost hours. */
enum { GIVEN_MAX = 512 };

/* The step whose messages a call processes, and that gives one. */
enum { STEP_NONE, STEP_PREPARE, STEP_MAKE, STEP_FIRST_EXCHANGE };

static int
step_of(const struct event *e)
{
	if (strcmp(e->method, "prepare_multisig") == 0)
		return STEP_PREPARE;
	if (strcmp(e->method, "make_multisig") == 0)
		return STEP_MAKE;
	if (strcmp(e->method, "exchange_multisig_keys") == 0)
		return e->round > 2 ? STEP_FIRST_EXCHANGE + e->round - 2 : STEP_FIRST_EXCHANGE;
	return STEP_NONE;
}

/* --- does one belong there? ------------------------------------------------------------------ */

/* Whose message it should be: of this role, by the step before. */
static bool
is_right(const struct message *g, size_t trace, const struct event *call, enum role whose)
{
	return g->trace == trace && g->event->attempt == call->attempt && (whose == ROLE_COUNT || g->event->role == whose) &&
	    (call->round < 0 || step_of(g->event) == step_of(call) - 1);
}

/* The trace has a message of this role of the step before, whichever: then one that
 * is none of its is foreign. */
static bool
is_on_record(const struct diagnosis *d, size_t trace, const struct event *call, enum role whose)
{
	const struct trace *t = d->traced[trace].trace;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		struct message g = {message_hash(e), trace, e};
		if (*g.sha256 != '\0' && whose != ROLE_COUNT && is_right(&g, trace, call, whose))
			return true;
	}
	return false;
}

/* Where a message that does not belong here is from. */
static void
tell_origin(struct diagnosis *d, struct finding *f, size_t trace, const struct event *here, const struct message *from)
{
	const struct event *e = from->event;
	char name[64];

	if (from->trace != trace) {
		finding_say(f, "it is %s's message of %s, %s", view_role(e->role), escrow_name(d, from->trace, name), e->method);
		if (f != NULL)
			strncpy(f->other, d->traced[from->trace].trace->escrow_id, sizeof f->other - 1);
	} else if (e->attempt != here->attempt) {
		finding_say(f, "it is %s's message of attempt %lld, %s: an old one", view_role(e->role), (long long)e->attempt,
		    e->method);
	} else if (step_of(e) != step_of(here) && step_of(e) != step_of(here) - 1) {
		finding_say(f, "it is %s's message of an earlier round, %s", view_role(e->role), e->method);
	} else {
		finding_say(f, "it is %s's message of this round", view_role(e->role));
	}
	finding_evidence(d, f, from->trace, e, "where it was given first");
}

/* A message that a wallet was given. */
static void
look_at_given(struct diagnosis *d, size_t trace, const struct event *call, const json_t *given)
{
	const struct message *end = NULL, *first = messages_alike(d, text_of(given, "sha256"), &end);
	enum role whose = ROLE_COUNT;
	struct finding *f;

	if (*text_of(given, "sha256") == '\0')
		return;
	role_parse(text_of(given, "role"), false, &whose);
	for (const struct message *g = first; g < end && g != NULL; g++) {
		if (is_right(g, trace, call, whose))
			return;
	}
	if (first == NULL && !is_on_record(d, trace, call, whose))
		return;
	f = finding_new(d, trace, call);
	finding_say(f, "%s was given to %s's wallet as %s's message, which it is not: ", call->method, view_role(call->role),
	    whose == ROLE_COUNT ? "another role" : role_name(whose));
	finding_evidence(d, f, trace, call, "given the message %.8s", text_of(given, "sha256"));
	if (first != NULL)
		tell_origin(d, f, trace, call, first);
	else
		finding_say(f, "no wallet in these files gave it");
}

/* A message that a wallet gave, and that another had given before. */
static void
look_at_answer(struct diagnosis *d, size_t trace, const struct event *answer)
{
	const struct message *end = NULL, *first = messages_alike(d, message_hash(answer), &end);
	struct finding *f;

	for (const struct message *g = first; g < end && g != NULL; g++) {
		bool same_wallet = g->trace == trace && g->event->role == answer->role && g->event->attempt == answer->attempt &&
		    step_of(g->event) == step_of(answer);
		bool earlier = g->trace == trace ? g->event < answer : absolute_ms(d, g->trace, g->event) < absolute_ms(d, trace, answer);

		if (same_wallet || !earlier || finding_there(d, d->rule->name, trace, answer->role, answer->attempt))
			continue;
		f = finding_new(d, trace, answer);
		finding_say(f, "what %s's wallet answered to %s was said before: ", view_role(answer->role), answer->method);
		finding_evidence(d, f, trace, answer, "it gave the message %.8s", message_hash(answer));
		tell_origin(d, f, trace, answer, g);
		return;
	}
}

/* --- what a wallet says to a message that is none for it ----------------------------------- */

/* 0: an exception that the wallet-rpc did not catch (MONERO.md) */
enum { ANY_EXCEPTION = -1, NEEDS_MORE = -33, UNCAUGHT = 0 };

/* -33 is said of messages only. The other two are said of all that fails in these calls,
 * also that the wallet could not be saved; only words tell which. */
static void
tell_refusal(struct finding *f, const struct call *c)
{
	char text[PLACE_TEXT];

	call_text(c, text);
	if (c->code == NEEDS_MORE) {
		finding_say(f, "%s: the wallet refused the other wallets' messages (%d), as it does with one of another escrow or "
		    "round, or twice the same. Every message is the one that msigd has on record, so it was changed between msigd "
		    "and a wallet-rpc, or the wallet said something else than it is", text, c->code);
		return;
	}
	finding_say(f, "%s failed (%d), and every message is the one that msigd has on record. Either the wallet-rpc could not "
	    "save the wallet or failed in another way; or the wallet refused a message that was changed between msigd and a "
	    "wallet-rpc. What it said stands with the call", text, c->code);
	finding_help(f, "See first whether this wallet-rpc can write its wallet-dir (a full disk, permissions), and what it logs; "
	    "then: msigctl retry ID. If that is not it, find out who can change what goes to and from the wallet-rpcs.");
}

/* All messages are those on record, and a wallet will not have them. */
static void
look_at_refusal(struct diagnosis *d, size_t trace, const struct call *c)
{
	struct finding *f;

	if (step_of(c->at) < STEP_MAKE || !call_is_bad(c) || c->outcome != OUTCOME_ERROR ||
	    (c->code != ANY_EXCEPTION && c->code != NEEDS_MORE && c->code != UNCAUGHT) ||
	    finding_there(d, d->rule->name, trace, ROLE_COUNT, c->at->attempt) ||
	    finding_there(d, "pollution", trace, ROLE_COUNT, c->at->attempt) ||
	    finding_there(d, "two_parties", trace, ROLE_COUNT, c->at->attempt))
		return;
	f = finding_new(d, trace, c->at);
	tell_refusal(f, c);
	finding_evidence(d, f, trace, c->end, c->code == NEEDS_MORE ? "the messages of the round before were refused" : "it failed");
}

void
look_for_foreign_message(struct diagnosis *d, size_t trace)
{
	const struct calls *calls = &d->traced[trace].calls;
	const json_t *given;
	size_t i, looked = 0;

	for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
		if (c->end != NULL && *message_hash(c->end) != '\0')
			look_at_answer(d, trace, c->end);
	}
	/* who was given what, follows from it */
	for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
		if (c->start == NULL || finding_there(d, d->rule->name, trace, ROLE_COUNT, c->at->attempt))
			continue;
		json_array_foreach(json_object_get(c->start->json, "given"), i, given)
			if (looked++ < GIVEN_MAX)
				look_at_given(d, trace, c->start, given);
	}
	for (const struct call *c = calls->list; c < calls->list + calls->count; c++)
		look_at_refusal(d, trace, c);
}
