#include "common/sha256.h"

#include <sodium.h>

void
sha256_text(const void *data, size_t size, char out[SHA256_TEXT])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, data, size);
	sodium_bin2hex(out, SHA256_TEXT, hash, sizeof hash);
}
