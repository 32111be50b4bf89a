#include "tests/stand_in/wallet.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_SIZES = 3, PADDING_MAX = 2478 /* as large as a real .keys becomes */ };

/* .keys, before what fills it up to its size; bytes only, so it has no gaps. */
struct keys_file {
	char magic[16];
	uint8_t salt[SALT_SIZE], password[KEY_SIZE];
	uint8_t unopenable;
	struct kex kex;
};

/* The cache, before the attributes as JSON. */
struct cache_file {
	char magic[16];
	uint8_t nonce[SALT_SIZE]; /* no two are alike, as when they are encrypted */
	uint8_t spend[KEY_SIZE], view[KEY_SIZE];
};

static const char keys_magic[16] = "stand-in keys 1", cache_magic[16] = "stand-in cache1";

/* --- passwords ------------------------------------------------------------ */

static void
hash_password(const uint8_t salt[SALT_SIZE], const char *password, uint8_t out[KEY_SIZE])
{
	crypto_generichash(out, KEY_SIZE, (const unsigned char *)password, strlen(password), salt, SALT_SIZE);
}

bool
wallet_has_password(const struct wallet *wallet, const char *password)
{
	uint8_t hashed[KEY_SIZE];

	hash_password(wallet->salt, password, hashed);
	return memcmp(hashed, wallet->password, KEY_SIZE) == 0;
}

void
wallet_set_password(struct wallet *wallet, const char *password)
{
	randombytes_buf(wallet->salt, SALT_SIZE);
	hash_password(wallet->salt, password, wallet->password);
	wallet->unopenable = false;
}

void
wallet_take_password(struct wallet *wallet, const char *password)
{
	if (wallet_has_password(wallet, password))
		return;
	wallet_set_password(wallet, password);
	wallet->unopenable = true;
}

/* --- writing -------------------------------------------------------------- */

static const char *
file_name(const struct wallet *wallet, const char *suffix, char out[FILE_NAME_LONGEST + 16])
{
	snprintf(out, FILE_NAME_LONGEST + 16, "%s%s", wallet->name, suffix);
	return out;
}

/* The sizes of real ones: fresh, after make, later. In memory there is no need. */
static size_t
keys_file_size(const struct kex *kex)
{
	if (!files_on_disk())
		return sizeof(struct keys_file);
	if (!kex->multisig)
		return 1683;
	return kex_has_address(kex) ? 2241 : PADDING_MAX;
}

/* The lock is on the file, and this is another file. */
static bool
write_keys(struct wallet *wallet)
{
	uint8_t bytes[PADDING_MAX];
	struct keys_file *keys = (struct keys_file *)bytes;
	size_t size = keys_file_size(&wallet->kex);
	char name[FILE_NAME_LONGEST + 16];

	_Static_assert(sizeof *keys <= 1683 && _Alignof(struct keys_file) == 1, ".keys would be too large, or have gaps");
	if (size > sizeof *keys)
		randombytes_buf(bytes + sizeof *keys, size - sizeof *keys);
	memcpy(keys->magic, keys_magic, sizeof keys_magic);
	memcpy(keys->salt, wallet->salt, SALT_SIZE);
	memcpy(keys->password, wallet->password, KEY_SIZE);
	keys->unopenable = wallet->unopenable;
	keys->kex = wallet->kex;
	files_unlock(&wallet->lock);
	return files_write(file_name(wallet, ".keys", name), bytes, size) && files_lock(name, &wallet->lock);
}

/* A file for people, made with the wallet, and kept right while it is there. */
static bool
write_address(const struct wallet *wallet, bool make_it)
{
	char address[ADDRESS_LENGTH + 1], name[FILE_NAME_LONGEST + 16];

	file_name(wallet, ".address.txt", name);
	if (!files_on_disk() || (!make_it && !files_exist(name)))
		return true;
	wallet_address(wallet, address);
	return files_write(name, address, ADDRESS_LENGTH);
}

static bool
write_cache(const struct wallet *wallet)
{
	size_t size = json_dumpb(wallet->attributes, NULL, 0, JSON_COMPACT);
	uint8_t *bytes = malloc(sizeof(struct cache_file) + size);
	struct cache_file *cache = (struct cache_file *)bytes;
	char name[FILE_NAME_LONGEST + 16];
	bool written;

	if (bytes == NULL)
		return false;
	memcpy(cache->magic, cache_magic, sizeof cache_magic);
	randombytes_buf(cache->nonce, sizeof cache->nonce);
	kex_public_keys(&wallet->kex, cache->spend, cache->view);
	json_dumpb(wallet->attributes, (char *)bytes + sizeof *cache, size, JSON_COMPACT);
	written = files_write(file_name(wallet, "", name), bytes, sizeof *cache + size);
	free(bytes);
	return written;
}

bool
wallet_write(struct wallet *wallet, unsigned what)
{
	if (wallet->name[0] == '\0')
		return true;
	if ((what & WRITE_KEYS) && (!write_keys(wallet) || !write_address(wallet, false)))
		return false;
	return !(what & WRITE_CACHE) || write_cache(wallet);
}

/* --- reading -------------------------------------------------------------- */

static bool
read_keys(struct wallet *wallet, const char *password)
{
	char name[FILE_NAME_LONGEST + 16];
	size_t size;
	struct keys_file *keys = files_read(file_name(wallet, ".keys", name), &size);
	bool good = keys != NULL && size >= sizeof *keys && memcmp(keys->magic, keys_magic, sizeof keys_magic) == 0 &&
	    !keys->unopenable && keys->kex.total <= KEX_SIGNERS_MAX;

	if (good) {
		memcpy(wallet->salt, keys->salt, SALT_SIZE);
		memcpy(wallet->password, keys->password, KEY_SIZE);
		wallet->kex = keys->kex;
		good = wallet_has_password(wallet, password);
	}
	free(keys);
	return good;
}

/* Without a cache a wallet opens, and has no attributes. One that belongs to
 * another address "does not correspond". */
static bool
read_cache(struct wallet *wallet)
{
	char name[FILE_NAME_LONGEST + 16];
	uint8_t spend[KEY_SIZE], view[KEY_SIZE];
	size_t size;
	struct cache_file *cache = files_read(file_name(wallet, "", name), &size);
	bool good = cache != NULL && size >= sizeof *cache && memcmp(cache->magic, cache_magic, sizeof cache_magic) == 0;

	wallet->attributes = NULL;
	kex_public_keys(&wallet->kex, spend, view);
	if (good && memcmp(cache->spend, spend, KEY_SIZE) == 0 && memcmp(cache->view, view, KEY_SIZE) == 0)
		wallet->attributes = json_loadb((const char *)cache + sizeof *cache, size - sizeof *cache, 0, NULL);
	else if (cache == NULL)
		wallet->attributes = json_object();
	free(cache);
	return wallet->attributes != NULL;
}

/* --- creating, opening, closing ------------------------------------------- */

static struct wallet *
new_wallet(const char *name, enum network network)
{
	struct wallet *wallet = calloc(1, sizeof *wallet);

	if (wallet == NULL || strlen(name) > FILE_NAME_LONGEST) {
		free(wallet);
		return NULL;
	}
	strcpy(wallet->name, name);
	wallet->network = network;
	return wallet;
}

struct wallet *
wallet_create(const char *name, const char *password, enum network network, bool torn)
{
	struct wallet *wallet = new_wallet(name, network);

	if (wallet == NULL)
		return NULL;
	kex_begin(&wallet->kex);
	wallet_set_password(wallet, password);
	wallet->attributes = json_object();
	if (wallet->attributes != NULL && wallet_write(wallet, torn ? WRITE_KEYS : WRITE_KEYS | WRITE_CACHE) &&
	    (*name == '\0' || write_address(wallet, true)))
		return wallet;
	wallet_free(wallet);
	return NULL;
}

/* Within a process wallet2's lock does not hold: it can open again what it has
 * open, and then nobody has the lock any more. */
static bool
lock_keys(struct wallet *wallet, struct wallet *mine)
{
	char name[FILE_NAME_LONGEST + 16];

	if (mine == NULL || strcmp(mine->name, wallet->name) != 0)
		return files_lock(file_name(wallet, ".keys", name), &wallet->lock);
	files_unlock(&mine->lock);
	return true;
}

struct wallet *
wallet_open(const char *name, const char *password, enum network network, struct wallet *mine)
{
	struct wallet *wallet = *name != '\0' ? new_wallet(name, network) : NULL;

	if (wallet != NULL && lock_keys(wallet, mine) && read_keys(wallet, password) && read_cache(wallet))
		return wallet;
	wallet_free(wallet);
	return NULL;
}

void
wallet_free(struct wallet *wallet)
{
	if (wallet == NULL)
		return;
	files_unlock(&wallet->lock);
	json_decref(wallet->attributes);
	free(wallet);
}

void
wallet_address(const struct wallet *wallet, char out[ADDRESS_LENGTH + 1])
{
	uint8_t spend[KEY_SIZE], view[KEY_SIZE];

	kex_public_keys(&wallet->kex, spend, view);
	address_write(wallet->network, spend, view, out);
}
