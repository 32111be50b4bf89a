/* Text for people, of which there may be more than there is room for, and which
 * may be none. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stddef.h>

/* Copies as many whole characters of UTF-8 text as fit into out with its NUL. A
 * last character that is cut in the text already is left out: JSON takes none. */
void text_copy(char *out, size_t size, const char *text);

/* How many bytes the character of UTF-8 has that text begins with (RFC 3629); 0:
 * it begins with none. */
size_t text_character(const char *text);

#endif
