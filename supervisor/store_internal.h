/* What the store's files share: the connection, its statements, the turn. */
#ifndef SUPERVISOR_STORE_INTERNAL_H
#define SUPERVISOR_STORE_INTERNAL_H

#include <bsd/sys/queue.h>
#include <sqlite3.h>

#include "supervisor/store.h"

/* Every statement, prepared on first use and kept. The texts are in store_sql.c. */
enum sql {
	SQL_BEGIN, SQL_COMMIT, SQL_SAVEPOINT, SQL_RELEASE, SQL_ROLLBACK_TO,
	SQL_ADD_KEY, SQL_GET_KEY, SQL_TOUCH,
	SQL_ADD_ESCROW, SQL_ADD_ATTEMPT, SQL_ADD_PARTICIPANT, SQL_SET_ESCROW_ATTEMPT,
	SQL_GET_ESCROW, SQL_GET_PARTICIPANTS, SQL_GET_COMPLETED, SQL_GET_INFOS, SQL_GET_FAILURES,
	SQL_GET_SEQ, SQL_LIST, SQL_LIST_PHASE, SQL_UNFINISHED, SQL_NEXT_UNVERIFIED, SQL_COUNT_PHASES,
	SQL_CHANGE_PHASE, SQL_SET_STARTED, SQL_SET_ENDPOINT, SQL_SET_READY, SQL_SET_SEED,
	SQL_SET_FAILED, SQL_SET_VERIFIED, SQL_SET_NOT_VERIFIED,
	SQL_ADD_INTENT, SQL_SET_PASSWORD, SQL_ADD_RESULT, SQL_SET_KEYS, SQL_ADD_MESSAGE, SQL_FIND_MESSAGE,
	SQL_GET_WALLETS, SQL_EACH_SEALED,
	SQL_GET_STEPS, SQL_GET_KEYS, SQL_GET_MESSAGES, SQL_INTEND_AGAIN, SQL_DROP_INTENTS, SQL_MOVE_ENDPOINT,
	SQL_RETIRE_WALLET, SQL_RETIRE_SPARE, SQL_RETIRE_WALLETS, SQL_SET_RESTORED, SQL_SET_PASSWORD_AGAIN,
	SQL_EACH_RETIRED, SQL_DROP_RETIRED, SQL_KEEP_RETIRED,
	SQL_DUE_RETIRED, SQL_GET_COPIES, SQL_SET_REPAIRED, SQL_SET_DOUBTED, SQL_SET_NOT_REPAIRED, SQL_SET_VERIFIED_ANEW, SQL_SET_COPIES,
	SQL_KNOW_WALLET, SQL_KNOW_ATTEMPT,
	SQL_GET_SPARE, SQL_DROP_SPARE, SQL_ADD_SPARE, SQL_FINISH_SPARE, SQL_TAKE_SPARE, SQL_EACH_SPARE,
	SQL_ADD_EVENT, SQL_EACH_EVENT, SQL_EACH_ESCROW_EVENT, SQL_PRUNE_EVENTS, SQL_LAST_EVENT,
	SQL_COUNT
};

struct durable {
	STAILQ_ENTRY(durable) next;
	store_durable_fn fn;
	void *arg;
};
STAILQ_HEAD(durable_list, durable);

enum { STORE_ERROR_MAX = 384 };

/* That it cannot be written, or is damaged (store_trouble.c). */
struct store_trouble {
	int64_t since;               /* wall, ms; 0: there is none */
	int64_t failed_ms;           /* monotonic: the last failure */
	bool written;                /* something was committed after it */
	int code;                    /* SQLite's, of that failure */
	char error[STORE_ERROR_MAX];
	int64_t said_ms;             /* monotonic: when it was last in the log */
	int said_code;
	bool said;
};

struct store {
	sqlite3 *db;
	struct event_base *base;
	sqlite3_stmt *statements[SQL_COUNT];
	struct event *commit;        /* made active by the first write of a turn that does not wait */
	bool open;                   /* a transaction is open */
	bool patient;                /* what is written now may wait for its commit */
	bool broken;                 /* something in it failed: it can only be rolled back */
	struct durable_list waiting;
	void (*listener)(void *arg);
	void *listener_arg;
	char error[STORE_ERROR_MAX];
	int code;                    /* SQLite's, that goes with it */
	struct store_trouble trouble;
	struct event *probe;
	uint64_t failures;           /* turns that could not begin or be committed, and damage found */
	int64_t last_event;          /* highest seq given out */
	int64_t prune_at;            /* when last_event gets there, old events go */
	uint64_t commits;
	struct histogram commit_times;
	char *path;
};

/* Prepares (once) and binds by the letters of types: t text or NULL, i int
 * (64 bit: int64_t), b blob (pointer, size_t) or NULL. NULL when it failed:
 * the turn is then broken. Reset it with store_done(). */
sqlite3_stmt *store_bind(struct store *store, enum sql id, const char *types, ...);
void store_done(sqlite3_stmt *statement);

/* Runs one that returns no rows. STORE_CONFLICT on a constraint (turn not
 * broken). *changed, unless NULL, gets the number of rows. */
enum store_result store_run(struct store *store, enum sql id, int *changed, const char *types, ...);

/* Of a change that must hit exactly one row, which *changed says: else STORE_CONFLICT. */
enum store_result store_one_row(enum store_result result, const int *changed);

/* Next row of a bound statement: 1, 0 at the end, -1 failed (turn broken). */
int store_row(struct store *store, sqlite3_stmt *statement);

/* Notes what SQLite says and breaks the turn. Always STORE_FAILED. */
enum store_result store_fail(struct store *store, const char *what);

/* What SQLite says last, with what was being done, the system's words and what
 * helps. remedy: NULL when there is none to give. */
void store_describe(struct store *store, const char *what, char *out, size_t size);
const char *store_remedy(int extended_code, int system_error);
/* store->error is of a write that failed, or of damage. */
void store_note_failure(struct store *store);

/* It was found damaged: nothing is written to it any more, until a restart. */
bool store_is_damaged(const struct store *store);
bool store_trouble_init(struct store *store);
/* Puts the WAL into the file now and then, and tells when that fails. */
void store_watch_wal(struct store *store);
/* Looks for damaged pages, for two seconds at most. False: why, or SQLite, says it. */
bool store_look_through(struct store *store, char *why, size_t why_size);

/* Ends the turn, if one is open, with the turn of the loop. */
void store_hurry(struct store *store);

/* Column as a string from malloc, or NULL. */
char *store_column_text(sqlite3_stmt *statement, int column);
/* As bytes from malloc, or NULL: there are none. */
void *store_column_blob(sqlite3_stmt *statement, int column, size_t *size);

/* Removes copies of the store at path that a SIGKILL left behind. */
void store_remove_copies(const char *path);

/* Brings the schema up to this version (tests: to an older one than the
 * latest), or says why not. */
bool store_migrate(struct store *store, int wanted, char *why, size_t why_size);
extern const int store_schema_latest;

#endif
