/*
 * The attic job: removes the files of wallets that no attempt uses any more and
 * that never had an address published. The supervisor says which (store.h,
 * removable). The store may be older than the wallets: one whose .keys are not
 * those on record may be further than the store knows, and is left for ever; one
 * that is open somewhere, for another time. It uses no endpoint, and holds no
 * lock.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/fault.h"
#include "common/sha256.h"
#include "worker/job.h"
#include "worker/wallet_files.h"

enum { NOTE_MAX = 256 };

static json_t *wallets;      /* [{wallet, keys_sha256, note?}] */
static char folder[PATH_MAX];

static bool
is_a_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

bool
attic_take(struct job *job, json_t *start)
{
	const char *dir = json_string_value(json_object_get(start, "wallet_dir"));
	json_t *one;
	size_t i;

	(void)job;
	wallets = json_incref(json_object_get(start, "wallets"));
	json_array_foreach(wallets, i, one) {
		const char *name = json_string_value(json_object_get(one, "wallet"));
		const char *note = json_string_value(json_object_get(one, "note"));
		if (name == NULL || !is_a_name(name) || (note != NULL && !is_a_name(note)) ||
		    json_string_value(json_object_get(one, "keys_sha256")) == NULL)
			return false;
	}
	if (dir == NULL || dir[0] != '/' || json_array_size(wallets) == 0)
		return false;
	snprintf(folder, sizeof folder, "%.3800s", dir);
	return true;
}

/* True also when they are not there, or cannot be read: what follows says so. */
static bool
is_on_record(const char *path, const char *keys_sha256)
{
	size_t size;
	unsigned char *keys = atomic_file_read(path, KEYS_FILE_MAX, &size);
	char hash[SHA256_TEXT];

	if (keys == NULL)
		return true;
	sha256_text(keys, size, hash);
	free(keys);
	return strcmp(hash, keys_sha256) == 0;
}

/* That says whose the spare wallet has become (worker/older.c); one that names
 * another is left. */
static bool
remove_note(const char *note, const char *wallet)
{
	char path[PATH_MAX], *named;
	bool removed = true;
	size_t size;

	snprintf(path, sizeof path, "%.3800s/%.200s", folder, note);
	named = (char *)atomic_file_read(path, NOTE_MAX, &size);
	if (named == NULL)
		return errno == ENOENT;
	named[strcspn(named, "\n")] = '\0';
	if (strcmp(named, wallet) == 0)
		removed = unlink(path) == 0;
	free(named);
	return removed;
}

/* Its .keys last: as long as they are there, so is the wallet. */
static bool
remove_wallet(const json_t *one, bool *differs, char *why, size_t why_size)
{
	const char *wallet = json_string_value(json_object_get(one, "wallet"));
	const char *note = json_string_value(json_object_get(one, "note"));
	char path[PATH_MAX];
	const char *locked;

	snprintf(path, sizeof path, "%.3800s/%.200s.keys", folder, wallet);
	*differs = !is_on_record(path, json_string_value(json_object_get(one, "keys_sha256")));
	if (*differs) {
		snprintf(why, why_size, "its .keys are not those on record: it may be further than the store knows");
		return false;
	}
	locked = wallet_is_locked(path);
	if (locked != NULL) {
		snprintf(why, why_size, "%s%s", strcmp(locked, WALLET_OPEN_ELSEWHERE) == 0 ? "it " : "", locked);
		return false;
	}
	if (wallet_remove_all(folder, wallet, NULL) && (note == NULL || remove_note(note, wallet)))
		return true;
	snprintf(why, why_size, "%s", strerror(errno));
	return false;
}

void
attic_begin(struct job *job)
{
	json_t *removed = json_array(), *kept = json_array(), *one;
	char why[128], inside[PATH_MAX + 2];
	size_t i;

	json_array_foreach(wallets, i, one) {
		json_t *name = json_object_get(one, "wallet");
		bool differs = false;
		if (access(folder, W_OK | X_OK) == -1) /* not mounted, perhaps: nothing is known */
			json_array_append_new(kept, json_pack("{s:O, s:s}", "wallet", name, "why", strerror(errno)));
		else if (remove_wallet(one, &differs, why, sizeof why))
			json_array_append(removed, name);
		else
			json_array_append_new(kept, json_pack("{s:O, s:s, s:b}", "wallet", name, "why", why, "differs", differs));
	}
	snprintf(inside, sizeof inside, "%s/.", folder);
	file_sync_folder(inside);
	FAULT("attic", "cleaned", "", -1);
	json_decref(wallets);
	job_finish(job, "done", json_pack("{s:o, s:o}", "removed", removed, "kept", kept));
}
