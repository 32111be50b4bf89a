/*
 * A store that was put back from a backup is older than the wallets: what it
 * takes for unfinished may have been published since. What can be known of that
 * is in the wallet folder: a wallet of this attempt although nothing of the
 * attempt was ever intended, or one of a later attempt. Then nothing is begun:
 * another address would be published for the same escrow.
 *
 * The name of a spare wallet does not tell whose it has become: that says a file
 * beside it, ESCROW-ATTEMPT-ROLE.spare, with its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/clock.h"
#include "worker/steps.h"
#include "worker/trace.h"

static void
path_of(const struct party *p, enum role role, int attempt, const char *suffix, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.3800s/%s-%d-%s.%s", p->wallet_dir, p->job->escrow_id, attempt, role_name(role), suffix);
}

static bool
is_there(const struct party *p, enum role role, int attempt, char path[PATH_MAX])
{
	static const char *const suffixes[] = {"keys", "spare"};

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		path_of(p, role, attempt, suffixes[i], path);
		if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

bool
setup_tell_of_spare(struct party *p)
{
	char path[PATH_MAX], name[sizeof p->wallet + 1];
	int64_t since_us;
	bool ok;

	if (p->wallet_dir[0] == '\0' || !party_uses_spare(p))
		return true;
	path_of(p, p->role, p->job->attempt, "spare", path);
	snprintf(name, sizeof name, "%s\n", p->wallet);
	since_us = clock_monotonic_us();
	ok = atomic_file_write(path, name, strlen(name), 0600, false);
	trace_file(p, "write", path, "spare", (int64_t)strlen(name), since_us, ok ? 0 : errno);
	if (ok || !p->wallet_dir_sure)
		return true;
	job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, false, "%.300s: %s", path, strerror(errno));
	return false;
}

bool
setup_store_is_older(struct job *job)
{
	bool resumed = job->parties[0].journal.given;
	char path[PATH_MAX];

	for (int i = 0; job->escrow_id[0] != '\0' && i < job->party_count; i++) { /* a trial is no escrow's */
		struct party *p = &job->parties[i];
		for (int r = 0; r < ROLE_COUNT && p->wallet_dir[0] != '\0'; r++) {
			if ((resumed || !is_there(p, (enum role)r, job->attempt, path)) &&
			    !is_there(p, (enum role)r, job->attempt + 1, path))
				continue;
			job_fail(job, p, NULL, CAUSE_STORE_OLDER, true, "%.300s is there, and the store knows nothing of it: the store is "
			    "older than the wallets, and this escrow may have an address already. Look for a newer backup of the "
			    "store; with retry it begins anew", path);
			return true;
		}
	}
	return false;
}
