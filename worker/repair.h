/* What the files of the repair of a wallet share: repair.c has its life,
 * repair_look.c the calls, seed_restore.c the seed brought back by
 * monero-wallet-cli. */
#ifndef WORKER_REPAIR_H
#define WORKER_REPAIR_H

#include "worker/job.h"

/* What there was to look at, and what was seen. */
extern struct repair_look {
	bool seed_known;        /* the seed on record could be read */
	bool from_seed;         /* the wallet that is looked at was made from it */
	bool is_gone;           /* the wallet-rpc says that its file is not there */
	bool stamped;           /* the wallet that was looked at bears its stamp */
} repair_look;

/* Opens the wallet and looks at it; party->unfit, or .stamped, tells. Stamps one
 * that was looked at. Closes what is open, fit or not: the next may be opened.
 * Opens one that was just written, looks at it and stamps it. The same of one that
 * the wallet-rpc makes from its seed. */
extern const struct op repair_look_script[], repair_stamp_script[], repair_close_script[], repair_restored_script[],
    repair_seed_script[];

/* Whether files can be seen and written in its wallet folder, which is no guess. */
bool repair_reaches(const struct party *party);

/* keys: the .keys file of the wallet with party->seed and party->password, until
 * done returns; or NULL, and why not. */
typedef void (*seed_restored_fn)(struct party *party, const unsigned char *keys, size_t size, const char *why);

/* What one that is too old says of any multisig seed. */
#define SEED_NOT_KNOWN "invalid multisig seed"

/* Has monero-wallet-cli (a path) make it, in a folder of its own in the wallet
 * folder, which is removed again. */
void seed_restore(struct party *party, const char *program, seed_restored_fn done);

/* Removes what earlier ones left there that were killed; its escrow's lock is held. */
void seed_restore_clean(const struct party *party);

/* Ends one that is under way, without calling done. False: none is. */
bool seed_restore_cancel(void);

#endif
