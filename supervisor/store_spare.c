/* Spare wallets: made in advance, one an endpoint at most, each for one escrow
 * only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/store_internal.h"

static bool
read_spare(sqlite3_stmt *row, struct store_spare *spare)
{
	snprintf(spare->spare_id, sizeof spare->spare_id, "%s", (const char *)sqlite3_column_text(row, 0));
	spare->wallet = store_column_text(row, 1);
	spare->stamp = store_column_text(row, 2);
	spare->password_size = (size_t)sqlite3_column_bytes(row, 3);
	spare->password = malloc(spare->password_size);
	if (spare->password != NULL)
		memcpy(spare->password, sqlite3_column_blob(row, 3), spare->password_size);
	spare->address = store_column_text(row, 4);
	return spare->wallet != NULL && spare->stamp != NULL && spare->password != NULL;
}

enum store_result
store_get_spare(struct store *store, const char *endpoint, struct store_spare *spare)
{
	sqlite3_stmt *row = store_bind(store, SQL_GET_SPARE, "t", endpoint);
	int got = row != NULL ? store_row(store, row) : -1;
	bool ok;

	memset(spare, 0, sizeof *spare);
	ok = got == 1 && read_spare(row, spare);
	store_done(row);
	if (ok)
		return STORE_OK;
	store_spare_clear(spare);
	return got == 0 ? STORE_NOT_FOUND : STORE_FAILED;
}

void
store_spare_clear(struct store_spare *spare)
{
	free(spare->wallet);
	free(spare->stamp);
	free(spare->address);
	free(spare->password);
	memset(spare, 0, sizeof *spare);
}

static enum store_result
add_spare(struct store *store, const char *endpoint, const struct store_spare *spare, int64_t now)
{
	enum store_result result = store_run(store, SQL_DROP_SPARE, NULL, "t", endpoint);

	if (result != STORE_OK)
		return result;
	return store_run(store, SQL_ADD_SPARE, NULL, "ttttbi", spare->spare_id, endpoint, spare->wallet, spare->stamp,
	    spare->password, spare->password_size, now);
}

enum store_result
store_add_spare(struct store *store, const char *endpoint, const struct store_spare *spare, int64_t now)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, add_spare(store, endpoint, spare, now));
}

static enum store_result
change_one(struct store *store, enum sql id, const char *spare_id, const char *address)
{
	enum store_result result;
	int changed = 0;

	if (!store_enter(store))
		return STORE_FAILED;
	result = address != NULL ? store_run(store, id, &changed, "tt", spare_id, address)
	    : store_run(store, id, &changed, "t", spare_id);
	return store_leave(store, result == STORE_OK && changed != 1 ? STORE_CONFLICT : result);
}

enum store_result
store_finish_spare(struct store *store, const char *spare_id, const char *address)
{
	return change_one(store, SQL_FINISH_SPARE, spare_id, address);
}

enum store_result
store_drop_spare(struct store *store, const char *endpoint)
{
	if (!store_enter(store))
		return STORE_FAILED;
	return store_leave(store, store_run(store, SQL_DROP_SPARE, NULL, "t", endpoint));
}

enum store_result
store_take_spare(struct store *store, const char *spare_id)
{
	return change_one(store, SQL_TAKE_SPARE, spare_id, NULL);
}

enum store_result
store_each_spare(struct store *store, store_spare_fn fn, void *arg)
{
	sqlite3_stmt *row = store_bind(store, SQL_EACH_SPARE, "");
	int got = -1;

	while (row != NULL && (got = store_row(store, row)) == 1)
		fn((const char *)sqlite3_column_text(row, 0), (const char *)sqlite3_column_text(row, 1),
		    sqlite3_column_blob(row, 2), (size_t)sqlite3_column_bytes(row, 2), arg);
	store_done(row);
	return got == 0 ? STORE_OK : STORE_FAILED;
}
