/* The master key: 32 random bytes in key-file, 0400, made on the first start. */
#ifndef SUPERVISOR_KEY_FILE_H
#define SUPERVISOR_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/seal.h"

/* Reads it, or makes it when there is none and may_make (a store that exists
 * without its key cannot be read: then a new key would only hide that). False:
 * why says what is wrong: others can read it, wrong size or owner. */
bool key_file_load(const char *path, bool may_make, unsigned char key[SEAL_KEY_BYTES], char *why, size_t why_size);

#endif
