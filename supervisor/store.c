/*
 * The store's connection and its turn: opening, the one transaction that all
 * writes of a turn share, its commit, and what waits for that.
 * What is written is the business of store_escrow.c, store_journal.c and
 * store_event.c.
 */
#include "supervisor/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "supervisor/store_internal.h"

/* From a disk with a cache of its own to one that has trouble. */
const struct histogram_bounds store_commit_bounds = {
	13, {100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000}};

/* --- the turn ------------------------------------------------------------- */

static void
run_waiting(struct store *store, bool durable)
{
	struct durable_list list = STAILQ_HEAD_INITIALIZER(list);
	struct durable *d;

	/* a callback may write again: that is the next turn's */
	STAILQ_CONCAT(&list, &store->waiting);
	while ((d = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, next);
		d->fn(durable, d->arg);
		free(d);
	}
}

static bool
read_last_event(struct store *store)
{
	sqlite3_stmt *statement = store_bind(store, SQL_LAST_EVENT, "");
	bool ok = statement != NULL && store_row(store, statement) == 1;

	if (ok)
		store->last_event = sqlite3_column_int64(statement, 0);
	store_done(statement);
	return ok;
}

static bool
commit(struct store *store)
{
	int64_t began = clock_monotonic_us();
	bool durable;

	FAULT("commit", "", "", -1);
	durable = !store->broken && store_run(store, SQL_COMMIT, NULL, "") == STORE_OK;
	FAULT("committed", "", "", -1);
	event_del(store->commit);
	if (!durable) {
		/* SQLite may have rolled back by itself (SQLITE_FULL, SQLITE_IOERR) */
		if (!sqlite3_get_autocommit(store->db))
			sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
		store_note_failure(store);
	} else {
		store->commits++;
		store->trouble.written = true;
	}
	histogram_add(&store->commit_times, &store_commit_bounds, clock_monotonic_us() - began);
	store->open = false;
	store->broken = false;
	if (!durable)
		read_last_event(store); /* numbers given out in this turn are free again */
	return durable;
}

static void
end_turn(struct store *store)
{
	bool durable = commit(store);

	run_waiting(store, durable);
	if (durable && store->listener != NULL)
		store->listener(store->listener_arg);
}

static void
on_commit(evutil_socket_t fd, short what, void *arg)
{
	struct store *store = arg;

	(void)fd;
	(void)what;
	if (store->open)
		end_turn(store);
}

/* The turn has to end: behind everything that is active now, or some time later. */
static void
want_commit(struct store *store)
{
	static const struct timeval later = {0, STORE_PATIENCE_MS * 1000};

	if (store->patient && event_pending(store->commit, EV_TIMEOUT, NULL))
		return;
	if (!store->patient || event_add(store->commit, &later) == -1)
		event_active(store->commit, EV_TIMEOUT, 1);
}

void
store_hurry(struct store *store)
{
	if (store->open)
		event_active(store->commit, EV_TIMEOUT, 1);
}

void
store_be_patient(struct store *store, bool patient)
{
	store->patient = patient;
}

bool
store_turn_open(const struct store *store)
{
	return store->open;
}

void
store_on_commit(struct store *store, void (*fn)(void *arg), void *arg)
{
	store->listener = fn;
	store->listener_arg = arg;
}

bool
store_enter(struct store *store)
{
	if (!store->open) {
		if (store_is_damaged(store))
			return false;
		if (store_run(store, SQL_BEGIN, NULL, "") != STORE_OK) {
			store_note_failure(store);
			return false;
		}
		store->open = true;
	}
	want_commit(store);
	return !store->broken && store_run(store, SQL_SAVEPOINT, NULL, "") == STORE_OK;
}

enum store_result
store_leave(struct store *store, enum store_result result)
{
	if (store->broken)
		return STORE_FAILED;
	if (result != STORE_OK)
		store_run(store, SQL_ROLLBACK_TO, NULL, "");
	store_run(store, SQL_RELEASE, NULL, "");
	return store->broken ? STORE_FAILED : result;
}

void
store_when_durable(struct store *store, store_durable_fn fn, void *arg)
{
	struct durable *d;

	if (!store->open) {
		fn(true, arg);
		return;
	}
	d = malloc(sizeof *d);
	if (d == NULL) {
		/* no memory to wait with: commit now */
		bool durable = commit(store);
		run_waiting(store, durable);
		fn(durable, arg);
		return;
	}
	d->fn = fn;
	d->arg = arg;
	want_commit(store);
	STAILQ_INSERT_TAIL(&store->waiting, d, next);
}

/* --- opening -------------------------------------------------------------- */

const char *
store_error(const struct store *store)
{
	return store->error;
}

uint64_t
store_commits(const struct store *store)
{
	return store->commits;
}

uint64_t
store_failures(const struct store *store)
{
	return store->failures;
}

const struct histogram *
store_commit_times(const struct store *store)
{
	return &store->commit_times;
}

static int
pragma_int(struct store *store, const char *pragma)
{
	sqlite3_stmt *statement;
	int value = -1;

	if (sqlite3_prepare_v2(store->db, pragma, -1, &statement, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return value;
}

int
store_schema_version(const struct store *store)
{
	return pragma_int((struct store *)store, "PRAGMA user_version");
}

int64_t
store_size_bytes(struct store *store)
{
	return (int64_t)pragma_int(store, "PRAGMA page_count") * pragma_int(store, "PRAGMA page_size");
}

static bool
configure(struct store *store)
{
	static const char pragmas[] =
	    "PRAGMA locking_mode = EXCLUSIVE;"
	    "PRAGMA journal_mode = WAL;"
	    "PRAGMA synchronous = FULL;"
	    "PRAGMA foreign_keys = ON;"
	    /* else what a savepoint would need to roll back goes to a file */
	    "PRAGMA temp_store = MEMORY;"
	    "PRAGMA trusted_schema = OFF;"
	    "PRAGMA cache_size = -1024;"
	    "PRAGMA journal_size_limit = 4194304;"
	    "PRAGMA secure_delete = ON;"
	    /* a lock is only taken when something is read or written */
	    "BEGIN EXCLUSIVE; COMMIT;";

	return sqlite3_exec(store->db, pragmas, NULL, NULL, NULL) == SQLITE_OK;
}

/* SQLite makes files 0644: this one holds sealed keys, and ours alone. And what it
 * cannot write it would open for reading. */
static bool
open_file(struct store *store, const char *path, char *why, size_t why_size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd == -1) {
		snprintf(why, why_size, "%s: %s", strerror(errno), store_remedy(errno == EROFS ? SQLITE_READONLY : SQLITE_CANTOPEN, errno));
		return false;
	}
	close(fd);
	return sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)
	    == SQLITE_OK;
}

struct store *
store_open(struct event_base *base, const char *path, char **error)
{
	struct store *store = calloc(1, sizeof *store);
	char why[STORE_ERROR_MAX] = "";

	if (store == NULL || (store->path = strdup(path)) == NULL)
		goto no_memory;
	store->base = base;
	STAILQ_INIT(&store->waiting);
	store->commit = event_new(base, -1, 0, on_commit, store);
	if (store->commit == NULL || !store_trouble_init(store))
		goto no_memory;
	if (open_file(store, path, why, sizeof why) && configure(store) && store_look_through(store, why, sizeof why) &&
	    store_migrate(store, store_schema_latest, why, sizeof why) && read_last_event(store)) {
		store_watch_wal(store);
		store_remove_copies(path); /* we alone have the store: nobody makes one now */
		return store;
	}
	if (why[0] == '\0' && store->db != NULL)
		store_describe(store, "", why, sizeof why);
	if (why[0] == '\0')
		snprintf(why, sizeof why, "%s", sqlite3_errstr(SQLITE_NOMEM));
	if (asprintf(error, "store %s: %s", path, why) == -1)
		*error = NULL;
	store_close(store);
	return NULL;
no_memory:
	*error = strdup("out of memory");
	store_close(store);
	return NULL;
}

bool
store_take_key(struct store *store, const char *fingerprint, char *why, size_t why_size)
{
	sqlite3_stmt *row;
	bool matches = false;
	int got;

	if (!store_enter(store) || store_leave(store, store_run(store, SQL_ADD_KEY, NULL, "t", fingerprint)) != STORE_OK) {
		snprintf(why, why_size, "store %s: %s", store->path, store_error(store));
		return false;
	}
	row = store_bind(store, SQL_GET_KEY, "");
	got = row != NULL ? store_row(store, row) : -1;
	if (got != 1) {
		snprintf(why, why_size, "store %s: %s", store->path, store_error(store));
	} else {
		const char *bound = (const char *)sqlite3_column_text(row, 0);
		matches = strcmp(bound, fingerprint) == 0;
		snprintf(why, why_size, "store %s: it was sealed with the key %s, and key-file holds the key %s: "
		    "name the key that belongs to it", store->path, bound, fingerprint);
	}
	store_done(row);
	return matches;
}

void
store_flush(struct store *store)
{
	/* what was waiting for a turn may write another */
	while (store->open)
		end_turn(store);
}

void
store_close(struct store *store)
{
	if (store == NULL)
		return;
	store_flush(store);
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	if (store->commit != NULL)
		event_free(store->commit);
	if (store->probe != NULL)
		event_free(store->probe);
	free(store->path);
	free(store);
}
