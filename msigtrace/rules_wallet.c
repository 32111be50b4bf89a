/* The wallets themselves: do they agree, are they what they should be, do they open? */
#include <stdio.h>
#include <string.h>

#include "msigtrace/diagnose.h"
#include "msigtrace/view.h"

/* --- addresses ------------------------------------------------------------------------- */

/* What a role's wallet showed last when it was ready. */
struct shown {
	bool ready;
	const char *hash;       /* "": nothing yet */
	const struct event *at;
};

static void
shown_take(struct shown *shown, const struct event *e)
{
	const json_t *facts = event_is_snapshot(e) ? event_snapshot(e) : e->type == RPC_CALL_END ? event_found(e) : NULL;
	enum answer ready = answer_of(facts, "ready");

	/* one that is not ours says nothing about ours */
	if (answer_of(facts, "stamp_ok") == ANSWER_NO)
		return;
	if (ready == ANSWER_NO || answer_of(facts, "placeholder") == ANSWER_YES)
		*shown = (struct shown){.hash = ""};
	shown->ready = shown->ready || ready == ANSWER_YES;
	if (shown->ready && *text_of(facts, "address_hash") != '\0') {
		shown->hash = text_of(facts, "address_hash");
		shown->at = e;
	}
}

static bool
differ(const struct shown *a, const struct shown *b)
{
	return *a->hash != '\0' && *b->hash != '\0' && strcmp(a->hash, b->hash) != 0;
}

static void
tell_addresses(struct diagnosis *d, size_t trace, const struct shown shown[ROLE_COUNT])
{
	int odd = -1, differing = 0, other = 0;
	struct finding *f;

	for (int i = 0; i < ROLE_COUNT; i++) {
		int others = differ(&shown[i], &shown[(i + 1) % ROLE_COUNT]) + differ(&shown[i], &shown[(i + 2) % ROLE_COUNT]);
		differing += others > 0;
		odd = others == 2 ? i : odd;
	}
	if (differing == 0)
		return;
	for (int i = 0; i < ROLE_COUNT && odd == -1; i++)
		odd = differ(&shown[i], &shown[(i + 1) % ROLE_COUNT]) ? i : -1;
	other = *shown[(odd + 1) % ROLE_COUNT].hash != '\0' ? (odd + 1) % ROLE_COUNT : (odd + 2) % ROLE_COUNT;
	if (finding_there(d, d->rule->name, trace, ROLE_COUNT, shown[odd].at->attempt))
		return;
	f = finding_new(d, trace, shown[odd].at);
	if (differing == ROLE_COUNT && differ(&shown[(odd + 1) % ROLE_COUNT], &shown[(odd + 2) % ROLE_COUNT]))
		finding_say(f, "the three wallets are ready, and each has another address");
	else if (differing == ROLE_COUNT)
		finding_say(f, "the wallets are ready, and %s's has another address than the other two", role_name((enum role)odd));
	else
		finding_say(f, "the wallets of %s and %s are ready and have different addresses", role_name((enum role)odd),
		    role_name((enum role)other));
	for (int i = 0; i < ROLE_COUNT; i++) {
		if (shown[i].at != NULL)
			finding_evidence(d, f, trace, shown[i].at, "%s: address %.8s", role_name((enum role)i), shown[i].hash);
	}
}

/* What was published against what a wallet shows, then and later. */
static void
tell_published(struct diagnosis *d, size_t trace, const struct event *published, const char *hash, const struct shown *shown)
{
	struct finding *f;

	if (published == NULL || *shown->hash == '\0' || strcmp(shown->hash, hash) == 0 ||
	    finding_there(d, d->rule->name, trace, ROLE_COUNT, shown->at->attempt))
		return;
	f = finding_new(d, trace, shown->at);
	finding_say(f, "%s's wallet is ready and has another address than the one that was published",
	    view_role(shown->at->role));
	finding_help(f, "Tell everybody who has the address not to pay to it, then: msigctl check --repair.");
	finding_evidence(d, f, trace, published, "published: %.8s", hash);
	finding_evidence(d, f, trace, shown->at, "the wallet: %.8s", shown->hash);
}

void
look_for_addresses_differ(struct diagnosis *d, size_t trace)
{
	static const struct shown nothing[ROLE_COUNT] = {{.hash = ""}, {.hash = ""}, {.hash = ""}};
	const struct trace *t = d->traced[trace].trace;
	struct shown shown[ROLE_COUNT];
	const struct event *published = NULL;
	const char *hash = "";
	int64_t attempt = 0;

	memcpy(shown, nothing, sizeof shown);
	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		if (e->attempt > attempt) {
			tell_addresses(d, trace, shown);
			memcpy(shown, nothing, sizeof shown);
			attempt = e->attempt;
			published = NULL;
		}
		if ((e->type == CUSTOM || e->type == STATE_CHANGE) && *event_text(e, "address_hash") != '\0') {
			published = e;
			hash = event_text(e, "address_hash");
		}
		if (e->role == ROLE_COUNT)
			continue;
		shown_take(&shown[e->role], e);
		tell_published(d, trace, published, hash, &shown[e->role]);
	}
	tell_addresses(d, trace, shown);
}

/* --- 2 of 3 -------------------------------------------------------------------------------- */

void
look_for_not_two_of_three(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		const json_t *facts = event_is_snapshot(e) ? event_snapshot(e) : e->type == RPC_CALL_END ? event_found(e) : NULL;
		bool multisig = answer_of(facts, "is_multisig") == ANSWER_YES || answer_of(facts, "multisig") == ANSWER_YES;
		double threshold = number_of(facts, "threshold", MULTISIG_THRESHOLD), total = number_of(facts, "total", MULTISIG_TOTAL);
		struct finding *f;

		if (!multisig || (threshold == MULTISIG_THRESHOLD && total == MULTISIG_TOTAL) ||
		    answer_of(facts, "stamp_ok") == ANSWER_NO || finding_there(d, d->rule->name, trace, e->role, e->attempt) ||
		    finding_there(d, "pollution", trace, e->role, e->attempt))
			continue;
		f = finding_new(d, trace, e);
		finding_say(f, "%s's wallet is multisig with %.3g of %.3g, not 2 of 3", view_role(e->role), threshold, total);
		finding_evidence(d, f, trace, e, "it says so");
	}
}

/* --- opening --------------------------------------------------------------------------------- */

/* The call that changes the wallet's files and was not followed by store, before this
 * one; NULL: none. */
static const struct call *
interrupted_before(const struct calls *calls, const struct call *open)
{
	const struct call *last = NULL;

	for (const struct call *c = calls->list; c < open; c++) {
		if (c->at->role != open->at->role || c->at->attempt != open->at->attempt)
			continue;
		if (strcmp(c->at->method, "make_multisig") == 0 || strcmp(c->at->method, "exchange_multisig_keys") == 0)
			last = c->outcome == OUTCOME_OK || c->outcome >= OUTCOME_UNKNOWN ? c : NULL;
		else if (strcmp(c->at->method, "store") == 0 && c->outcome == OUTCOME_OK)
			last = NULL;
	}
	return last;
}

static bool
fails_to_open(const struct call *c)
{
	return strcmp(c->at->method, "open_wallet") == 0 && c->outcome == OUTCOME_ERROR;
}

/* What was done about a wallet that does not open. */
static void
tell_restored(struct diagnosis *d, struct finding *f, size_t trace, const struct call *open)
{
	const struct trace *t = d->traced[trace].trace;

	for (const struct event *e = open->at + 1; e < t->events + t->count && e->attempt == open->at->attempt; e++) {
		if (e->role == open->at->role && e->type == RPC_CALL_END && strcmp(e->method, "open_wallet") == 0) {
			finding_say(f, "; it was brought back%s%.80s", *e->wallet != '\0' ? " as " : "", e->wallet);
			finding_help(f, "Nothing: msigd has brought it back from its last committed .keys.");
			finding_evidence(d, f, trace, e, "opened again");
			return;
		}
	}
	finding_say(f, "; it was not brought back");
}

static void
look_for_unopened(struct diagnosis *d, size_t trace, bool torn)
{
	const struct calls *calls = &d->traced[trace].calls;
	const struct call *before;
	struct finding *f;
	char text[PLACE_TEXT];

	for (const struct call *c = calls->list; c < calls->list + calls->count; c++) {
		if (!fails_to_open(c) || finding_there(d, d->rule->name, trace, c->at->role, c->at->attempt))
			continue;
		before = interrupted_before(calls, c);
		if ((before != NULL) != torn || (f = finding_new(d, trace, c->at)) == NULL)
			continue;
		call_text(c, text);
		finding_say(f, torn ? "%s's wallet %.80s was torn: it did not open" : "%s's wallet %.80s did not open", view_role(c->at->role),
		    c->at->wallet);
		if (torn) {
			finding_say(f, " after %s was interrupted before it was stored", before->at->method);
			finding_evidence(d, f, trace, before->at, "%s, and no store after it", outcome_name(before->outcome));
		}
		finding_evidence(d, f, trace, c->end, "%s: error %d", text, c->code);
		tell_restored(d, f, trace, c);
	}
}

void
look_for_torn_wallet(struct diagnosis *d, size_t trace)
{
	look_for_unopened(d, trace, true);
}

void
look_for_wallet_unopenable(struct diagnosis *d, size_t trace)
{
	look_for_unopened(d, trace, false);
}
