#include "common/seal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/uuid.h"

enum {
	VERSION = 1,
	NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
	BASE64 = sodium_base64_VARIANT_ORIGINAL
};

static const char *const kinds[SEAL_KIND_COUNT] = {
	[SEAL_PASSWORD] = "password", [SEAL_MESSAGE] = "message", [SEAL_KEYS] = "keys", [SEAL_SEED] = "seed",
};

bool
seal_kind_parse(const char *name, enum seal_kind *kind)
{
	for (int i = 0; i < SEAL_KIND_COUNT; i++) {
		if (strcmp(name, kinds[i]) == 0) {
			*kind = (enum seal_kind)i;
			return true;
		}
	}
	return false;
}

void
seal_subkey(const unsigned char master[SEAL_KEY_BYTES], const char *escrow_id,
    unsigned char subkey[SEAL_KEY_BYTES])
{
	static const unsigned char personal[crypto_generichash_blake2b_PERSONALBYTES] = "msigd escrow v1";
	unsigned char salt[UUID_BYTES];

	uuid_to_bytes(escrow_id, salt);
	crypto_generichash_blake2b_salt_personal(subkey, SEAL_KEY_BYTES, NULL, 0,
	    master, SEAL_KEY_BYTES, salt, personal);
}

void
seal_subkey_base64(const unsigned char master[SEAL_KEY_BYTES], const char *escrow_id, char text[SEAL_KEY_TEXT])
{
	unsigned char subkey[SEAL_KEY_BYTES];

	_Static_assert(SEAL_KEY_TEXT == sodium_base64_ENCODED_LEN(SEAL_KEY_BYTES, BASE64), "SEAL_KEY_TEXT");
	seal_subkey(master, escrow_id, subkey);
	sodium_bin2base64(text, SEAL_KEY_TEXT, subkey, sizeof subkey, BASE64);
	sodium_memzero(subkey, sizeof subkey);
}

void
seal_fingerprint(const unsigned char master[SEAL_KEY_BYTES], char out[SEAL_FINGERPRINT_TEXT])
{
	static const unsigned char personal[crypto_generichash_blake2b_PERSONALBYTES] = "msigd key id v1";
	static const unsigned char salt[crypto_generichash_blake2b_SALTBYTES];
	unsigned char hash[16];

	crypto_generichash_blake2b_salt_personal(hash, sizeof hash, NULL, 0,
	    master, SEAL_KEY_BYTES, salt, personal);
	sodium_bin2hex(out, SEAL_FINGERPRINT_TEXT, hash, (SEAL_FINGERPRINT_TEXT - 1) / 2);
}

static size_t
associated_data(const struct seal_place *place, char *out, size_t size)
{
	return (size_t)snprintf(out, size, "msigd/%d/%s/%d/%s/%d/%s", VERSION, place->escrow_id,
	    place->attempt, role_name(place->role), place->round, kinds[place->kind]);
}

void
seal(const unsigned char subkey[SEAL_KEY_BYTES], const struct seal_place *place,
    const void *plain, size_t plain_size, unsigned char *out)
{
	char ad[128];
	size_t ad_size = associated_data(place, ad, sizeof ad);

	out[0] = VERSION;
	randombytes_buf(out + 1, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE, NULL, plain, plain_size,
	    (const unsigned char *)ad, ad_size, NULL, out + 1, subkey);
}

bool
unseal(const unsigned char subkey[SEAL_KEY_BYTES], const struct seal_place *place,
    const void *sealed, size_t sealed_size, unsigned char *out)
{
	const unsigned char *in = sealed;
	char ad[128];
	size_t ad_size = associated_data(place, ad, sizeof ad);

	if (sealed_size < SEAL_OVERHEAD || in[0] != VERSION)
		return false;
	return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in + 1 + NONCE,
	    sealed_size - 1 - NONCE, (const unsigned char *)ad, ad_size, in + 1, subkey) == 0;
}

char *
sealed_to_base64(const void *sealed, size_t sealed_size)
{
	size_t text_size = sodium_base64_encoded_len(sealed_size, BASE64);
	char *text = malloc(text_size);

	if (text != NULL)
		sodium_bin2base64(text, text_size, sealed, sealed_size, BASE64);
	return text;
}

unsigned char *
sealed_from_base64(const char *text, size_t *sealed_size)
{
	size_t text_size = strlen(text);
	unsigned char *sealed = malloc(text_size + 1);

	if (sealed != NULL && sodium_base642bin(sealed, text_size, text, text_size, NULL, sealed_size, NULL, BASE64) == 0)
		return sealed;
	free(sealed);
	return NULL;
}

char *
seal_base64(const unsigned char subkey[SEAL_KEY_BYTES], const struct seal_place *place,
    const void *plain, size_t plain_size)
{
	unsigned char *sealed = malloc(plain_size + SEAL_OVERHEAD);
	char *text;

	if (sealed == NULL)
		return NULL;
	seal(subkey, place, plain, plain_size, sealed);
	text = sealed_to_base64(sealed, plain_size + SEAL_OVERHEAD);
	free(sealed);
	return text;
}

unsigned char *
unseal_base64(const unsigned char subkey[SEAL_KEY_BYTES], const struct seal_place *place,
    const char *text, size_t *size)
{
	size_t sealed_size;
	unsigned char *sealed = sealed_from_base64(text, &sealed_size);
	unsigned char *plain = sealed != NULL ? malloc(sealed_size + 1) : NULL;
	bool ok = plain != NULL && unseal(subkey, place, sealed, sealed_size, plain);

	free(sealed);
	if (!ok) {
		free(plain);
		return NULL;
	}
	*size = sealed_size - SEAL_OVERHEAD;
	plain[*size] = '\0';
	return plain;
}
