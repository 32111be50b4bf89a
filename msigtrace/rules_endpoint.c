/*
 * Who else is at a wallet-rpc: another wallet open in the place of ours, or ours
 * made multisig by somebody. Whose wallet it is, and who left it there or uses it at
 * the same time, is found in the other traces.
 */
#include <stdio.h>
#include <string.h>

#include "msigtrace/diagnose.h"
#include "msigtrace/view.h"

enum { NO_WALLET_OPEN = -13, ALREADY_MULTISIG = -28, NO_ATTRIBUTE = -45, ANY_ATTEMPT = -1, SHOWN_MAX = 8 };

/* What is known of a role's endpoint while the events go by. */
struct seat {
	const char *wallet;         /* its name, or NULL: not told yet */
	const struct event *ours;   /* the event that proved our wallet to be the one that is open, or NULL */
	bool began, stamped, made;  /* the trace has the wallet's beginning; it had its stamp; its make_multisig went out */
	struct {
		const struct event *event;
		const char *how;
	} shown[SHOWN_MAX];         /* what shows pollution, in order */
	size_t shown_count;
};

/* --- what shows it ------------------------------------------------------------------- */

/* Whose wallet it is, by its stamp; "": not told. */
static const char *
found_escrow(const struct event *e)
{
	const char *id = event_text(e, "found_escrow");

	return *id != '\0' || !event_is_snapshot(e) ? id : text_of(event_snapshot(e), "found_escrow");
}

/* What became of a wallet without our stamp, before ours has one: it was stamped, so it
 * was the spare that it should be. */
static bool
is_stamped_next(const struct trace *t, const struct event *look)
{
	enum { NEAR = 200 };

	for (const struct event *e = look + 1; e < t->events + t->count && e - look < NEAR && e->attempt == look->attempt; e++) {
		if (e->type != RPC_CALL_START || e->role != look->role)
			continue;
		if (strcmp(e->method, "set_attribute") == 0)
			return true;
		if (strcmp(e->method, "create_wallet") == 0 || strcmp(e->method, "close_wallet") == 0 || strcmp(e->method, "open_wallet") == 0)
			return false;
	}
	return false;
}

/* Another wallet than ours is open. One that is not stamped yet has a reason to bear
 * no stamp, and the error -45 was asked for then; one that is stamped has none. */
static bool
shows_another(const struct trace *t, const struct seat *seat, const struct event *e)
{
	if (e->type == CACHE_POLLUTION_DETECTED)
		return true;
	if (event_is_snapshot(e))
		return (seat->stamped && answer_of(event_snapshot(e), "stamp_ok") == ANSWER_NO) ||
		    (*found_escrow(e) != '\0' && strcmp(found_escrow(e), t->escrow_id) != 0);
	if (strcmp(e->method, "get_attribute") != 0)
		return false;
	if (e->type == RPC_CALL_END)
		return answer_of(event_found(e), "stamp_ok") == ANSWER_NO && (seat->stamped || !is_stamped_next(t, e));
	return e->type == RPC_CALL_ERROR && event_number(e, "code", 0) == NO_ATTRIBUTE &&
	    (seat->stamped || answer_of(e->json, "expected") != ANSWER_YES);
}

static bool
says_multisig(const struct event *e)
{
	if (event_is_snapshot(e))
		return answer_of(event_snapshot(e), "is_multisig") == ANSWER_YES;
	return e->type == RPC_CALL_END && strcmp(e->method, "is_multisig") == 0 &&
	    answer_of(event_found(e), "multisig") == ANSWER_YES;
}

static bool
refused_as_multisig(const struct event *e)
{
	return e->type == RPC_CALL_ERROR && strcmp(e->method, "make_multisig") == 0 &&
	    event_number(e, "code", 0) == ALREADY_MULTISIG;
}

/* It proves that the wallet that is open is ours: it was just made, opened or
 * stamped by us, or bears the stamp. */
static bool
proves_ours(const struct event *e)
{
	static const char *const ours[] = {"create_wallet", "open_wallet", "set_attribute"};

	if (event_is_snapshot(e))
		return answer_of(event_snapshot(e), "stamp_ok") == ANSWER_YES;
	if (e->type != RPC_CALL_END)
		return false;
	if (strcmp(e->method, "get_attribute") == 0)
		return answer_of(event_found(e), "stamp_ok") == ANSWER_YES;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		if (strcmp(e->method, ours[i]) == 0)
			return true;
	}
	return false;
}

/* A wallet under another name is another wallet: a new one, or one restored, which
 * has no stamp yet. */
static void
seat_see_wallet(struct seat *seat, const struct event *e)
{
	bool other = *e->wallet != '\0' && seat->wallet != NULL && strcmp(e->wallet, seat->wallet) != 0;

	if (*e->wallet != '\0')
		seat->wallet = e->wallet;
	if (other || strcmp(e->method, "create_wallet") == 0 ||
	    (e->type == FILE_OPERATION && strcmp(event_text(e, "op"), "write") == 0)) {
		seat->ours = NULL;
		seat->stamped = false;
	}
}

static void
seat_take(struct seat *seat, const struct event *e)
{
	seat_see_wallet(seat, e);
	if (e->type == RPC_CALL_START && strcmp(e->method, "make_multisig") == 0)
		seat->made = true;
	if (strcmp(e->method, "create_wallet") == 0 || strcmp(e->method, "set_attribute") == 0 ||
	    strcmp(e->method, "prepare_multisig") == 0 || answer_of(e->json, "spare") == ANSWER_YES)
		seat->began = true;
	if (proves_ours(e)) {
		seat->ours = e;
		/* what is opened from disk may have lost its cache, and with it the stamp */
		if (strcmp(e->method, "open_wallet") == 0)
			seat->stamped = false;
		seat->stamped = seat->stamped || strcmp(e->method, "set_attribute") == 0 ||
		    answer_of(event_found(e), "stamp_ok") == ANSWER_YES || event_is_snapshot(e);
	} else if (e->type == LEASE || e->type == RELEASE || strcmp(e->method, "close_wallet") == 0) {
		seat->ours = NULL;
	}
}

/* What a worker did last is not there when its msigd was killed before it was told:
 * each make_multisig may have gone out, and the next msigd closes what is open. */
static void
seats_see_restart(struct seat seats[ROLE_COUNT + 1], const struct event *e)
{
	if (e->type != CUSTOM || strcmp(event_text(e, "name"), "taken_up") != 0)
		return;
	for (int i = 0; i <= ROLE_COUNT; i++) {
		seats[i].made = true;
		seats[i].ours = NULL;
	}
}

/* is_multisig, and not yet by us. A wallet of which the trace has no beginning may
 * have been made multisig before it, but not where none should be. */
static bool
is_early(const struct seat *seat, const struct event *e)
{
	bool none_should_be = event_is_snapshot(e) ? e->type <= SNAPSHOT_POST_PREPARE : e->round == 0 || e->round == 1;

	return !seat->made && (seat->began || none_should_be) && says_multisig(e);
}

/* --- whose wallet it is ---------------------------------------------------------------- */

/* Of an unfinished wallet it says nothing: that is a placeholder. */
static const char *
address_of(const struct event *e)
{
	const json_t *facts = event_is_snapshot(e) ? event_snapshot(e) : event_found(e);

	return answer_of(facts, "placeholder") == ANSWER_YES ? "" : text_of(facts, "address_hash");
}

/* The trace of the escrow with this id; d->count: there is none. */
static size_t
trace_of(const struct diagnosis *d, const char *escrow_id)
{
	size_t i = 0;

	while (i < d->count && (*escrow_id == '\0' || strcmp(d->traced[i].trace->escrow_id, escrow_id) != 0))
		i++;
	return i;
}

/* An event of another trace that shows this address; NULL: none. */
static const struct event *
who_has_address(const struct diagnosis *d, size_t trace, const char *hash, size_t *other)
{
	if (*hash == '\0')
		return NULL;
	for (*other = 0; *other < d->count; ++*other) {
		const struct trace *t = d->traced[*other].trace;
		for (const struct event *e = t->events; *other != trace && e < t->events + t->count; e++) {
			if (strcmp(address_of(e), hash) == 0)
				return e;
		}
	}
	return NULL;
}

/* An escrow had endpoints of two names on this port: they are on several machines, and
 * the port tells nothing. */
static bool
port_is_of_several(const struct diagnosis *d, int port)
{
	for (const struct lease *l = d->leases; l < d->leases + d->lease_count; l++) {
		if (l->lease->port != port || *l->lease->endpoint == '\0')
			continue;
		/* those of one trace stand together */
		for (const struct lease *k = l + 1; k < d->leases + d->lease_count && k->trace == l->trace; k++) {
			if (k->lease->port == port && *k->lease->endpoint != '\0' && !same_endpoint(k->lease, l->lease))
				return true;
		}
	}
	return false;
}

/* Who of the other traces had this endpoint: the one who has it at that time still, or
 * else the last before. By its name; of another name only when the port is the same,
 * nobody had it by its name, and ports tell one wallet-rpc from the other. */
static const struct lease *
who_had_it(const struct diagnosis *d, size_t trace, const struct event *e)
{
	double when = absolute_ms(d, trace, e);
	const struct lease *best = NULL;
	bool best_named = false;

	if (d->traced[trace].trace->started_at == 0)
		return NULL;
	for (const struct lease *l = d->leases; l < d->leases + d->lease_count; l++) {
		bool named = same_endpoint(l->lease, e);

		if (l->trace == trace || l->from > when || d->traced[l->trace].trace->started_at == 0 ||
		    (!named && (e->port == 0 || l->lease->port != e->port)))
			continue;
		if (best == NULL || named > best_named || (named == best_named && l->from >= best->from)) {
			best = l;
			best_named = named;
		}
	}
	return best != NULL && !best_named && port_is_of_several(d, e->port) ? NULL : best;
}

/* --- telling ------------------------------------------------------------------------------ */

static void
tell_lease(struct diagnosis *d, struct finding *f, const struct lease *l, double when)
{
	char name[64];

	escrow_name(d, l->trace, name);
	finding_evidence(d, f, l->trace, l->lease, "%s leased it as %s", name,
	    l->lease->role == ROLE_COUNT ? "one of three" : role_name(l->lease->role));
	if (l->wallet_seen != NULL)
		finding_evidence(d, f, l->trace, l->wallet_seen, "the last call on its wallet %.80s there; no close_wallet follows",
		    l->wallet);
	if (l->release != NULL)
		finding_evidence(d, f, l->trace, l->release, "released%s", l->to > when ? ", later than this" :
		    answer_of(l->release->json, "clean") == ANSWER_NO ? ", not clean" : "");
	else
		finding_evidence(d, f, l->trace, NULL, "%s never released it", name);
}

/* Says by whom, as far as the traces tell. e shows the other wallet. */
static void
tell_whose(struct diagnosis *d, struct finding *f, size_t trace, const struct event *e)
{
	const char *id = found_escrow(e);
	const struct lease *before = f != NULL ? who_had_it(d, trace, e) : NULL;
	size_t other;
	const struct event *same;
	double when = absolute_ms(d, trace, e);

	if (f == NULL)
		return;
	if (*id != '\0' && strcmp(id, d->traced[trace].trace->escrow_id) == 0) {
		finding_say(f, ": it is a wallet of this escrow itself");
	} else if (*id != '\0') {
		snprintf(f->other, sizeof f->other, "%.36s", id);
		finding_say(f, ": it is a wallet of escrow %.36s", id);
	} else if ((same = who_has_address(d, trace, address_of(e), &other)) != NULL) {
		snprintf(f->other, sizeof f->other, "%.36s", d->traced[other].trace->escrow_id);
		finding_say(f, ": it has the address of %s's wallet of escrow %.36s", view_role(same->role), f->other);
		finding_evidence(d, f, other, same, "the same address there");
	} else if (before != NULL && (before->wallet_seen != NULL || before->release == NULL)) {
		snprintf(f->other, sizeof f->other, "%.36s", d->traced[before->trace].trace->escrow_id);
		finding_say(f, before->to >= when ? ": escrow %.36s uses it at the same time" :
		    ": escrow %.36s had it before, and did not close its wallet there", f->other);
	} else if (before != NULL) {
		finding_say(f, "; before it was escrow %.36s's, which closed its wallet there", d->traced[before->trace].trace->escrow_id);
	} else {
		finding_say(f, "; who had it before is in none of these files");
		finding_help(f, "Give msigtrace the traces of the other escrows too, and it names which of them it was. %s", f->rule->remedy);
	}
	if (before != NULL && (f->other[0] == '\0' || trace_of(d, f->other) == before->trace))
		tell_lease(d, f, before, when);
}

/* --- pollution ------------------------------------------------------------------------------- */

static const char *
failed_text(const struct diagnosis *d, size_t trace, const struct event *e)
{
	switch (d->traced[trace].result.result) {
	case RESULT_FAILED:
		return d->traced[trace].result.attempt == e->attempt ? "The escrow failed" : "That attempt failed";
	case RESULT_READY:
		return "The escrow became ready all the same";
	case RESULT_UNDER_WAY:
		break;
	}
	return "The escrow is under way";
}

static void
show_pollution(struct seat *seat, const struct event *e, const char *how)
{
	if (seat->shown_count == SHOWN_MAX)
		return;
	seat->shown[seat->shown_count].event = e;
	seat->shown[seat->shown_count++].how = how;
}

/* Which of the events tells best whose wallet it is. */
static const struct event *
best_shown(const struct diagnosis *d, size_t trace, const struct seat *seat)
{
	size_t other;

	for (size_t i = 0; i < seat->shown_count; i++) {
		if (*found_escrow(seat->shown[i].event) != '\0')
			return seat->shown[i].event;
	}
	for (size_t i = 0; i < seat->shown_count; i++) {
		if (who_has_address(d, trace, address_of(seat->shown[i].event), &other) != NULL)
			return seat->shown[i].event;
	}
	return seat->shown[0].event;
}

/* All that a role's events showed in an attempt is one finding. */
static void
tell_pollution(struct diagnosis *d, size_t trace, const struct seat *seat)
{
	const struct event *first = seat->shown[0].event;
	bool refused = false;
	struct finding *f;
	char place[PLACE_TEXT], name[64];

	if (seat->shown_count == 0 || (f = finding_new(d, trace, first)) == NULL)
		return;
	place_text(first, place);
	finding_say(f, "%s had another wallet open, or one that was multisig already, when %s's %s needed it", place,
	    escrow_name(d, trace, name), first->role == ROLE_COUNT ? "worker" : role_name(first->role));
	for (size_t i = 0; i < seat->shown_count; i++) {
		finding_evidence(d, f, trace, seat->shown[i].event, "%s", seat->shown[i].how);
		refused = refused || refused_as_multisig(seat->shown[i].event);
	}
	tell_whose(d, f, trace, best_shown(d, trace, seat));
	finding_say(f, ". %s%s", refused ? "make_multisig was refused: already multisig. " : "", failed_text(d, trace, first));
}

/* How it ended says so (failure_cause_name()). Of no role only if nothing else shows it. A
 * STATE_CHANGE has the same cause, and no role: the event that has both follows it. */
static bool
has_cause(const struct seat seats[ROLE_COUNT + 1], const struct event *e)
{
	const char *cause = event_text(e, "cause");

	if (e->type == STATE_CHANGE)
		return false;
	for (int i = 0; i < ROLE_COUNT && e->role == ROLE_COUNT; i++) {
		if (seats[i].shown_count > 0)
			return false;
	}
	return strcmp(cause, "polluted") == 0 || strcmp(cause, "stamp_mismatch") == 0;
}

static void
tell_of_all(struct diagnosis *d, size_t trace, struct seat seats[ROLE_COUNT + 1])
{
	for (int i = 0; i <= ROLE_COUNT; i++)
		tell_pollution(d, trace, &seats[i]);
	memset(seats, 0, (ROLE_COUNT + 1) * sizeof *seats);
}

void
look_for_pollution(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;
	struct seat seats[ROLE_COUNT + 1] = {{0}};
	int64_t attempt = ANY_ATTEMPT;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		struct seat *seat = &seats[e->role];

		if (e->attempt > attempt) {
			tell_of_all(d, trace, seats);
			attempt = e->attempt;
		}
		seats_see_restart(seats, e);
		seat_take(seat, e);
		if (refused_as_multisig(e))
			show_pollution(seat, e, "already multisig (-28)");
		else if (is_early(seat, e))
			show_pollution(seat, e, "multisig before this escrow's make_multisig");
		else if (shows_another(t, seat, e))
			show_pollution(seat, e, "what is open does not bear this wallet's stamp");
		else if (has_cause(seats, e))
			show_pollution(seat, e, "its cause");
	}
	tell_of_all(d, trace, seats);
}

/* --- two parties --------------------------------------------------------------------------------- */

/* The wallet was ours a moment ago, and nobody of us has opened another since. */
static void
tell_changed_wallet(struct diagnosis *d, size_t trace, const struct seat *seat, const struct event *e, const char *how)
{
	const struct lease *other = who_had_it(d, trace, e);
	struct finding *f;
	char place[PLACE_TEXT];

	if (finding_there(d, d->rule->name, trace, e->role, e->attempt))
		return;
	f = finding_new(d, trace, e);
	place_text(e, place);
	finding_say(f, "another program used %s at the same time as %s: %s", place,
	    e->role == ROLE_COUNT ? "this escrow" : role_name(e->role), how);
	finding_evidence(d, f, trace, seat->ours, "until here the wallet was ours");
	finding_evidence(d, f, trace, e, "and here no longer, with no call of ours in between that opens another");
	if (other != NULL && other->to >= absolute_ms(d, trace, e) && f != NULL) {
		snprintf(f->other, sizeof f->other, "%.36s", d->traced[other->trace].trace->escrow_id);
		finding_say(f, "; it was escrow %.36s", f->other);
		tell_lease(d, f, other, absolute_ms(d, trace, e));
	}
}

static void
look_for_changed_wallets(struct diagnosis *d, size_t trace)
{
	const struct trace *t = d->traced[trace].trace;
	struct seat seats[ROLE_COUNT + 1] = {{0}};
	int64_t attempt = ANY_ATTEMPT;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		struct seat *seat = &seats[e->role];

		if (e->attempt > attempt) {
			memset(seats, 0, sizeof seats);
			attempt = e->attempt;
		}
		seats_see_restart(seats, e);
		seat_see_wallet(seat, e);
		if (seat->ours != NULL && shows_another(t, seat, e) && e->type != CACHE_POLLUTION_DETECTED)
			tell_changed_wallet(d, trace, seat, e, "the wallet that is open there changed");
		else if (seat->ours != NULL && (refused_as_multisig(e) || is_early(seat, e)))
			tell_changed_wallet(d, trace, seat, e, "somebody made the wallet there multisig");
		seat_take(seat, e);
	}
}

/* Whether the other has it already when this one is given it. */
static bool
overlap(const struct diagnosis *d, const struct lease *l, const struct lease *other)
{
	bool before = other->from < l->from || (other->from == l->from && other < l);

	return before && l->from < other->to && d->traced[other->trace].trace->started_at != 0 && same_endpoint(other->lease, l->lease);
}

/* One finding for two escrows, however many endpoints they share. */
static bool
told_of(const struct diagnosis *d, size_t trace, const char *escrow_id)
{
	for (size_t i = d->finding_count; i > 0 && d->findings[i - 1].trace == trace; i--) {
		if (d->findings[i - 1].rule == d->rule && strcmp(d->findings[i - 1].other, escrow_id) == 0)
			return true;
	}
	return false;
}

static void
tell_overlap(struct diagnosis *d, const struct lease *l, const struct lease *other)
{
	struct finding *f = finding_new(d, l->trace, l->lease);
	char place[PLACE_TEXT], name[64];

	if (f == NULL)
		return;
	place_text(l->lease, place);
	finding_say(f, "%s was leased by two at the same time: by %s", place, view_role(l->lease->role));
	finding_say(f, ", and by %s of %s", view_role(other->lease->role), escrow_name(d, other->trace, name));
	if (other->trace != l->trace)
		snprintf(f->other, sizeof f->other, "%.36s", d->traced[other->trace].trace->escrow_id);
	finding_evidence(d, f, l->trace, l->lease, "leased");
	tell_lease(d, f, other, l->from);
}

static void
look_for_overlaps(struct diagnosis *d, size_t trace)
{
	for (const struct lease *l = d->leases; l < d->leases + d->lease_count; l++) {
		if (l->trace != trace || d->traced[trace].trace->started_at == 0)
			continue;
		for (const struct lease *k = d->leases; k < d->leases + d->lease_count; k++) {
			if (overlap(d, l, k) && !told_of(d, trace, k->trace != trace ? d->traced[k->trace].trace->escrow_id : ""))
				tell_overlap(d, l, k);
		}
	}
}

void
look_for_two_parties(struct diagnosis *d, size_t trace)
{
	look_for_overlaps(d, trace);
	look_for_changed_wallets(d, trace);
}
