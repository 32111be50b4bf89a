/* Monero addresses: a prefix that names network and kind, two public keys, a
 * checksum; 95 characters. */
#ifndef STAND_IN_ADDRESS_H
#define STAND_IN_ADDRESS_H

#include <stdbool.h>

#include "common/role.h"

enum { KEY_SIZE = 32, ADDRESS_LENGTH = 95 };

struct address_kind {
	enum network network;
	bool integrated, subaddress;
};

/* A primary address. */
void address_write(enum network network, const unsigned char spend[KEY_SIZE], const unsigned char view[KEY_SIZE],
    char out[ADDRESS_LENGTH + 1]);

/* False: it is none. */
bool address_read(const char *text, struct address_kind *kind);

#endif
