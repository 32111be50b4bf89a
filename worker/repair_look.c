/*
 * What a repair asks a wallet that it has opened, and how it stamps one: the
 * scripts of repair.c. Nothing is stamped, and no stamp is believed, before it is
 * proven which wallet is open (DESIGN.md, law 3): a wallet without a stamp is known
 * by its seed, and another program could open its own between that and the stamp.
 */
#include "worker/repair.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker/steps.h"

struct repair_look repair_look;

static unsigned char said_seed[crypto_generichash_BYTES]; /* hash of the seed that it said when it was looked at */

/* From 0.18.4 on it says why. */
static bool
not_opened(struct party *p, const struct rpc_result *r)
{
	repair_look.is_gone = strstr(r->why, "not found") != NULL;
	return wallet_unfit(p, r->why);
}

static bool
look_whether_ready(struct party *p, json_t *result)
{
	if (json_is_true(json_object_get(result, "multisig")) && json_is_true(json_object_get(result, "ready")) &&
	    json_integer_value(json_object_get(result, "threshold")) == MULTISIG_THRESHOLD &&
	    json_integer_value(json_object_get(result, "total")) == MULTISIG_TOTAL)
		return true;
	return wallet_unfit(p, "it is no finished 2-of-3 wallet");
}

static bool
look_at_address(struct party *p, json_t *result)
{
	const char *address = json_string_value(json_object_get(result, "address"));

	return address != NULL && strcmp(address, p->job->address) == 0 ? true
	    : wallet_unfit(p, "its address is not that of the escrow");
}

static void
hash_seed(const char *seed, unsigned char out[crypto_generichash_BYTES])
{
	crypto_generichash(out, crypto_generichash_BYTES, (const unsigned char *)seed, strlen(seed), NULL, 0);
}

/* One that was made from the seed need not be asked for it. */
static bool
look_at_seed(struct party *p, json_t *result)
{
	const char *seed = json_string_value(json_object_get(result, "key"));

	if (!repair_look.seed_known && !take_seed(p, result))
		return false; /* if it proves to be ours, this goes into the store */
	if (seed == NULL)
		return wallet_unfit(p, "it tells no seed");
	hash_seed(seed, said_seed);
	return !repair_look.seed_known || repair_look.from_seed || strcmp(seed, p->seed) == 0 ? true : wallet_unfit(p, "its seed is not "
	    "the one on record: it is another role's wallet");
}

static bool
look_at_stamp(struct party *p, json_t *result)
{
	const char *value = json_string_value(json_object_get(result, "value"));

	repair_look.stamped = value != NULL && strcmp(value, p->stamp) == 0;
	return repair_look.stamped ? true : wallet_unfit(p, "its stamp is that of another wallet");
}

static bool
bears_no_stamp(struct party *p, const struct rpc_result *r)
{
	if (r->code != NO_ATTRIBUTE)
		return refused_unfit(p, r);
	/* the seed was right: that is proof enough, but only if there was one to compare with */
	return repair_look.seed_known ? true : wallet_unfit(p, "it bears no stamp, and there is no seed on record to know it by");
}

#define LOOK_AT_IT \
	{.method = "is_multisig", .take = look_whether_ready, .wanted = wallet_is_fit, .refused = refused_unfit}, \
	{.method = "get_address", .params = params_account, .take = look_at_address, .wanted = wallet_is_fit, .refused = refused_unfit}

#define LOOK_AT_SEED \
	{.method = "query_key", .params = params_mnemonic, .take = look_at_seed, .wanted = wallet_is_fit, .refused = refused_unfit}

/* --- the stamp, and the proof where it went ---------------------------------------- */

static bool
another_is_open(struct party *p)
{
	job_fail(p->job, p, p->op->method, CAUSE_POLLUTED, false, "the stamp did not go into wallet %s: another wallet is open "
	    "there; does another program use this endpoint?", p->wallet);
	return false;
}

static bool
is_not_seen(struct party *p)
{
	return wallet_is_fit(p) && !repair_reaches(p);
}

/* Its cache file may be a new one; store replaces it by rename. Where that cannot
 * be seen, the wallet that is open knew the password of this one. */
static bool
take_stored(struct party *p, json_t *result)
{
	ino_t now = step_cache_file(p);

	(void)result;
	return is_not_seen(p) || (now != 0 && now != p->cache_file) || another_is_open(p);
}

static bool
take_same_seed(struct party *p, json_t *result)
{
	const char *seed = json_string_value(json_object_get(result, "key"));
	unsigned char hash[sizeof said_seed];

	hash_seed(seed != NULL ? seed : "", hash);
	return memcmp(hash, said_seed, sizeof hash) == 0 || another_is_open(p);
}

#define STAMP_IT \
	{.method = "get_attribute", .params = params_stamp_key, .take = step_take_unstamped, .wanted = wallet_is_fit, \
	    .accepted_error = NO_ATTRIBUTE}, \
	{.method = "set_attribute", .params = params_stamp, .take = step_take_stamped, .wanted = wallet_is_fit}, \
	{.method = "change_wallet_password", .params = params_same_password, .wanted = is_not_seen}, \
	{.method = "store", .take = take_stored, .wanted = wallet_is_fit}, \
	{.method = "query_key", .params = params_mnemonic, .take = take_same_seed, .wanted = wallet_is_fit}, \
	{.method = "close_wallet", .params = params_no_save, .accepted_error = NO_WALLET_OPEN}, \
	{.method = NULL}

/* --- the scripts ------------------------------------------------------------------- */

const struct op repair_look_script[] = {
	{.method = "close_wallet", .params = params_no_save, .accepted_error = NO_WALLET_OPEN},
	{.method = "open_wallet", .params = params_open, .refused = not_opened},
	LOOK_AT_IT,
	LOOK_AT_SEED,
	{.method = "get_attribute", .params = params_stamp_key, .take = look_at_stamp, .wanted = wallet_is_fit,
	    .refused = bears_no_stamp},
	{.method = NULL},
};

const struct op repair_stamp_script[] = {STAMP_IT};

/* Also of one that is not fit: the next may be opened. */
const struct op repair_close_script[] = {
	{.method = "close_wallet", .params = params_no_save, .accepted_error = NO_WALLET_OPEN},
	{.method = NULL},
};

const struct op repair_restored_script[] = {
	{.method = "close_wallet", .params = params_no_save, .accepted_error = NO_WALLET_OPEN},
	{.method = "open_wallet", .params = params_open, .refused = refused_unfit},
	LOOK_AT_IT,
	LOOK_AT_SEED,
	STAMP_IT,
};

static json_t *
params_seed(struct party *p)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:b, s:b}", "filename", p->wallet, "password", p->password,
	    "seed", p->seed, "restore_height", 0, "language", "English", "autosave_current", 0,
	    "enable_multisig_experimental", 1);
}

/* Of version 0.18.3 or later; others take the seed for words. */
const struct op repair_seed_script[] = {
	{.method = "restore_deterministic_wallet", .params = params_seed, .refused = refused_unfit},
	LOOK_AT_IT,
	LOOK_AT_SEED,
	STAMP_IT,
};
