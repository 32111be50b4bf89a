/*
 * What every job of a worker shares: what the start frame said, the channel to
 * the supervisor, the parties with their endpoints and locks, reports and their
 * acks, and the one way a job ends. Frames are described in ipc/message.h.
 *
 * A job's calls are written as scripts: tables of calls on one wallet, run one
 * after the other by job_run_script(). So a sequence can be read in one place,
 * and each call is checked where it stands.
 */
#ifndef WORKER_JOB_H
#define WORKER_JOB_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/lock.h"
#include "common/role.h"
#include "common/seal.h"
#include "common/sha256.h"
#include "common/uuid.h"
#include "ipc/message.h"
#include "ipc/numbers.h"
#include "worker/wallet_rpc.h"

enum {
	PASSWORD_MAX = 65,        /* 32 random bytes in hexadecimal, and the NUL */
	STAMP_MAX = 256,
	ADDRESS_MAX = 128,
	KEYS_FILE_MAX = 12 * 1024, /* a .keys file is 2 to 3 KB; three have to fit a frame */
	LOCKS_MAX = ROLE_COUNT + 1,
	WALLET_CLIS = 2
};

struct job;
struct party;

/* A wallet that was made in advance. */
struct spare {
	char id[UUID_TEXT];       /* "": there is none */
	unsigned char subkey[SEAL_KEY_BYTES];
	char wallet[128];
	char stamp[STAMP_MAX];
	char password[PASSWORD_MAX];
	char address[ADDRESS_MAX];/* "": it was not finished */
	bool lost;                /* it is not what it should be, or not there */
	bool polluted;            /* it was made a multisig wallet */
	char why[RPC_WHY_MAX];    /* it is lost */
};

/* One call of a script. */
struct op {
	const char *method;
	json_t *(*params)(struct party *party);               /* NULL: none */
	/* Looks at the answer; false: it has ended the job, or done is to look at
	 * what it found. NULL: nothing to look at. */
	bool (*take)(struct party *party, json_t *result);
	/* Whether this party needs the call at all. NULL: always. */
	bool (*wanted)(struct party *party);
	/* The wallet-rpc answered with an error: true if that is as good as an answer.
	 * NULL: it never is, beside accepted_error. */
	bool (*refused)(struct party *party, const struct rpc_result *result);
	/* An error with this code is as good as an answer (take is not called). 0: none. */
	int accepted_error;
	/* The call the step is about: its time is the step's. */
	bool main;
	/* Of a snapshot: no error of it ends the job. It changes nothing, so an outcome
	 * that is not known is harmless; but then, and once the job is to stop, the
	 * script is over. */
	bool look;
};

/* A wait before the next call. */
struct delay {
	struct event *timer;      /* or NULL: it never had one */
	const char *kind;
	int64_t asked_ms, began_ms; /* began: monotonic */
	void (*then)(struct party *party);
};

/* How far a role was when its attempt was interrupted (JOURNAL in ipc/message.h). */
struct journal {
	bool given;
	int done, intent;         /* rounds; -1: none */
	unsigned char *keys;      /* the .keys of the wallet after done, secret; NULL: there are none */
	size_t keys_size;
	struct {
		int round;
		char *text;       /* secret, or NULL */
	} said[2];
};

struct party;
struct job;

/* Takes over a party's part of the start frame; json may be NULL. */
void journal_take(struct party *party, json_t *json);

/* The first party whose journal cannot be gone on with, and why; NULL: there is none. */
struct party *journal_incomplete(struct job *job, char *why, size_t size);

/* Wipes what is secret in it: it has been used. */
void journal_forget(struct journal *journal);

/* A wallet-rpc and the wallet in it that belongs to one role. */
struct party {
	struct job *job;
	enum role role;           /* ROLE_ANY in a tend job */
	char endpoint[64];        /* name */
	char url[256];
	char *wallet_dir;         /* "" when the files cannot be read */
	bool wallet_dir_sure;
	bool files_missed;        /* said already that they are not there */
	ino_t cache_file;         /* inode of the wallet's cache file between stamp and store; 0: not seen */
	struct rpc_endpoint *rpc;
	char wallet[128];
	char stamp[STAMP_MAX];
	char password[PASSWORD_MAX];
	char keys_sha256[SHA256_TEXT]; /* of the .keys that were read last, hexadecimal */
	char address[ADDRESS_MAX];
	struct journal journal;
	bool found_open;          /* tend: a wallet was open there */
	char found[200];          /* what wallet was open in the place of its own, for people, or "" */
	char found_escrow[UUID_TEXT]; /* of which escrow that is, or "" */
	bool unfit;               /* recovery, repair: the wallet cannot be gone on with */
	char why_unfit[RPC_WHY_MAX];
	struct spare spare;       /* the wallet it is to use, or that is on record (tend) */
	bool closed;              /* a wallet that was open there was closed */
	char *message;            /* its message of the round, secret, or NULL */
	char *previous;           /* of the round before, likewise: what it said and the others process now */
	char *seed;               /* secret, or NULL */
	json_t *is_multisig;      /* an answer not looked at yet, or NULL */
	bool ready;               /* is_multisig said so last */
	int round;                /* kex round of the step under way or done last */
	bool in_step;             /* the calls are those of the step of its round (for the trace) */
	int64_t called_us;        /* monotonic: when the call under way went out (likewise) */
	int64_t look_ends_ms;     /* monotonic: when the snapshot under way is over (likewise) */
	int64_t main_ms;          /* what the step's main call took */
	int64_t make_ms;          /* what make_multisig took */
	bool polluted;            /* its wallet was just found multisig before its make_multisig, or another in its place */
	bool reopened;            /* and was opened again for that */
	bool left;                /* a trial: files of its wallet may be there still */
	const struct op *op;      /* the script's call under way, or NULL */
	void (*done)(struct party *party);
	void (*called_off)(struct party *party); /* the script goes no further than the call under way: this is called instead */
	struct delay delay;
};

/* A repair: what the store has of the wallet, beside journal.keys and seed of its
 * party. */
struct copies {
	const char *no_keys, *no_seed; /* why there is none to be used */
	bool has_keys;                 /* there are .keys on record, good or not */
	int keys_round;                /* of the .keys */
	char *wallet_cli[WALLET_CLIS]; /* paths of monero-wallet-cli, to be tried in turn, or NULL */
};

struct job {
	struct event_base *base;
	struct channel *channel;
	struct rpc_client *rpc;
	struct numbers numbers;   /* what was counted since a frame last had it */
	int64_t generation;
	char name[16];            /* "setup", "session", "tend", "check", "repair", "attic", "trial" */
	char escrow_id[UUID_TEXT];/* or "" */
	int attempt;
	enum network network;
	bool reopen;              /* gate = reopen */
	bool trace;               /* its escrow is traced: see trace.h */
	int64_t stagger_ms;
	int64_t pollution_ms;     /* -1: a polluted wallet is a failure at once */
	int64_t deadline_ms;      /* monotonic */
	int64_t began_ms;
	struct event *deadline;
	unsigned char subkey[SEAL_KEY_BYTES];
	char *lock_dir;
	char address[ADDRESS_MAX];/* check, session, repair: what the wallets must have */
	struct copies copies;     /* repair */
	char new_spare_id[UUID_TEXT]; /* tend: of the one that is to be made; "": none is */
	unsigned char new_spare_subkey[SEAL_KEY_BYTES];
	struct party parties[ROLE_COUNT];
	int party_count;
	struct lock locks[LOCKS_MAX];
	int lock_count;
	struct event *lock_retry;
	json_int_t serial;        /* of the last report */
	json_int_t acked_serial;  /* of the last ack */
	int unacked;
	bool stopping;            /* no new step */
	bool keep;                /* the ack of publish said: go on as the escrow's session */
	bool published;           /* the address is committed: nothing can fail any more */
	bool serving;             /* a session: waits for requests */
	bool ended;               /* finished was sent: nothing happens any more */
	bool unclean;             /* after publication something went wrong: a wallet may still be open */
	int exit_status;
	void (*begin)(struct job *job);   /* the locks are held */
	void (*acked)(struct job *job, json_int_t serial); /* NULL: it reports nothing */
	void (*stop)(struct job *job);    /* a stop was asked for */
	void (*ready)(struct job *job);   /* setup, trial: all three wallets say so */
	/* Before the job ends it puts away what it made, and calls job_end(). over:
	 * the time for that is over. NULL: there is nothing to put away. */
	void (*tidy)(struct job *job, bool over);
	bool tidying;             /* it will end so: nothing but tidy goes on */
	const char *outcome;
	json_t *outcome_fields;
};

/* --- life (job.c) --------------------------------------------------------- */

/* Takes over what a start frame says. False: why says what is wrong with it. */
bool job_init(struct job *job, json_t *start, const char **why);
/* Wipes and frees. */
void job_clear(struct job *job);
/* The same of one text from malloc, or NULL. */
void wipe_text(char **text);

/* Takes the locks, then calls job->begin. */
void job_take_locks(struct job *job);

/* Sends a report or publish (without serial and type); takes the reference.
 * Returns its serial; job->acked is called with it. */
json_int_t job_report(struct job *job, enum message_type type, json_t *frame);

/* Ends the job, once it has put away what it made. fields (reference taken, may
 * be NULL) go into finished. Nothing has an effect after it. */
void job_finish(struct job *job, const char *outcome, json_t *fields);
/* The same, from tidy: all is put away, or never will be. */
void job_end(struct job *job);

/* Ends it as failed. party or call may be NULL. The reason becomes
 * "buyer: make_multisig on http://…: TEXT". Once the address is published, or
 * while it puts away, this is a warning in the log, and the job goes on. */
void job_fail(struct job *job, struct party *party, const char *call, enum failure_cause cause, bool fatal,
    const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Ends it without a word, with this status (enum worker_exit). */
void job_leave(struct job *job, int exit_status);

/* A stop was asked for and nothing is under way: ends as stopped, true. */
bool job_stop_if_idle(struct job *job);

/* Sends any other frame. False: it does not fit, or out of memory. */
bool job_send(struct job *job, enum message_type type, json_t *frame);

/* Calls then after so long, and notes how long it was; after 0 at once. Not if
 * the job is to end meanwhile. */
void job_delay(struct party *party, const char *kind, int64_t ms, void (*then)(struct party *party));

/* The time that is left to it, from now; 0: as much as it likes. */
void job_limit(struct job *job, int64_t ms);

/* --- spares (spare.c) ------------------------------------------------------ */

/* Proves that the spare is the wallet that is open, as it was created; changes
 * nothing, closes what is no spare, and calls done: party->spare.lost tells. */
void spare_prove(struct party *party, void (*done)(struct party *party));
/* The same, after opening it from disk. */
void spare_open(struct party *party, void (*done)(struct party *party));
/* {polluted, reason} of one that is lost. */
json_t *spare_lost_json(const struct spare *spare);

/* --- wallets (wallet.c) --------------------------------------------------- */

/* Runs a script (ends with method NULL) on the party's endpoint, then calls
 * done; a failure ends the job. */
void job_run_script(struct party *party, const struct op *script, void (*done)(struct party *party));

/* Pieces of scripts. */
json_t *params_stamp_key(struct party *party);     /* get_attribute */
bool take_stamp(struct party *party, json_t *result);
/* Before make_multisig: is_multisig with the first, then get_attribute with
 * take_stamp_not_polluted(), so that the stamp is proven last and another wallet
 * is reported as what it is. */
bool take_multisig_later(struct party *party, json_t *result);

bool take_not_multisig(struct party *party, json_t *result);
bool take_multisig(struct party *party, json_t *result);  /* 2 of 3; sets ready */
bool take_ready(struct party *party, json_t *result);     /* 2 of 3 and ready */
json_t *params_account(struct party *party);       /* get_address */
bool take_address(struct party *party, json_t *result);
bool take_right_address(struct party *party, json_t *result); /* the one that the job was told */
json_t *params_stamp(struct party *party);         /* set_attribute */
json_t *params_prepare(struct party *party);       /* prepare_multisig */
json_t *params_address(struct party *party);       /* validate_address */
bool take_validity(struct party *party, json_t *result);
json_t *params_mnemonic(struct party *party);      /* query_key */
bool take_seed(struct party *party, json_t *result);
json_t *params_open(struct party *party);          /* open_wallet */
json_t *params_no_save(struct party *party);       /* close_wallet */
json_t *params_same_password(struct party *party); /* change_wallet_password: the wallet that is open knows it */
bool take_closed(struct party *party, json_t *result);

/* Of a wallet that is looked at: it cannot be gone on with, and why. Both return
 * true, so that the script goes on to those calls that want no fit one. That no
 * wallet is open any more tells nothing of the wallet (the wallet-rpc was
 * restarted between two calls): refused_unfit() leaves that a failure. */
bool wallet_unfit(struct party *party, const char *why);
bool refused_unfit(struct party *party, const struct rpc_result *refused);
bool wallet_is_fit(struct party *party);           /* .wanted */

/* A name that no wallet has had, for another wallet of the same role, into
 * party->wallet. */
void wallet_new_name(struct party *party);

/* A new wallet's password, into party->password; sealed, as base64 from malloc,
 * or NULL when out of memory. And what makes a stamp the only one of its kind. */
enum { NONCE_TEXT = 33 };
char *wallet_new_password(struct party *party, const unsigned char subkey[SEAL_KEY_BYTES],
    const struct seal_place *place);
void wallet_nonce(char out[NONCE_TEXT]);

/* Whether an address is what make_multisig shows before there is one: its spend
 * key is the identity, so that base58 places 11 to 43 are all '1'. */
bool address_is_placeholder(const char *address);

/* --- the jobs ------------------------------------------------------------- */

void setup_begin(struct job *job);
void setup_acked(struct job *job, json_int_t serial);
void setup_stop(struct job *job);
/* Its make_multisig goes out: the next party's stagger-delay begins. */
void setup_make_begins(struct party *party);
void trial_begin(struct job *job);
void trial_acked(struct job *job, json_int_t serial);
void trial_stop(struct job *job);
void trial_ready(struct job *job);
void trial_tidy(struct job *job, bool over);
void tend_begin(struct job *job);
void tend_acked(struct job *job, json_int_t serial);
void check_begin(struct job *job);
void repair_begin(struct job *job);
void repair_acked(struct job *job, json_int_t serial);
void repair_stop(struct job *job);
bool attic_take(struct job *job, json_t *start); /* its part of the start frame */
void attic_begin(struct job *job);

/* The wallets of a Ready escrow stay open for requests. From disk, or after the
 * set-up. session_stop: a stop was asked for, or came before. */
void session_begin(struct job *job);
void session_go_on(struct job *job);
void session_request(struct job *job, json_t *request);
void session_stop(struct job *job);

/* Closes the wallets and ends the job as done. */
void gate_close(struct job *job);

/* --- recovery (recovery.c) -------------------------------------------------- */

/* Brings every wallet to where the journal says that it is: as it is, or from its
 * committed .keys under a new name. Then setup_go_on(). A role that has no
 * wallet yet is left alone. recovery_acked: whether that ack was recovery's. */
void recovery_begin(struct job *job);
bool recovery_acked(struct job *job, json_int_t serial);
void setup_go_on(struct job *job);

/* Whether wallets of it are there that the store cannot know (older.c); then the
 * job has failed. */
bool setup_store_is_older(struct job *job);

/* Leaves word in the wallet folder whose wallet a spare becomes, for that. False:
 * the job has failed. */
bool setup_tell_of_spare(struct party *party);

/* A new stamp, into party->stamp. */
void setup_make_stamp(struct party *party);

/* --- pollution (pollution.c) ------------------------------------------------ */

/* The proof before a call that changes the wallet, as get_attribute: of another
 * wallet, and of one without a stamp, the script is over with party->polluted.
 * The second: before make_multisig; also of our own, if it is multisig. */
bool take_own_stamp(struct party *party, json_t *result);
bool take_stamp_not_polluted(struct party *party, json_t *result);
bool refused_stamp(struct party *party, const struct rpc_result *result);

/* What a stamp of msigd's says, of an escrow's wallet or of a spare; anybody may have
 * written it. value: NULL, there is none. */
struct stamp {
	char escrow_id[UUID_TEXT];/* or "" */
	char spare[UUID_TEXT];    /* or "" */
	bool has_role;
	enum role role;
	int attempt;
};
void stamp_read(const char *value, struct stamp *stamp);

/* What is open there, by its stamp (NULL: it has none), into party->found. */
void pollution_describe(struct party *party, const char *stamp);

/* Once more, from disk, and on with clean(); a second time it is a failure. */
void pollution_found(struct party *party, void (*clean)(struct party *party));

/* --- the gate (gate.c), after the last round ------------------------------ */

/* Proves all three wallets; then publishes. gate_acked: whether that ack was
 * the gate's. */
void gate_begin(struct job *job);
bool gate_acked(struct job *job, json_int_t serial);

#endif
