/*
 * The key exchange of one wallet, in the shape of Monero's and with its
 * strictness, but without its cryptography: keys are hashes of who takes part.
 * Three wallets that were given the same messages end with the same address;
 * any other message is refused in the words of wallet2 (MONERO.md).
 */
#ifndef STAND_IN_KEX_H
#define STAND_IN_KEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/stand_in/address.h"

enum {
	KEX_SIGNERS_MAX = 16,
	KEX_MESSAGE_MAX = 256, /* characters, with the NUL: 189 in the first round, then 236 */
	KEX_SEED_MAX = 1600,   /* 592 for three signers */
	KEX_WHY_MAX = 128
};

/* All of it is written to .keys as it is: bytes only. rounds counts those that
 * are complete. */
struct kex {
	uint8_t secret[KEY_SIZE];
	uint8_t multisig;
	uint8_t experimental;
	uint8_t threshold, total, rounds;
	uint8_t signers[KEX_SIGNERS_MAX][KEY_SIZE]; /* sorted */
	uint8_t group[KEY_SIZE]; /* stands for the signers as a whole */
	uint8_t view[KEY_SIZE];  /* made of what all of them shared */
};

/* A wallet that is not multisig. */
void kex_begin(struct kex *kex);

void kex_first_message(const struct kex *kex, char out[KEX_MESSAGE_MAX]);

/* The two calls. False: why says it as wallet2 does, and nothing has changed. */
bool kex_make(struct kex *kex, const char *const *infos, size_t count, unsigned threshold, char out[KEX_MESSAGE_MAX],
    char why[KEX_WHY_MAX]);
bool kex_exchange(struct kex *kex, const char *const *infos, size_t count, char out[KEX_MESSAGE_MAX], char why[KEX_WHY_MAX]);

/* All main rounds are complete: there is an address. And they have been verified. */
bool kex_has_address(const struct kex *kex);
bool kex_is_ready(const struct kex *kex);

/* The public keys of the address; the spend key is the identity before there is one. */
void kex_public_keys(const struct kex *kex, uint8_t spend[KEY_SIZE], uint8_t view[KEY_SIZE]);

/* A secret of the wallet that has this name: a key for query_key. */
void kex_derive(const struct kex *kex, const char *name, uint8_t out[KEY_SIZE]);

/* The multisig seed of a wallet that is ready, in hexadecimal. */
void kex_seed(const struct kex *kex, char out[KEX_SEED_MAX]);

#endif
