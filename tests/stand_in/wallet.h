/*
 * A wallet that is open, and its two files: W.keys holds the password check and
 * the state of the key exchange, W (the cache) the attributes and the address
 * they belong to. What a kill leaves is what was written: MONERO.md, "What is on
 * disk, and when".
 */
#ifndef STAND_IN_WALLET_H
#define STAND_IN_WALLET_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/stand_in/files.h"
#include "tests/stand_in/kex.h"

enum { SALT_SIZE = 16 };

struct wallet {
	char name[FILE_NAME_LONGEST + 1]; /* "": it has no files */
	enum network network;
	struct kex kex;
	uint8_t salt[SALT_SIZE], password[KEY_SIZE];
	bool unopenable;      /* a key exchange call had another password than the wallet */
	json_t *attributes;   /* name: text */
	struct file_lock lock;
};

enum wallet_write {
	WRITE_KEYS = 1,       /* and W.address.txt, where there is one */
	WRITE_CACHE = 2
};

/* A name that is taken is replaced: the caller has looked. NULL: out of memory
 * or room. torn: only .keys is written. */
struct wallet *wallet_create(const char *name, const char *password, enum network network, bool torn);

/* NULL: there is none, the password is wrong, the files do not belong together,
 * or another endpoint has it open. mine: what this endpoint has open, or NULL; a
 * process may open again what it has open. */
struct wallet *wallet_open(const char *name, const char *password, enum network network, struct wallet *mine);

/* Nothing is written. */
void wallet_free(struct wallet *wallet);

bool wallet_write(struct wallet *wallet, unsigned what);

bool wallet_has_password(const struct wallet *wallet, const char *password);
void wallet_set_password(struct wallet *wallet, const char *password);

/* A key exchange call came with this one: wallet2 believes it. */
void wallet_take_password(struct wallet *wallet, const char *password);

void wallet_address(const struct wallet *wallet, char out[ADDRESS_LENGTH + 1]);

#endif
