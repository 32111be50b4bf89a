/*
 * The proof that comes after publication: a worker opens the wallets of a Ready
 * escrow from disk with their passwords. It costs 1 to 2 seconds of CPU a
 * wallet, so it is done once for each escrow, when nothing else is under way.
 * (With gate = reopen the setup worker has done it already.)
 */
#ifndef SUPERVISOR_CHECK_CONTROL_H
#define SUPERVISOR_CHECK_CONTROL_H

struct supervisor;
struct verifier;

struct verifier *verifier_new(struct supervisor *sv);
void verifier_free(struct verifier *verifier);

/* Something came to an end: perhaps it is quiet now. */
void verifier_wake(struct verifier *verifier);

#endif
