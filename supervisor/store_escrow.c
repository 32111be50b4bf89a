/*
 * Escrows and their attempts. Every change of phase is one guarded UPDATE: id,
 * attempt, phase, round and revision must be what the writer last saw. What is
 * read is validated: three roles, a possible phase, and what belongs to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/store_internal.h"

/* --- adding --------------------------------------------------------------- */

static enum store_result
add_attempt(struct store *store, const char *escrow_id, int attempt, int failures, unsigned external)
{
	enum store_result result;

	result = store_run(store, SQL_ADD_ATTEMPT, NULL, "tii", escrow_id, (int64_t)attempt, (int64_t)failures);
	for (int r = 0; r < ROLE_COUNT && result == STORE_OK; r++) {
		const char *kind = (external & ROLE_BIT(r)) ? "external" : "managed";
		result = store_run(store, SQL_ADD_PARTICIPANT, NULL, "titt", escrow_id, (int64_t)attempt,
		    role_name((enum role)r), kind);
	}
	return result;
}

static bool
same_options(const struct store_escrow *have, const struct store_new_escrow *want)
{
	return strcmp(have->label, want->label) == 0 && strcmp(have->metadata, want->metadata) == 0 &&
	    have->external == want->external && have->trace == want->trace;
}

enum store_result
store_add_escrow(struct store *store, const struct store_new_escrow *e, bool *same)
{
	struct store_escrow have;
	enum store_result result;

	result = store_get_escrow(store, e->escrow_id, &have);
	if (result == STORE_OK) {
		*same = same_options(&have, e);
		store_escrow_clear(&have);
		return STORE_CONFLICT;
	}
	if (result == STORE_FAILED || !store_enter(store))
		return STORE_FAILED;
	result = store_run(store, SQL_ADD_ESCROW, NULL, "tttiiti", e->escrow_id, e->label, e->metadata,
	    (int64_t)e->external, (int64_t)e->trace, network_name(e->network), e->now);
	if (result == STORE_OK)
		result = add_attempt(store, e->escrow_id, 1, 0, e->external);
	return store_leave(store, result);
}

/* --- reading -------------------------------------------------------------- */

void
store_escrow_clear(struct store_escrow *e)
{
	free(e->label);
	free(e->metadata);
	free(e->cause);
	free(e->reason);
	free(e->address);
	free(e->not_verified_reason);
	for (int r = 0; r < ROLE_COUNT; r++) {
		free(e->participants[r].endpoint);
		free(e->participants[r].wallet);
		free(e->participants[r].stamp);
		json_decref(e->participants[r].completed);
	}
	json_decref(e->infos);
	json_decref(e->failed);
	memset(e, 0, sizeof *e);
}

static const char *
column(sqlite3_stmt *row, int i)
{
	const char *text = (const char *)sqlite3_column_text(row, i);

	return text != NULL ? text : "";
}

/* Fills what SQL_GET_ESCROW gives, in its order. */
static bool
read_row(sqlite3_stmt *row, struct store_escrow *e)
{
	e->seq = sqlite3_column_int64(row, 0);
	e->label = store_column_text(row, 1);
	e->metadata = store_column_text(row, 2);
	e->external = (unsigned)sqlite3_column_int(row, 3);
	e->trace = sqlite3_column_int(row, 4) != 0;
	e->created_at = sqlite3_column_int64(row, 6);
	e->attempt = sqlite3_column_int(row, 7);
	e->round = sqlite3_column_int(row, 9);
	e->revision = sqlite3_column_int(row, 10);
	e->failures = sqlite3_column_int(row, 11);
	e->cause = store_column_text(row, 12);
	e->reason = store_column_text(row, 13);
	e->address = store_column_text(row, 14);
	e->started_at = sqlite3_column_int64(row, 15);
	e->finalized_at = sqlite3_column_int64(row, 16);
	e->failed_at = sqlite3_column_int64(row, 17);
	e->verified_at = sqlite3_column_int64(row, 18);
	e->not_verified_at = sqlite3_column_int64(row, 19);
	e->not_verified_reason = store_column_text(row, 20);
	return network_parse(column(row, 5), &e->network) && phase_parse(column(row, 8), &e->phase);
}

/* Ends the reading of rows: what store_row() gave last is 0 if all were read
 * and taken. A part must not pass for the whole. */
static bool
all_read(struct store *store, sqlite3_stmt *row, int got)
{
	store_done(row);
	if (got == 1)
		snprintf(store->error, sizeof store->error, "reading: out of memory, or text that is not UTF-8");
	return got == 0;
}

static bool
read_participants(struct store *store, struct store_escrow *e, int *count)
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_PARTICIPANTS, "ti", e->escrow_id, (int64_t)e->attempt);
	int got = -1;

	*count = 0;
	while (row != NULL && (got = store_row(store, row)) == 1) {
		enum role role;
		if (!role_parse(column(row, 0), false, &role))
			continue;
		e->participants[role].external = strcmp(column(row, 1), "external") == 0;
		e->participants[role].endpoint = store_column_text(row, 2);
		e->participants[role].wallet = store_column_text(row, 3);
		e->participants[role].stamp = store_column_text(row, 4);
		++*count;
	}
	return all_read(store, row, got);
}

/* "create_wallet" is "create" to those who read it, and so on. */
static const char *
completed_name(const char *call)
{
	static const char *const names[][2] = {
		{"create_wallet", "create"}, {"prepare_multisig", "prepare"},
		{"make_multisig", "make"},   {"exchange_multisig_keys", "exchange"},
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(call, names[i][0]) == 0)
			return names[i][1];
	}
	return call;
}

static bool
read_completed(struct store *store, struct store_escrow *e)
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_COMPLETED, "ti", e->escrow_id, (int64_t)e->attempt);
	bool taken = true;
	int got = -1;

	for (int r = 0; r < ROLE_COUNT; r++)
		e->participants[r].completed = json_array();
	while (row != NULL && taken && (got = store_row(store, row)) == 1) {
		enum role role;
		if (role_parse(column(row, 0), false, &role))
			taken = json_array_append_new(e->participants[role].completed,
			    json_string(completed_name(column(row, 1)))) == 0;
	}
	return all_read(store, row, got);
}

static bool
read_infos(struct store *store, struct store_escrow *e)
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_INFOS, "tii", e->escrow_id, (int64_t)e->attempt,
	    (int64_t)e->round);
	bool taken = true;
	int got = -1;

	e->infos = json_object();
	while (row != NULL && taken && (got = store_row(store, row)) == 1)
		taken = json_object_set_new(e->infos, column(row, 0), json_pack("{s:I, s:s}", "length",
		    (json_int_t)sqlite3_column_int64(row, 1), "sha256", column(row, 2))) == 0;
	return all_read(store, row, got);
}

static bool
read_failed(struct store *store, struct store_escrow *e)
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_FAILURES, "t", e->escrow_id);
	bool taken = true;
	int got = -1;

	e->failed = json_array();
	while (row != NULL && taken && (got = store_row(store, row)) == 1)
		taken = json_array_append_new(e->failed, json_pack("{s:i, s:s, s:s, s:I}", "attempt",
		    sqlite3_column_int(row, 0), "cause", column(row, 1), "reason", column(row, 2),
		    "failed_at", (json_int_t)sqlite3_column_int64(row, 3))) == 0;
	return all_read(store, row, got);
}

/* What must hold of a row besides what the schema's CHECKs say. */
static const char *
implausible(const struct store_escrow *e, int participants)
{
	if (participants != ROLE_COUNT)
		return "it does not have three participants";
	if ((e->phase == PHASE_READY) != (e->address != NULL))
		return "its phase and its address contradict each other";
	if ((e->phase == PHASE_FAILED) != (e->reason != NULL))
		return "its phase and its reason contradict each other";
	if ((e->phase == PHASE_EXCHANGING) != (e->round >= 2))
		return "its phase and its round contradict each other";
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (e->participants[r].external != ((e->external & ROLE_BIT(r)) != 0))
			return "its participants are not those it was opened with";
	}
	return NULL;
}

/* All that belongs to one. NULL, or why it is not to be believed. */
static const char *
read_rest(struct store *store, struct store_escrow *e)
{
	const char *why;
	int participants;

	if (!read_participants(store, e, &participants))
		return store->error;
	why = implausible(e, participants);
	if (why != NULL)
		return why;
	return read_completed(store, e) && read_infos(store, e) && read_failed(store, e) ? NULL : store->error;
}

enum store_result
store_get_escrow(struct store *store, const char *escrow_id, struct store_escrow *e)
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_ESCROW, "t", escrow_id);
	const char *why;
	char text[sizeof store->error];
	bool sound;
	int got;

	memset(e, 0, sizeof *e);
	got = row != NULL ? store_row(store, row) : -1;
	sound = got == 1 && read_row(row, e);
	store_done(row);
	if (got != 1)
		return got == 0 ? STORE_NOT_FOUND : STORE_FAILED;
	snprintf(e->escrow_id, sizeof e->escrow_id, "%s", escrow_id);
	why = sound ? read_rest(store, e) : "it has an unknown phase or network";
	if (why == NULL)
		return STORE_OK;
	snprintf(text, sizeof text, "escrow %s: %.200s", escrow_id, why); /* why may be store->error */
	memcpy(store->error, text, sizeof text);
	store_escrow_clear(e);
	return STORE_FAILED;
}

enum store_result
store_list_escrows(struct store *store, enum phase phase, const char *after, int limit,
    char (*ids)[UUID_TEXT], int *count)
{
	int64_t since = 0;
	sqlite3_stmt *row;
	int got = -1;

	if (after != NULL) {
		row = store_bind(store, SQL_GET_SEQ, "t", after);
		got = row != NULL ? store_row(store, row) : -1;
		if (got == 1)
			since = sqlite3_column_int64(row, 0);
		store_done(row);
		if (got != 1)
			return got == 0 ? STORE_NOT_FOUND : STORE_FAILED;
	}
	row = phase == PHASE_COUNT
	    ? store_bind(store, SQL_LIST, "ii", since, (int64_t)limit)
	    : store_bind(store, SQL_LIST_PHASE, "iit", since, (int64_t)limit, phase_name(phase));
	*count = 0;
	while (row != NULL && *count < limit && (got = store_row(store, row)) == 1)
		snprintf(ids[(*count)++], UUID_TEXT, "%s", column(row, 0));
	store_done(row);
	return got >= 0 ? STORE_OK : STORE_FAILED;
}

enum store_result
store_each_unfinished(struct store *store, store_id_fn fn, void *arg)
{
	sqlite3_stmt *row = store_bind(store, SQL_UNFINISHED, "");
	int got = -1;

	while (row != NULL && (got = store_row(store, row)) == 1)
		fn(column(row, 0), arg);
	store_done(row);
	return got == 0 ? STORE_OK : STORE_FAILED;
}

enum store_result
store_next_unverified(struct store *store, char escrow_id[UUID_TEXT])
{
	sqlite3_stmt *row = store_bind(store, SQL_NEXT_UNVERIFIED, "t", escrow_id);
	int got = row != NULL ? store_row(store, row) : -1;
	char next[UUID_TEXT] = "";

	if (got == 1)
		snprintf(next, sizeof next, "%s", column(row, 0));
	store_done(row); /* escrow_id is bound until here */
	if (got == 1)
		memcpy(escrow_id, next, sizeof next);
	return got == 1 ? STORE_OK : got == 0 ? STORE_NOT_FOUND : STORE_FAILED;
}

enum store_result
store_count_phases(struct store *store, int64_t counts[PHASE_COUNT])
{
	sqlite3_stmt *row = store_bind(store, SQL_COUNT_PHASES, "");
	int got = -1;

	memset(counts, 0, PHASE_COUNT * sizeof *counts);
	while (row != NULL && (got = store_row(store, row)) == 1) {
		enum phase phase;
		if (phase_parse(column(row, 0), &phase))
			counts[phase] = sqlite3_column_int64(row, 1);
	}
	store_done(row);
	return got == 0 ? STORE_OK : STORE_FAILED;
}

/* --- changing ------------------------------------------------------------- */

/* The guard follows a change that was made. */
static enum store_result
follow(struct store_guard *guard, enum store_result result, int changed, enum phase phase, int round)
{
	if (result != STORE_OK)
		return result;
	if (changed != 1)
		return STORE_CONFLICT;
	guard->phase = phase;
	guard->round = round;
	guard->revision++;
	return STORE_OK;
}

static enum store_result
start_attempt(struct store *store, struct store_guard *guard,
    const char *endpoints[ROLE_COUNT], const char *wallets[ROLE_COUNT], int64_t now)
{
	enum store_result result;
	int changed;

	result = store_run(store, SQL_SET_STARTED, &changed, "titii", guard->escrow_id, (int64_t)guard->attempt,
	    phase_name(guard->phase), (int64_t)guard->revision, now);
	for (int r = 0; r < ROLE_COUNT && result == STORE_OK; r++) {
		int rows;
		if (wallets[r] == NULL)
			continue;
		result = store_run(store, SQL_SET_ENDPOINT, &rows, "tittt", guard->escrow_id, (int64_t)guard->attempt,
		    role_name((enum role)r), endpoints[r], wallets[r]);
	}
	return follow(guard, result, changed, PHASE_PREPARING, 0);
}

enum store_result
store_start_attempt(struct store *store, struct store_guard *guard,
    const char *endpoints[ROLE_COUNT], const char *wallets[ROLE_COUNT], int64_t now)
{
	if (!phase_may_follow(guard->phase, PHASE_PREPARING))
		return STORE_CONFLICT;
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, start_attempt(store, guard, endpoints, wallets, now));
}

enum store_result
store_start_round(struct store *store, struct store_guard *guard, int round)
{
	enum store_result result;
	int changed;

	if (!phase_may_follow(guard->phase, PHASE_EXCHANGING) || round <= guard->round)
		return STORE_CONFLICT;
	if (!store_enter(store))
		return STORE_FAILED;
	result = store_run(store, SQL_CHANGE_PHASE, &changed, "titiiti", guard->escrow_id, (int64_t)guard->attempt,
	    phase_name(guard->phase), (int64_t)guard->round, (int64_t)guard->revision,
	    phase_name(PHASE_EXCHANGING), (int64_t)round);
	return store_leave(store, follow(guard, result, changed, PHASE_EXCHANGING, round));
}

static enum store_result
publish(struct store *store, struct store_guard *guard, const struct store_publication *p)
{
	enum store_result result = STORE_OK;
	int changed;

	for (int r = 0; r < ROLE_COUNT && result == STORE_OK; r++) {
		const char *role = role_name((enum role)r);
		if (p->roles[r].seed == NULL)
			continue;
		result = store_run(store, SQL_SET_SEED, &changed, "titb", guard->escrow_id, (int64_t)guard->attempt,
		    role, p->roles[r].seed, p->roles[r].seed_size);
		if (result == STORE_OK && changed != 1)
			result = STORE_CONFLICT;
	}
	if (result != STORE_OK)
		return result;
	result = store_run(store, SQL_SET_READY, &changed, "titiitii", guard->escrow_id, (int64_t)guard->attempt,
	    phase_name(guard->phase), (int64_t)guard->round, (int64_t)guard->revision, p->address, p->now,
	    (int64_t)p->verified);
	return follow(guard, result, changed, PHASE_READY, 0);
}

enum store_result
store_publish(struct store *store, struct store_guard *guard, const struct store_publication *p)
{
	if (!phase_may_follow(guard->phase, PHASE_READY))
		return STORE_CONFLICT;
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, publish(store, guard, p));
}

/* Makes attempt n + 1 the escrow's last. */
static enum store_result
add_next_attempt(struct store *store, const char *escrow_id, int attempt, int failures)
{
	struct store_escrow e;
	enum store_result result = store_get_escrow(store, escrow_id, &e);
	int changed = 0;

	if (result != STORE_OK)
		return result;
	result = add_attempt(store, escrow_id, attempt, failures, e.external);
	store_escrow_clear(&e);
	if (result == STORE_OK)
		result = store_run(store, SQL_SET_ESCROW_ATTEMPT, &changed, "ti", escrow_id, (int64_t)attempt);
	return result == STORE_OK && changed != 1 ? STORE_CONFLICT : result;
}

static enum store_result
fail_attempt(struct store *store, struct store_guard *guard, enum failure_cause cause,
    const char *reason, bool next, int failures, int64_t now)
{
	enum store_result result;
	int changed;

	result = store_run(store, SQL_SET_FAILED, &changed, "titiitti", guard->escrow_id, (int64_t)guard->attempt,
	    phase_name(guard->phase), (int64_t)guard->round, (int64_t)guard->revision,
	    failure_cause_name(cause), reason, now);
	result = follow(guard, result, changed, PHASE_FAILED, 0);
	if (result == STORE_OK)
		result = store_run(store, SQL_RETIRE_WALLETS, NULL, "tii", guard->escrow_id, (int64_t)guard->attempt, now);
	if (result != STORE_OK || !next)
		return result;
	result = add_next_attempt(store, guard->escrow_id, guard->attempt + 1, failures);
	if (result == STORE_OK) {
		guard->attempt++;
		guard->phase = PHASE_NOT_STARTED;
		guard->revision = 0;
	}
	return result;
}

enum store_result
store_fail_attempt(struct store *store, struct store_guard *guard, enum failure_cause cause,
    const char *reason, bool next, bool counts, int64_t now)
{
	struct store_escrow e;
	enum store_result result;
	int failures;

	if (!phase_may_follow(guard->phase, PHASE_FAILED))
		return STORE_CONFLICT;
	result = store_get_escrow(store, guard->escrow_id, &e);
	if (result != STORE_OK)
		return result;
	failures = e.failures + (counts ? 1 : 0);
	store_escrow_clear(&e);
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, fail_attempt(store, guard, cause, reason, next, failures, now));
}

enum store_result
store_retry(struct store *store, const char *escrow_id, int *attempt)
{
	struct store_escrow e;
	enum store_result result = store_get_escrow(store, escrow_id, &e);

	if (result != STORE_OK)
		return result;
	*attempt = e.attempt + 1;
	if (e.phase != PHASE_FAILED)
		result = STORE_CONFLICT;
	store_escrow_clear(&e);
	if (result != STORE_OK)
		return result;
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, add_next_attempt(store, escrow_id, *attempt, 0));
}

enum store_result
store_set_verified(struct store *store, const char *escrow_id, int attempt, const char *reason, int64_t now)
{
	enum store_result result;
	int changed;

	if (!store_enter(store))
		return STORE_FAILED;
	result = reason == NULL
	    ? store_run(store, SQL_SET_VERIFIED, &changed, "tii", escrow_id, (int64_t)attempt, now)
	    : store_run(store, SQL_SET_NOT_VERIFIED, &changed, "tiit", escrow_id, (int64_t)attempt, now, reason);
	return store_leave(store, result == STORE_OK && changed != 1 ? STORE_CONFLICT : result);
}
