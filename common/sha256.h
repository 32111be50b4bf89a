/* SHA-256 as text: 64 hexadecimal digits. */
#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#include <stddef.h>

enum { SHA256_TEXT = 65 };

void sha256_text(const void *data, size_t size, char out[SHA256_TEXT]);

#endif
