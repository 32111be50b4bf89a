/*
 * What a worker says for the trace of its escrow (common/trace.h), where it
 * happens, each event at once and in a frame of its own: so that of a worker that
 * is killed everything up to then is there. Without a trace nothing is made, said
 * or asked of a wallet.
 *
 * A snapshot asks the wallet that is open, with calls that change nothing, between
 * two scripts. Whatever comes of those, the escrow goes on as if they had not been
 * made (struct op, `look`). It is over after five seconds, with the first call that
 * gets no answer, and with a stop.
 */
#ifndef WORKER_TRACE_H
#define WORKER_TRACE_H

#include <stdint.h>

#include "common/trace.h"
#include "worker/job.h"

/* The call of party->op: it goes out; this came of it, and accepted: an error that is
 * as good as an answer. Those of a snapshot are only told when they fail. */
void trace_call(struct party *party, const char *method);
void trace_answer(struct party *party, const struct op *op, const struct rpc_result *result, bool accepted);

/* The time of the job was over before the answer to its call under way. */
void trace_overtime(struct party *party);

/* Something was done with a file of the party's wallet, since then; error: an errno,
 * 0: none. bytes: -1, that says nothing. Keeps errno. */
void trace_file(struct party *party, const char *op, const char *path, const char *what, int64_t bytes, int64_t since_us,
    int error);
/* A copy of so many bytes was sealed. */
void trace_copy(struct party *party, const char *what, size_t bytes, int64_t since_us);

/* Of the job's locks. holder, error: NULL, or why it was given up. */
void trace_lock(struct job *job, const struct lock *lock, const char *holder, const char *error);
void trace_locks_released(struct job *job);

void trace_delay(struct party *party, const char *kind, int64_t asked_ms, int64_t measured_ms);
/* What the wallet of the party is restored as, and why. */
void trace_restore(struct party *party, const char *why);

/* Of the wallet that is open in the place of the party's, or that somebody else made
 * multisig, under the name of that of the step; then as below. */
void snapshot_of_another(struct party *party, void (*next)(struct party *party));

/* The snapshots before the step that follows that of party->round, after that, and
 * before the gate. Then goes on with next(), at once if there is none to be taken.
 * None between an intent and the report of its result: see setup.c. */
void snapshot_before(struct party *party, void (*next)(struct party *party));
void snapshot_after(struct party *party, void (*next)(struct party *party));
void snapshot_final(struct party *party, void (*next)(struct party *party));

#endif
