#include "tests/stand_in/base58.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK = 8, ENCODED_BLOCK = 11 };

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/* the characters of a block of so many bytes */
static const size_t encoded_sizes[BLOCK + 1] = {0, 2, 3, 5, 6, 7, 9, 10, 11};

static size_t
encode_block(const unsigned char *data, size_t size, char *out)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | data[i];
	for (size_t i = encoded_sizes[size]; i-- > 0; number /= 58)
		out[i] = alphabet[number % 58];
	return encoded_sizes[size];
}

size_t
base58_encode(const unsigned char *data, size_t size, char *out)
{
	size_t length = 0;

	for (; size > 0; data += BLOCK) {
		size_t n = size < BLOCK ? size : BLOCK;
		length += encode_block(data, n, out + length);
		size -= n;
	}
	out[length] = '\0';
	return length;
}

/* The bytes of a block of so many characters; 0: there is none. */
static size_t
decoded_size(size_t length)
{
	for (size_t i = 1; i <= BLOCK; i++) {
		if (encoded_sizes[i] == length)
			return i;
	}
	return 0;
}

static bool
decode_block(const char *text, size_t length, unsigned char *out)
{
	size_t size = decoded_size(length);
	unsigned __int128 number = 0;

	for (size_t i = 0; i < length; i++) {
		const char *digit = memchr(alphabet, text[i], sizeof alphabet - 1);
		if (digit == NULL)
			return false;
		number = number * 58 + (unsigned)(digit - alphabet);
	}
	if (size == 0 || number >> (8 * size) != 0)
		return false;
	for (size_t i = size; i-- > 0; number >>= 8)
		out[i] = (unsigned char)number;
	return true;
}

bool
base58_decode(const char *text, size_t length, unsigned char *out, size_t room, size_t *size)
{
	*size = 0;
	while (length > 0) {
		size_t n = length < ENCODED_BLOCK ? length : ENCODED_BLOCK;
		if (*size + decoded_size(n) > room || !decode_block(text, n, out + *size))
			return false;
		*size += decoded_size(n);
		text += n;
		length -= n;
	}
	return true;
}
