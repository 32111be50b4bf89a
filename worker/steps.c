/*
 * The steps of a set-up as scripts: create_wallet, prepare_multisig,
 * make_multisig, exchange_multisig_keys. The call that changes the wallet comes
 * directly after the proof by stamp, and before store. When a step runs is
 * setup.c's business.
 */
#include "worker/steps.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "worker/trace.h"

enum { MESSAGE_MAX = 1024 /* some 200 bytes in truth; six have to fit a frame, sealed, beside three .keys */ };

/* --- what the calls take and give ------------------------------------------------- */

static json_t *
params_create(struct party *p)
{
	return json_pack("{s:s, s:s, s:s}", "filename", p->wallet, "password", p->password, "language", "English");
}

json_t *
params_stamp(struct party *p)
{
	return json_pack("{s:s, s:s}", "key", "msigd", "value", p->stamp);
}

json_t *
params_prepare(struct party *p)
{
	(void)p;
	return json_pack("{s:b}", "enable_multisig_experimental", 1);
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All three messages of the round before, sorted: every version of the wallet
 * takes one's own among them, and one version requires it. */
static json_t *
infos(struct job *job)
{
	const char *texts[ROLE_COUNT] = {NULL};
	json_t *list = json_array();

	for (int i = 0; i < job->party_count; i++)
		texts[i] = job->parties[i].previous;
	qsort(texts, (size_t)job->party_count, sizeof *texts, compare_texts);
	for (int i = 0; i < job->party_count; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

static json_t *
params_make(struct party *p)
{
	setup_make_begins(p);
	return json_pack("{s:o, s:i, s:s}", "multisig_info", infos(p->job), "threshold", MULTISIG_THRESHOLD,
	    "password", p->password);
}

static json_t *
params_exchange(struct party *p)
{
	return json_pack("{s:o, s:s}", "multisig_info", infos(p->job), "password", p->password);
}

/* The last exchange of some versions has nothing more to say. */
static bool
take_message(struct party *p, json_t *result)
{
	const char *message = json_string_value(json_object_get(result, "multisig_info"));

	if (message == NULL || (p->round < ROUND_EXCHANGE && *message == '\0')) {
		job_fail(p->job, p, p->op->method, CAUSE_WALLET_ERROR, false, "the wallet gives no message");
		return false;
	}
	if (strlen(message) > MESSAGE_MAX) {
		job_fail(p->job, p, p->op->method, CAUSE_WALLET_ERROR, false, "the wallet gives a message of %zu bytes",
		    strlen(message));
		return false;
	}
	if (*message != '\0' && (p->message = strdup(message)) == NULL) {
		job_fail(p->job, p, p->op->method, CAUSE_INTERNAL, false, "out of memory");
		return false;
	}
	return true;
}

/* --- is the wallet that was stamped the one that was made? ---------------- */

/* Between create_wallet and the stamp nothing tells wallets apart, and another
 * program could open its own there. So the stamp is only believed when it is
 * seen to have gone into the new wallet's file: store replaces that by rename.
 * Where files cannot be read, the wallet that is open must know the new
 * wallet's password. */

ino_t
step_cache_file(struct party *p)
{
	int64_t began = clock_monotonic_us();
	char path[PATH_MAX];
	struct stat st;
	int error;

	if (p->wallet_dir[0] == '\0')
		return 0;
	snprintf(path, sizeof path, "%.3800s/%s", p->wallet_dir, p->wallet);
	error = stat(path, &st) == 0 ? 0 : errno;
	trace_file(p, "stat", path, "cache", error == 0 ? (int64_t)st.st_size : -1, began, error);
	return error == 0 ? st.st_ino : 0;
}

bool
step_take_unstamped(struct party *p, json_t *result)
{
	pollution_describe(p, json_string_value(json_object_get(result, "value")));
	job_fail(p->job, p, p->op->method, CAUSE_POLLUTED, false, "the wallet that was just made there has a stamp: it is %s; "
	    "does another program use this endpoint?", p->found);
	return false;
}

/* Looked at after the stamp, and not before: whoever opens another wallet makes
 * the wallet-rpc store the one that is open. */
bool
step_take_stamped(struct party *p, json_t *result)
{
	(void)result;
	p->cache_file = step_cache_file(p);
	return true;
}

static bool
take_stored(struct party *p, json_t *result)
{
	(void)result;
	if (p->cache_file == 0 || step_cache_file(p) != p->cache_file)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_POLLUTED, false, "the stamp did not go into the file of wallet %s: "
	    "another wallet is open there; does another program use this endpoint?", p->wallet);
	return false;
}

static bool
file_not_seen(struct party *p)
{
	return p->cache_file == 0;
}

json_t *
params_same_password(struct party *p)
{
	return json_pack("{s:s, s:s}", "old_password", p->password, "new_password", p->password);
}

/* What the other program left on disk is no wallet any more. */
static bool
refuse_reopen(struct party *p, const struct rpc_result *result)
{
	job_fail(p->job, p, p->op->method, CAUSE_POLLUTED, false, "another program has been at wallet %s, and it cannot be "
	    "opened again: %s", p->wallet, result->why);
	return false;
}

static bool
is_before_make(struct party *p)
{
	return p->round <= ROUND_MAKE;
}

static bool
take_stamp_as_left(struct party *p, json_t *result)
{
	return is_before_make(p) ? take_stamp_not_polluted(p, result) : take_own_stamp(p, result);
}

/* --- the scripts ---------------------------------------------------------- */

static const struct op create_script[] = {
	{.method = "create_wallet", .params = params_create, .main = true},
	{.method = "is_multisig", .take = take_not_multisig},
	{.method = "get_address", .params = params_account, .take = take_address},
	{.method = "validate_address", .params = params_address, .take = take_validity},
	{.method = "get_attribute", .params = params_stamp_key, .take = step_take_unstamped, .accepted_error = NO_ATTRIBUTE},
	{.method = "set_attribute", .params = params_stamp, .take = step_take_stamped},
	{.method = "change_wallet_password", .params = params_same_password, .wanted = file_not_seen},
	{.method = "store", .take = take_stored},
	{.method = NULL},
};

/* What is open is known to be the spare as it was created (spare.c). */
static bool
take_stamp_of_spare(struct party *p, json_t *result)
{
	const char *value = json_string_value(json_object_get(result, "value"));

	if (value != NULL && strcmp(value, p->spare.stamp) == 0)
		return true;
	pollution_describe(p, value);
	job_fail(p->job, p, p->op->method, CAUSE_POLLUTED, false, "in the place of the spare %s another wallet is open: %s; "
	    "does another program use this endpoint?", p->spare.wallet, p->found);
	return false;
}

static const struct op spare_script[] = {
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp_of_spare},
	{.method = "set_attribute", .params = params_stamp, .main = true},
	{.method = "store"},
	{.method = NULL},
};

/* Writes nothing to disk (MONERO.md), so there is nothing to store. */
static const struct op prepare_script[] = {
	{.method = "get_attribute", .params = params_stamp_key, .take = take_own_stamp, .refused = refused_stamp},
	{.method = "prepare_multisig", .params = params_prepare, .take = take_message, .main = true},
	{.method = NULL},
};

static const struct op make_script[] = {
	{.method = "is_multisig", .take = take_multisig_later},
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp_not_polluted, .refused = refused_stamp},
	{.method = "make_multisig", .params = params_make, .take = take_message, .main = true},
	{.method = "is_multisig", .take = take_multisig},
	{.method = "store"},
	{.method = NULL},
};

const struct op step_close_script[] = {
	{.method = "close_wallet", .params = params_no_save, .accepted_error = NO_WALLET_OPEN},
	{.method = NULL},
};

/* What prepare_multisig says now says the same in other bytes: the message that
 * is committed stands. But without it the experimental flag would be missing,
 * and every exchange fail (MONERO.md). */
const struct op step_reopen_script[] = {
	{.method = "open_wallet", .params = params_open, .refused = refuse_reopen},
	{.method = "is_multisig", .take = take_multisig_later},
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp_as_left, .refused = refused_stamp},
	{.method = "prepare_multisig", .params = params_prepare, .wanted = is_before_make},
	{.method = NULL},
};

static const struct op exchange_script[] = {
	{.method = "get_attribute", .params = params_stamp_key, .take = take_own_stamp, .refused = refused_stamp},
	{.method = "exchange_multisig_keys", .params = params_exchange, .take = take_message, .main = true},
	{.method = "is_multisig", .take = take_multisig},
	{.method = "store"},
	{.method = NULL},
};

static const struct {
	const char *call;
	const struct op *script;
} steps[] = {
	[ROUND_CREATE] = {"create_wallet", create_script},
	[ROUND_PREPARE] = {"prepare_multisig", prepare_script},
	[ROUND_MAKE] = {"make_multisig", make_script},
	[ROUND_EXCHANGE] = {"exchange_multisig_keys", exchange_script},
};

static int
step_of(int round)
{
	return round < ROUND_EXCHANGE ? round : ROUND_EXCHANGE;
}

const char *
step_call(int round)
{
	return steps[step_of(round)].call;
}

bool
step_writes(int round)
{
	return round != ROUND_PREPARE;
}

bool
party_uses_spare(const struct party *p)
{
	return p->spare.id[0] != '\0' && !p->spare.lost;
}

const struct op *
step_script(const struct party *p)
{
	return p->round == ROUND_CREATE && party_uses_spare(p) ? spare_script : steps[step_of(p->round)].script;
}
