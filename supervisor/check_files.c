#include "supervisor/check_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/atomic_file.h"
#include "common/lock.h"
#include "common/text.h"
#include "supervisor/endpoint.h"
#include "supervisor/supervisor.h"

enum {
	RETIRED_A_TURN = 50,
	ENTRIES_A_TURN = 200,
	LISTED_MAX = 1000,        /* of each kind; the counts go on */
	FOLDERS_MAX = 64,
	NOTE_MAX = 256,
	KEYS_MAX = 12 * 1024      /* a .keys file is 2 to 3 KB */
};

enum stage { STAGE_ATTIC, STAGE_FOLDERS, STAGE_LOCKS, STAGE_DONE };

struct check_files {
	struct supervisor *sv;
	check_problem_fn fn;
	void *arg;
	enum stage stage;
	char after[128];                  /* the wallet of the attic looked at last */
	int got;
	json_t *retired;
	int64_t wallets, files, bytes, since;
	int64_t kept, next;               /* how many are never removed; when the first of the others may be */
	char *folders[FOLDERS_MAX];
	int folder_count, folder;
	bool more_folders;                /* than are looked at */
	DIR *dir;                         /* of the folder under way, or lock-dir */
	bool noted;                       /* the spare wallets of that which became an escrow's are known: */
	json_t *escrows_spares;           /* names, as keys */
	bool more_spares;                 /* and there are others: a note could not be read */
	json_t *leftovers, *locks;
	int64_t leftover_count;
};

/* --- the attic ------------------------------------------------------------------ */

static const char *
folder_of(struct check_files *f, const char *endpoint)
{
	struct endpoint *ep = endpoint != NULL ? endpoint_find(f->sv->endpoints, endpoint) : NULL;

	return ep != NULL ? endpoint_folder(ep) : NULL;
}

static void
measure(const char *folder, const char *wallet, int64_t *files, int64_t *bytes)
{
	static const char *const suffixes[] = {".keys", "", ".address.txt"};
	char path[PATH_MAX];
	struct stat st;

	for (size_t i = 0; folder != NULL && i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%.3800s/%.200s%s", folder, wallet, suffixes[i]);
		if (lstat(path, &st) == 0) {
			(*files)++;
			*bytes += st.st_size;
		}
	}
}

static void
look_at_retired(const struct store_retired *r, void *arg)
{
	struct check_files *f = arg;
	int64_t files = 0, bytes = 0, removed_at;

	f->got++;
	snprintf(f->after, sizeof f->after, "%s", r->wallet);
	measure(folder_of(f, r->endpoint), r->wallet, &files, &bytes);
	f->wallets++;
	f->files += files;
	f->bytes += bytes;
	if (f->since == 0 || r->retired_at < f->since)
		f->since = r->retired_at;
	removed_at = r->removable ? r->retired_at + f->sv->config->trace_keep_ms : 0;
	f->kept += removed_at == 0 ? 1 : 0;
	if (removed_at != 0 && (f->next == 0 || removed_at < f->next))
		f->next = removed_at;
	if (json_array_size(f->retired) >= LISTED_MAX)
		return;
	json_array_append_new(f->retired, json_pack("{s:s, s:s, s:i, s:s, s:s*, s:s, s:I, s:o, s:I, s:I}", "wallet", r->wallet,
	    "escrow_id", r->escrow_id, "attempt", r->attempt, "role", role_name(r->role), "endpoint", r->endpoint,
	    "reason", r->reason, "retired_at", (json_int_t)r->retired_at, "removed_at",
	    removed_at != 0 ? json_integer(removed_at) : json_null(),
	    "files", (json_int_t)files, "bytes", (json_int_t)bytes));
}

static void
step_attic(struct check_files *f)
{
	f->got = 0;
	if (store_each_retired(f->sv->store, f->after, RETIRED_A_TURN, look_at_retired, f) != STORE_OK || f->got < RETIRED_A_TURN)
		f->stage = STAGE_FOLDERS;
}

/* --- wallet folders -------------------------------------------------------------- */

static void
add_folder(struct check_files *f, const char *folder)
{
	if (folder == NULL)
		return;
	for (int i = 0; i < f->folder_count; i++) {
		if (strcmp(f->folders[i], folder) == 0)
			return;
	}
	if (f->folder_count == FOLDERS_MAX) {
		f->more_folders = true;
		return;
	}
	f->folders[f->folder_count] = strdup(folder);
	f->folder_count += f->folders[f->folder_count] != NULL ? 1 : 0;
}

static void
note_leftover(struct check_files *f, const char *file, const char *kind, const char *what)
{
	char clean[NAME_MAX + 1];

	f->leftover_count++;
	if (json_array_size(f->leftovers) >= LISTED_MAX)
		return;
	text_copy(clean, sizeof clean, file);
	json_array_append_new(f->leftovers, json_pack("{s:s, s:s, s:s, s:s}", "file", clean, "folder", f->folders[f->folder],
	    "kind", kind, "what", what));
}

/* ESCROW-ATTEMPT-ROLE, or that with eight digits behind it. */
static bool
is_escrows(const char *wallet, char id[UUID_TEXT], int *attempt, enum role *role)
{
	char given[UUID_TEXT], name[16] = "", rest[32] = "";

	snprintf(given, sizeof given, "%.36s", wallet);
	if (strlen(wallet) <= UUID_TEXT || !uuid_normalise(given, id) || strcmp(given, id) != 0)
		return false;
	if (sscanf(wallet + UUID_TEXT - 1, "-%9d-%15[a-z]%31s", attempt, name, rest) < 2 || !role_parse(name, false, role))
		return false;
	return rest[0] == '\0' || (rest[0] == '-' && strlen(rest) == 9 && strspn(rest + 1, "0123456789abcdef") == 8);
}

static void
note_unknown(struct check_files *f, const char *wallet, const char *id, int attempt, enum role role)
{
	struct store_escrow escrow;
	char what[600];

	switch (store_get_escrow(f->sv->store, id, &escrow)) {
	case STORE_NOT_FOUND:
		note_leftover(f, wallet, "unknown", "the store does not know its escrow: another msigd's, or the store is older than "
		    "this wallet");
		return;
	case STORE_OK:
		store_escrow_clear(&escrow);
		break;
	case STORE_CONFLICT:
	case STORE_FAILED:
		return; /* told already */
	}
	snprintf(what, sizeof what, "%s: wallet %s in %.200s: %s: the store is older than this wallet", role_name(role), wallet,
	    f->folders[f->folder], store_knows_attempt(f->sv->store, id, attempt) ? "the store does not know it"
	    : "the store does not know this attempt");
	f->fn(json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "store_older", "escrow_id", id, "role", role_name(role),
	    "what", what, "remedy", "keep this file and look for a newer backup of the store: an address may have been "
	    "published that this store does not know (msigd(8), Disaster)"), f->arg);
}

static bool
is_spare(const char *wallet)
{
	char id[UUID_TEXT];

	return strncmp(wallet, "msigd-", 6) == 0 && strlen(wallet) == 6 + UUID_TEXT - 1 && uuid_normalise(wallet + 6, id) &&
	    strcmp(wallet + 6, id) == 0;
}

static void
note_spare(struct check_files *f, const char *wallet)
{
	if (f->more_spares || json_object_get(f->escrows_spares, wallet) != NULL)
		note_leftover(f, wallet, "spare", "a spare wallet that this store does not have: it may be an "
		    "escrow's, of a newer store, so keep it");
	else
		note_leftover(f, wallet, "unused", "a spare wallet that was lost or not finished: no .spare file says that it became an "
		    "escrow's. It can be removed, unless another msigd uses this folder, or this one could not read it then");
}

static void
look_at_wallet(struct check_files *f, const char *wallet)
{
	char id[UUID_TEXT];
	enum role role;
	int attempt;

	if (store_knows_wallet(f->sv->store, wallet))
		return;
	if (is_spare(wallet))
		note_spare(f, wallet);
	else if (strncmp(wallet, "trial-", 6) == 0)
		note_leftover(f, wallet, "trial", "a wallet of a calibration: the next one removes it");
	else if (is_escrows(wallet, id, &attempt, &role))
		note_unknown(f, wallet, id, attempt, role);
}

/* What mkostemp(3) puts there (common/atomic_file.c). */
static bool
are_six_letters(const char *letters)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

	return strlen(letters) == 6 && strspn(letters, alphabet) == 6;
}

/* ESCROW-ATTEMPT-ROLE.spare: which spare wallet that is (worker/older.c). Gives what
 * is behind that, or NULL: it is none. */
static const char *
spare_of(const char *name, char id[UUID_TEXT], int *attempt, enum role *role)
{
	const char *suffix = strstr(name, ".spare");
	char wallet[NAME_MAX + 1];

	if (suffix == NULL)
		return NULL;
	snprintf(wallet, sizeof wallet, "%.*s", (int)(suffix - name), name);
	return is_escrows(wallet, id, attempt, role) ? suffix + strlen(".spare") : NULL;
}

static void
look_at_spare_of(struct check_files *f, const char *name)
{
	char id[UUID_TEXT];
	enum role role;
	int attempt;
	const char *rest = spare_of(name, id, &attempt, &role);

	if (rest == NULL)
		return;
	if (rest[0] == '.' && are_six_letters(rest + 1))
		note_leftover(f, name, "unfinished", "of a write that was interrupted: it can be removed");
	else if (rest[0] != '\0')
		note_leftover(f, name, "foreign", "not msigd's: a copy that somebody made?");
	else if (!store_knows_attempt(f->sv->store, id, attempt))
		note_unknown(f, name, id, attempt, role);
}

/* Of a copy, too: it may be all there is of it. */
static void
take_note(struct check_files *f, const char *name)
{
	char path[PATH_MAX], id[UUID_TEXT], *wallet;
	enum role role;
	size_t size;
	int attempt;

	if (spare_of(name, id, &attempt, &role) == NULL)
		return;
	snprintf(path, sizeof path, "%.3800s/%.250s", f->folders[f->folder], name);
	wallet = (char *)atomic_file_read(path, NOTE_MAX, &size);
	if (wallet != NULL)
		wallet[strcspn(wallet, "\n")] = '\0';
	if (wallet == NULL || !is_spare(wallet) || json_object_set_new(f->escrows_spares, wallet, json_true()) == -1)
		f->more_spares = true;
	free(wallet);
}

/* A name that only msigd gives. */
static bool
is_ours(const char *wallet)
{
	char id[UUID_TEXT];
	enum role role;
	int attempt;

	return is_escrows(wallet, id, &attempt, &role) || is_spare(wallet);
}

/* Opening anything else could take a while. */
static unsigned char *
read_keys(const struct check_files *f, const char *name, size_t *size)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%.3800s/%.250s", f->folders[f->folder], name);
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? atomic_file_read(path, KEYS_MAX, size) : NULL;
}

/* Whether it has nothing that the other has not. */
static bool
is_beginning_of(const struct check_files *f, const char *name, const char *other)
{
	size_t size = 0, other_size = 0;
	unsigned char *data = read_keys(f, name, &size), *other_data = read_keys(f, other, &other_size);
	bool is = data != NULL && other_data != NULL && size <= other_size && memcmp(data, other_data, size) == 0;

	free(data);
	free(other_data);
	return is;
}

/* What an interrupted write of "W.keys" leaves. But a copy that somebody made may
 * look the same, and be all there is of a wallet. */
static void
look_at_unfinished(struct check_files *f, const char *name, const char *wallet, const char *letters)
{
	char keys[NAME_MAX + 8];

	snprintf(keys, sizeof keys, "%s.keys", wallet);
	if (!is_ours(wallet))
		return;
	if (!are_six_letters(letters))
		note_leftover(f, name, "foreign", "not msigd's: a copy that somebody made?");
	else if (is_beginning_of(f, name, keys))
		note_leftover(f, name, "unfinished", "of a write that was interrupted: it can be removed");
	else
		note_leftover(f, name, "orphan", "of a write that was interrupted, or a copy: its wallet is not there, or another. Keep "
		    "it until check --repair finds all well");
}

/* "W.keys", or something behind that. */
static void
look_at_entry(struct check_files *f, const char *name)
{
	const char *suffix = strstr(name, ".keys");
	char wallet[NAME_MAX + 1];

	if (strncmp(name, ".restore-", 9) == 0)
		note_leftover(f, name, "unfinished", "of a repair that was interrupted: the next one removes it");
	if (suffix == NULL) {
		look_at_spare_of(f, name);
		return;
	}
	snprintf(wallet, sizeof wallet, "%.*s", (int)(suffix - name), name);
	if (strcmp(suffix, ".keys") == 0)
		look_at_wallet(f, wallet);
	else if (suffix[strlen(".keys")] == '.')
		look_at_unfinished(f, name, wallet, suffix + strlen(".keys."));
}

static bool
next_entries(struct check_files *f, void (*look)(struct check_files *f, const char *name))
{
	struct dirent *entry = NULL;

	for (int i = 0; i < ENTRIES_A_TURN && (entry = readdir(f->dir)) != NULL; i++)
		look(f, entry->d_name);
	if (entry != NULL)
		return true;
	closedir(f->dir);
	f->dir = NULL;
	return false;
}

static void
not_readable(struct check_files *f, const char *key, const char *folder)
{
	char what[400];

	snprintf(what, sizeof what, "%s %.200s: %s", key, folder, strerror(errno));
	f->fn(json_pack("{s:s, s:s, s:s}", "kind", "folder", "what", what, "remedy", "make it, or its permissions, right, or "
	    "correct the configuration; if its wallets are lost, msigctl check --repair brings them back"), f->arg);
}

static void
not_all_folders(struct check_files *f)
{
	char what[120];

	snprintf(what, sizeof what, "there are more than %d wallet folders: in the others it was not looked what lies about",
	    FOLDERS_MAX);
	f->fn(json_pack("{s:s, s:s, s:s}", "kind", "folder", "what", what, "remedy", "let endpoints share folders, or look at "
	    "the others yourself"), f->arg);
}

static void
step_folders(struct check_files *f)
{
	if (f->folder == f->folder_count) {
		if (f->more_folders)
			not_all_folders(f);
		f->stage = STAGE_LOCKS;
		return;
	}
	if (f->dir == NULL && (f->dir = opendir(f->folders[f->folder])) == NULL) {
		not_readable(f, "wallet-dir", f->folders[f->folder]);
		f->noted = false;
		f->folder++;
		return;
	}
	if (next_entries(f, f->noted ? look_at_entry : take_note))
		return;
	f->noted = !f->noted;
	f->folder += f->noted ? 0 : 1;
}

/* --- locks ------------------------------------------------------------------------ */

static void
look_at_lock(struct check_files *f, const char *name)
{
	const char *suffix = strrchr(name, '.');
	char holder[128];

	if (suffix == NULL || strcmp(suffix, ".lock") != 0 || json_array_size(f->locks) >= LISTED_MAX)
		return;
	if (lock_is_held(f->sv->config->lock_dir, name, holder, sizeof holder))
		json_array_append_new(f->locks, json_pack("{s:s, s:s}", "name", name, "holder", holder));
}

static void
step_locks(struct check_files *f)
{
	if (f->dir == NULL && (f->dir = opendir(f->sv->config->lock_dir)) == NULL) {
		not_readable(f, "lock-dir", f->sv->config->lock_dir);
		f->stage = STAGE_DONE;
	} else if (!next_entries(f, look_at_lock)) {
		f->stage = STAGE_DONE;
	}
}

/* --- for check.c -------------------------------------------------------------------- */

bool
check_files_step(struct check_files *f)
{
	switch (f->stage) {
	case STAGE_ATTIC:
		step_attic(f);
		break;
	case STAGE_FOLDERS:
		step_folders(f);
		break;
	case STAGE_LOCKS:
		step_locks(f);
		break;
	case STAGE_DONE:
		break;
	}
	return f->stage != STAGE_DONE;
}

void
check_files_answer(const struct check_files *f, json_t *answer)
{
	json_object_set_new(answer, "attic", json_pack("{s:I, s:I, s:I, s:o, s:I, s:I, s:o, s:O}", "count", (json_int_t)f->wallets,
	    "files", (json_int_t)f->files, "bytes", (json_int_t)f->bytes, "since",
	    f->since != 0 ? json_integer(f->since) : json_null(), "keep_ms", (json_int_t)f->sv->config->trace_keep_ms,
	    "kept", (json_int_t)f->kept, "next", f->next != 0 ? json_integer(f->next) : json_null(),
	    "wallets", f->retired));
	json_object_set_new(answer, "leftovers", json_pack("{s:I, s:O}", "count", (json_int_t)f->leftover_count,
	    "files", f->leftovers));
	json_object_set(answer, "locks", f->locks);
}

struct check_files *
check_files_new(struct supervisor *sv, check_problem_fn fn, void *arg)
{
	struct check_files *f = calloc(1, sizeof *f);
	struct endpoint *ep;

	if (f == NULL)
		return NULL;
	f->sv = sv;
	f->fn = fn;
	f->arg = arg;
	f->retired = json_array();
	f->leftovers = json_array();
	f->locks = json_array();
	f->escrows_spares = json_object();
	TAILQ_FOREACH(ep, &sv->endpoints->all, all)
		add_folder(f, endpoint_folder(ep));
	return f;
}

void
check_files_free(struct check_files *f)
{
	if (f == NULL)
		return;
	if (f->dir != NULL)
		closedir(f->dir);
	for (int i = 0; i < f->folder_count; i++)
		free(f->folders[i]);
	json_decref(f->retired);
	json_decref(f->leftovers);
	json_decref(f->locks);
	json_decref(f->escrows_spares);
	free(f);
}
