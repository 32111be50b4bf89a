/*
 * The files of a wallet on this machine: reading, keeping and removing them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/sha256.h"
#include "worker/job.h"
#include "worker/steps.h"
#include "worker/trace.h"
#include "worker/wallet_files.h"

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
wallet_remove_all(const char *folder, const char *wallet, bool *had_keys)
{
	static const char *const suffixes[] = {".address.txt", "", ".keys"};
	int failed = 0;
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%.3800s/%.200s%s", folder, wallet, suffixes[i]);
		FAULT("unlink", suffixes[i][0] != '\0' ? suffixes[i] + 1 : "cache", "", -1);
		if (unlink(path) == 0) {
			if (had_keys != NULL)
				*had_keys = i == 2;
			log_debug("wallet_file_removed", F_STR("file", path));
		} else if (errno != ENOENT) {
			failed = errno;
		}
	}
	errno = failed;
	return failed == 0;
}

bool
wallet_remove_files(const struct party *p, const char *wallet)
{
	bool had_keys = false;

	if (p->wallet_dir[0] == '\0' || !wallet_is_trial(wallet))
		return false;
	/* a folder that was not named is a guess */
	return wallet_remove_all(p->wallet_dir, wallet, &had_keys) && (had_keys || p->wallet_dir_sure);
}

/* --- who has it open ------------------------------------------------------- */

const char *
wallet_is_locked(const char *keys)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(keys, O_RDWR | O_CLOEXEC);
	const char *why = NULL;

	if (fd == -1)
		return errno == ENOENT ? NULL : strerror(errno);
	if (fcntl(fd, F_GETLK, &lock) == -1)
		why = strerror(errno);
	else if (lock.l_type != F_UNLCK)
		why = WALLET_OPEN_ELSEWHERE;
	else if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		why = errno == EWOULDBLOCK ? WALLET_OPEN_ELSEWHERE : strerror(errno);
	close(fd);
	return why;
}

/* --- the .keys file ------------------------------------------------------- */

void
wallet_give_to_owner(const struct party *p, const char *path)
{
	struct stat st;

	if (stat(p->wallet_dir, &st) == 0 && geteuid() == 0 && chown(path, st.st_uid, st.st_gid) == -1)
		log_warn("file_not_given_away", F_STR("file", path), F_STR("error", strerror(errno)));
}

static void
miss_files(struct party *p, const char *path, bool *ok)
{
	bool elsewhere = errno == ENOENT || errno == ENOTDIR || errno == EACCES; /* the folder is not what it was said to be */

	if (p->wallet_dir_sure && !elsewhere) {
		job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, false, "%.200s: it cannot be read: %s", path, strerror(errno));
		*ok = false;
		return;
	}
	if (p->wallet_dir_sure) {
		job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, p->round == ROUND_CREATE, "%.200s: %s: start the wallet-rpc of endpoint %s with "
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

static void
keys_path(const struct party *p, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.3800s/%s.keys", p->wallet_dir, p->wallet);
}

bool
wallet_seal_keys(struct party *p, int round, char **sealed)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, round, SEAL_KEYS};
	int64_t began = clock_monotonic_us();
	unsigned char *keys;
	char path[PATH_MAX];
	size_t size;

	keys_path(p, path);
	keys = atomic_file_read(path, KEYS_FILE_MAX, &size);
	trace_file(p, "read", path, "keys", keys != NULL ? (int64_t)size : -1, began, keys != NULL ? 0 : errno);
	if (keys == NULL)
		return false;
	numbers_add_copy(&p->job->numbers, NUMBERS_READ, size, clock_monotonic_us() - began);
	began = clock_monotonic_us();
	*sealed = seal_base64(p->job->subkey, &place, keys, size);
	trace_copy(p, "keys", size, began);
	sha256_text(keys, size, p->keys_sha256);
	sodium_memzero(keys, size);
	free(keys);
	return true;
}

char *
wallet_sealed_keys(struct party *p, int round, bool *ok)
{
	char path[PATH_MAX], *sealed = NULL;

	*ok = true;
	if (p->wallet_dir[0] == '\0')
		return NULL;
	FAULT_AT("read", "keys", role_name(p->role), p->round, p->job->escrow_id, p->url);
	if (wallet_seal_keys(p, round, &sealed))
		return sealed;
	keys_path(p, path);
	miss_files(p, path, ok);
	return NULL;
}

bool
wallet_write_keys(struct party *p, const char *path, const unsigned char *keys, size_t size, bool exclusive)
{
	int64_t began = clock_monotonic_us();
	bool ok = atomic_file_write(path, keys, size, 0600, exclusive);

	trace_file(p, "write", path, "keys", (int64_t)size, began, ok ? 0 : errno);
	if (!ok)
		return false;
	numbers_add_copy(&p->job->numbers, NUMBERS_WRITTEN, size, clock_monotonic_us() - began);
	return true;
}

/* --- on the disk for good -------------------------------------------------- */

static bool
sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), saved;
	bool ok;

	if (fd == -1)
		return false;
	ok = fsync(fd) == 0 || errno == EINVAL; /* some file systems cannot */
	saved = errno;
	close(fd);
	errno = saved;
	return ok;
}

bool
wallet_sync_files(struct party *p)
{
	static const char *const suffixes[] = {"", ".keys"};
	char path[PATH_MAX];
	int64_t since_us;
	bool ok;

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%.3800s/%s%s", p->wallet_dir, p->wallet, suffixes[i]);
		FAULT_AT("sync", i == 0 ? "cache" : "keys", role_name(p->role), p->round, p->job->escrow_id, p->url);
		since_us = clock_monotonic_us();
		ok = sync_file(path);
		trace_file(p, "fsync", path, i == 0 ? "cache" : "keys", -1, since_us, ok ? 0 : errno);
		if (ok)
			continue;
		job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, false, "%.200s: it cannot be made durable: %s", path, strerror(errno));
		return false;
	}
	since_us = clock_monotonic_us();
	ok = file_sync_folder(path);
	trace_file(p, "fsync", p->wallet_dir, "folder", -1, since_us, ok ? 0 : errno);
	if (ok)
		return true;
	job_fail(p->job, p, NULL, CAUSE_WALLET_FILES, false, "%.200s: the folder cannot be made durable: %s", p->wallet_dir,
	    strerror(errno));
	return false;
}
