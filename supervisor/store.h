/*
 * The store: what msigd knows, in one SQLite file that this process alone
 * uses. Changes made during one turn share a transaction and an fsync. A turn
 * ends with the turn of the event loop, or a few of them later
 * (store_be_patient()). What a caller wants to do once they are on disk
 * (acknowledge, answer, publish, schedule) it hands to store_when_durable(). So
 * nothing is said or done before it is persistent, and reads within the turn that
 * see what is not yet committed are answered after it too.
 *
 * When a write or the commit fails (a full disk, say) the whole turn is rolled
 * back, each store_when_durable() callback gets false, and the next turn
 * starts afresh.
 *
 * Sealed things go in and out as they are: the store does not read them.
 * Times are milliseconds since the epoch. Text handed out in records belongs
 * to the record.
 */
#ifndef SUPERVISOR_STORE_H
#define SUPERVISOR_STORE_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/histogram.h"
#include "common/phase.h"
#include "common/role.h"
#include "common/uuid.h"
#include "ipc/message.h"

struct store;

enum store_result {
	STORE_OK,
	STORE_NOT_FOUND,
	STORE_CONFLICT, /* a guard did not hold: someone was there first, or it may not be */
	STORE_FAILED    /* SQLite said no; store_error() has the words */
};

enum { STORE_REASON_MAX = 512, STORE_LABEL_MAX = 256 };

/* Opens or makes the file, takes the exclusive lock, migrates. NULL: *error
 * (from malloc) says what is wrong and what to do. */
struct store *store_open(struct event_base *base, const char *path, char **error);
/* Ends the turn now. Only while msigd ends: elsewhere the loop does it. */
void store_flush(struct store *store);
/* Commits what is open. */
void store_close(struct store *store);

/* The last failure, in SQLite's words, with what helps. */
const char *store_error(const struct store *store);

/* What is wrong with the store now, as store_error(), and since when (wall, ms);
 * NULL: nothing. It can be written again when something was, and nothing failed
 * for two seconds; damage stays until a restart. */
const char *store_trouble(const struct store *store, int64_t *since);
int store_schema_version(const struct store *store);

/* Binds a new store to the master key with this fingerprint, and looks whether
 * an older one is bound to it. False: why says that it is not, or what failed. */
bool store_take_key(struct store *store, const char *fingerprint, char *why, size_t why_size);

int64_t store_size_bytes(struct store *store);

/* Calls fn when everything written so far is on disk (true) or was rolled back
 * (false); at once, with true, when nothing is open. */
typedef void (*store_durable_fn)(bool durable, void *arg);
void store_when_durable(struct store *store, store_durable_fn fn, void *arg);

/* What is written from here on until impatience again, nobody waits for: it need
 * not be committed at the end of this turn, but may wait for up to
 * STORE_PATIENCE_MS for something to be committed with. The turn stays open
 * meanwhile: whatever else writes, or calls store_when_durable(), ends it as
 * always. A crash loses no more than one before the write would have. */
enum { STORE_PATIENCE_MS = 200 };
void store_be_patient(struct store *store, bool patient);

/* Whether something is written that is not on disk yet. */
bool store_turn_open(const struct store *store);

/* fn is called after every turn that was committed. */
void store_on_commit(struct store *store, void (*fn)(void *arg), void *arg);

/* Around several writes that belong together: all of them happen or none.
 * store_enter() false: the turn is broken. store_leave() undoes what came
 * since the matching store_enter() unless result is STORE_OK; returns what
 * became of it. They nest. */
bool store_enter(struct store *store);
enum store_result store_leave(struct store *store, enum store_result result);

/* Totals for metrics: commits so far; failures; how long each took. */
uint64_t store_commits(const struct store *store);
uint64_t store_failures(const struct store *store);
extern const struct histogram_bounds store_commit_bounds;
const struct histogram *store_commit_times(const struct store *store);

/* --- escrows and their attempts ------------------------------------------ */

struct store_new_escrow {
	const char *escrow_id;
	const char *label;     /* "" for none */
	const char *metadata;  /* a JSON object with sorted keys, compact */
	unsigned external;     /* ROLE_BIT()s */
	bool trace;
	enum network network;
	int64_t now;
};

/* STORE_OK: made, with attempt 1 in NotStarted. STORE_CONFLICT: the id is
 * there; *same tells whether with the same options. */
enum store_result store_add_escrow(struct store *store, const struct store_new_escrow *escrow, bool *same);

struct store_participant {
	bool external;
	char *endpoint;   /* name, or NULL before a lease */
	char *wallet;     /* file name, or NULL */
	char *stamp;      /* or NULL */
	json_t *completed; /* array of strings: "create", "prepare", "make", "exchange", … */
};

struct store_escrow {
	int64_t seq;
	char escrow_id[UUID_TEXT];
	char *label, *metadata;
	unsigned external;
	bool trace;
	enum network network;
	int64_t created_at;
	int attempt;
	enum phase phase;
	int round;        /* kex round while Exchanging, else 0 */
	int revision;     /* of the attempt; guards its changes */
	int failures;     /* earlier attempts that count against max-attempts */
	char *cause, *reason, *address; /* or NULL */
	int64_t started_at, finalized_at, failed_at, verified_at; /* 0: not (yet) */
	int64_t not_verified_at;  /* the last look at its wallets, if they were not good; else 0 */
	char *not_verified_reason; /* or NULL */
	struct store_participant participants[ROLE_COUNT];
	json_t *failed;   /* every attempt that failed: [{"attempt": 1, "cause": "…", "reason": "…", "failed_at": ms}] */
	json_t *infos;    /* of `round`: {"buyer": {"length": 236, "sha256": "…"}} */
};

/* Reads and validates one: three roles, a possible phase with what belongs to
 * it. STORE_FAILED when the row makes no sense, with the reason in store_error(). */
enum store_result store_get_escrow(struct store *store, const char *escrow_id, struct store_escrow *escrow);
void store_escrow_clear(struct store_escrow *escrow);

/* The ids of the escrows, oldest first, after the given one (or NULL), in the
 * phase (or PHASE_COUNT: any): at most limit. STORE_NOT_FOUND: no such `after`. */
enum store_result store_list_escrows(struct store *store, enum phase phase, const char *after,
    int limit, char (*ids)[UUID_TEXT], int *count);

/* Calls fn for the id of every escrow whose last attempt is not terminal, oldest first. */
typedef void (*store_id_fn)(const char *escrow_id, void *arg);
enum store_result store_each_unfinished(struct store *store, store_id_fn fn, void *arg);

/* The next one that is Ready and was not verified, in the order of ids, or
 * STORE_NOT_FOUND. escrow_id goes in as the one before, "" for none, and comes
 * out as this one. Costs the same however many there are. */
enum store_result store_next_unverified(struct store *store, char escrow_id[UUID_TEXT]);

/* How many escrows are in each phase. */
enum store_result store_count_phases(struct store *store, int64_t counts[PHASE_COUNT]);

/* What a change of an attempt was based on, and goes up with it. */
struct store_guard {
	const char *escrow_id;
	int attempt;
	enum phase phase;
	int round;
	int revision;
};

/* NotStarted to Preparing, with endpoint and wallet of each managed role. */
enum store_result store_start_attempt(struct store *store, struct store_guard *guard,
    const char *endpoints[ROLE_COUNT], const char *wallets[ROLE_COUNT], int64_t now);

/* To Exchanging, or there from one kex round to the next. */
enum store_result store_start_round(struct store *store, struct store_guard *guard, int round);

struct store_publication {
	const char *address;
	struct {
		const void *seed;        /* sealed; NULL: an external party */
		size_t seed_size;
	} roles[ROLE_COUNT];
	bool verified;                   /* gate = reopen has proven the files already */
	int64_t now;
};

/* To Ready: address and seeds in one; the .keys are there since the result of
 * the last kex round, and do not change after it. STORE_CONFLICT also when
 * another escrow has this address. */
enum store_result store_publish(struct store *store, struct store_guard *guard,
    const struct store_publication *publication);

/* To Failed. With next, the escrow's next attempt is made in the same
 * transaction, and `guard` is then of that one; it counts against max-attempts
 * if `counts`. */
enum store_result store_fail_attempt(struct store *store, struct store_guard *guard,
    enum failure_cause cause, const char *reason, bool next, bool counts, int64_t now);

/* The next attempt of one whose last has Failed; the count starts again. */
enum store_result store_retry(struct store *store, const char *escrow_id, int *attempt);

/* Its wallets were opened from disk and are good (reason NULL), or are not.
 * The last word counts, but nothing takes back that they were good once.
 * STORE_CONFLICT: it is not Ready, or is verified. */
enum store_result store_set_verified(struct store *store, const char *escrow_id, int attempt, const char *reason,
    int64_t now);

/* --- the journal: intents, results, round messages ------------------------ */

struct store_intent {
	const char *escrow_id;
	int attempt;
	enum role role;
	int round;
	const char *call;
	const char *wallet, *stamp;  /* with create_wallet, else NULL */
	const void *password;        /* sealed; likewise */
	size_t password_size;
	int64_t now;
};

/* STORE_CONFLICT: that step was intended before. */
enum store_result store_add_intent(struct store *store, const struct store_intent *intent);

struct store_step_result {
	const char *escrow_id;
	int attempt;
	enum role role;
	int round;
	const char *call;
	int64_t duration_ms;
	const void *keys;            /* sealed, takes the place of an earlier round's; or NULL */
	size_t keys_size;
	const char *keys_sha256;     /* of the file, 64 hexadecimal digits; or NULL */
	const void *message;         /* sealed, or NULL */
	size_t message_size;
	int message_length;          /* of the message itself, bytes */
	const char *message_sha256;  /* 64 hexadecimal digits */
	int64_t now;
};

/* STORE_CONFLICT: no such intent is open, or that message was seen before. */
enum store_result store_add_result(struct store *store, const struct store_step_result *result);
/* In which escrow and attempt the message with this SHA-256 was said; STORE_CONFLICT:
 * in none. */
enum store_result store_find_message(struct store *store, const char *sha256, char escrow_id[UUID_TEXT], int *attempt);

/* What opening the wallets of an attempt needs. */
struct store_wallet {
	char *endpoint, *wallet, *stamp; /* NULL: not created */
	void *password;                  /* sealed */
	size_t password_size;
};
enum store_result store_get_wallets(struct store *store, const char *escrow_id, int attempt,
    struct store_wallet wallets[ROLE_COUNT]);
void store_wallets_clear(struct store_wallet wallets[ROLE_COUNT]);

/* --- going on with an attempt (store_recovery.c) ----------------------------- */

enum { STORE_JOURNAL_MESSAGES = 2 };

/* How far a role is. Rounds are those of the calls (ipc/message.h); -1: none. */
struct store_journal {
	int done;                        /* the last with a result */
	int intent;                      /* intended and not answered */
	void *keys;                      /* sealed, or NULL */
	size_t keys_size;
	int keys_round;
	struct {
		int round;
		void *sealed;            /* NULL: it has not said it, or there was none */
		size_t size;
	} messages[STORE_JOURNAL_MESSAGES]; /* of the last round that all have done, and the next */
};
enum store_result store_get_journal(struct store *store, const char *escrow_id, int attempt,
    struct store_journal journals[ROLE_COUNT]);
void store_journal_clear(struct store_journal journals[ROLE_COUNT]);

/* An intent whose call has no answer is intended once more: the wallet was
 * looked at, and is as it was before. With create_wallet, for another wallet;
 * the one before goes to the attic. STORE_CONFLICT: none is open. */
enum store_result store_intend_again(struct store *store, const struct store_intent *intent);

/* The committed .keys go under the name intent->wallet, with intent->stamp; the
 * wallet before goes to the attic, and what was intended with it is intended no
 * more. STORE_CONFLICT: there are none. */
enum store_result store_intend_restore(struct store *store, const struct store_intent *intent, const char *reason);

/* It goes on at these endpoints; NULL: not a managed role. */
enum store_result store_move(struct store *store, const char *escrow_id, int attempt,
    const char *endpoints[ROLE_COUNT]);

/* A wallet that no attempt uses any more, and whose files may be there still. */
struct store_retired {
	const char *wallet, *escrow_id, *endpoint /* or NULL */, *reason;
	int attempt;
	enum role role;
	int64_t retired_at;
	bool removable;                  /* no address can have been published with it */
	const char *keys_sha256;         /* of its .keys when they were on record, or NULL */
};
typedef void (*store_retired_fn)(const struct store_retired *retired, void *arg);
/* At most limit of them behind that wallet ("": from the first), by name: all of
 * them, or those that are removable and were retired by then. */
enum store_result store_each_retired(struct store *store, const char *after, int limit, store_retired_fn fn, void *arg);
enum store_result store_each_removable(struct store *store, const char *after, int limit, int64_t retired_by,
    store_retired_fn fn, void *arg);
enum store_result store_drop_retired(struct store *store, const char *wallet);
/* Its files are not as they are on record: it is never removed. */
enum store_result store_keep_retired(struct store *store, const char *wallet);

/* Whether a wallet is an attempt's, a spare, or in the attic; whether there is
 * such an attempt. True also when the store cannot be read. */
bool store_knows_wallet(struct store *store, const char *wallet);
bool store_knows_attempt(struct store *store, const char *escrow_id, int attempt);

/* --- repair (store_repair.c) ------------------------------------------------- */

/* What is kept of a wallet; NULL: that is not. Sealed. */
struct store_copies {
	void *keys, *seed;
	size_t keys_size, seed_size;
	int keys_round;
};
enum store_result store_get_copies(struct store *store, const char *escrow_id, int attempt, enum role role,
    struct store_copies *copies);
void store_copies_clear(struct store_copies *copies);
/* Puts those that are there in the place of what is on record, of a Ready escrow. */
enum store_result store_set_copies(struct store *store, const char *escrow_id, int attempt, enum role role,
    const struct store_copies *copies);

/* A wallet of a Ready escrow gets intent->wallet for its name, intent->stamp, and
 * that endpoint; that its wallets were verified is not so any more. reason: it has
 * another name than before, whose files go to the attic; NULL: it has not.
 * STORE_CONFLICT: the escrow is not Ready. */
enum store_result store_intend_repair(struct store *store, const struct store_intent *intent, const char *endpoint,
    const char *reason);

/* All its wallets were opened from disk and are good now, also if they were
 * before. STORE_CONFLICT: it is not Ready. */
enum store_result store_set_repaired(struct store *store, const char *escrow_id, int attempt, int64_t now);

/* What the store has of one of its wallets does not open: as if it had been found
 * so when they were verified, unless it was. reason: shorter than STORE_REASON_MAX. */
enum store_result store_set_not_repaired(struct store *store, const char *escrow_id, int attempt, const char *reason, int64_t now);

/* Every sealed thing of an attempt, for `check`. */
typedef void (*store_sealed_fn)(int attempt, enum role role, int round, const char *kind,
    const void *sealed, size_t size, void *arg);
enum store_result store_each_sealed(struct store *store, const char *escrow_id,
    store_sealed_fn fn, void *arg);

/* --- spare wallets --------------------------------------------------------- */

/* Made in advance on an endpoint that nobody waited for. address: the one it
 * was created with; NULL: it was not finished. */
struct store_spare {
	char spare_id[UUID_TEXT];
	char *wallet, *stamp, *address;
	void *password;              /* sealed, with the subkey of spare_id */
	size_t password_size;
};

/* That of an endpoint (name), or STORE_NOT_FOUND. */
enum store_result store_get_spare(struct store *store, const char *endpoint, struct store_spare *spare);
void store_spare_clear(struct store_spare *spare);

/* Puts one that is about to be made in the place of whatever the endpoint had. */
enum store_result store_add_spare(struct store *store, const char *endpoint, const struct store_spare *spare,
    int64_t now);
/* It was made. STORE_CONFLICT: there is no such one, or it was finished before. */
enum store_result store_finish_spare(struct store *store, const char *spare_id, const char *address);
/* The endpoint has none any more. */
enum store_result store_drop_spare(struct store *store, const char *endpoint);
/* An escrow gets it: from then on it is nobody's spare. STORE_CONFLICT: it is
 * not there any more, or not finished. */
enum store_result store_take_spare(struct store *store, const char *spare_id);

/* The sealed password of each, for `check`. */
typedef void (*store_spare_fn)(const char *spare_id, const char *wallet, const void *sealed, size_t size, void *arg);
enum store_result store_each_spare(struct store *store, store_spare_fn fn, void *arg);

/* --- events --------------------------------------------------------------- */

/* Adds one, seen by readers of /events once durable. Takes the reference to
 * data, whose fields go into the event beside seq, at, type and escrow_id. Data
 * that cannot be written (NULL: json_pack failed) is told to the log and costs
 * nothing else. */
enum store_result store_add_event(struct store *store, const char *escrow_id /* or NULL */,
    const char *type, json_t *data);

/* At most limit events with seq > since, of one escrow or (NULL) all: calls fn
 * with each as a line of JSON without its newline. */
typedef void (*store_event_fn)(int64_t seq, const char *line, void *arg);
enum store_result store_each_event(struct store *store, int64_t since, const char *escrow_id,
    int limit, store_event_fn fn, void *arg);
int64_t store_last_event(const struct store *store);

/* --- a consistent copy ---------------------------------------------------- */

struct store_copy;

/* fd: a file without a name that is one whole database, for whoever is told
 * to close; or -1 with what went wrong. Called once, and the copy is freed after it. */
typedef void (*store_copied_fn)(int fd, const char *error, void *arg);

/* Copies page by page, a few milliseconds at a time, on the file system of the
 * store. NULL: it could not begin, store_error() says why, fn is not called. */
struct store_copy *store_copy(struct store *store, store_copied_fn fn, void *arg);

/* Ends one that is under way, without calling fn; before store_close(). */
void store_copy_cancel(struct store_copy *copy);

#endif
