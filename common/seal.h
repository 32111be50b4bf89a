/*
 * Sealing: XChaCha20-Poly1305 (libsodium) under one subkey per escrow, with
 * {escrow, attempt, role, round, kind, version} as associated data, so that a
 * sealed thing opens only in the place it was made for (DESIGN.md, law 6).
 *
 * A sealed blob: 1 byte version, 24 bytes nonce, then ciphertext with its
 * 16-byte tag. Plain text handed in or out belongs to the caller, who wipes it
 * with sodium_memzero().
 */
#ifndef COMMON_SEAL_H
#define COMMON_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/role.h"

enum { SEAL_KEY_BYTES = 32, SEAL_OVERHEAD = 1 + 24 + 16, SEAL_FINGERPRINT_TEXT = 17,
	SEAL_KEY_TEXT = 45 /* base64 of a key, with the NUL */ };

enum seal_kind { SEAL_PASSWORD, SEAL_MESSAGE, SEAL_KEYS, SEAL_SEED, SEAL_KIND_COUNT };

/* From the name that it has in the associated data. */
bool seal_kind_parse(const char *name, enum seal_kind *kind);

/* Where a sealed thing belongs. */
struct seal_place {
	const char *escrow_id; /* normalised UUID */
	int attempt;
	enum role role;
	int round;             /* the step's kex round; 0 for password and seed */
	enum seal_kind kind;
};

/* The subkey of one escrow: BLAKE2b of nothing, keyed with the master key,
 * salted with the UUID's 16 bytes, personalised "msigd escrow v1". */
void seal_subkey(const unsigned char master[SEAL_KEY_BYTES], const char *escrow_id,
    unsigned char subkey[SEAL_KEY_BYTES]);

/* The same as base64 text, as it goes to a worker; to be wiped. */
void seal_subkey_base64(const unsigned char master[SEAL_KEY_BYTES], const char *escrow_id,
    char text[SEAL_KEY_TEXT]);

/* 16 hexadecimal digits that tell master keys apart and reveal nothing. */
void seal_fingerprint(const unsigned char master[SEAL_KEY_BYTES], char out[SEAL_FINGERPRINT_TEXT]);

/* Writes plain_size + SEAL_OVERHEAD bytes to out. */
void seal(const unsigned char subkey[SEAL_KEY_BYTES], const struct seal_place *place,
    const void *plain, size_t plain_size, unsigned char *out);

/* Writes sealed_size - SEAL_OVERHEAD bytes to out. False when it is too short,
 * of another version, damaged, or not of this place and key. */
bool unseal(const unsigned char subkey[SEAL_KEY_BYTES], const struct seal_place *place,
    const void *sealed, size_t sealed_size, unsigned char *out);

/* The same as base64 text, as it travels over fd 3. A string from malloc, to
 * be freed; NULL when out of memory. */
char *seal_base64(const unsigned char subkey[SEAL_KEY_BYTES], const struct seal_place *place,
    const void *plain, size_t plain_size);

/* What is sealed already, to base64 and back: from malloc, NULL when out of
 * memory or (back) it is no base64. */
char *sealed_to_base64(const void *sealed, size_t sealed_size);
unsigned char *sealed_from_base64(const char *text, size_t *sealed_size);

/* From base64. A buffer from malloc with a NUL behind it, to be wiped and
 * freed; NULL as for unseal(). */
unsigned char *unseal_base64(const unsigned char subkey[SEAL_KEY_BYTES],
    const struct seal_place *place, const char *text, size_t *size);

#endif
