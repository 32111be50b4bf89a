/* The calls of each step of a set-up. */
#ifndef WORKER_STEPS_H
#define WORKER_STEPS_H

#include "worker/job.h"

/* Steps go by the kex round of the message they give (ipc/message.h). */
enum { ROUND_CREATE, ROUND_PREPARE, ROUND_MAKE, ROUND_EXCHANGE /* and every one after it */ };

/* "create_wallet", "prepare_multisig", … */
const char *step_call(int round);

/* Whether the wallet's files change: then its .keys belong to the result. */
bool step_writes(int round);

/* Whether create_wallet is done by taking the spare. */
bool party_uses_spare(const struct party *party);

/* The calls of the step of party->round; leaves party->message (unless the
 * wallet has nothing more to say), party->ready and party->main_ms. */
const struct op *step_script(const struct party *party);

/* Closes a polluted wallet without saving. Later: opens it again, to where its
 * make_multisig may follow unless it is party->polluted still. */
extern const struct op step_close_script[], step_reopen_script[];

#endif
