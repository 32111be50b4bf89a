/* What going on with an attempt needs: how far each role is, what was said and
 * kept of it; and the attic, for wallets that no attempt uses any more. */
#include <stdlib.h>
#include <string.h>

#include "supervisor/store_internal.h"

static struct store_journal *
journal_of(struct store_journal journals[ROLE_COUNT], sqlite3_stmt *row)
{
	enum role role;

	return role_parse((const char *)sqlite3_column_text(row, 0), false, &role) ? &journals[role] : NULL;
}

static bool
read_steps(struct store *store, const char *escrow_id, int attempt, struct store_journal journals[ROLE_COUNT])
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_STEPS, "ti", escrow_id, (int64_t)attempt);
	int got = -1;

	while (row != NULL && (got = store_row(store, row)) == 1) {
		struct store_journal *j = journal_of(journals, row);
		int round = sqlite3_column_int(row, 1);
		if (j != NULL && sqlite3_column_int(row, 2) != 0)
			j->done = round;
		else if (j != NULL)
			j->intent = round;
	}
	store_done(row);
	return got == 0;
}

static bool
read_keys(struct store *store, const char *escrow_id, int attempt, struct store_journal journals[ROLE_COUNT])
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_KEYS, "ti", escrow_id, (int64_t)attempt);
	int got = -1;

	while (row != NULL && (got = store_row(store, row)) == 1) {
		struct store_journal *j = journal_of(journals, row);
		if (j == NULL)
			continue;
		j->keys = store_column_blob(row, 1, &j->keys_size);
		j->keys_round = sqlite3_column_int(row, 2);
	}
	store_done(row);
	return got == 0;
}

/* Of the round that all have done, and of the next, which some have. */
static bool
read_messages(struct store *store, const char *escrow_id, int attempt, struct store_journal journals[ROLE_COUNT])
{
	int lowest = journals[0].done;
	sqlite3_stmt *row;
	int got = -1;

	for (int r = 1; r < ROLE_COUNT; r++)
		lowest = journals[r].done < lowest ? journals[r].done : lowest;
	lowest = lowest < 0 ? 0 : lowest; /* create_wallet says nothing */
	row = store_bind(store, SQL_GET_MESSAGES, "tii", escrow_id, (int64_t)attempt, (int64_t)lowest);
	while (row != NULL && (got = store_row(store, row)) == 1) {
		struct store_journal *j = journal_of(journals, row);
		int place = sqlite3_column_int(row, 1) - lowest;
		if (j == NULL || place >= STORE_JOURNAL_MESSAGES)
			continue;
		j->messages[place].round = lowest + place;
		j->messages[place].sealed = store_column_blob(row, 2, &j->messages[place].size);
	}
	store_done(row);
	return got == 0;
}

enum store_result
store_get_journal(struct store *store, const char *escrow_id, int attempt, struct store_journal journals[ROLE_COUNT])
{
	memset(journals, 0, ROLE_COUNT * sizeof *journals);
	for (int r = 0; r < ROLE_COUNT; r++)
		journals[r].done = journals[r].intent = -1;
	if (read_steps(store, escrow_id, attempt, journals) && read_keys(store, escrow_id, attempt, journals) &&
	    read_messages(store, escrow_id, attempt, journals))
		return STORE_OK;
	store_journal_clear(journals);
	return STORE_FAILED;
}

void
store_journal_clear(struct store_journal journals[ROLE_COUNT])
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		free(journals[r].keys);
		for (int i = 0; i < STORE_JOURNAL_MESSAGES; i++)
			free(journals[r].messages[i].sealed);
	}
	memset(journals, 0, ROLE_COUNT * sizeof *journals);
}

/* --- intents of recovery -------------------------------------------------------- */

static enum store_result
retire(struct store *store, const struct store_intent *intent, const char *reason)
{
	return store_run(store, SQL_RETIRE_WALLET, NULL, "titti", intent->escrow_id, (int64_t)intent->attempt,
	    role_name(intent->role), reason, intent->now);
}

static enum store_result
intend_again(struct store *store, const struct store_intent *intent)
{
	const char *role = role_name(intent->role);
	enum store_result result;
	int changed = 0;

	result = store_one_row(store_run(store, SQL_INTEND_AGAIN, &changed, "tititi", intent->escrow_id, (int64_t)intent->attempt,
	    role, (int64_t)intent->round, intent->call, intent->now), &changed);
	if (result != STORE_OK || intent->wallet == NULL)
		return result;
	result = retire(store, intent, "its creation was interrupted");
	if (result == STORE_OK)
		result = store_one_row(store_run(store, SQL_SET_PASSWORD_AGAIN, &changed, "titttb", intent->escrow_id,
		    (int64_t)intent->attempt, role, intent->wallet, intent->stamp, intent->password, intent->password_size), &changed);
	return result;
}

enum store_result
store_intend_again(struct store *store, const struct store_intent *intent)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, intend_again(store, intent));
}

static enum store_result
intend_restore(struct store *store, const struct store_intent *intent, const char *reason)
{
	const char *role = role_name(intent->role);
	enum store_result result = retire(store, intent, reason);
	int changed = 0;

	if (result == STORE_OK)
		result = store_one_row(store_run(store, SQL_SET_RESTORED, &changed, "tittt", intent->escrow_id,
		    (int64_t)intent->attempt, role, intent->wallet, intent->stamp), &changed);
	if (result != STORE_OK)
		return result;
	return store_run(store, SQL_DROP_INTENTS, NULL, "tit", intent->escrow_id, (int64_t)intent->attempt, role);
}

enum store_result
store_intend_restore(struct store *store, const struct store_intent *intent, const char *reason)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, intend_restore(store, intent, reason));
}

enum store_result
store_move(struct store *store, const char *escrow_id, int attempt, const char *endpoints[ROLE_COUNT])
{
	enum store_result result = STORE_OK;

	if (!store_enter(store))
		return STORE_FAILED;
	for (int r = 0; r < ROLE_COUNT && result == STORE_OK; r++) {
		int changed = 0;
		if (endpoints[r] == NULL)
			continue;
		result = store_one_row(store_run(store, SQL_MOVE_ENDPOINT, &changed, "titt", escrow_id, (int64_t)attempt,
		    role_name((enum role)r), endpoints[r]), &changed);
	}
	return store_leave(store, result);
}

/* --- the attic --------------------------------------------------------------------- */

static enum store_result
read_retired(struct store *store, sqlite3_stmt *row, store_retired_fn fn, void *arg)
{
	int got = -1;

	while (row != NULL && (got = store_row(store, row)) == 1) {
		struct store_retired one = {
			.wallet = (const char *)sqlite3_column_text(row, 0), .escrow_id = (const char *)sqlite3_column_text(row, 1),
			.attempt = sqlite3_column_int(row, 2), .endpoint = (const char *)sqlite3_column_text(row, 4),
			.reason = (const char *)sqlite3_column_text(row, 5), .retired_at = sqlite3_column_int64(row, 6),
			.removable = sqlite3_column_int(row, 7) != 0, .keys_sha256 = (const char *)sqlite3_column_text(row, 8),
		};
		if (role_parse((const char *)sqlite3_column_text(row, 3), false, &one.role))
			fn(&one, arg);
	}
	store_done(row);
	return got == 0 ? STORE_OK : STORE_FAILED;
}

enum store_result
store_each_retired(struct store *store, const char *after, int limit, store_retired_fn fn, void *arg)
{
	return read_retired(store, store_bind(store, SQL_EACH_RETIRED, "ti", after, (int64_t)limit), fn, arg);
}

enum store_result
store_each_removable(struct store *store, const char *after, int limit, int64_t retired_by, store_retired_fn fn, void *arg)
{
	return read_retired(store, store_bind(store, SQL_DUE_RETIRED, "tii", after, (int64_t)limit, retired_by), fn, arg);
}

enum store_result
store_drop_retired(struct store *store, const char *wallet)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, store_run(store, SQL_DROP_RETIRED, NULL, "t", wallet));
}

enum store_result
store_keep_retired(struct store *store, const char *wallet)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, store_run(store, SQL_KEEP_RETIRED, NULL, "t", wallet));
}

static bool
has_row(struct store *store, sqlite3_stmt *row)
{
	int got = row != NULL ? store_row(store, row) : 1; /* who asks takes what is known for harmless */

	store_done(row);
	return got != 0;
}

bool
store_knows_wallet(struct store *store, const char *wallet)
{
	return has_row(store, store_bind(store, SQL_KNOW_WALLET, "t", wallet));
}

bool
store_knows_attempt(struct store *store, const char *escrow_id, int attempt)
{
	return has_row(store, store_bind(store, SQL_KNOW_ATTEMPT, "ti", escrow_id, (int64_t)attempt));
}
