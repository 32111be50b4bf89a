/* Escrow ids: UUIDs in the text form of RFC 9562, always in lower case here. */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <stdbool.h>

enum { UUID_BYTES = 16, UUID_TEXT = 37 /* with the NUL */ };

/* Takes 8-4-4-4-12 hexadecimal digits in either case; writes lower case.
 * False, and out untouched, when text is anything else. */
bool uuid_normalise(const char *text, char out[UUID_TEXT]);

/* A new one: version 7 of RFC 9562, the milliseconds since the epoch and then 74
 * random bits. Ids made one after the other lie side by side in the store's
 * trees, so that what is at work now is a few pages of it, however many escrows
 * there are. sodium_init() must have been called. */
void uuid_new(char out[UUID_TEXT]);

/* The 16 bytes of a normalised one. */
void uuid_to_bytes(const char text[UUID_TEXT], unsigned char out[UUID_BYTES]);

#endif
