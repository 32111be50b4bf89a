/* What an address is made of, and nothing about whose it is. Its checksum is
 * Keccak-256, which libsodium does not have. */
#include "tests/stand_in/address.h"

#include <stdint.h>
#include <string.h>

#include "tests/stand_in/base58.h"

enum {
	CHECKSUM_SIZE = 4,
	PAYMENT_ID_SIZE = 8,
	PLAIN_SIZE = 1 + 2 * KEY_SIZE + CHECKSUM_SIZE,
	LONGEST = PLAIN_SIZE + PAYMENT_ID_SIZE
};

/* cryptonote_config.h */
static const struct {
	unsigned char prefix;
	struct address_kind kind;
} prefixes[] = {
	{18, {NETWORK_MAINNET, false, false}}, {19, {NETWORK_MAINNET, true, false}}, {42, {NETWORK_MAINNET, false, true}},
	{53, {NETWORK_TESTNET, false, false}}, {54, {NETWORK_TESTNET, true, false}}, {63, {NETWORK_TESTNET, false, true}},
	{24, {NETWORK_STAGENET, false, false}}, {25, {NETWORK_STAGENET, true, false}}, {36, {NETWORK_STAGENET, false, true}},
};
enum { PREFIX_COUNT = sizeof prefixes / sizeof prefixes[0] };

/* --- Keccak-256 with the padding from before SHA-3 ------------------------ */

enum { LANES = 25, RATE = 136, ROUNDS = 24 };

static uint64_t
rotate(uint64_t x, unsigned bits)
{
	return bits == 0 ? x : x << bits | x >> (64 - bits);
}

static void
keccak_theta(uint64_t a[LANES])
{
	uint64_t c[5];

	for (int x = 0; x < 5; x++)
		c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
	for (int i = 0; i < LANES; i++)
		a[i] ^= c[(i % 5 + 4) % 5] ^ rotate(c[(i % 5 + 1) % 5], 1);
}

static void
keccak_rho_pi(uint64_t a[LANES])
{
	static const unsigned char offsets[ROUNDS] = {1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62,
	    18, 39, 61, 20, 44};
	static const unsigned char places[ROUNDS] = {10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14,
	    22, 9, 6, 1};
	uint64_t moving = a[1];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t next = a[places[i]];
		a[places[i]] = rotate(moving, offsets[i]);
		moving = next;
	}
}

static void
keccak_chi(uint64_t a[LANES])
{
	for (int y = 0; y < LANES; y += 5) {
		uint64_t row[5];
		memcpy(row, a + y, sizeof row);
		for (int x = 0; x < 5; x++)
			a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
	}
}

static void
keccak_permute(uint64_t a[LANES])
{
	static const uint64_t constants[ROUNDS] = {0x0000000000000001, 0x0000000000008082, 0x800000000000808a,
	    0x8000000080008000, 0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
	    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a, 0x000000008000808b,
	    0x800000000000008b, 0x8000000000008089, 0x8000000000008003, 0x8000000000008002, 0x8000000000000080,
	    0x000000000000800a, 0x800000008000000a, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001,
	    0x8000000080008008};

	for (int i = 0; i < ROUNDS; i++) {
		keccak_theta(a);
		keccak_rho_pi(a);
		keccak_chi(a);
		a[0] ^= constants[i];
	}
}

/* The first bytes of the hash of something that fits one block. */
static void
checksum(const unsigned char *data, size_t size, unsigned char out[CHECKSUM_SIZE])
{
	unsigned char block[RATE] = {0};
	uint64_t a[LANES] = {0};

	memcpy(block, data, size);
	block[size] ^= 0x01;
	block[RATE - 1] ^= 0x80;
	memcpy(a, block, sizeof block);
	keccak_permute(a);
	memcpy(out, a, CHECKSUM_SIZE);
}

/* --- addresses ------------------------------------------------------------ */

void
address_write(enum network network, const unsigned char spend[KEY_SIZE], const unsigned char view[KEY_SIZE],
    char out[ADDRESS_LENGTH + 1])
{
	unsigned char bytes[PLAIN_SIZE];
	int i = 0;

	while (prefixes[i].kind.network != network)
		i++;
	bytes[0] = prefixes[i].prefix;
	memcpy(bytes + 1, spend, KEY_SIZE);
	memcpy(bytes + 1 + KEY_SIZE, view, KEY_SIZE);
	checksum(bytes, PLAIN_SIZE - CHECKSUM_SIZE, bytes + PLAIN_SIZE - CHECKSUM_SIZE);
	base58_encode(bytes, sizeof bytes, out);
}

bool
address_read(const char *text, struct address_kind *kind)
{
	unsigned char bytes[LONGEST], sum[CHECKSUM_SIZE];
	size_t size;

	if (!base58_decode(text, strlen(text), bytes, sizeof bytes, &size) || size < PLAIN_SIZE)
		return false;
	for (int i = 0; i < PREFIX_COUNT; i++) {
		*kind = prefixes[i].kind;
		if (prefixes[i].prefix == bytes[0] && size == (size_t)(kind->integrated ? LONGEST : PLAIN_SIZE)) {
			checksum(bytes, size - CHECKSUM_SIZE, sum);
			return memcmp(sum, bytes + size - CHECKSUM_SIZE, CHECKSUM_SIZE) == 0;
		}
	}
	return false;
}
