/* Monero's base58: every 8 bytes become 11 characters by themselves. */
#ifndef STAND_IN_BASE58_H
#define STAND_IN_BASE58_H

#include <stdbool.h>
#include <stddef.h>

/* out has room for 11 characters for every 8 bytes begun, and a NUL. Returns the
 * characters written. */
size_t base58_encode(const unsigned char *data, size_t size, char *out);

/* False: a character, a length or a block that no bytes give, or more than room
 * bytes. Otherwise *size is what was written to out. */
bool base58_decode(const char *text, size_t length, unsigned char *out, size_t room, size_t *size);

#endif
