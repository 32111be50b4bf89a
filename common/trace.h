/*
 * The trace of an escrow: what happened to it, in order, for diagnosis. Written
 * by msigd only (supervisor/trace.h); its workers say what they do over fd 3
 * (worker/trace.h, `trace` in ipc/message.h). This is the contract with who reads
 * the files.
 *
 * Files in trace-dir (0700, the files 0600): while an escrow is under way
 * escrow_<id>.jsonl: a header, then an event a line. Once it is Ready or Failed,
 * and after each later worker, escrow_<id>.json: the header with "events". Where
 * both are there (a crash between the two), each is a whole trace, and the one whose
 * last seq is higher wins: the .jsonl, but for a crash of the machine. The last line
 * of a .jsonl may be broken.
 *
 *   header  {version: 1, trace_id, escrow_id, started_at, label?}  started_at: ms since the epoch
 *   event   {seq, attempt, t_ms, type, …}  seq: 1, 2, … without gaps; t_ms: since started_at, taken where it happened
 *
 * Where they apply: role; round (0 create_wallet, 1 prepare and make, 2 the first
 * exchange, 3 the following; absent outside of them); method (wallet-rpc's);
 * endpoint, port, wallet; duration_ms; ok, error, cause (failure_cause_name);
 * worker (pid), job. By type, beside those:
 *
 *   RPC_CALL_START   given?: [{role, length, sha256}]  the round messages handed in
 *   RPC_CALL_END     ok true, duration_ms, message?: {length, sha256}, found?: {…} what diagnosis needs of the answer
 *   RPC_CALL_ERROR   ok false, outcome: error, down, refused or unknown; code?, error, duration_ms; expected?: true
 *                    when the error is as good as an answer
 *   SNAPSHOT_*       snapshot: {wallet_id, role, is_multisig, ready, threshold, total, balance, unlocked_balance,
 *                    address_hash, stamp_ok, file_exists, file_perms, rpc_port, open_wallets_count,
 *                    collection_time_ms, placeholder?, found_escrow?}  null: it could not be had
 *   STATE_CHANGE     from, phase, reason?, address_hash?, multisig_round?
 *   FILE_OPERATION   op: read, write (with its fsync and rename), fsync or stat; file, what, bytes?
 *   LOCK_ACQUIRED    lock, wait_ms, busy_tries; ok false with holder or error: it was given up
 *   LOCK_RELEASED    lock, hold_ms
 *   LEASE, RELEASE   wait_ms, spare · hold_ms, clean
 *   FAILOVER         from, to (endpoints), reason
 *   RACE_DETECTED    method (of the API), pid, uid: a request found the escrow's worker there
 *   RETRY            next_attempt, cause, error, delay_ms
 *   DELAY            kind, asked_ms, measured_ms
 *   CACHE_POLLUTION_DETECTED  found, found_escrow?
 *   WORKER_STARTED, WORKER_EXITED  · exit_code or signal, last: {type, role, method, round}, ok, fault?: garbage,
 *                    version or deadline, for which msigd ended it; stopped? true: msigd ended it before it
 *                    began, since it was cancelled or msigd stops
 *   ERROR_FINAL      cause, error
 *   CUSTOM           name, … queue: length of those who wait still, wait_ms
 *
 * Never a secret, never a round message: its length and SHA-256.
 */
#ifndef COMMON_TRACE_H
#define COMMON_TRACE_H

#include <stdbool.h>

enum { TRACE_VERSION = 1, TRACE_ID_TEXT = 33 };

enum trace_type {
	TRACE_RPC_CALL_START, TRACE_RPC_CALL_END, TRACE_RPC_CALL_ERROR,
	TRACE_SNAPSHOT_PRE_ROUND1, TRACE_SNAPSHOT_POST_PREPARE, TRACE_SNAPSHOT_POST_MAKE_MULTISIG,
	TRACE_SNAPSHOT_PRE_ROUND2, TRACE_SNAPSHOT_POST_EXPORT_MULTISIG,
	TRACE_SNAPSHOT_PRE_ROUND3, TRACE_SNAPSHOT_POST_IMPORT_MULTISIG, TRACE_SNAPSHOT_FINAL,
	TRACE_STATE_CHANGE, TRACE_FILE_OPERATION, TRACE_LOCK_ACQUIRED, TRACE_LOCK_RELEASED, TRACE_LEASE, TRACE_RELEASE,
	TRACE_FAILOVER, TRACE_RACE_DETECTED, TRACE_RETRY, TRACE_DELAY, TRACE_CACHE_POLLUTION_DETECTED,
	TRACE_WORKER_STARTED, TRACE_WORKER_EXITED, TRACE_ERROR_FINAL, TRACE_CUSTOM,
	TRACE_TYPE_COUNT
};

const char *trace_type_name(enum trace_type type); /* "RPC_CALL_START", … */
bool trace_type_parse(const char *name, enum trace_type *type);

/* Whether a worker may say it: the others are the supervisor's to know. */
bool trace_type_of_worker(enum trace_type type);

/* The 32 hexadecimal digits of an escrow id, as W3C Trace Context has it: the
 * same in every process. False, and out is "": it is none. */
bool trace_id(const char *escrow_id, char out[TRACE_ID_TEXT]);

/* CLOCK_REALTIME in milliseconds, with three decimals. */
double trace_now_ms(void);
/* To three decimals. */
double trace_round_ms(double ms);

#endif
