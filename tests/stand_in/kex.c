/* Messages, and what they do to a wallet. Nobody is to take this for a secure
 * exchange: whoever has the messages of the first round has everything. */
#include "tests/stand_in/kex.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "tests/stand_in/base58.h"

enum {
	PREFIX_LENGTH = 13,
	SIGNATURE_SIZE = 64,          /* nonce and hash: so no two are alike */
	KEYS_SIZE = 2 * KEY_SIZE,
	FIRST_SIZE = 2 * KEY_SIZE + SIGNATURE_SIZE,
	LATER_SIZE = 2 + KEYS_SIZE + KEY_SIZE + SIGNATURE_SIZE,
	SEED_KEYS = 6                 /* beside the signers' */
};

static const char first_prefix[] = "MultisigxV2R1", later_prefix[] = "MultisigxV2Rn";

struct message {
	unsigned round;
	uint8_t share[KEY_SIZE];      /* of the first round */
	uint8_t keys[KEYS_SIZE];      /* of a later one */
	uint8_t signer[KEY_SIZE];
};

/* --- keys out of keys ----------------------------------------------------- */

/* BLAKE2b of these bytes, for one purpose. */
static void
hash(const char *purpose, const void *data, size_t size, uint8_t *out, size_t out_size)
{
	crypto_generichash(out, out_size, data, size, (const unsigned char *)purpose, strlen(purpose));
}

void
kex_derive(const struct kex *kex, const char *name, uint8_t out[KEY_SIZE])
{
	hash(name, kex->secret, KEY_SIZE, out, KEY_SIZE);
}

static void
own_signer(const struct kex *kex, uint8_t out[KEY_SIZE])
{
	kex_derive(kex, "signer", out);
}

/* What a signer has to say in a round: the last is the same for all. */
static void
keys_of_round(const struct kex *kex, unsigned round, const uint8_t signer[KEY_SIZE], uint8_t out[KEYS_SIZE])
{
	struct {
		uint8_t group[KEY_SIZE], signer[KEY_SIZE], round;
	} of = {.round = (uint8_t)round};

	memcpy(of.group, kex->group, KEY_SIZE);
	if (!kex_has_address(kex))
		memcpy(of.signer, signer, KEY_SIZE);
	hash("round", &of, sizeof of, out, KEYS_SIZE);
}

void
kex_begin(struct kex *kex)
{
	*kex = (struct kex){0};
	randombytes_buf(kex->secret, KEY_SIZE);
}

bool
kex_has_address(const struct kex *kex)
{
	return !kex->multisig || kex->rounds > kex->total - kex->threshold;
}

bool
kex_is_ready(const struct kex *kex)
{
	return kex->multisig && kex->rounds > kex->total - kex->threshold + 1;
}

void
kex_public_keys(const struct kex *kex, uint8_t spend[KEY_SIZE], uint8_t view[KEY_SIZE])
{
	if (!kex->multisig) {
		kex_derive(kex, "spend", spend);
		kex_derive(kex, "view", view);
		return;
	}
	memcpy(view, kex->view, KEY_SIZE);
	if (kex_has_address(kex)) {
		hash("spend", kex->group, KEY_SIZE, spend, KEY_SIZE);
		return;
	}
	memset(spend, 0, KEY_SIZE);
	spend[0] = 1;
}

void
kex_seed(const struct kex *kex, char out[KEX_SEED_MAX])
{
	static const char *const names[SEED_KEYS] = {"spend key", "spend", "view key", "view", "share 1", "share 2"};
	uint8_t bytes[8 + (SEED_KEYS + KEX_SIGNERS_MAX) * KEY_SIZE] = {kex->threshold, 0, 0, 0, kex->total};
	size_t size = 8;

	for (int i = 0; i < SEED_KEYS; i++, size += KEY_SIZE)
		kex_derive(kex, names[i], bytes + size);
	memcpy(bytes + size, kex->signers, (size_t)kex->total * KEY_SIZE);
	sodium_bin2hex(out, KEX_SEED_MAX, bytes, size + (size_t)kex->total * KEY_SIZE);
}

/* --- a message as text ---------------------------------------------------- */

static void
sign(const char *prefix, uint8_t *bytes, size_t size)
{
	randombytes_buf(bytes + size - SIGNATURE_SIZE, SIGNATURE_SIZE - KEY_SIZE);
	hash(prefix, bytes, size - KEY_SIZE, bytes + size - KEY_SIZE, KEY_SIZE);
}

static bool
is_signed(const char *prefix, const uint8_t *bytes, size_t size)
{
	uint8_t expected[KEY_SIZE];

	hash(prefix, bytes, size - KEY_SIZE, expected, KEY_SIZE);
	return memcmp(expected, bytes + size - KEY_SIZE, KEY_SIZE) == 0;
}

void
kex_first_message(const struct kex *kex, char out[KEX_MESSAGE_MAX])
{
	uint8_t bytes[FIRST_SIZE];

	kex_derive(kex, "share", bytes);
	own_signer(kex, bytes + KEY_SIZE);
	sign(first_prefix, bytes, sizeof bytes);
	strcpy(out, first_prefix);
	base58_encode(bytes, sizeof bytes, out + PREFIX_LENGTH);
}

static void
write_later_message(const struct kex *kex, char out[KEX_MESSAGE_MAX])
{
	/* after the last round it is said once more */
	unsigned last = kex->total - kex->threshold + 2u, round = kex->rounds + 1u < last ? kex->rounds + 1u : last;
	uint8_t bytes[LATER_SIZE] = {(uint8_t)round, 2}, *signer = bytes + 2 + KEYS_SIZE;

	own_signer(kex, signer);
	keys_of_round(kex, round, signer, bytes + 2);
	sign(later_prefix, bytes, sizeof bytes);
	strcpy(out, later_prefix);
	base58_encode(bytes, sizeof bytes, out + PREFIX_LENGTH);
}

static bool
refuse(char why[KEX_WHY_MAX], const char *text)
{
	snprintf(why, KEX_WHY_MAX, "%s", text);
	return false;
}

static bool
read_prefix(const char *text, bool *first, char why[KEX_WHY_MAX])
{
	*first = strncmp(text, first_prefix, PREFIX_LENGTH) == 0;
	if (strlen(text) < PREFIX_LENGTH) {
		snprintf(why, KEX_WHY_MAX, "basic_string::substr: __pos (which is %d) > this->size() (which is %zu)",
		    PREFIX_LENGTH, strlen(text));
		return false;
	}
	if (*first || strncmp(text, later_prefix, PREFIX_LENGTH) == 0)
		return true;
	if (strncmp(text, "MultisigV1", 10) == 0 || strncmp(text, "MultisigxV1", 11) == 0)
		return refuse(why, "V1 multisig kex messages are deprecated (unsafe).");
	return refuse(why, "Only v2 multisig kex messages are supported.");
}

static bool
read_message(const char *text, struct message *m, char why[KEX_WHY_MAX])
{
	uint8_t bytes[2 * KEX_MESSAGE_MAX];
	size_t size;
	bool first;

	if (!read_prefix(text, &first, why))
		return false;
	if (!base58_decode(text + PREFIX_LENGTH, strlen(text) - PREFIX_LENGTH, bytes, sizeof bytes, &size))
		return refuse(why, "Multisig kex msg decoding error.");
	if (size != (first ? FIRST_SIZE : LATER_SIZE))
		return refuse(why, "Deserializing kex msg failed.");
	if (!is_signed(first ? first_prefix : later_prefix, bytes, size))
		return refuse(why, "Message signing key was not in prime subgroup.");
	m->round = first ? 1 : bytes[0];
	if (first)
		memcpy(m->share, bytes, KEY_SIZE);
	else
		memcpy(m->keys, bytes + 2, KEYS_SIZE);
	memcpy(m->signer, bytes + size - SIGNATURE_SIZE - KEY_SIZE, KEY_SIZE);
	return true;
}

/* --- make_multisig -------------------------------------------------------- */

static int
compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, KEY_SIZE);
}

static bool
has_twins(const uint8_t (*sorted)[KEY_SIZE], size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (memcmp(sorted[i - 1], sorted[i], KEY_SIZE) == 0)
			return true;
	}
	return false;
}

/* The signers and their shares, one's own among them, each sorted. */
static bool
read_first_messages(const struct kex *kex, const char *const *infos, size_t *count, uint8_t (*signers)[KEY_SIZE],
    uint8_t (*shares)[KEY_SIZE], char why[KEX_WHY_MAX])
{
	size_t given = *count;

	*count = 1;
	own_signer(kex, signers[0]);
	kex_derive(kex, "share", shares[0]);
	for (size_t i = 0; i < given; i++) {
		struct message m;
		if (!read_message(infos[i], &m, why))
			return false;
		if (m.round != 1)
			return refuse(why, "Trying to make multisig with message that has invalid multisig kex round (should be '1').");
		if (memcmp(m.signer, signers[0], KEY_SIZE) == 0)
			continue;
		if (*count == KEX_SIGNERS_MAX)
			return refuse(why, "Too many multisig signers specified.");
		memcpy(signers[*count], m.signer, KEY_SIZE);
		memcpy(shares[(*count)++], m.share, KEY_SIZE);
	}
	qsort(signers, *count, KEY_SIZE, compare_keys);
	qsort(shares, *count, KEY_SIZE, compare_keys);
	return true;
}

bool
kex_make(struct kex *kex, const char *const *infos, size_t count, unsigned threshold, char out[KEX_MESSAGE_MAX],
    char why[KEX_WHY_MAX])
{
	uint8_t signers[KEX_SIGNERS_MAX][KEY_SIZE], shares[KEX_SIGNERS_MAX][KEY_SIZE];

	if (!read_first_messages(kex, infos, &count, signers, shares, why))
		return false;
	if (has_twins((const uint8_t (*)[KEY_SIZE])signers, count))
		return refuse(why, "Duplicate signers not allowed when converting a wallet to multisig.");
	if (count < 2 || threshold < 1 || threshold > count)
		return refuse(why, "multisig account: tried to set invalid threshold.");
	kex->multisig = 1;
	kex->threshold = (uint8_t)threshold;
	kex->total = (uint8_t)count;
	kex->rounds = 1;
	memcpy(kex->signers, signers, count * KEY_SIZE);
	hash("group", signers, count * KEY_SIZE, kex->group, KEY_SIZE);
	hash("view", shares, count * KEY_SIZE, kex->view, KEY_SIZE);
	write_later_message(kex, out);
	return true;
}

/* --- exchange_multisig_keys ----------------------------------------------- */

static int
place_of_signer(const struct kex *kex, const uint8_t signer[KEY_SIZE])
{
	for (int i = 0; i < kex->total; i++) {
		if (memcmp(kex->signers[i], signer, KEY_SIZE) == 0)
			return i;
	}
	return -1;
}

/* Every other signer says once, or more than once, what is expected of it. */
static bool
all_others_say_it(const struct kex *kex, const struct message *messages, size_t count)
{
	uint8_t own[KEY_SIZE], keys[KEYS_SIZE];
	unsigned seen;

	own_signer(kex, own);
	seen = 1u << place_of_signer(kex, own);
	for (size_t i = 0; i < count; i++) {
		int place = place_of_signer(kex, messages[i].signer);
		if (memcmp(messages[i].signer, own, KEY_SIZE) == 0)
			continue;
		keys_of_round(kex, kex->rounds + 1u, messages[i].signer, keys);
		if (place == -1 || memcmp(messages[i].keys, keys, KEYS_SIZE) != 0)
			return false;
		seen |= 1u << place;
	}
	return seen == (1u << kex->total) - 1;
}

bool
kex_exchange(struct kex *kex, const char *const *infos, size_t count, char out[KEX_MESSAGE_MAX], char why[KEX_WHY_MAX])
{
	struct message messages[4 * KEX_SIGNERS_MAX];
	bool rounds_fit = true;

	if (count > sizeof messages / sizeof messages[0])
		return refuse(why, "Too many multisig kex messages.");
	for (size_t i = 0; i < count; i++) {
		if (!read_message(infos[i], &messages[i], why))
			return false;
		rounds_fit = rounds_fit && messages[i].round == kex->rounds + 1u;
	}
	if (!rounds_fit)
		return refuse(why, "Messages don't have the expected kex round number.");
	if (!all_others_say_it(kex, messages, count))
		return refuse(why, kex_has_address(kex)
		    ? "Multisig post-kex round message origins don't line up with multisig signer set."
		    : "A pubkey recommended by multisig kex messages had an unexpected number of recommendations.");
	kex->rounds++;
	write_later_message(kex, out);
	return true;
}
