/*
 * A multisig seed becomes a .keys file: `monero-wallet-cli
 * --restore-multisig-wallet`, offline, as a child of the worker that ends with
 * it. Seed and password are in files without a name (memfd_create(2)), which the
 * child has as descriptors 0 and 3: neither is in an argument, the environment or
 * a file that a crash could leave. What it writes, encrypted with the password,
 * is in a folder of its own, so that no half-written file comes under a wallet's
 * name.
 *
 * 0.18.0 and 0.18.1.0, so also Debian 12's package, cannot do it: "invalid
 * multisig seed", monero issue 8537.
 */
#include "worker/repair.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/fault.h"
#include "common/log.h"
#include "ipc/child.h"

#define PREFIX ".restore-%s-%s-" /* of its folder: escrow, role */

enum { LIMIT_SECONDS = 60, SAID_MAX = 16 * 1024 };

static struct {
	struct party *party;
	seed_restored_fn done;
	struct child *child;      /* NULL: not now */
	struct event *limit;
	char folder[PATH_MAX];    /* "": there is none */
	int said;                 /* what it prints */
	bool over;                /* it took too long, and was killed */
} run = {.said = -1};

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

static void
remove_folder(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void
seed_restore_clean(const struct party *p)
{
	DIR *dir = opendir(p->wallet_dir);
	struct dirent *entry;
	char prefix[80], path[PATH_MAX];

	if (dir == NULL)
		return;
	snprintf(prefix, sizeof prefix, PREFIX, p->job->escrow_id, role_name(p->role));
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof path, "%.3800s/%.200s", p->wallet_dir, entry->d_name);
		log_info("unfinished_removed", F_STR("folder", path));
		remove_folder(path);
	}
	closedir(dir);
}

static void
put_away(void)
{
	if (run.folder[0] != '\0')
		remove_folder(run.folder);
	run.folder[0] = '\0';
	if (run.said != -1)
		close(run.said);
	run.said = -1;
	if (run.limit != NULL)
		event_free(run.limit);
	run.limit = NULL;
}

static void
fail(const char *what)
{
	struct party *p = run.party;
	seed_restored_fn done = run.done;
	char why[RPC_WHY_MAX + 64];

	snprintf(why, sizeof why, "%s", what);
	put_away();
	done(p, NULL, 0, why);
}

/* Its last line, cleaned: it may have been given the seed to say. */
static void
last_line(char *out, size_t size)
{
	static char text[SAID_MAX + 1];
	ssize_t n = pread(run.said, text, SAID_MAX, 0);
	char *line = text;

	text[n > 0 ? n : 0] = '\0';
	for (n--; n >= 0 && (unsigned char)text[n] <= ' '; n--)
		text[n] = '\0';
	if ((line = strrchr(text, '\n')) == NULL)
		line = text;
	rpc_clean_text(line, out, size);
	sodium_memzero(text, sizeof text);
}

static const char *
remedy_of(const char *said)
{
	return strstr(said, SEED_NOT_KNOWN) != NULL ? " (this version cannot: monero issue 8537; "
	    "install 0.18.2 or newer, and repair again)" : "";
}

static void
on_end(int status, int exec_errno, int64_t cpu_us, void *arg)
{
	char path[PATH_MAX + 16], said[80], end[48], why[RPC_WHY_MAX + 64];
	struct party *p = run.party;
	seed_restored_fn done = run.done;
	unsigned char *keys;
	size_t size;

	(void)cpu_us;
	(void)arg;
	run.child = NULL;
	if (p->job->ended) {
		put_away();
		return;
	}
	snprintf(path, sizeof path, "%s/wallet.keys", run.folder);
	keys = exec_errno == 0 && !run.over ? atomic_file_read(path, KEYS_FILE_MAX, &size) : NULL;
	if (keys == NULL) {
		last_line(said, sizeof said);
		child_describe_end(status, end, sizeof end);
		snprintf(why, sizeof why, "it %s%s%s%s", run.over ? "took longer than a minute" :
		    exec_errno != 0 ? strerror(exec_errno) : end, said[0] != '\0' ? ": " : "", said, remedy_of(said));
		fail(why);
		return;
	}
	FAULT_AT("seed", "made", role_name(p->role), -1, p->job->escrow_id, p->url);
	put_away();
	FAULT_AT("seed", "put-away", role_name(p->role), -1, p->job->escrow_id, p->url);
	done(p, keys, size, NULL);
	sodium_memzero(keys, size);
	free(keys);
}

static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	run.over = true;
	child_kill(run.child, SIGKILL);
}

/* To be read from its beginning. */
static int
secret_file(const char *text, const char *end)
{
	int fd = memfd_create("secret", MFD_CLOEXEC);

	if (fd != -1 && (!file_write_all(fd, text, strlen(text)) || !file_write_all(fd, end, strlen(end)) ||
	    lseek(fd, 0, SEEK_SET) == -1)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* NULL: it is on mainnet by itself. */
static const char *
network_option(enum network network)
{
	return network == NETWORK_TESTNET ? "--testnet" : network == NETWORK_STAGENET ? "--stagenet" : NULL;
}

static struct child *
start(struct party *p, const char *program, int seed, int password)
{
	char wallet[PATH_MAX + 40], log[PATH_MAX + 40], ringdb[PATH_MAX + 40], home[PATH_MAX + 8];
	const char *argv[] = {"monero-wallet-cli", "--offline", "--restore-multisig-wallet", wallet,
	    "--password-file=/proc/self/fd/3", "--restore-height=0", "--log-level=0", log, ringdb, "--command=exit",
	    network_option(p->job->network), NULL};
	char *envp[] = {home, NULL};
	struct child_spec spec = {.program = program, .argv = (char **)argv, .envp = envp, .directory = run.folder, .fd0 = seed,
	    .fd1 = run.said, .fd3 = password, .dies_with_us = true};

	snprintf(wallet, sizeof wallet, "--generate-new-wallet=%s/wallet", run.folder);
	snprintf(log, sizeof log, "--log-file=%s/log", run.folder);
	snprintf(ringdb, sizeof ringdb, "--shared-ringdb-dir=%s/ringdb", run.folder);
	snprintf(home, sizeof home, "HOME=%s", run.folder);
	return child_spawn(p->job->base, &spec, on_end, NULL);
}

/* The second line says that there is no passphrase. */
void
seed_restore(struct party *p, const char *program, seed_restored_fn done)
{
	static const struct timeval limit = {LIMIT_SECONDS, 0};
	int seed = -1, password = -1;
	char why[RPC_WHY_MAX];

	run.party = p;
	run.done = done;
	run.over = false;
	snprintf(run.folder, sizeof run.folder, "%.3800s/" PREFIX "XXXXXX", p->wallet_dir, p->job->escrow_id,
	    role_name(p->role));
	if (mkdtemp(run.folder) == NULL) {
		snprintf(why, sizeof why, "%.150s: %s", run.folder, strerror(errno));
		run.folder[0] = '\0';
		fail(why);
		return;
	}
	FAULT_AT("seed", "folder", role_name(p->role), -1, p->job->escrow_id, p->url);
	run.said = memfd_create("said", MFD_CLOEXEC);
	seed = secret_file(p->seed, "\n\n");
	password = secret_file(p->password, "");
	run.limit = evtimer_new(p->job->base, on_limit, NULL);
	if (seed != -1 && password != -1 && run.said != -1 && run.limit != NULL)
		run.child = start(p, program, seed, password);
	snprintf(why, sizeof why, "it cannot be started: %s", strerror(errno));
	if (seed != -1)
		close(seed);
	if (password != -1)
		close(password);
	if (run.child == NULL)
		fail(why);
	else
		event_add(run.limit, &limit);
	FAULT_AT("seed", "started", role_name(p->role), -1, p->job->escrow_id, p->url);
}

bool
seed_restore_cancel(void)
{
	if (run.child == NULL)
		return false;
	child_kill(run.child, SIGKILL);
	child_reap(run.child);
	run.child = NULL;
	put_away();
	return true;
}
