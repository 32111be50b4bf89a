/* Events: what readers of /events see, kept so that they can resume. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/store_internal.h"

enum {
	EVENTS_KEPT = 200000,  /* the newest; a reader further behind has missed some */
	PRUNE_EVERY = 1000
};

enum store_result
store_add_event(struct store *store, const char *escrow_id, const char *type, json_t *data)
{
	char *text = json_dumps(data, JSON_COMPACT);
	enum store_result result = STORE_FAILED;

	json_decref(data);
	if (text == NULL) {
		/* what an event tells of has to happen all the same, and would fail again */
		log_error("event_lost", F_STR("escrow", escrow_id), F_STR("type", type));
		return STORE_OK;
	}
	if (store_enter(store)) {
		result = store_run(store, SQL_ADD_EVENT, NULL, "titt", escrow_id, clock_wall_ms(), type, text);
		if (result == STORE_OK) {
			store->last_event = sqlite3_last_insert_rowid(store->db);
			if (store->last_event >= store->prune_at) {
				store->prune_at = store->last_event + PRUNE_EVERY;
				result = store_run(store, SQL_PRUNE_EVENTS, NULL, "i",
				    (int64_t)(store->last_event - EVENTS_KEPT));
			}
		}
		result = store_leave(store, result);
	}
	free(text);
	return result;
}

/* {"seq": …, "at": …, "type": "…", "escrow_id": "…", and what data has} */
static char *
event_line(sqlite3_stmt *row)
{
	json_t *line = json_object();
	json_t *data = json_loads((const char *)sqlite3_column_text(row, 4), 0, NULL);
	char *text;

	json_object_set_new(line, "seq", json_integer(sqlite3_column_int64(row, 0)));
	json_object_set_new(line, "at", json_integer(sqlite3_column_int64(row, 2)));
	json_object_set_new(line, "type", json_string((const char *)sqlite3_column_text(row, 3)));
	if (sqlite3_column_type(row, 1) != SQLITE_NULL)
		json_object_set_new(line, "escrow_id", json_string((const char *)sqlite3_column_text(row, 1)));
	json_object_update(line, data);
	text = json_dumps(line, JSON_COMPACT);
	json_decref(data);
	json_decref(line);
	return text;
}

enum store_result
store_each_event(struct store *store, int64_t since, const char *escrow_id, int limit,
    store_event_fn fn, void *arg)
{
	sqlite3_stmt *row = escrow_id != NULL
	    ? store_bind(store, SQL_EACH_ESCROW_EVENT, "iit", since, (int64_t)limit, escrow_id)
	    : store_bind(store, SQL_EACH_EVENT, "ii", since, (int64_t)limit);
	int got = -1;

	while (row != NULL && (got = store_row(store, row)) == 1) {
		char *line = event_line(row);
		if (line != NULL)
			fn(sqlite3_column_int64(row, 0), line, arg);
		free(line);
	}
	store_done(row);
	return got == 0 ? STORE_OK : STORE_FAILED;
}

int64_t
store_last_event(const struct store *store)
{
	return store->last_event;
}
