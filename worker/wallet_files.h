/*
 * The files of a wallet, where they can be read on this machine: NAME (the
 * cache, with the attributes), NAME.keys and, on testnet and stagenet,
 * NAME.address.txt (MONERO.md, What is on disk, and when).
 */
#ifndef WORKER_WALLET_FILES_H
#define WORKER_WALLET_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct party;

/* The wallet's .keys, sealed, as base64 from malloc, to be freed. *ok false: it
 * had to be readable and was not, and the job has ended. NULL with *ok true:
 * this endpoint's files cannot be read. */
char *wallet_sealed_keys(struct party *party, int round, bool *ok);

/* The same, whatever comes of it: false, they cannot be read (errno). *sealed: NULL
 * when out of memory. */
bool wallet_seal_keys(struct party *party, int round, char **sealed);

/* Writes a wallet's .keys from the store, durably; exclusive: never over a file.
 * False: errno is set. */
bool wallet_write_keys(struct party *party, const char *path, const unsigned char *keys, size_t size, bool exclusive);

/* fsync(2) of the wallet's .keys, its cache and the names of both: monero-wallet-rpc
 * makes none, and a Ready escrow is to survive a power cut without repair. Only
 * where the .keys could be read. False: it could not be done, and the job has ended. */
bool wallet_sync_files(struct party *party);

/* Whether a name is that of a trial's wallet: trial-UUID-ROLE. */
bool wallet_is_trial(const char *wallet);

/* Removes the files of a trial's wallet, and of no other. False: they may be
 * there still. */
bool wallet_remove_files(const struct party *party, const char *wallet);

/* Removes the files of a wallet, whosever it is; its .keys last. had_keys (or
 * NULL) is set if there were some. False: errno says why one is there still. */
bool wallet_remove_all(const char *folder, const char *wallet, bool *had_keys);

/* Why the wallet of this .keys file is not to be touched: a wallet-rpc has it
 * open, or whether one has cannot be told. NULL: none has, or there is no file. */
#define WALLET_OPEN_ELSEWHERE "is open in another program"
const char *wallet_is_locked(const char *keys);

/* A wallet file that was just written belongs to whom the others there belong to. */
void wallet_give_to_owner(const struct party *party, const char *path);

#endif
