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

/* Closes what is open without saving. Later: opens the party's wallet again, to
 * where its step may follow unless it is party->polluted still. */
extern const struct op step_close_script[], step_reopen_script[];

/* The inode of its wallet's cache file, which store replaces by rename; 0: it is
 * not there, or cannot be seen. */
ino_t step_cache_file(struct party *party);
/* After set_attribute, before store: that file as it is now, into party->cache_file. */
bool step_take_unstamped(struct party *party, json_t *result);
bool step_take_stamped(struct party *party, json_t *result);

#endif
