/*
 * Calls on one wallet: how a script of them is run, the pieces scripts are made
 * of, and the reading of the wallet's .keys file.
 */
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/job.h"

/* wallet-rpc's errors that mean something of their own (wallet_rpc_server_error_codes.h) */
enum { NO_WALLET_OPEN = -13, WRONG_PASSWORD = -22, ALREADY_MULTISIG = -28, NO_ATTRIBUTE = -45 };

enum { SEED_MIN = 128, SEED_MAX = 2048 /* three have to fit a frame, beside the .keys */ };

/* --- running a script ----------------------------------------------------- */

static void run_op(struct party *p);

/* What it means that a wallet-rpc says no. */
static void
fail_error(struct party *p, const struct rpc_result *r)
{
	const char *call = p->op->method;

	if (r->code == NO_WALLET_OPEN)
		job_fail(p->job, p, call, CAUSE_STAMP_MISMATCH, false, "%s: %s is not open there any more; was the wallet-rpc "
		    "restarted, or does another program use it?", r->why, p->wallet);
	else if (r->code == NO_ATTRIBUTE && strcmp(call, "get_attribute") == 0)
		job_fail(p->job, p, call, CAUSE_STAMP_MISMATCH, false, "%s: the wallet that is open there bears no stamp, so it "
		    "is not %s; does another program use this endpoint?", r->why, p->wallet);
	else if (r->code == WRONG_PASSWORD && strcmp(call, "change_wallet_password") == 0)
		job_fail(p->job, p, call, CAUSE_STAMP_MISMATCH, false, "%s: another wallet is open there than %s; does another "
		    "program use this endpoint?", r->why, p->wallet);
	else if (strcmp(call, "open_wallet") == 0)
		job_fail(p->job, p, call, CAUSE_WALLET_FILES, false, "wallet %s: %s", p->wallet, r->why);
	else
		job_fail(p->job, p, call, r->code == ALREADY_MULTISIG && p->round <= 2 ? CAUSE_POLLUTED : CAUSE_WALLET_ERROR,
		    false, "%s", r->why);
}

static void
fail_call(struct party *p, const struct rpc_result *r)
{
	enum failure_cause cause = CAUSE_INTERNAL;

	switch (r->outcome) {
	case RPC_ANSWERED:
		break;
	case RPC_ERROR:
		fail_error(p, r);
		return;
	case RPC_DOWN:
		cause = CAUSE_ENDPOINT_DOWN;
		break;
	case RPC_REFUSED:
		cause = CAUSE_ENDPOINT_REFUSED;
		break;
	case RPC_UNKNOWN:
		cause = CAUSE_OUTCOME_UNKNOWN;
		break;
	}
	job_fail(p->job, p, p->op->method, cause, false, "%s", r->why);
}

/* done goes on, unless the job puts away what it made. */
static void
end_script(struct party *p)
{
	void (*next)(struct party *party) = p->called_off != NULL ? p->called_off : p->done;

	p->op = NULL;
	p->called_off = NULL;
	next(p);
}

static void
on_answer(const struct rpc_result *r, void *arg)
{
	struct party *p = arg;
	const struct op *op = p->op;
	bool accepted = r->outcome == RPC_ERROR && op->accepted_error != 0 && r->code == op->accepted_error;

	if (p->job->ended)
		return;
	if (p->called_off != NULL) {
		end_script(p);
		return;
	}
	accepted = accepted || (r->outcome == RPC_ERROR && op->refused != NULL && op->refused(p, r));
	if (op->main)
		p->main_ms = r->duration_ms;
	if (r->outcome != RPC_ANSWERED && !accepted)
		fail_call(p, r);
	if (accepted || (r->outcome == RPC_ANSWERED && (op->take == NULL || op->take(p, r->result)))) {
		p->op++;
		run_op(p);
	} else if (!p->job->ended) {
		/* after publication a failure ends the script, not the job */
		end_script(p);
	}
}

static void
run_op(struct party *p)
{
	int64_t left = p->job->deadline_ms - clock_monotonic_ms();
	json_t *params = NULL;

	if (p->job->ended)
		return;
	while (p->op->method != NULL && p->op->wanted != NULL && !p->op->wanted(p))
		p->op++;
	if (p->op->method == NULL) {
		end_script(p);
		return;
	}
	if (p->op->params != NULL && (params = p->op->params(p)) == NULL) {
		job_fail(p->job, p, p->op->method, CAUSE_INTERNAL, false, "out of memory");
		return;
	}
	/* the job's deadline, which can name the call, comes first */
	if (!rpc_call(p->rpc, p->op->method, params, left + 1000, on_answer, p))
		job_fail(p->job, p, p->op->method, CAUSE_INTERNAL, false, "out of memory");
}

void
job_run_script(struct party *p, const struct op *script, void (*done)(struct party *party))
{
	p->op = script;
	p->done = done;
	p->main_ms = 0;
	run_op(p);
}

/* --- the stamp ------------------------------------------------------------ */

json_t *
params_stamp_key(struct party *p)
{
	(void)p;
	return json_pack("{s:s}", "key", "msigd");
}

/* Law 3: the wallet that is open is the one that is meant. */
bool
take_stamp(struct party *p, json_t *result)
{
	const char *value = json_string_value(json_object_get(result, "value"));

	if (value != NULL && strcmp(value, p->stamp) == 0)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_STAMP_MISMATCH, false, "another wallet is open there: its stamp is not "
	    "that of %s; does another program use this endpoint?", p->wallet);
	return false;
}

/* --- is_multisig ---------------------------------------------------------- */

/* Only remembered: whose wallet it is about is proven by the stamp that comes next. */
bool
take_multisig_later(struct party *p, json_t *result)
{
	json_decref(p->is_multisig);
	p->is_multisig = json_incref(result);
	return true;
}

bool
take_stamp_not_polluted(struct party *p, json_t *result)
{
	if (!take_stamp(p, result))
		return false;
	p->polluted = !json_is_false(json_object_get(p->is_multisig, "multisig"));
	return !p->polluted;
}

bool
take_not_multisig(struct party *p, json_t *result)
{
	if (json_is_false(json_object_get(result, "multisig")))
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_POLLUTED, false, "the wallet %s is multisig before its make_multisig: "
	    "does another program use this endpoint?", p->wallet);
	return false;
}

bool
take_multisig(struct party *p, json_t *result)
{
	json_int_t threshold = json_integer_value(json_object_get(result, "threshold"));
	json_int_t total = json_integer_value(json_object_get(result, "total"));

	p->ready = json_is_true(json_object_get(result, "ready"));
	if (json_is_true(json_object_get(result, "multisig")) && threshold == MULTISIG_THRESHOLD && total == MULTISIG_TOTAL)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_GATE, false, "the wallet is %lld of %lld%s, not 2 of 3",
	    (long long)threshold, (long long)total,
	    json_is_true(json_object_get(result, "multisig")) ? "" : " and not multisig");
	return false;
}

bool
take_ready(struct party *p, json_t *result)
{
	if (!take_multisig(p, result))
		return false;
	if (p->ready)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_GATE, false, "the wallet is not ready");
	return false;
}

/* --- addresses ------------------------------------------------------------ */

bool
address_is_placeholder(const char *address)
{
	enum { FIRST = 11, LAST = 43 };

	if (strlen(address) <= LAST)
		return false;
	for (int i = FIRST; i <= LAST; i++) {
		if (address[i] != '1')
			return false;
	}
	return true;
}

json_t *
params_account(struct party *p)
{
	(void)p;
	return json_pack("{s:i, s:[i]}", "account_index", 0, "address_index", 0);
}

bool
take_address(struct party *p, json_t *result)
{
	const char *address = json_string_value(json_object_get(result, "address"));

	if (address != NULL && strlen(address) > 0 && strlen(address) < sizeof p->address) {
		strcpy(p->address, address);
		return true;
	}
	job_fail(p->job, p, p->op->method, CAUSE_GATE, false, "the wallet has no address");
	return false;
}

bool
take_right_address(struct party *p, json_t *result)
{
	if (!take_address(p, result))
		return false;
	if (strcmp(p->address, p->job->address) == 0)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_GATE, false, "wallet %s: its address is not that of the escrow", p->wallet);
	return false;
}

json_t *
params_address(struct party *p)
{
	return json_pack("{s:s, s:b}", "address", p->address, "any_net_type", 1);
}

bool
take_validity(struct party *p, json_t *result)
{
	const char *nettype = json_string_value(json_object_get(result, "nettype"));

	if (!json_is_true(json_object_get(result, "valid")) || !json_is_false(json_object_get(result, "integrated")) ||
	    !json_is_false(json_object_get(result, "subaddress")) || nettype == NULL) {
		job_fail(p->job, p, p->op->method, CAUSE_GATE, false, "the wallet's address is no valid primary address");
		return false;
	}
	if (strcmp(nettype, network_name(p->job->network)) == 0)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_WRONG_NETWORK, false, "this wallet-rpc is on %s and msigd on %s: start it "
	    "for %s, or set network", nettype, network_name(p->job->network), network_name(p->job->network));
	return false;
}

/* --- seed, opening, closing ----------------------------------------------- */

json_t *
params_mnemonic(struct party *p)
{
	(void)p;
	return json_pack("{s:s}", "key_type", "mnemonic");
}

/* A multisig seed is hexadecimal: 592 digits for 2 of 3. */
bool
take_seed(struct party *p, json_t *result)
{
	const char *seed = json_string_value(json_object_get(result, "key"));

	if (seed == NULL || strlen(seed) < SEED_MIN || strlen(seed) > SEED_MAX || strspn(seed, "0123456789abcdef") != strlen(seed)) {
		job_fail(p->job, p, p->op->method, CAUSE_GATE, false, "the wallet gives no multisig seed");
		return false;
	}
	if (p->seed != NULL)
		sodium_memzero(p->seed, strlen(p->seed));
	free(p->seed);
	p->seed = strdup(seed);
	if (p->seed == NULL)
		job_fail(p->job, p, p->op->method, CAUSE_INTERNAL, false, "out of memory");
	return p->seed != NULL;
}

json_t *
params_open(struct party *p)
{
	return json_pack("{s:s, s:s}", "filename", p->wallet, "password", p->password);
}

json_t *
params_no_save(struct party *p)
{
	(void)p;
	return json_pack("{s:b}", "autosave_current", 0);
}

bool
take_closed(struct party *p, json_t *result)
{
	(void)result;
	p->closed = true;
	return true;
}

/* --- what a new wallet needs ---------------------------------------------- */

char *
wallet_new_password(struct party *p, const unsigned char subkey[SEAL_KEY_BYTES], const struct seal_place *place)
{
	unsigned char random[32];

	randombytes_buf(random, sizeof random);
	sodium_bin2hex(p->password, sizeof p->password, random, sizeof random);
	sodium_memzero(random, sizeof random);
	return seal_base64(subkey, place, p->password, strlen(p->password));
}

void
wallet_nonce(char out[NONCE_TEXT])
{
	unsigned char random[(NONCE_TEXT - 1) / 2];

	randombytes_buf(random, sizeof random);
	sodium_bin2hex(out, NONCE_TEXT, random, sizeof random);
}

/* --- what a trial leaves --------------------------------------------------- */

bool
wallet_is_trial(const char *wallet)
{
	static const char prefix[] = "trial-";
	const size_t id = sizeof prefix - 1, dash = id + UUID_TEXT - 1;
	char given[UUID_TEXT], uuid[UUID_TEXT];
	enum role role;

	if (strlen(wallet) <= dash || strncmp(wallet, prefix, id) != 0 || wallet[dash] != '-')
		return false;
	snprintf(given, sizeof given, "%.*s", UUID_TEXT - 1, wallet + id);
	return uuid_normalise(given, uuid) && strcmp(given, uuid) == 0 && role_parse(wallet + dash + 1, false, &role);
}

bool
wallet_remove_files(const struct party *p, const char *wallet)
{
	static const char *const suffixes[] = {".keys", "", ".address.txt"};
	bool had_keys = false, failed = false;
	char path[PATH_MAX];

	if (p->wallet_dir[0] == '\0' || !wallet_is_trial(wallet))
		return false;
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%.3800s/%s%s", p->wallet_dir, wallet, suffixes[i]);
		if (unlink(path) == 0) {
			had_keys = had_keys || i == 0;
			log_debug("wallet_file_removed", F_STR("endpoint", p->endpoint), F_STR("file", path));
		} else if (errno != ENOENT) {
			failed = true;
		}
	}
	/* a folder that was not named is a guess */
	return !failed && (had_keys || p->wallet_dir_sure);
}

/* --- the .keys file ------------------------------------------------------- */

static void
miss_files(struct party *p, const char *path, bool *ok)
{
	if (p->wallet_dir_sure) {
		job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, true, "%.200s: %s: start the wallet-rpc of endpoint %s with "
		    "--wallet-dir of that folder, or correct its wallet-dir, or set it to \"\" if msigd cannot read it",
		    path, strerror(errno), p->endpoint);
		*ok = false;
		return;
	}
	if (!p->files_missed)
		log_warn("wallet_files_not_found", F_STR("endpoint", p->endpoint), F_STR("file", path),
		    F_STR("remedy", "set wallet-dir of this endpoint to the folder of its wallet-rpc, or to \"\""));
	p->files_missed = true;
}

char *
wallet_sealed_keys(struct party *p, int round, bool *ok)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, round, SEAL_KEYS};
	char path[PATH_MAX], *sealed;
	unsigned char *keys;
	size_t size;

	*ok = true;
	if (p->wallet_dir[0] == '\0')
		return NULL;
	snprintf(path, sizeof path, "%.3800s/%s.keys", p->wallet_dir, p->wallet);
	keys = atomic_file_read(path, KEYS_FILE_MAX, &size);
	if (keys == NULL) {
		miss_files(p, path, ok);
		return NULL;
	}
	sealed = seal_base64(p->job->subkey, &place, keys, size);
	sodium_memzero(keys, size);
	free(keys);
	return sealed;
}
