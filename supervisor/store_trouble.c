/*
 * A store that cannot be written or is damaged: what SQLite's words mean and
 * what helps, since when it lasts, and its end. What cannot be written is not
 * acknowledged, and to a store that is damaged nothing is written any more (store.c
 * sees to that); here it is told: in the log, once a minute, and to
 * whoever asks with store_trouble().
 *
 * It is tried once a second whether the store can be written again: nobody else
 * may want to write. That also overwrites what a commit whose fsync failed has
 * left in the WAL, which after a crash would count as committed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/store_internal.h"

enum {
	PROBE_SECONDS = 1,
	CALM_MS = 2000,       /* without a failure until it is over: small writes may fit where large do not */
	SAY_AGAIN_MS = 60000,
#ifdef MSIGD_FAULTS
	WAL_FRAMES = 50,      /* so that one escrow fills it */
#else
	WAL_FRAMES = 1000,    /* as SQLite has it, 4 MB: then they are copied into the file */
#endif
	LOOK_MS = 2000,       /* for a look through the store at the start */
	LOOK_STEPS = 10000    /* of SQLite's machine, between two looks at the clock */
};

/* --- words ------------------------------------------------------------------ */

static bool
is_no_room(int code, int error)
{
	return code == SQLITE_FULL || error == ENOSPC || error == EDQUOT;
}

const char *
store_remedy(int extended_code, int error)
{
	int code = extended_code & 0xff;

	if (is_no_room(code, error))
		return "make room on the file system of the store";
	switch (code) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "another process has it open; one msigd alone uses a store: stop the other one";
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return "it cannot be opened or made: look at the folder, its permissions and the file system";
	case SQLITE_READONLY:
		return "it can only be read: look at its permissions and the file system";
	case SQLITE_IOERR:
		return "look at the disk and the kernel's log; if it is failing, take a backup to another one and go on from that";
	case SQLITE_NOTADB:
		return "it is no SQLite database: restore it from a backup, or move it away to begin an empty one";
	case SQLITE_CORRUPT:
		return "it is damaged: stop msigd, keep a copy of the file, and restore it from a backup";
	default:
		return NULL;
	}
}

void
store_describe(struct store *store, const char *what, char *out, size_t size)
{
	int code = sqlite3_extended_errcode(store->db), error = sqlite3_system_errno(store->db);
	bool system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
	const char *remedy;

	if (!system)
		error = 0; /* of an earlier failure */
	remedy = store_remedy(code, error);
	snprintf(out, size, "%s%s%s%s%s%s%s", what, what[0] != '\0' ? ": " : "", sqlite3_errmsg(store->db),
	    error != 0 ? ": " : "", error != 0 ? strerror(error) : "", remedy != NULL ? ": " : "",
	    remedy != NULL ? remedy : "");
}

/* --- its beginning and end ---------------------------------------------------- */

static void
probe_later(struct store *store)
{
	static const struct timeval later = {PROBE_SECONDS, 0};

	event_add(store->probe, &later);
}

static void
say(struct store *store)
{
	struct store_trouble *t = &store->trouble;
	int64_t now = clock_monotonic_ms();

	if (t->said_ms != 0 && now - t->said_ms < SAY_AGAIN_MS && t->said_code == t->code)
		return;
	t->said_ms = now;
	t->said_code = t->code;
	t->said = true;
	log_error("store_failed", F_STR("store", store->path), F_STR("error", t->error), F_INT("failures", store->failures));
}

bool
store_is_damaged(const struct store *store)
{
	return store->trouble.code == SQLITE_CORRUPT || store->trouble.code == SQLITE_NOTADB;
}

void
store_note_failure(struct store *store)
{
	static const struct timeval at_once = {0, 0};
	struct store_trouble *t = &store->trouble;

	store->failures++;
	t->failed_ms = clock_monotonic_ms();
	t->written = false;
	if (t->since == 0) {
		t->since = clock_wall_ms();
		event_add(store->probe, &at_once);
	}
	if (!store_is_damaged(store)) {
		t->code = store->code;
		snprintf(t->error, sizeof t->error, "%s", store->error);
	}
	say(store);
}

static void
end_trouble(struct store *store)
{
	struct store_trouble *t = &store->trouble;

	if (t->said)
		log_info("store_works_again", F_STR("store", store->path), F_INT("failed_ms", clock_wall_ms() - t->since));
	t->said = false;
	t->since = 0;
	t->code = 0;
}

/* Any write would do; this one changes nothing. */
static void
on_probe(evutil_socket_t fd, short what, void *arg)
{
	struct store *store = arg;
	struct store_trouble *t = &store->trouble;

	(void)fd;
	(void)what;
	if (store_is_damaged(store))
		return; /* until a restart: that something can be written does not mend it */
	if (t->written && clock_monotonic_ms() - t->failed_ms >= CALM_MS) {
		end_trouble(store);
		return;
	}
	if (!t->written && store_enter(store))
		store_leave(store, store_run(store, SQL_TOUCH, NULL, ""));
	probe_later(store);
}

const char *
store_trouble(const struct store *store, int64_t *since)
{
	*since = store->trouble.since;
	return store->trouble.since != 0 ? store->trouble.error : NULL;
}

bool
store_trouble_init(struct store *store)
{
	store->probe = evtimer_new(store->base, on_probe, store);
	return store->probe != NULL;
}

/* --- the WAL that does not go into the file ------------------------------------ */

/* A commit is as durable as ever; but the WAL grows until it can be copied. */
static int
on_wal(void *arg, sqlite3 *db, const char *name, int frames)
{
	static int64_t said_ms;
	struct store *store = arg;
	int64_t now;
	char why[STORE_ERROR_MAX];
	int code;

	if (frames < WAL_FRAMES)
		return SQLITE_OK;
	code = sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (code == SQLITE_OK || code == SQLITE_BUSY)
		return SQLITE_OK;
	now = clock_monotonic_ms();
	if (said_ms == 0 || now - said_ms >= SAY_AGAIN_MS) {
		said_ms = now;
		store_describe(store, "", why, sizeof why);
		log_error("store_not_checkpointed", F_STR("store", store->path), F_STR("error", why),
		    F_INT("wal_frames", frames));
	}
	return SQLITE_OK;
}

void
store_watch_wal(struct store *store)
{
	sqlite3_wal_hook(store->db, on_wal, store);
}

/* --- a look through it ----------------------------------------------------------- */

static int
is_time_over(void *until)
{
	return clock_monotonic_ms() >= *(int64_t *)until;
}

bool
store_look_through(struct store *store, char *why, size_t why_size)
{
	int64_t until = clock_monotonic_ms() + LOOK_MS;
	sqlite3_stmt *row = NULL;
	bool sound = true;
	int code;

	sqlite3_progress_handler(store->db, LOOK_STEPS, is_time_over, &until);
	code = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &row, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(row);
	if (code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(row, 0), "ok") != 0) {
		snprintf(why, why_size, "%s (%.150s)", store_remedy(SQLITE_CORRUPT, 0), (const char *)sqlite3_column_text(row, 0));
		sound = false;
	} else if (code != SQLITE_ROW && code != SQLITE_INTERRUPT) {
		sound = false;
	}
	sqlite3_finalize(row);
	sqlite3_progress_handler(store->db, 0, NULL, NULL);
	return sound;
}
