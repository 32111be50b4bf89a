/*
 * The trial job, of a calibration: the set-up of an escrow (setup.c) that ends
 * when all three wallets are ready, before the gate. No address of it is ever
 * seen, so nothing can ever be paid into its wallets: however it ends, they are
 * closed without saving and their files removed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/steps.h"
#include "worker/wallet_files.h"

enum { TIDY_LIMIT_MS = 20000, LEFTOVER_AGE_MS = 60 * 60 * 1000 };

static bool begun;           /* the locks are held, and calls were made */
static int closed, put_away; /* parties */
static int64_t began_ms;

/* --- what a trial left that was killed ------------------------------------ */

/* The name of a wallet of a trial, from that of its .keys file. */
static bool
is_trial(const char *file, char wallet[NAME_MAX + 1])
{
	static const char suffix[] = ".keys";
	size_t length = strlen(file), tail = sizeof suffix - 1;

	if (length <= tail || strcmp(file + length - tail, suffix) != 0)
		return false;
	snprintf(wallet, NAME_MAX + 1, "%.*s", (int)(length - tail), file);
	return wallet_is_trial(wallet);
}

/* Another msigd may have a trial in this folder: longer than this none takes. */
static bool
is_old(int folder, const char *keys)
{
	struct stat st;

	return fstatat(folder, keys, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    clock_wall_ms() - (int64_t)st.st_mtime * 1000 > LEFTOVER_AGE_MS;
}

static void
remove_leftovers(const struct party *p)
{
	DIR *folder = p->wallet_dir[0] != '\0' ? opendir(p->wallet_dir) : NULL;
	char wallet[NAME_MAX + 1];
	struct dirent *entry;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (is_trial(entry->d_name, wallet) && is_old(dirfd(folder), entry->d_name) &&
		    wallet_remove_files(p, wallet))
			log_info("trial_leftover_removed", F_STR("endpoint", p->endpoint), F_STR("wallet", wallet));
	}
	if (folder != NULL)
		closedir(folder);
}

/* The parties mostly share a folder. */
static bool
is_looked_at(const struct job *job, int party)
{
	for (int i = 0; i < party; i++) {
		if (strcmp(job->parties[i].wallet_dir, job->parties[party].wallet_dir) == 0)
			return true;
	}
	return false;
}

/* --- the trial ------------------------------------------------------------ */

/* Whatever is open there, a spare wallet perhaps, is as it was on disk. */
static void
on_closed(struct party *p)
{
	struct job *job = p->job;

	if (++closed < job->party_count)
		return;
	for (int i = 0; i < job->party_count; i++) {
		if (!is_looked_at(job, i))
			remove_leftovers(&job->parties[i]);
	}
	began_ms = clock_monotonic_ms();
	setup_begin(job);
}

void
trial_begin(struct job *job)
{
	if (job_stop_if_idle(job))
		return;
	begun = true;
	for (int i = 0; i < job->party_count && !job->tidying; i++)
		job_run_script(&job->parties[i], step_close_script, on_closed);
}

void
trial_acked(struct job *job, json_int_t serial)
{
	if (!job->tidying)
		setup_acked(job, serial);
}

void
trial_ready(struct job *job)
{
	int64_t make_ms = 0;

	for (int i = 0; i < job->party_count; i++)
		make_ms = job->parties[i].make_ms > make_ms ? job->parties[i].make_ms : make_ms;
	job_finish(job, "done", json_pack("{s:I, s:I}", "setup_ms", (json_int_t)(clock_monotonic_ms() - began_ms),
	    "make_ms", (json_int_t)make_ms));
}

/* What is under way is not waited for; but a call cannot be called off, and the
 * wallet-rpc takes no other before its end. */
void
trial_stop(struct job *job)
{
	job_finish(job, "stopped", NULL);
}

/* --- its end -------------------------------------------------------------- */

static void
end(struct job *job)
{
	json_t *left = json_array();

	for (int i = 0; i < job->party_count; i++) {
		if (job->parties[i].left)
			json_array_append_new(left, json_string(job->parties[i].wallet));
	}
	json_object_set_new(job->outcome_fields, "clean", json_boolean(!job->unclean && put_away == job->party_count));
	json_object_set_new(job->outcome_fields, "left", left);
	job_end(job);
}

/* Also when it could not be closed: then its wallet-rpc has ended, or the next
 * look at that endpoint closes it without saving. */
static void
on_put_away(struct party *p)
{
	if (wallet_remove_files(p, p->wallet))
		p->left = false;
	if (++put_away == p->job->party_count)
		end(p->job);
}

static void
put_wallet_away(struct party *p)
{
	job_run_script(p, step_close_script, on_put_away);
}

void
trial_tidy(struct job *job, bool over)
{
	if (over || !begun) {
		end(job);
		return;
	}
	job_limit(job, TIDY_LIMIT_MS);
	for (int i = 0; i < job->party_count; i++) {
		struct party *p = &job->parties[i];
		/* an address tells that create_wallet was answered */
		p->left = p->address[0] != '\0' || (p->op != NULL && strcmp(p->op->method, "create_wallet") == 0);
	}
	for (int i = 0; i < job->party_count && !job->ended; i++) {
		struct party *p = &job->parties[i];
		if (p->op != NULL)
			p->called_off = put_wallet_away;
		else
			put_wallet_away(p);
	}
}
