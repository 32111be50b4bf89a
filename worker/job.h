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
#include "common/uuid.h"
#include "ipc/message.h"
#include "worker/wallet_rpc.h"

enum {
	PASSWORD_MAX = 65,        /* 32 random bytes in hexadecimal, and the NUL */
	STAMP_MAX = 256,
	ADDRESS_MAX = 128,
	KEYS_FILE_MAX = 12 * 1024, /* a .keys file is 2 to 3 KB; three have to fit a frame */
	LOCKS_MAX = ROLE_COUNT + 1
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
};

/* A wait before the next call. */
struct delay {
	struct event *timer;      /* or NULL: it never had one */
	const char *kind;
	int64_t asked_ms, began_ms; /* began: monotonic */
	void (*then)(struct party *party);
};

/* A wallet-rpc and the wallet in it that belongs to one role. */
struct party {
	struct job *job;
	enum role role;           /* ROLE_ANY in a tend job */
	char endpoint[64];        /* name */
	char url[256];
	char *wallet_dir;         /* "" when the files cannot be read */
	bool wallet_dir_sure;
	bool files_missed;        /* said already that they are not there */
	ino_t cache_file;         /* inode of the wallet's cache file before it was stamped; 0: not seen */
	struct rpc_endpoint *rpc;
	char wallet[128];
	char stamp[STAMP_MAX];
	char password[PASSWORD_MAX];
	char address[ADDRESS_MAX];
	struct spare spare;       /* the wallet it is to use, or that is on record (tend) */
	bool closed;              /* a wallet that was open there was closed */
	char *message;            /* its message of the round, secret, or NULL */
	char *previous;           /* of the round before, likewise: what it said and the others process now */
	char *seed;               /* secret, or NULL */
	json_t *is_multisig;      /* an answer not looked at yet, or NULL */
	bool ready;               /* is_multisig said so last */
	int round;                /* kex round of the step under way or done last */
	int64_t main_ms;          /* what the step's main call took */
	int64_t make_ms;          /* what make_multisig took */
	bool polluted;            /* its wallet was just found multisig before its make_multisig */
	bool reopened;            /* and was opened again for that */
	bool left;                /* a trial: files of its wallet may be there still */
	const struct op *op;      /* the script's call under way, or NULL */
	void (*done)(struct party *party);
	void (*called_off)(struct party *party); /* the script goes no further than the call under way: this is called instead */
	struct delay delay;
};

struct job {
	struct event_base *base;
	struct channel *channel;
	struct rpc_client *rpc;
	int64_t generation;
	char name[16];            /* "setup", "session", "tend", "check", "trial" */
	char escrow_id[UUID_TEXT];/* or "" */
	int attempt;
	enum network network;
	bool reopen;              /* gate = reopen */
	int64_t stagger_ms;
	int64_t pollution_ms;     /* -1: a polluted wallet is a failure at once */
	int64_t deadline_ms;      /* monotonic */
	int64_t began_ms;
	struct event *deadline;
	unsigned char subkey[SEAL_KEY_BYTES];
	char *lock_dir;
	char address[ADDRESS_MAX];/* check, session: what the wallets must have */
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

/* A stop was asked for and nothing is under way: ends as stopped, true. */
bool job_stop_if_idle(struct job *job);

/* Sends any other frame. */
void job_send(struct job *job, enum message_type type, json_t *frame);

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

/* The wallet's .keys, sealed, as base64 from malloc, to be freed. *ok false: it
 * had to be readable and was not, and the job has ended. NULL with *ok true:
 * this endpoint's files cannot be read. */
char *wallet_sealed_keys(struct party *party, int round, bool *ok);

/* Pieces of scripts. */
json_t *params_stamp_key(struct party *party);     /* get_attribute */
bool take_stamp(struct party *party, json_t *result);
/* Before make_multisig: is_multisig with the first, then get_attribute with the
 * other, so that the stamp is proven last and another wallet is reported as what
 * it is. Our own, if it is multisig: party->polluted, and the script is over. */
bool take_multisig_later(struct party *party, json_t *result);
bool take_stamp_not_polluted(struct party *party, json_t *result);

bool take_not_multisig(struct party *party, json_t *result);
bool take_multisig(struct party *party, json_t *result);  /* 2 of 3; sets ready */
bool take_ready(struct party *party, json_t *result);     /* 2 of 3 and ready */
json_t *params_account(struct party *party);       /* get_address */
bool take_address(struct party *party, json_t *result);
bool take_right_address(struct party *party, json_t *result); /* the one that the job was told */
json_t *params_address(struct party *party);       /* validate_address */
bool take_validity(struct party *party, json_t *result);
json_t *params_mnemonic(struct party *party);      /* query_key */
bool take_seed(struct party *party, json_t *result);
json_t *params_open(struct party *party);          /* open_wallet */
json_t *params_no_save(struct party *party);       /* close_wallet */
bool take_closed(struct party *party, json_t *result);

/* Whether a name is that of a trial's wallet: trial-UUID-ROLE. */
bool wallet_is_trial(const char *wallet);

/* Removes the files of a trial's wallet, and of no other. False: they may be
 * there still. */
bool wallet_remove_files(const struct party *party, const char *wallet);

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
/* Its wallet is polluted: once more, from disk, and on with clean(); a second
 * time it is a failure. */
void pollution_found(struct party *party, void (*clean)(struct party *party));
void trial_begin(struct job *job);
void trial_acked(struct job *job, json_int_t serial);
void trial_stop(struct job *job);
void trial_ready(struct job *job);
void trial_tidy(struct job *job, bool over);
void tend_begin(struct job *job);
void tend_acked(struct job *job, json_int_t serial);
void check_begin(struct job *job);

/* The wallets of a Ready escrow stay open for requests. From disk, or after the
 * set-up. session_stop: a stop was asked for, or came before. */
void session_begin(struct job *job);
void session_go_on(struct job *job);
void session_request(struct job *job, json_t *request);
void session_stop(struct job *job);

/* Closes the wallets and ends the job as done. */
void gate_close(struct job *job);

/* --- the gate (gate.c), after the last round ------------------------------ */

/* Proves all three wallets; then publishes. gate_acked: whether that ack was
 * the gate's. */
void gate_begin(struct job *job);
bool gate_acked(struct job *job, json_int_t serial);

#endif
