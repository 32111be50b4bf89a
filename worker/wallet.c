/*
 * Calls on one wallet: how a script of them is run, and the pieces scripts are
 * made of.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "ipc/channel.h"
#include "worker/steps.h"
#include "worker/trace.h"

enum { SEED_MIN = 128, SEED_MAX = 2048 /* three have to fit a frame, beside the .keys */ };

/* --- running a script ----------------------------------------------------- */

static void run_op(struct party *p);

/* An attempt creates a wallet under its own name once; what does it again takes
 * another (wallet_new_name). */
static bool
was_created_before(const struct party *p, const struct rpc_result *r)
{
	char name[sizeof p->wallet];

	snprintf(name, sizeof name, "%s-%d-%s", p->job->escrow_id, p->job->attempt, role_name(p->role));
	return r->code == WALLET_EXISTS && strcmp(p->op->method, "create_wallet") == 0 && strcmp(p->wallet, name) == 0;
}

/* What it means that a wallet-rpc says no. */
static void
fail_error(struct party *p, const struct rpc_result *r)
{
	const char *call = p->op->method;

	if (r->code == NO_WALLET_OPEN)
		job_fail(p->job, p, call, CAUSE_WALLET_CLOSED, false, "%s: %s is not open there any more; was the wallet-rpc "
		    "restarted, or does another program use it?", r->why, p->wallet);
	else if (r->code == NO_ATTRIBUTE && strcmp(call, "get_attribute") == 0)
		job_fail(p->job, p, call, CAUSE_STAMP_MISMATCH, false, "%s: the wallet that is open there bears no stamp, so it "
		    "is not %s; does another program use this endpoint?", r->why, p->wallet);
	else if (r->code == WRONG_PASSWORD && strcmp(call, "change_wallet_password") == 0)
		job_fail(p->job, p, call, CAUSE_STAMP_MISMATCH, false, "%s: another wallet is open there than %s; does another "
		    "program use this endpoint?", r->why, p->wallet);
	else if (strcmp(call, "open_wallet") == 0)
		job_fail(p->job, p, call, CAUSE_WALLET_FILES, false, "wallet %s: %s", p->wallet, r->why);
	else if (was_created_before(p, r))
		job_fail(p->job, p, call, CAUSE_STORE_OLDER, true, "wallet %s is there, and the store knows nothing of it: the store is "
		    "older than the wallets, and this escrow may have an address already. Look for a newer backup of the store; "
		    "with retry it begins anew", p->wallet);
	else
		job_fail(p->job, p, call, r->code == ALREADY_MULTISIG && p->round <= 2 ? CAUSE_POLLUTED : CAUSE_WALLET_ERROR,
		    false, "%s", r->why);
}

/* Somebody has been at what is open there: whose it is, the trace shows. */
static void
fail_multisig(struct party *p)
{
	job_fail(p->job, p, "make_multisig", CAUSE_POLLUTED, false, "%s", p->why_unfit);
}

static bool
is_multisig_already(const struct party *p, const struct rpc_result *r)
{
	return r->outcome == RPC_ERROR && r->code == ALREADY_MULTISIG && p->round == ROUND_MAKE &&
	    strcmp(p->op->method, "make_multisig") == 0;
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

	FAULT_AT("answer", op->method, role_name(p->role), p->round, p->job->escrow_id, p->url);
	if (p->job->ended)
		return;
	if (p->called_off != NULL) {
		end_script(p);
		return;
	}
	accepted = accepted || (r->outcome == RPC_ERROR && op->refused != NULL && op->refused(p, r));
	accepted = accepted || (op->look && r->outcome != RPC_ANSWERED);
	trace_answer(p, op, r, accepted);
	if (op->main)
		p->main_ms = r->duration_ms;
	if (is_multisig_already(p, r)) {
		snprintf(p->why_unfit, sizeof p->why_unfit, "%s", r->why);
		snapshot_of_another(p, fail_multisig);
		return;
	}
	if (r->outcome != RPC_ANSWERED && !accepted)
		fail_call(p, r);
	if (op->look && r->outcome != RPC_ANSWERED && r->outcome != RPC_ERROR) {
		end_script(p); /* the next would have to wait as long */
		return;
	}
	if ((accepted && !p->polluted) || (r->outcome == RPC_ANSWERED && (op->take == NULL || op->take(p, r->result)))) {
		p->op++;
		run_op(p);
	} else if (!p->job->ended) {
		/* after publication a failure ends the script, not the job */
		end_script(p);
	}
}

/* The job's deadline, which can name the call, comes first. */
static int64_t
limit_ms(const struct party *p, int64_t now)
{
	int64_t left = p->job->deadline_ms - now + 1000, look = p->look_ends_ms - now;

	return p->op->look && look < left ? look : left;
}

static void
run_op(struct party *p)
{
	int64_t now = clock_monotonic_ms();
	json_t *params = NULL;

	if (p->job->ended)
		return;
	while (p->op->method != NULL && p->op->wanted != NULL && !p->op->wanted(p))
		p->op++;
	if (p->op->method == NULL || (p->op->look && (p->job->stopping || now >= p->look_ends_ms))) {
		end_script(p);
		return;
	}
	if (p->op->params != NULL && (params = p->op->params(p)) == NULL) {
		job_fail(p->job, p, p->op->method, CAUSE_INTERNAL, false, "out of memory");
		return;
	}
	FAULT_AT("call", p->op->method, role_name(p->role), p->round, p->job->escrow_id, p->url);
	/* its end may lie in the queue behind the answer that led here */
	if (channel_is_closed(p->job->channel)) {
		json_decref(params);
		job_leave(p->job, WORKER_EXIT_SUPERVISOR_GONE);
		return;
	}
	trace_call(p, p->op->method);
	if (!rpc_call(p->rpc, p->op->method, params, limit_ms(p, now), on_answer, p))
		job_fail(p->job, p, p->op->method, CAUSE_INTERNAL, false, "out of memory");
}

void
job_run_script(struct party *p, const struct op *script, void (*done)(struct party *party))
{
	p->op = script;
	p->done = done;
	p->main_ms = 0;
	p->polluted = false;
	run_op(p);
}

/* --- the stamp ------------------------------------------------------------ */

json_t *
params_stamp_key(struct party *p)
{
	(void)p;
	return json_pack("{s:s}", "key", "msigd");
}

/* Law 3: the wallet that is open is the one that is meant. For one that nothing
 * else is done about than to say so: see take_own_stamp(). */
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
	/* What may be open there is nobody's to save. */
	return json_pack("{s:s, s:s, s:b}", "filename", p->wallet, "password", p->password, "autosave_current", 0);
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

bool
wallet_unfit(struct party *p, const char *why)
{
	p->unfit = true;
	snprintf(p->why_unfit, sizeof p->why_unfit, "%s", why);
	return true;
}

bool
refused_unfit(struct party *p, const struct rpc_result *r)
{
	return r->code != NO_WALLET_OPEN && wallet_unfit(p, r->why);
}

bool
wallet_is_fit(struct party *p)
{
	return !p->unfit;
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
wallet_new_name(struct party *p)
{
	snprintf(p->wallet, sizeof p->wallet, "%s-%d-%s-%08x", p->job->escrow_id, p->job->attempt, role_name(p->role),
	    randombytes_random());
}

void
wallet_nonce(char out[NONCE_TEXT])
{
	unsigned char random[(NONCE_TEXT - 1) / 2];

	randombytes_buf(random, sizeof random);
	sodium_bin2hex(out, NONCE_TEXT, random, sizeof random);
}
