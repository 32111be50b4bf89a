/* What the repair of a Ready escrow's wallet needs: the copies that are kept of
 * it, another name or endpoint, and that its wallets are good again. */
#include <stdlib.h>
#include <string.h>

#include "supervisor/store_internal.h"

enum store_result
store_get_copies(struct store *store, const char *escrow_id, int attempt, enum role role, struct store_copies *copies)
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_COPIES, "tit", escrow_id, (int64_t)attempt, role_name(role));
	int got = row != NULL ? store_row(store, row) : -1;

	memset(copies, 0, sizeof *copies);
	if (got == 1) {
		copies->keys = store_column_blob(row, 0, &copies->keys_size);
		copies->keys_round = sqlite3_column_int(row, 1);
		copies->seed = store_column_blob(row, 2, &copies->seed_size);
	}
	store_done(row);
	return got == 1 ? STORE_OK : got == 0 ? STORE_NOT_FOUND : STORE_FAILED;
}

void
store_copies_clear(struct store_copies *copies)
{
	free(copies->keys);
	free(copies->seed);
	memset(copies, 0, sizeof *copies);
}

enum store_result
store_set_copies(struct store *store, const char *escrow_id, int attempt, enum role role, const struct store_copies *copies)
{
	enum store_result result;
	int changed = 0;

	if (!store_enter(store))
		return STORE_FAILED;
	result = store_run(store, SQL_SET_COPIES, &changed, "titbib", escrow_id, (int64_t)attempt, role_name(role), copies->keys,
	    copies->keys_size, (int64_t)copies->keys_round, copies->seed, copies->seed_size);
	return store_leave(store, result == STORE_OK && changed != 1 ? STORE_CONFLICT : result);
}

static enum store_result
move(struct store *store, const struct store_intent *intent, const char *endpoint, const char *reason)
{
	const char *role = role_name(intent->role);
	enum store_result result = STORE_OK;
	int changed = 0;

	/* the files of the wallet before, if there are any, are told of for ever; of
	 * what was one once it is forgotten that it went */
	if (reason != NULL)
		result = store_run(store, SQL_RETIRE_WALLET, NULL, "titti", intent->escrow_id, (int64_t)intent->attempt, role,
		    reason, intent->now);
	if (result == STORE_OK)
		result = store_run(store, SQL_DROP_RETIRED, NULL, "t", intent->wallet);
	if (result == STORE_OK)
		result = store_run(store, SQL_SET_REPAIRED, &changed, "titttt", intent->escrow_id, (int64_t)intent->attempt,
		    role, intent->wallet, intent->stamp, endpoint);
	/* should nobody come to write that wallet, the next start finds it missing */
	if (result == STORE_OK)
		result = store_run(store, SQL_SET_DOUBTED, NULL, "ti", intent->escrow_id, (int64_t)intent->attempt);
	return result == STORE_OK && changed != 1 ? STORE_CONFLICT : result;
}

enum store_result
store_intend_repair(struct store *store, const struct store_intent *intent, const char *endpoint, const char *reason)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, move(store, intent, endpoint, reason));
}

enum store_result
store_set_repaired(struct store *store, const char *escrow_id, int attempt, int64_t now)
{
	enum store_result result;
	int changed = 0;

	if (!store_enter(store))
		return STORE_FAILED;
	result = store_run(store, SQL_SET_VERIFIED_ANEW, &changed, "tii", escrow_id, (int64_t)attempt, now);
	return store_leave(store, result == STORE_OK && changed != 1 ? STORE_CONFLICT : result);
}

enum store_result
store_set_not_repaired(struct store *store, const char *escrow_id, int attempt, const char *reason, int64_t now)
{
	enum store_result result;

	if (!store_enter(store))
		return STORE_FAILED;
	result = store_run(store, SQL_SET_NOT_REPAIRED, NULL, "tiit", escrow_id, (int64_t)attempt, now, reason);
	return store_leave(store, result);
}
