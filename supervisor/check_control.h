/*
 * The proof that comes after publication: a worker opens the wallets of a Ready
 * escrow from disk with their passwords. It costs 1 to 2 seconds of CPU a
 * wallet, so it is done once for each escrow, when nothing else is under way.
 * (With gate = reopen the setup worker has done it already.)
 *
 * Wallets that are not good: that is written down with the reason, get_escrow
 * and check tell it, and they are repaired from the store (repair.h). If that
 * cannot be, they are opened again after the next start, once for each start,
 * until they are good. Wallets that could not be looked at (their
 * endpoint is busy or gone) get another turn after a minute.
 */
#ifndef SUPERVISOR_CHECK_CONTROL_H
#define SUPERVISOR_CHECK_CONTROL_H

#include <stdbool.h>

struct supervisor;
struct verifier;

struct verifier *verifier_new(struct supervisor *sv);
void verifier_free(struct verifier *verifier);

/* Something came to an end: perhaps it is quiet now. */
void verifier_wake(struct verifier *verifier);

/* Whether wallets are being opened, or soon will be. */
bool verifier_is_due(const struct verifier *verifier);

#endif
