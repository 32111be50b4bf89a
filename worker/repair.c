/*
 * The repair job: one wallet of a Ready escrow is looked at, and if it is not
 * there, does not open, or is not the right one, is brought back from what the
 * store has of it.
 *
 *   looking ──good──────────────────────────────────────▶ done
 *      │ └───without a stamp──▶ stamping ───────────────▶ done
 *      └──anything else──▶ intending ──ack──▶ restoring ─▶ done
 *                              ▲                  └──not good: the next source
 *                              └──────────────────────────┘
 *
 * Sources, in order: the sealed .keys; the seed, by the wallet-rpc; the seed, by
 * monero-wallet-cli. No file is ever replaced: what cannot be opened stays, and
 * what is restored gets a name of which there is no file.
 *
 * After make_multisig the address is the same in all three wallets: a wallet
 * without a stamp (restored from its .keys by hand, say, or by a repair that was
 * killed before it could stamp it) is known by its seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "worker/repair.h"
#include "worker/trace.h"
#include "worker/wallet_files.h"

enum source { SOURCE_KEYS, SOURCE_SEED_RPC, SOURCE_SEED_CLI, SOURCE_COUNT };

static enum source source;
static bool has_name;       /* party->wallet is intended, and there is no file of that name */
static char found[640];     /* what is wrong with the wallet, and each source that was tried */
static json_int_t intended; /* serial of the report, 0: none */
static int cli_tried;       /* which of the monero-wallet-clis */
static char recorded[128];  /* the wallet's name as the job was told it */

/* --- its end ------------------------------------------------------------------- */

/* A copy that could not be read is made anew, from a wallet that is good. */
static void
add_seed(struct party *p, json_t *fields)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, 0, SEAL_SEED};
	char *sealed = !repair_look.seed_known && p->seed != NULL ? seal_base64(p->job->subkey, &place, p->seed, strlen(p->seed)) : NULL;

	if (sealed != NULL)
		json_object_set_new(fields, "seed", json_string(sealed));
	free(sealed);
}

static void
add_keys(struct party *p, json_t *fields)
{
	char *sealed = NULL;

	if (p->journal.keys == NULL && p->wallet_dir[0] != '\0' && wallet_seal_keys(p, p->job->copies.keys_round, &sealed) &&
	    sealed != NULL)
		json_object_set_new(fields, "keys", json_string(sealed));
	free(sealed);
}

static void
finish(struct party *p, const char *from)
{
	json_t *fields = json_pack("{s:[s], s:s, s:s, s:i}", "roles", role_name(p->role), "from", from, "wallet", p->wallet,
	    "keys_round", p->job->copies.keys_round);

	add_keys(p, fields);
	add_seed(p, fields);
	job_finish(p->job, "done", fields);
}


/* --- names and files ------------------------------------------------------------ */

static void
path_of(const struct party *p, const char *suffix, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.3800s/%s%s", p->wallet_dir, p->wallet, suffix);
}

/* A folder that was not named is a guess. If there are .keys on record they were
 * read in it, so it was right. */
static bool
knows_folder(const struct party *p)
{
	return p->wallet_dir[0] != '\0' && (p->wallet_dir_sure || p->job->copies.has_keys);
}

bool
repair_reaches(const struct party *p)
{
	return knows_folder(p) && access(p->wallet_dir, W_OK | X_OK) == 0;
}

/* What a wallet-rpc has written it has made durable nowhere. */
static void
finish_written(struct party *p, const char *from)
{
	if (!knows_folder(p) || wallet_sync_files(p))
		finish(p, from);
}

static void
on_stamped(struct party *p)
{
	finish_written(p, "files");
}

/* No file of that name: a dangling link is one, too. */
static bool
is_free(const struct party *p)
{
	static const char *const suffixes[] = {".keys", "", ".address.txt"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		path_of(p, suffixes[i], path);
		if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			return false;
	}
	return true;
}

/* --- restoring ------------------------------------------------------------------ */

static void try_next(struct party *p, const char *why);

static const char *
source_name(enum source s)
{
	static const char *const names[SOURCE_COUNT] = {"its .keys on record", "its seed, by the wallet-rpc", "its seed, by monero-wallet-cli"};

	return names[s];
}

static void
on_restored(struct party *p)
{
	if (p->unfit) {
		try_next(p, p->why_unfit);
		return;
	}
	log_warn("wallet_repaired", F_STR("escrow", p->job->escrow_id), F_STR("role", role_name(p->role)),
	    F_STR("endpoint", p->endpoint), F_STR("wallet", p->wallet), F_STR("how", source_name(source)));
	finish_written(p, source == SOURCE_KEYS ? "keys" : "seed");
}

/* Only now is there a file of that name. */
static void
write_keys(struct party *p, const unsigned char *keys, size_t size)
{
	char path[PATH_MAX], why[300];

	path_of(p, ".keys", path);
	has_name = false;
	FAULT_AT("repair", "write", role_name(p->role), -1, p->job->escrow_id, p->url);
	if (!wallet_write_keys(p, path, keys, size, true)) {
		snprintf(why, sizeof why, "%.200s: %s", path, strerror(errno));
		try_next(p, why);
		return;
	}
	FAULT_AT("repair", "written", role_name(p->role), -1, p->job->escrow_id, p->url);
	wallet_give_to_owner(p, path);
	job_run_script(p, repair_restored_script, on_restored);
}

static void
on_cli_done(struct party *p, const unsigned char *keys, size_t size, const char *why)
{
	const char *next = cli_tried + 1 < WALLET_CLIS ? p->job->copies.wallet_cli[cli_tried + 1] : NULL;

	if (keys != NULL) {
		write_keys(p, keys, size);
	} else if (next != NULL && strstr(why, SEED_NOT_KNOWN) != NULL) {
		cli_tried++;
		seed_restore(p, next, on_cli_done);
	} else {
		try_next(p, why);
	}
}

static void
restore(struct party *p)
{
	p->unfit = false;
	repair_look.from_seed = source != SOURCE_KEYS;
	switch (source) {
	case SOURCE_KEYS:
		write_keys(p, p->journal.keys, p->journal.keys_size);
		break;
	case SOURCE_SEED_RPC:
		job_run_script(p, repair_seed_script, on_restored);
		break;
	case SOURCE_SEED_CLI:
		seed_restore(p, p->job->copies.wallet_cli[cli_tried], on_cli_done);
		break;
	case SOURCE_COUNT:
		break;
	}
}

/* Under the name it has, if that is free; then also its stamp stays. */
static void
intend(struct party *p)
{
	bool known = strcmp(p->wallet, recorded) == 0;

	if (job_stop_if_idle(p->job) || p->job->stopping)
		return;
	if (has_name && is_free(p)) { /* a wallet-rpc may have made a file, and then found the seed no good */
		restore(p);
		return;
	}
	if (!known || !repair_reaches(p) || !is_free(p)) {
		wallet_new_name(p);
		setup_make_stamp(p);
	}
	has_name = true;
	intended = job_report(p->job, MESSAGE_REPORT, json_pack("{s:[], s:[{s:s, s:s, s:i, s:s, s:s, s:s}]}", "results",
	    "intents", "role", role_name(p->role), "call", "restore", "round", 0, "wallet", p->wallet, "stamp", p->stamp,
	    "reason", found));
}

static const char *
not_writable(const struct party *p)
{
	return repair_reaches(p) ? NULL : p->wallet_dir[0] == '\0' ? "msigd cannot write files for this endpoint"
	    : !knows_folder(p) ? "where its files are is not known: set wallet-dir of its endpoint"
	    : "wallet-dir of this endpoint is not there, or cannot be written";
}

/* Why it cannot even be tried; NULL: it can. */
static const char *
missing(const struct party *p)
{
	const struct copies *c = &p->job->copies;

	switch (source) {
	case SOURCE_KEYS:
		return p->journal.keys == NULL ? c->no_keys : not_writable(p);
	case SOURCE_SEED_RPC:
		if (!repair_reaches(p) && !repair_look.is_gone) /* it may be open elsewhere, and there would be two of it */
			return "whether its files are there cannot be told: set wallet-dir of its endpoint";
		return !repair_look.seed_known ? c->no_seed : NULL;
	case SOURCE_SEED_CLI:
		if (!repair_look.seed_known)
			return c->no_seed;
		return c->wallet_cli[0] == NULL ? "there is none in PATH, or beside the managed program" : not_writable(p);
	case SOURCE_COUNT:
		break;
	}
	return NULL;
}

static void
note_found(const char *what, const char *why)
{
	size_t used = strlen(found);

	snprintf(found + used, sizeof found - used, "%s%s%.240s", used > 0 ? "; " : "", what, why);
}

/* why: the source that was tried last is no good. */
static void
try_next(struct party *p, const char *why)
{
	char what[80];

	for (; why != NULL && source < SOURCE_COUNT; why = source < SOURCE_COUNT ? missing(p) : NULL) {
		snprintf(what, sizeof what, "%s: ", source_name(source));
		note_found(what, why);
		source++;
		p->unfit = false;
	}
	if (source == SOURCE_COUNT)
		job_fail(p->job, p, NULL, CAUSE_NOT_RECOVERED, false, "%s", found);
	else
		intend(p);
}

void
repair_acked(struct job *job, json_int_t serial)
{
	if (serial == intended && !job_stop_if_idle(job) && !job->stopping)
		restore(&job->parties[0]);
}

/* --- looking ---------------------------------------------------------------------- */

static void
on_closed(struct party *p)
{
	if (repair_look.stamped) {
		finish(p, "files");
		return;
	}
	note_found("", p->why_unfit);
	source = SOURCE_KEYS;
	try_next(p, missing(p));
}

static void
on_looked(struct party *p)
{
	if (job_stop_if_idle(p->job) || p->job->stopping)
		return;
	if (!p->unfit && !repair_look.stamped)
		job_run_script(p, repair_stamp_script, on_stamped);
	else
		job_run_script(p, repair_close_script, on_closed);
}

/* The wallet-rpc would say the same of one that another has open as of one that
 * is not there. Restored, there would be two of it. */
static bool
is_open_elsewhere(struct party *p)
{
	char path[PATH_MAX];
	const char *why;

	if (!knows_folder(p))
		return false; /* missing() sees to it */
	path_of(p, ".keys", path);
	why = wallet_is_locked(path);
	if (why == NULL)
		return false;
	if (strcmp(why, WALLET_OPEN_ELSEWHERE) == 0)
		job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, false, "wallet %s %s: close it there, and repair again", p->wallet, why);
	else
		job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, false, "whether wallet %s is open in another program cannot be told: "
		    "%.200s: %s", p->wallet, path, why);
	return true;
}

static void
on_first_closed(struct party *p)
{
	if (!job_stop_if_idle(p->job) && !p->job->stopping && !is_open_elsewhere(p))
		job_run_script(p, repair_look_script, on_looked);
}

void
repair_begin(struct job *job)
{
	struct party *p = &job->parties[0];

	if (job_stop_if_idle(job))
		return;
	snprintf(recorded, sizeof recorded, "%s", p->wallet);
	repair_look.seed_known = p->seed != NULL;
	if (repair_reaches(p))
		seed_restore_clean(p);
	job_run_script(p, repair_close_script, on_first_closed);
}

void
repair_stop(struct job *job)
{
	if (!seed_restore_cancel())
		job_stop_if_idle(job);
	else
		job_finish(job, "stopped", NULL);
}
