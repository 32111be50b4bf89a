/* The text of every statement, and how one is prepared, bound and run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/store_internal.h"

#define THIS_ATTEMPT "escrow_id = ?1 AND attempt = ?2"

/* The last kex round after which no version of the wallet has an address that
 * could be published: that of make_multisig. */
#define BEFORE_ADDRESS "2"

/* Of a row t of the attic: no address can have been published with this wallet,
 * and nobody uses it. Its attempt failed, and its .keys were on record before
 * they could have an address; the store may be older than the wallets, so it is
 * removed only while its file is still that one (the attic job looks). */
#define REMOVABLE \
	"(t.keys_sha256 IS NOT NULL AND NOT t.kept" \
	" AND EXISTS (SELECT 1 FROM attempt a WHERE a.escrow_id = t.escrow_id AND a.attempt = t.attempt" \
	" AND a.phase = 'Failed' AND a.cause <> 'store_older')" \
	" AND t.reason NOT LIKE '" RETIRED_READY "%'" \
	" AND NOT EXISTS (SELECT 1 FROM participant p JOIN attempt a USING (escrow_id, attempt)" \
	" WHERE p.wallet = t.wallet AND a.phase <> 'Failed')" \
	" AND NOT EXISTS (SELECT 1 FROM spare WHERE wallet = t.wallet))"

static const char *const texts[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_SAVEPOINT] = "SAVEPOINT operation",
	[SQL_RELEASE] = "RELEASE operation",
	[SQL_ROLLBACK_TO] = "ROLLBACK TO operation",

	[SQL_ADD_KEY] = "INSERT INTO master_key (one, fingerprint) VALUES (1, ?1) ON CONFLICT DO NOTHING",
	[SQL_GET_KEY] = "SELECT fingerprint FROM master_key",
	[SQL_TOUCH] = "UPDATE master_key SET fingerprint = fingerprint",

	[SQL_ADD_ESCROW] =
	    "INSERT INTO escrow (escrow_id, label, metadata, external, trace, network, created_at, attempt)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1)",
	[SQL_ADD_ATTEMPT] =
	    "INSERT INTO attempt (escrow_id, attempt, phase, round, revision, failures)"
	    " VALUES (?1, ?2, 'NotStarted', 0, 0, ?3)",
	[SQL_ADD_PARTICIPANT] =
	    "INSERT INTO participant (escrow_id, attempt, role, kind) VALUES (?1, ?2, ?3, ?4)",
	[SQL_SET_ESCROW_ATTEMPT] =
	    "UPDATE escrow SET attempt = ?2 WHERE escrow_id = ?1 AND attempt = ?2 - 1",

	[SQL_GET_ESCROW] =
	    "SELECT e.seq, e.label, e.metadata, e.external, e.trace, e.network, e.created_at, e.attempt,"
	    " a.phase, a.round, a.revision, a.failures, a.cause, a.reason, a.address,"
	    " a.started_at, a.finalized_at, a.failed_at, a.verified_at, a.not_verified_at, a.not_verified_reason"
	    " FROM escrow e JOIN attempt a USING (escrow_id, attempt) WHERE e.escrow_id = ?1",
	[SQL_GET_PARTICIPANTS] =
	    "SELECT role, kind, endpoint, wallet, stamp FROM participant WHERE " THIS_ATTEMPT,
	[SQL_GET_COMPLETED] =
	    "SELECT role, call FROM step WHERE " THIS_ATTEMPT " AND result_at IS NOT NULL ORDER BY round",
	[SQL_GET_INFOS] =
	    "SELECT role, length, sha256 FROM message WHERE " THIS_ATTEMPT " AND round = ?3",
	[SQL_GET_FAILURES] =
	    "SELECT attempt, cause, reason, failed_at FROM attempt WHERE escrow_id = ?1 AND phase = 'Failed' ORDER BY attempt",
	[SQL_GET_SEQ] = "SELECT seq FROM escrow WHERE escrow_id = ?1",
	[SQL_LIST] = "SELECT escrow_id FROM escrow WHERE seq > ?1 ORDER BY seq LIMIT ?2",
	[SQL_LIST_PHASE] =
	    "SELECT e.escrow_id FROM escrow e JOIN attempt a USING (escrow_id, attempt)"
	    " WHERE e.seq > ?1 AND a.phase = ?3 ORDER BY e.seq LIMIT ?2",
	[SQL_UNFINISHED] =
	    "SELECT e.escrow_id FROM attempt a JOIN escrow e USING (escrow_id, attempt)"
	    " WHERE a.phase IN ('NotStarted', 'Preparing', 'Exchanging') ORDER BY e.seq",
	[SQL_NEXT_UNVERIFIED] =
	    "SELECT escrow_id FROM attempt INDEXED BY attempt_unverified"
	    " WHERE phase = 'Ready' AND verified_at IS NULL AND escrow_id > ?1 ORDER BY escrow_id LIMIT 1",
	[SQL_COUNT_PHASES] =
	    "SELECT a.phase, count(*) FROM escrow e JOIN attempt a USING (escrow_id, attempt) GROUP BY a.phase",

	[SQL_CHANGE_PHASE] =
	    "UPDATE attempt SET phase = ?6, round = ?7, revision = revision + 1"
	    " WHERE " THIS_ATTEMPT " AND phase = ?3 AND round = ?4 AND revision = ?5",
	[SQL_SET_STARTED] =
	    "UPDATE attempt SET phase = 'Preparing', revision = revision + 1, started_at = ?5"
	    " WHERE " THIS_ATTEMPT " AND phase = ?3 AND revision = ?4",
	[SQL_SET_ENDPOINT] =
	    "UPDATE participant SET endpoint = ?4, wallet = ?5 WHERE " THIS_ATTEMPT " AND role = ?3",
	[SQL_SET_READY] =
	    "UPDATE attempt SET phase = 'Ready', round = 0, revision = revision + 1, address = ?6,"
	    " finalized_at = ?7, verified_at = iif(?8, ?7, NULL)"
	    " WHERE " THIS_ATTEMPT " AND phase = ?3 AND round = ?4 AND revision = ?5",
	[SQL_SET_SEED] =
	    "UPDATE participant SET seed = ?4 WHERE " THIS_ATTEMPT " AND role = ?3 AND seed IS NULL",
	[SQL_SET_FAILED] =
	    "UPDATE attempt SET phase = 'Failed', round = 0, revision = revision + 1, cause = ?6, reason = ?7,"
	    " failed_at = ?8 WHERE " THIS_ATTEMPT " AND phase = ?3 AND round = ?4 AND revision = ?5",
	[SQL_SET_VERIFIED] =
	    "UPDATE attempt SET verified_at = ?3, not_verified_at = NULL, not_verified_reason = NULL"
	    " WHERE " THIS_ATTEMPT " AND phase = 'Ready' AND verified_at IS NULL",
	[SQL_SET_NOT_VERIFIED] =
	    "UPDATE attempt SET not_verified_at = ?3, not_verified_reason = ?4"
	    " WHERE " THIS_ATTEMPT " AND phase = 'Ready' AND verified_at IS NULL",

	[SQL_ADD_INTENT] =
	    "INSERT INTO step (escrow_id, attempt, role, round, call, intent_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_SET_PASSWORD] =
	    "UPDATE participant SET wallet = ?4, stamp = ?5, password = ?6, home = endpoint"
	    " WHERE " THIS_ATTEMPT " AND role = ?3 AND password IS NULL",
	[SQL_ADD_RESULT] =
	    "UPDATE step SET result_at = ?6, duration_ms = ?7"
	    " WHERE " THIS_ATTEMPT " AND role = ?3 AND round = ?4 AND call = ?5 AND result_at IS NULL",
	[SQL_SET_KEYS] =
	    "UPDATE participant SET keys = ?5, keys_round = ?4, keys_sha256 = iif(?4 <= " BEFORE_ADDRESS ", ?6, NULL)"
	    " WHERE " THIS_ATTEMPT " AND role = ?3 AND (keys_round IS NULL OR keys_round <= ?4)",
	[SQL_ADD_MESSAGE] =
	    "INSERT INTO message (escrow_id, attempt, round, role, length, sha256, sealed)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_FIND_MESSAGE] =
	    "SELECT escrow_id, attempt FROM message WHERE sha256 = ?1",
	[SQL_GET_WALLETS] =
	    "SELECT role, endpoint, wallet, stamp, password FROM participant WHERE " THIS_ATTEMPT,
	[SQL_EACH_SEALED] =
	    "SELECT attempt, role, 0, 'password', password FROM participant WHERE escrow_id = ?1 AND password IS NOT NULL"
	    " UNION ALL SELECT attempt, role, 0, 'seed', seed FROM participant WHERE escrow_id = ?1 AND seed IS NOT NULL"
	    " UNION ALL SELECT attempt, role, keys_round, 'keys', keys FROM participant"
	    " WHERE escrow_id = ?1 AND keys IS NOT NULL"
	    " UNION ALL SELECT attempt, role, round, 'message', sealed FROM message WHERE escrow_id = ?1",

	[SQL_GET_STEPS] =
	    "SELECT role, round, result_at IS NOT NULL FROM step WHERE " THIS_ATTEMPT " ORDER BY round",
	[SQL_GET_KEYS] =
	    "SELECT role, keys, keys_round FROM participant WHERE " THIS_ATTEMPT " AND keys IS NOT NULL",
	[SQL_GET_MESSAGES] =
	    "SELECT role, round, sealed FROM message WHERE " THIS_ATTEMPT " AND round >= ?3",
	[SQL_INTEND_AGAIN] =
	    "UPDATE step SET intent_at = ?6"
	    " WHERE " THIS_ATTEMPT " AND role = ?3 AND round = ?4 AND call = ?5 AND result_at IS NULL",
	[SQL_DROP_INTENTS] =
	    "DELETE FROM step WHERE " THIS_ATTEMPT " AND role = ?3 AND result_at IS NULL",
	[SQL_MOVE_ENDPOINT] =
	    "UPDATE participant SET endpoint = ?4 WHERE " THIS_ATTEMPT " AND role = ?3 AND kind = 'managed'",
	[SQL_RETIRE_WALLET] =
	    "INSERT INTO attic (wallet, escrow_id, attempt, role, endpoint, reason, retired_at, keys_sha256)"
	    " SELECT wallet, escrow_id, attempt, role, coalesce(home, endpoint), ?4, ?5, keys_sha256 FROM participant"
	    " WHERE " THIS_ATTEMPT " AND role = ?3 AND wallet IS NOT NULL",
	[SQL_RETIRE_SPARE] =
	    "INSERT OR IGNORE INTO attic (wallet, escrow_id, attempt, role, endpoint, reason, retired_at)"
	    " SELECT wallet, escrow_id, attempt, role, endpoint, 'it was a spare wallet, and was not used', ?5 FROM participant"
	    " WHERE " THIS_ATTEMPT " AND role = ?3 AND wallet <> ?4",
	[SQL_RETIRE_WALLETS] =
	    "INSERT INTO attic (wallet, escrow_id, attempt, role, endpoint, reason, retired_at, keys_sha256)"
	    " SELECT wallet, escrow_id, attempt, role, coalesce(home, endpoint), 'its attempt failed', ?3, keys_sha256"
	    " FROM participant"
	    " WHERE " THIS_ATTEMPT " AND wallet IS NOT NULL",
	[SQL_SET_RESTORED] =
	    "UPDATE participant SET wallet = ?4, stamp = ?5, home = endpoint WHERE " THIS_ATTEMPT " AND role = ?3 AND keys IS NOT NULL"
	    " AND EXISTS (SELECT 1 FROM attempt WHERE " THIS_ATTEMPT " AND phase IN ('Preparing', 'Exchanging'))",
	[SQL_SET_PASSWORD_AGAIN] =
	    "UPDATE participant SET wallet = ?4, stamp = ?5, password = ?6, home = endpoint"
	    " WHERE " THIS_ATTEMPT " AND role = ?3 AND keys IS NULL",
	[SQL_EACH_RETIRED] =
	    "SELECT wallet, escrow_id, attempt, role, endpoint, reason, retired_at, " REMOVABLE ", keys_sha256"
	    " FROM attic t"
	    " WHERE wallet > ?1 ORDER BY wallet LIMIT ?2",
	[SQL_DUE_RETIRED] =
	    "SELECT wallet, escrow_id, attempt, role, endpoint, reason, retired_at, 1, keys_sha256 FROM attic t"
	    " WHERE wallet > ?1 AND retired_at <= ?3 AND " REMOVABLE " ORDER BY wallet LIMIT ?2",
	[SQL_DROP_RETIRED] = "DELETE FROM attic WHERE wallet = ?1",
	[SQL_KEEP_RETIRED] = "UPDATE attic SET kept = 1 WHERE wallet = ?1",

	[SQL_GET_COPIES] = "SELECT keys, keys_round, seed FROM participant WHERE " THIS_ATTEMPT " AND role = ?3",
	[SQL_SET_REPAIRED] =
	    "UPDATE participant SET wallet = ?4, stamp = ?5, endpoint = ?6, home = ?6 WHERE " THIS_ATTEMPT " AND role = ?3"
	    " AND kind = 'managed' AND (SELECT phase FROM attempt WHERE " THIS_ATTEMPT ") = 'Ready'",
	[SQL_SET_DOUBTED] =
	    "UPDATE attempt SET verified_at = NULL WHERE " THIS_ATTEMPT " AND phase = 'Ready'",
	[SQL_SET_NOT_REPAIRED] =
	    "UPDATE attempt SET verified_at = NULL, not_verified_at = coalesce(not_verified_at, ?3),"
	    " not_verified_reason = coalesce(not_verified_reason, ?4) WHERE " THIS_ATTEMPT " AND phase = 'Ready'",
	[SQL_SET_VERIFIED_ANEW] =
	    "UPDATE attempt SET verified_at = ?3, not_verified_at = NULL, not_verified_reason = NULL"
	    " WHERE " THIS_ATTEMPT " AND phase = 'Ready'",
	[SQL_SET_COPIES] =
	    "UPDATE participant SET keys = coalesce(?4, keys), keys_round = iif(?4 IS NULL, keys_round, ?5),"
	    " seed = coalesce(?6, seed) WHERE " THIS_ATTEMPT " AND role = ?3"
	    " AND (SELECT phase FROM attempt WHERE " THIS_ATTEMPT ") = 'Ready'",
	[SQL_KNOW_WALLET] =
	    "SELECT 1 FROM participant WHERE wallet = ?1 UNION ALL SELECT 2 FROM attic WHERE wallet = ?1"
	    " UNION ALL SELECT 3 FROM spare WHERE wallet = ?1 LIMIT 1",
	[SQL_KNOW_ATTEMPT] = "SELECT 1 FROM attempt WHERE " THIS_ATTEMPT,

	[SQL_GET_SPARE] = "SELECT spare_id, wallet, stamp, password, address FROM spare WHERE endpoint = ?1",
	[SQL_DROP_SPARE] = "DELETE FROM spare WHERE endpoint = ?1",
	[SQL_ADD_SPARE] =
	    "INSERT INTO spare (spare_id, endpoint, wallet, stamp, password, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_FINISH_SPARE] = "UPDATE spare SET address = ?2 WHERE spare_id = ?1 AND address IS NULL",
	[SQL_TAKE_SPARE] = "DELETE FROM spare WHERE spare_id = ?1 AND address IS NOT NULL",
	[SQL_EACH_SPARE] = "SELECT spare_id, wallet, password FROM spare",

	[SQL_ADD_EVENT] = "INSERT INTO event (escrow_id, at, type, data) VALUES (?1, ?2, ?3, ?4)",
	[SQL_EACH_EVENT] =
	    "SELECT seq, escrow_id, at, type, data FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
	[SQL_EACH_ESCROW_EVENT] =
	    "SELECT seq, escrow_id, at, type, data FROM event WHERE escrow_id = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2",
	[SQL_PRUNE_EVENTS] = "DELETE FROM event WHERE seq <= ?1",
	[SQL_LAST_EVENT] = "SELECT coalesce(max(seq), 0) FROM event",
};

enum store_result
store_fail(struct store *store, const char *what)
{
	store->code = sqlite3_errcode(store->db);
	store_describe(store, what, store->error, sizeof store->error);
	store->broken = store->open;
	/* the end of the turn tells all else */
	if (!store->open && (store->code == SQLITE_CORRUPT || store->code == SQLITE_NOTADB))
		store_note_failure(store);
	return STORE_FAILED;
}

static bool
bind_list(struct store *store, sqlite3_stmt *statement, const char *types, va_list values)
{
	int result = SQLITE_OK;

	for (int i = 1; *types != '\0' && result == SQLITE_OK; i++, types++) {
		if (*types == 'i') {
			result = sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
		} else if (*types == 't') {
			result = sqlite3_bind_text(statement, i, va_arg(values, const char *), -1, SQLITE_STATIC);
		} else {
			const void *data = va_arg(values, const void *);
			result = sqlite3_bind_blob64(statement, i, data, va_arg(values, size_t), SQLITE_STATIC);
		}
	}
	if (result != SQLITE_OK)
		store_fail(store, sqlite3_sql(statement));
	return result == SQLITE_OK;
}

static sqlite3_stmt *
bind_one(struct store *store, enum sql id, const char *types, va_list values)
{
	sqlite3_stmt **statement = &store->statements[id];

	if (*statement == NULL &&
	    sqlite3_prepare_v3(store->db, texts[id], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK) {
		store_fail(store, texts[id]);
		return NULL;
	}
	return bind_list(store, *statement, types, values) ? *statement : NULL;
}

sqlite3_stmt *
store_bind(struct store *store, enum sql id, const char *types, ...)
{
	sqlite3_stmt *statement;
	va_list values;

	va_start(values, types);
	statement = bind_one(store, id, types, values);
	va_end(values);
	return statement;
}

void
store_done(sqlite3_stmt *statement)
{
	if (statement == NULL)
		return;
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

int
store_row(struct store *store, sqlite3_stmt *statement)
{
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		store_fail(store, "reading");
		return -1;
	}
}

enum store_result
store_run(struct store *store, enum sql id, int *changed, const char *types, ...)
{
	enum store_result result = STORE_OK;
	sqlite3_stmt *statement;
	va_list values;
	int code;

	va_start(values, types);
	statement = bind_one(store, id, types, values);
	va_end(values);
	if (statement == NULL)
		return STORE_FAILED;
	code = sqlite3_step(statement);
	if (changed != NULL)
		*changed = sqlite3_changes(store->db);
	if (code == SQLITE_CONSTRAINT) {
		snprintf(store->error, sizeof store->error, "%s", sqlite3_errmsg(store->db));
		result = STORE_CONFLICT;
	} else if (code != SQLITE_DONE && code != SQLITE_ROW) {
		result = store_fail(store, "writing");
	}
	store_done(statement);
	return result;
}

char *
store_column_text(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return text != NULL ? strdup(text) : NULL;
}

void *
store_column_blob(sqlite3_stmt *statement, int column, size_t *size)
{
	const void *data = sqlite3_column_blob(statement, column);
	void *copy;

	*size = (size_t)sqlite3_column_bytes(statement, column);
	copy = *size > 0 ? malloc(*size) : NULL;
	if (copy != NULL)
		memcpy(copy, data, *size);
	return copy;
}

enum store_result
store_one_row(enum store_result result, const int *changed)
{
	return result == STORE_OK && *changed != 1 ? STORE_CONFLICT : result;
}
