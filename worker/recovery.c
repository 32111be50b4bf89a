/*
 * Going on with an attempt that was interrupted. Each wallet is asked how far it
 * is. If that is what the journal says, it is used as it is; if it is anything
 * else, or cannot be had (torn, gone, locked, on an endpoint that is no more),
 * the committed .keys, which hold the whole state of the key exchange, are
 * written under a new name, opened, and stamped. Either way every wallet is then
 * where its last result left it, and the calls whose outcome is not known can be
 * made: on a wallet that was looked at, or on one that has never heard of them.
 *
 *   looking ──as the journal says──────────────────────────────▶ ready
 *      └──anything else──▶ intending ──ack──▶ restoring ───────▶ ready
 *
 * A new name, because a wallet-rpc may hold a lock on the old file, and a call
 * that is still under way may rename its own over it (MONERO.md).
 */
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "worker/steps.h"
#include "worker/trace.h"
#include "worker/wallet_files.h"

/* How far a wallet is, by what it says of itself (MONERO.md). */
enum progress {
	BEFORE_MAKE,
	AFTER_MAKE,        /* the address is the placeholder */
	BETWEEN_EXCHANGES, /* a real address, but not ready */
	READY
};

static unsigned recovered, restored;     /* parties, by place in job->parties */
static unsigned looked;                  /* those that were looked at, or have no wallet yet */
static unsigned lost;                    /* of these, those that nothing can bring back */
static struct party *beyond_store;       /* one that is further than any call in the store, or NULL */
static json_int_t intended[ROLE_COUNT];  /* serial of the report of a restore; 0: none */

/* --- what it is ------------------------------------------------------------- */

static bool
take_stamp_of_opened(struct party *p, json_t *result)
{
	const char *value = json_string_value(json_object_get(result, "value"));

	return value != NULL && strcmp(value, p->stamp) == 0 ? true : wallet_unfit(p, "another wallet is open there");
}

static bool
is_prepared(struct party *p)
{
	return wallet_is_fit(p) && p->journal.done == ROUND_PREPARE;
}

static enum progress
progress(const struct party *p)
{
	if (!json_is_true(json_object_get(p->is_multisig, "multisig")))
		return BEFORE_MAKE;
	if (json_is_true(json_object_get(p->is_multisig, "ready")))
		return READY;
	return address_is_placeholder(p->address) ? AFTER_MAKE : BETWEEN_EXCHANGES;
}

static unsigned
bit_of(const struct party *p)
{
	return 1u << (p - p->job->parties);
}

static unsigned
all_of(const struct job *job)
{
	return (1u << job->party_count) - 1;
}

static bool
is_restored(const struct party *p)
{
	return (restored & bit_of(p)) != 0;
}

/* Whether a wallet that stands where the journal says would say this of itself.
 * Which exchange is the last only the wallet knows. One that is ready after the
 * first has done a second that the store knows nothing of, unless it is so from
 * its committed .keys. */
static bool
is_expected(const struct party *p, enum progress progress)
{
	const struct journal *j = &p->journal;

	switch (progress) {
	case BEFORE_MAKE:
		return j->done < ROUND_MAKE;
	case AFTER_MAKE:
		return j->done == ROUND_MAKE;
	case BETWEEN_EXCHANGES:
		return j->done == ROUND_EXCHANGE;
	case READY:
		return j->intent == -1 && (j->done > ROUND_EXCHANGE || (j->done == ROUND_EXCHANGE && is_restored(p)));
	}
	return false;
}

/* No call that was intended has brought it there: it went on while another store
 * was in use. */
static void
look_beyond_store(struct party *p, enum progress is)
{
	static const int reached[] = {ROUND_CREATE, ROUND_MAKE, ROUND_EXCHANGE, ROUND_EXCHANGE + 1};
	const struct journal *j = &p->journal;

	if (reached[is] <= (j->done > j->intent ? j->done : j->intent))
		return;
	beyond_store = p;
	log_warn("store_older", F_STR("escrow", p->job->escrow_id), F_STR("role", role_name(p->role)), F_STR("wallet", p->wallet),
	    F_STR("what", "the wallet is further than any call in the store: was that put back from a backup?"));
}

static bool
take_progress(struct party *p, json_t *result)
{
	static const char *const names[] = {"it is not multisig", "it is after its make_multisig", "it is between two exchanges",
	    RETIRED_READY};
	enum progress is;

	if (!take_address(p, result))
		return false;
	is = progress(p);
	p->ready = is == READY;
	if (is_expected(p, is) || MSIGD_MISTAKE_BLIND_REPEAT)
		return true;
	look_beyond_store(p, is);
	snprintf(p->why_unfit, sizeof p->why_unfit, "%s, and the last answer of it that is kept is that of %s", names[is],
	    step_call(p->journal.done));
	p->unfit = true;
	return true;
}

/* A wallet that stands where its peers expect it. Before make_multisig it needs
 * the experimental flag again; what prepare_multisig says now says the same in
 * other bytes: the message that is committed stands. */
#define LOOK_AT_IT \
	{.method = "is_multisig", .take = take_multisig_later, .wanted = wallet_is_fit, .refused = refused_unfit}, \
	{.method = "get_address", .params = params_account, .take = take_progress, .wanted = wallet_is_fit, .refused = refused_unfit}, \
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp, .wanted = is_prepared}, \
	{.method = "prepare_multisig", .params = params_prepare, .wanted = is_prepared}

static const struct op look_script[] = {
	{.method = "open_wallet", .params = params_open, .refused = refused_unfit},
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp_of_opened, .wanted = wallet_is_fit,
	    .refused = refused_unfit},
	LOOK_AT_IT,
	{.method = NULL},
};

/* Until it is stamped, nothing tells it from a wallet that another program opens
 * in between; so the stamp is only believed when it went into its file. */
static bool
take_stored(struct party *p, json_t *result)
{
	ino_t now = step_cache_file(p);

	(void)result;
	if (now != 0 && now != p->cache_file)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_POLLUTED, false, "the stamp did not go into the file of the restored wallet %s: "
	    "another wallet is open there; does another program use this endpoint?", p->wallet);
	return false;
}

static const struct op restore_script[] = {
	{.method = "close_wallet", .params = params_no_save, .accepted_error = NO_WALLET_OPEN},
	{.method = "open_wallet", .params = params_open},
	{.method = "get_attribute", .params = params_stamp_key, .take = step_take_unstamped, .accepted_error = NO_ATTRIBUTE},
	{.method = "set_attribute", .params = params_stamp, .take = step_take_stamped},
	{.method = "store", .take = take_stored},
	LOOK_AT_IT,
	{.method = NULL},
};

/* --- restoring ----------------------------------------------------------------- */

static void
note_recovered(struct party *p)
{
	struct job *job = p->job;

	recovered |= bit_of(p);
	if (job_stop_if_idle(job) || job->stopping || recovered != all_of(job))
		return;
	setup_go_on(job);
	for (int i = 0; i < job->party_count; i++)
		journal_forget(&job->parties[i].journal);
}

static void
on_restored(struct party *p)
{
	if (p->unfit) {
		job_fail(p->job, p, "open_wallet", CAUSE_NOT_RECOVERED, false, "the wallet restored as %s: %s", p->wallet, p->why_unfit);
		return;
	}
	if (p->ready && !wallet_sync_files(p))
		return;
	log_info("wallet_restored", F_STR("escrow", p->job->escrow_id), F_STR("role", role_name(p->role)),
	    F_STR("endpoint", p->endpoint), F_STR("wallet", p->wallet));
	note_recovered(p);
}

static void
restore(struct party *p)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%.3800s/%s.keys", p->wallet_dir, p->wallet);
	FAULT_AT("restore", "write", role_name(p->role), p->journal.done, p->job->escrow_id, p->url);
	if (!wallet_write_keys(p, path, p->journal.keys, p->journal.keys_size, !MSIGD_MISTAKE_RESTORE_OVER)) {
		job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, false, "the wallet cannot be written again: %.200s: %s", path,
		    strerror(errno));
		return;
	}
	FAULT_AT("restore", "written", role_name(p->role), p->journal.done, p->job->escrow_id, p->url);
	wallet_give_to_owner(p, path);
	p->unfit = false;
	restored |= bit_of(p);
	job_run_script(p, restore_script, on_restored);
}

static bool
can_be_restored(const struct party *p)
{
	return p->journal.keys != NULL && p->wallet_dir[0] != '\0';
}

static void
intend_restore(struct party *p)
{
	struct job *job = p->job;
	json_t *intent;

	if (!MSIGD_MISTAKE_RESTORE_OVER)
		wallet_new_name(p);
	setup_make_stamp(p);
	intent = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "role", role_name(p->role), "call", "restore",
	    "round", p->journal.done, "wallet", p->wallet, "stamp", p->stamp, "reason", p->why_unfit);
	p->journal.intent = -1;
	trace_restore(p, p->why_unfit);
	intended[p - job->parties] = job_report(job, MESSAGE_REPORT, json_pack("{s:[], s:[o]}", "results", "intents", intent));
}

bool
recovery_acked(struct job *job, json_int_t serial)
{
	for (int i = 0; i < job->party_count; i++) {
		if (intended[i] == 0 || intended[i] != serial)
			continue;
		intended[i] = 0;
		if (!job_stop_if_idle(job) && !job->stopping)
			restore(&job->parties[i]);
		return true;
	}
	return false;
}

/* --- looking ---------------------------------------------------------------------- */

/* From the same three wallets comes the same address again; not from another one,
 * which a role would get that has none on record, or one that is lost. */
static bool
store_is_older(struct job *job)
{
	for (int i = 0; beyond_store != NULL && i < job->party_count; i++) {
		const struct party *p = &job->parties[i];
		bool has_one = p->journal.done >= ROUND_CREATE;
		if (has_one && (lost & bit_of(p)) == 0)
			continue;
		job_fail(job, beyond_store, NULL, CAUSE_STORE_OLDER, true, "wallet %s is further than any call in the store, and the %s's "
		    "%s: the store is older than the wallets, and this escrow may have an address already. Look for a newer backup "
		    "of the store; with retry it begins anew", beyond_store->wallet, role_name(p->role),
		    has_one ? "cannot be brought back" : "is not in it");
		return true;
	}
	return false;
}

static void
fail_lost(struct job *job)
{
	struct party *p = job->parties;

	while ((lost & bit_of(p)) == 0)
		p++;
	job_fail(job, p, NULL, CAUSE_NOT_RECOVERED, false, "wallet %s: %s; and %s", p->wallet, p->why_unfit,
	    p->journal.keys == NULL ? "there is no copy of its .keys" : "no file can be written for this endpoint");
}

/* What is lost is told when all were looked at: what the others are tells whether
 * another attempt may be made. */
static void
on_looked(struct party *p)
{
	struct job *job = p->job;

	if (job_stop_if_idle(job) || job->stopping)
		return;
	looked |= bit_of(p);
	if (p->unfit && !can_be_restored(p))
		lost |= bit_of(p);
	if (looked == all_of(job) && store_is_older(job))
		return;
	if (looked == all_of(job) && lost != 0)
		fail_lost(job);
	else if (!p->unfit)
		note_recovered(p);
	else if (can_be_restored(p))
		intend_restore(p);
}

void
recovery_begin(struct job *job)
{
	char why[128];
	struct party *bad = journal_incomplete(job, why, sizeof why);

	if (bad != NULL) {
		job_fail(job, bad, NULL, CAUSE_NOT_RECOVERED, false, "what the store has of it cannot be gone on with: %s", why);
		return;
	}
	for (int i = 0; i < job->party_count && !job->ended; i++) {
		struct party *p = &job->parties[i];
		if (p->journal.done < ROUND_CREATE) {
			looked |= bit_of(p);
			note_recovered(p);
		}
	}
	for (int i = 0; i < job->party_count && !job->ended; i++) {
		struct party *p = &job->parties[i];
		if (p->journal.done >= ROUND_CREATE)
			job_run_script(p, look_script, on_looked);
	}
}
