/* The journal of an attempt: what was intended, what came of it, what was said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/store_internal.h"

static enum store_result
add_intent(struct store *store, const struct store_intent *intent)
{
	const char *role = role_name(intent->role);
	enum store_result result;
	int changed;

	result = store_run(store, SQL_ADD_INTENT, NULL, "tititi", intent->escrow_id, (int64_t)intent->attempt,
	    role, (int64_t)intent->round, intent->call, intent->now);
	if (result != STORE_OK || intent->wallet == NULL)
		return result;
	result = store_run(store, SQL_RETIRE_SPARE, NULL, "titti", intent->escrow_id, (int64_t)intent->attempt, role,
	    intent->wallet, intent->now);
	if (result != STORE_OK)
		return result;
	result = store_run(store, SQL_SET_PASSWORD, &changed, "titttb", intent->escrow_id, (int64_t)intent->attempt,
	    role, intent->wallet, intent->stamp, intent->password, intent->password_size);
	return store_one_row(result, &changed);
}

enum store_result
store_add_intent(struct store *store, const struct store_intent *intent)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, add_intent(store, intent));
}

static enum store_result
add_result(struct store *store, const struct store_step_result *r)
{
	const char *role = role_name(r->role);
	enum store_result result;
	int changed;

	result = store_run(store, SQL_ADD_RESULT, &changed, "tititii", r->escrow_id, (int64_t)r->attempt,
	    role, (int64_t)r->round, r->call, r->now, r->duration_ms);
	result = store_one_row(result, &changed);
	if (result == STORE_OK && r->keys != NULL) {
		result = store_run(store, SQL_SET_KEYS, &changed, "titibt", r->escrow_id, (int64_t)r->attempt,
		    role, (int64_t)r->round, r->keys, r->keys_size, r->keys_sha256);
		result = store_one_row(result, &changed);
	}
	if (result != STORE_OK || r->message == NULL)
		return result;
	return store_run(store, SQL_ADD_MESSAGE, NULL, "tiititb", r->escrow_id, (int64_t)r->attempt,
	    (int64_t)r->round, role, (int64_t)r->message_length, r->message_sha256, r->message, r->message_size);
}

enum store_result
store_add_result(struct store *store, const struct store_step_result *r)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, add_result(store, r));
}

enum store_result
store_find_message(struct store *store, const char *sha256, char escrow_id[UUID_TEXT], int *attempt)
{
	sqlite3_stmt *row = store_bind(store, SQL_FIND_MESSAGE, "t", sha256);
	int got = row != NULL ? store_row(store, row) : -1;

	if (got == 1) {
		snprintf(escrow_id, UUID_TEXT, "%s", (const char *)sqlite3_column_text(row, 0));
		*attempt = sqlite3_column_int(row, 1);
	}
	store_done(row);
	return got == 1 ? STORE_OK : got == 0 ? STORE_CONFLICT : STORE_FAILED;
}

enum store_result
store_get_wallets(struct store *store, const char *escrow_id, int attempt,
    struct store_wallet wallets[ROLE_COUNT])
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_WALLETS, "ti", escrow_id, (int64_t)attempt);
	int got = -1;

	memset(wallets, 0, ROLE_COUNT * sizeof *wallets);
	while (row != NULL && (got = store_row(store, row)) == 1) {
		struct store_wallet *w;
		enum role role;
		if (!role_parse((const char *)sqlite3_column_text(row, 0), false, &role))
			continue;
		w = &wallets[role];
		w->endpoint = store_column_text(row, 1);
		w->wallet = store_column_text(row, 2);
		w->stamp = store_column_text(row, 3);
		w->password_size = (size_t)sqlite3_column_bytes(row, 4);
		if (w->password_size > 0 && (w->password = malloc(w->password_size)) != NULL)
			memcpy(w->password, sqlite3_column_blob(row, 4), w->password_size);
	}
	store_done(row);
	return got == 0 ? STORE_OK : STORE_FAILED;
}

void
store_wallets_clear(struct store_wallet wallets[ROLE_COUNT])
{
	for (int i = 0; i < ROLE_COUNT; i++) {
		free(wallets[i].endpoint);
		free(wallets[i].wallet);
		free(wallets[i].stamp);
		free(wallets[i].password);
	}
	memset(wallets, 0, ROLE_COUNT * sizeof *wallets);
}

enum store_result
store_each_sealed(struct store *store, const char *escrow_id, store_sealed_fn fn, void *arg)
{
	sqlite3_stmt *row = store_bind(store, SQL_EACH_SEALED, "t", escrow_id);
	int got = -1;

	while (row != NULL && (got = store_row(store, row)) == 1) {
		enum role role;
		if (role_parse((const char *)sqlite3_column_text(row, 1), false, &role))
			fn(sqlite3_column_int(row, 0), role, sqlite3_column_int(row, 2),
			    (const char *)sqlite3_column_text(row, 3), sqlite3_column_blob(row, 4),
			    (size_t)sqlite3_column_bytes(row, 4), arg);
	}
	store_done(row);
	return got == 0 ? STORE_OK : STORE_FAILED;
}
