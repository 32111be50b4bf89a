/*
 * What is said over fd 3 between the supervisor and a worker, and when.
 *
 * Every frame is a JSON object with a string "type". Every frame of a worker
 * but its hello carries the "generation" it was given in start; a frame of
 * another generation is dropped. Sealed things (common/seal.h) are base64.
 * A frame that the table does not allow in the worker's state is garbage, and
 * garbage ends the worker.
 *
 * Worker to supervisor
 *   hello     {protocol}                              the first frame
 *   locked    {locks: [{name, wait_ms, busy_tries}]}  all locks of the job are held
 *   report    committed in one transaction, then answered with ack. A worker
 *             makes no call that changes a wallet before the ack of its intent.
 *             setup: {serial, results: [RESULT], intents: [INTENT], waits?}
 *                    waits false: nothing begins with its ack, which may take STORE_PATIENCE_MS (store.h)
 *             tend:  {serial, spare: {wallet, stamp, password}, lost?: LOST}  the intent; lost: what was on
 *                                                       record, whose place it takes, was not good any more
 *                    {serial, spare: {address}}         its result
 *             trial: as setup; it is kept nowhere, and answered with ack at once
 *             repair: {serial, results: [], intents: [INTENT]}  one, call "restore", round 0: the wallet gets this name
 *                                                       (the one it has, or another) and stamp, at its endpoint
 *   publish   {serial, address, participants: [{role, seed}], verified}
 *             the gate was passed; the seeds are sealed; verified: the wallets were
 *             opened from disk for it (gate = reopen). Committed, then ack.
 *   log       {level, event, fields: {…}}             a line for the log
 *   note      of a set-up or trial, while a step goes on; to be told and counted
 *             {what: "delay", kind: "stagger"|"pollution", role, asked_ms, measured_ms}
 *             {what: "pollution", role, wallet, found, found_escrow?}  it is multisig before its make_multisig, or
 *                                                       another one is open in its place, of found_escrow if that
 *                                                       has a stamp: that is closed without saving, and wallet
 *                                                       opened again after pollution_ms. found: for people
 *   trace     {event, at, fields}                     of an escrow's trace (common/trace.h), if start has trace:
 *                                                     event: its type; at: wall, ms; fields: the rest. Allowed
 *                                                     between start and finished; read even of one that was killed
 *   serving   {}                                      its wallets are open: it is the escrow's session
 *   reply     {request_id, wallets: [WALLET]}         to a request
 *   finished  {outcome, …, locks: [{name, wait_ms, hold_ms, busy_tries}]}
 *             the last frame; the worker exits at once. By outcome:
 *             "done"     tend:  {rtt_ms, version, closed_wallet, spare?, made, lost?: LOST, found?, found_escrow?}
 *                               spare: the wallet on record, which is open and proven; made: it is new;
 *                               lost: of a job that makes none: what is on record is not used any more;
 *                               found: what other wallet was open there, as in a note of pollution
 *                        check: {roles: ["buyer", …]}   these were verified
 *                        repair: {roles: [ROLE], from, wallet, keys?, keys_round, seed?}  it is good; from: "files"
 *                                                       as it was, or stamped anew; "keys", "seed": restored from
 *                                                       that; keys, seed: sealed, where the copy was not good
 *                        attic: {removed: ["NAME", …], kept: [{wallet, why, differs}]}
 *                               differs: its .keys are others than those on record
 *                        setup, session: {clean}        after the ack of publish, or stop; clean false:
 *                                                       a wallet may still be open
 *                        trial: {setup_ms, make_ms, TIDY}  all three wallets were ready after so long; make_ms:
 *                                                       the longest make_multisig
 *             "busy"     {lock, holder or why}          a lock stayed busy, or could not be tried for want
 *                                                       of room; no wallet was touched
 *             "stopped"  {}                             after stop, between two steps
 *             "failed"   {cause, reason, role?, endpoint?, call?, fatal}
 *                        fatal: another attempt would fail the same way
 *             "stopped" and "failed" of a trial have TIDY too, if it had begun
 *
 * serving, reply and finished have numbers?: NUMBERS, of what was counted since
 * the last frame that had them. Of a worker that is killed, the last are lost.
 *
 * RESULT  {role, call, round, duration_ms, keys?, keys_sha256?, message?: {length, sha256, sealed}}
 *         keys: the wallet's .keys after it, sealed; keys_sha256: of the file, with keys
 * INTENT  {role, call, round, wallet?, stamp?, password?, lost_spare?: LOST}  the last four with create_wallet
 *         call: "create_wallet", "prepare_multisig", "make_multisig", "exchange_multisig_keys"
 *         round: the kex round of the message that the call gives: 0 for create_wallet,
 *         1 prepare_multisig, 2 make_multisig, 3 and up exchange_multisig_keys
 *         "message" of a RESULT has the round of its call
 *         create_wallet of a role that was given a spare: that gets the stamp, and is not made anew
 *         again?: true: it is intended already, without a result; create_wallet: for another wallet
 *         call "restore" {role, call, round, wallet, stamp, reason}: the committed .keys, of the state after
 *         round, go under a new name; what else is intended of that role is not any more. It has no result.
 * JOURNAL {done, intent, keys?, keys_round?, messages: [{round, sealed}]}
 *         done: the last round with a result; intent: the one without; -1: none. keys: sealed, those to be
 *         restored. messages: of the last round that all have done, and of the next
 * LOST    {polluted, reason}
 * TIDY    clean, left: ["trial-…", …]: every wallet was closed; those whose files could not be removed
 * NUMBERS {calls?: {METHOD: [us, n, …]}, errors?: {CODE: n}, silences?: {"down"|"refused"|"unknown": n},
 *         copies?: {"read"|"written": [n, bytes, us]}}  what is not 0
 *         calls: of the wallet-rpcs, how long all together and how many up to each of numbers_call_bounds;
 *         METHOD, CODE: those of ipc/numbers.c, or "other"; silences: no JSON-RPC answer came; copies: of .keys
 * WALLET  {role, address, ready, threshold, total, balance, unlocked_balance, height}  as the wallet tells it
 *
 * Supervisor to worker
 *   start     {protocol, generation, job, lock_dir, network, timeout_ms, trace?, …}  the first frame; trace: true: say trace
 *             setup: {escrow_id, attempt, subkey, gate: "seed"|"reopen", stagger_ms, pollution_ms,
 *                     participants: [{role, wallet, endpoint: ENDPOINT, spare?: SPARE,
 *                                     stamp?, password?, journal?: JOURNAL}]}
 *                    with journals, all three: the attempt is gone on with, where it stands
 *             trial: {stagger_ms, participants: [{role, wallet, endpoint: ENDPOINT}]}
 *             tend:  {endpoint: ENDPOINT, spare?: SPARE, make?: {spare_id, subkey}}
 *                    spare: the one on record; make: leave one open, a new one if need be
 *             check, session: {escrow_id, attempt, subkey, address,
 *                     participants: [{role, wallet, stamp, password, endpoint: ENDPOINT}]}
 *             repair: as check, of one participant; and copies: {keys?, keys_round, seed?}, wallet_clis: [PATH]
 *                    copies: sealed; wallet_clis: monero-wallet-cli, to be tried in turn
 *             attic: {wallet_dir, wallets: [{wallet, keys_sha256, note?}]}  to be removed, if its .keys are those;
 *                    note: the file that says whose the spare wallet has become, which goes with it
 *   ack       {serial, session?}                      that report or publish is on disk; with that of publish,
 *                                                     session true: keep the wallets open, and say serving
 *   request   {request_id}                            how are the wallets? One at a time.
 *   stop      {}                                      end at the next step; a session closes its wallets
 *
 * ENDPOINT {name, url, login?, ca_file?, wallet_dir, wallet_dir_sure}
 *         login "user:password"; wallet_dir "" when the files cannot be read;
 *         wallet_dir_sure false: a file that is not there is no error (config.h)
 *
 * SPARE    {spare_id, subkey, wallet, stamp, password, address?}
 *         a wallet made in advance, sealed under a subkey of its own; no address: it was not finished
 *
 * EOF means that the other side is gone. The worker then starts no call more
 * and exits with WORKER_EXIT_SUPERVISOR_GONE.
 */
#ifndef IPC_MESSAGE_H
#define IPC_MESSAGE_H

#include <stdbool.h>

/* How the reason of a restore begins when the wallet was ready: its address may
 * have been published, so its files are never removed. */
#define RETIRED_READY "it is ready"

enum { IPC_PROTOCOL = 9, IPC_FD = 3 };

/* How a worker ends, beside the finished frame. What follows from it has a table
 * in supervisor/worker_end.c. */
enum worker_exit {
	WORKER_EXIT_OK = 0,                  /* finished was sent */
	WORKER_EXIT_SUPERVISOR_GONE = 65,    /* EOF on fd 3 */
	WORKER_EXIT_PROTOCOL = 66,           /* the supervisor said something not allowed */
	WORKER_EXIT_RESOURCES = 67           /* out of memory or descriptors */
};

/* The life of a worker, as the supervisor sees it (supervisor/worker_process.h). */
enum worker_state {
	WORKER_QUEUED,    /* not forked: too many are starting */
	WORKER_STARTING,  /* forked; hello not seen */
	WORKER_WORKING,   /* start was sent */
	WORKER_SERVING,   /* a session: waits for requests, as long as it is let */
	WORKER_STOPPING,  /* stop was sent */
	WORKER_ENDING,    /* finished was seen; it is to exit */
	WORKER_TERMINATED,/* SIGTERM was sent */
	WORKER_KILLED,    /* SIGKILL was sent */
	WORKER_GONE,      /* reaped */
	WORKER_STATE_COUNT
};
const char *worker_state_name(enum worker_state state);

enum message_type {
	MESSAGE_HELLO, MESSAGE_LOCKED, MESSAGE_REPORT, MESSAGE_PUBLISH, MESSAGE_LOG, MESSAGE_NOTE, MESSAGE_TRACE, MESSAGE_SERVING,
	MESSAGE_REPLY, MESSAGE_FINISHED,
	MESSAGE_START, MESSAGE_ACK, MESSAGE_REQUEST, MESSAGE_STOP,
	MESSAGE_TYPE_COUNT
};
const char *message_type_name(enum message_type type);
bool message_type_parse(const char *name, enum message_type *type);

/* The table: whether a frame of this type may be received while the worker is
 * in this state, from the worker by the supervisor or the other way round. */
bool message_allowed_from_worker(enum message_type type, enum worker_state state);
bool message_allowed_to_worker(enum message_type type, enum worker_state state);

/* Causes of a failed job: what `finished` names, what metrics count. */
enum failure_cause {
	CAUSE_ENDPOINT_DOWN,     /* could not connect: nothing was sent */
	CAUSE_ENDPOINT_REFUSED,  /* HTTP status, login or TLS refused: nothing was done */
	CAUSE_OUTCOME_UNKNOWN,   /* the request went out, the answer never came */
	CAUSE_WALLET_ERROR,      /* wallet-rpc answered with an error */
	CAUSE_POLLUTED,          /* a wallet that is multisig before its make, or another in its place, again */
	CAUSE_STAMP_MISMATCH,    /* the wallet that is open is not the right one */
	CAUSE_WALLET_CLOSED,     /* no wallet is open any more: the wallet-rpc was restarted, or another program closed it */
	CAUSE_WRONG_NETWORK,
	CAUSE_WALLET_FILES,      /* .keys cannot be read */
	CAUSE_GATE,              /* the wallets do not agree */
	CAUSE_TIMEOUT,           /* setup-timeout */
	CAUSE_LOCKS,             /* lock-dir cannot be used */
	CAUSE_WORKER_DIED,       /* the worker ended without a word (said by the supervisor) */
	CAUSE_INTERRUPTED,       /* msigd ended meanwhile (said by the supervisor) */
	CAUSE_NOT_RECOVERED,     /* it cannot be gone on with: no .keys is there for a wallet that is lost */
	CAUSE_STORE_OLDER,       /* the store is older than the wallets: an address may have been published */
	CAUSE_CANCELLED,         /* by the operator (said by the supervisor) */
	CAUSE_INTERNAL,
	CAUSE_COUNT
};
const char *failure_cause_name(enum failure_cause cause); /* "endpoint_down", … */
bool failure_cause_parse(const char *name, enum failure_cause *cause);

#endif
