#include "common/uuid.h"

#include <ctype.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

static bool
is_hyphen_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

bool
uuid_normalise(const char *text, char out[UUID_TEXT])
{
	char lower[UUID_TEXT];

	if (strlen(text) != UUID_TEXT - 1)
		return false;
	for (size_t i = 0; i < UUID_TEXT - 1; i++) {
		unsigned char c = (unsigned char)text[i];
		if (is_hyphen_place(i) ? c != '-' : !isxdigit(c))
			return false;
		lower[i] = (char)tolower(c);
	}
	lower[UUID_TEXT - 1] = '\0';
	memcpy(out, lower, UUID_TEXT);
	return true;
}

void
uuid_new(char out[UUID_TEXT])
{
	unsigned char b[UUID_BYTES];
	int64_t now = clock_wall_ms();

	randombytes_buf(b, sizeof b);
	for (int i = 5; i >= 0; i--, now >>= 8)
		b[i] = (unsigned char)(now & 0xff);
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x70);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(out, UUID_TEXT,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	    b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7],
	    b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

void
uuid_to_bytes(const char text[UUID_TEXT], unsigned char out[UUID_BYTES])
{
	sodium_hex2bin(out, UUID_BYTES, text, UUID_TEXT - 1, "-", NULL, NULL);
}
