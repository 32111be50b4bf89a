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
