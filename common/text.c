#include "common/text.h"

#include <stdio.h>
#include <string.h>

/* How many bytes a character that begins like this has (RFC 3629, 3). */
static size_t
character_size(unsigned char first)
{
	if (first < 0xc0)
		return 1;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The second byte tells what is too long a form of it, half of a pair (UTF-16), or
 * beyond Unicode. A NUL is in no range, so nothing behind the end is read. */
size_t
text_character(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t size = c[0] < 0x80 ? 1 : c[0] < 0xc2 || c[0] > 0xf4 ? 0 : character_size(c[0]);
	unsigned char least = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char most = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : 0xbf;

	if (size > 1 && (c[1] < least || c[1] > most))
		return 0;
	for (size_t i = 2; i < size; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	}
	return size;
}

void
text_copy(char *out, size_t size, const char *text)
{
	size_t length, last;

	snprintf(out, size, "%s", text);
	length = last = strlen(out);
	while (last > 0 && ((unsigned char)out[last - 1] & 0xc0) == 0x80)
		last--;
	if (last > 0 && character_size((unsigned char)out[last - 1]) > length - (last - 1))
		out[last - 1] = '\0';
}
