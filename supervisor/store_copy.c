/* A consistent copy of the store with SQLite's online backup, some pages each
 * turn of the loop. What this connection writes meanwhile goes into the copy.
 *
 * The copy has a name, beside the store, only while SQLite opens it; a SIGKILL
 * in between leaves an empty file, and the next store_open() removes that. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/store_internal.h"

#define NAME_BEGINS "-copy-"

enum { PAGES_A_TURN = 64 };

struct store_copy {
	int fd;
	sqlite3 *target;
	sqlite3_backup *backup;
	struct store *store;
	struct event *step;
	store_copied_fn fn;
	void *arg;
};

/* --- the file ------------------------------------------------------------- */

static bool
open_unnamed(struct store_copy *copy)
{
	/* without a name there can be no journal; and what fails is thrown away,
	 * so nothing is gained by one, nor by an fsync */
	static const char pragmas[] = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF";
	char *path;
	bool opened;

	if (asprintf(&path, "%s" NAME_BEGINS "XXXXXX", copy->store->path) == -1) {
		snprintf(copy->store->error, sizeof copy->store->error, "out of memory");
		return false;
	}
	copy->fd = mkostemp(path, O_CLOEXEC);
	if (copy->fd == -1) {
		snprintf(copy->store->error, sizeof copy->store->error, "making %.180s: %s", path, strerror(errno));
		free(path);
		return false;
	}
	opened = sqlite3_open_v2(path, &copy->target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;
	unlink(path);
	free(path);
	if (opened && sqlite3_exec(copy->target, pragmas, NULL, NULL, NULL) == SQLITE_OK)
		copy->backup = sqlite3_backup_init(copy->target, "main", copy->store->db, "main");
	if (copy->backup == NULL)
		snprintf(copy->store->error, sizeof copy->store->error, "copying: %s", sqlite3_errmsg(copy->target));
	return copy->backup != NULL;
}

/* Page 1 came as it is in the store, and says WAL. A copy that is to be one
 * file says rollback journal: bytes 18 and 19, see sqlite.org/fileformat2.html. */
static bool
leave_wal(int fd)
{
	ssize_t n = pwrite(fd, "\1\1", 2, 18);

	if (n != 2 && n != -1)
		errno = ENOSPC;
	return n == 2;
}

void
store_remove_copies(const char *path)
{
	char pattern[PATH_MAX];
	glob_t found;

	snprintf(pattern, sizeof pattern, "%s" NAME_BEGINS "??????*", path);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		unlink(found.gl_pathv[i]);
	globfree(&found);
}

/* --- copying -------------------------------------------------------------- */

/* Ends SQLite's part in it. SQLITE_OK: all of it is in the file. */
static int
end_backup(struct store_copy *copy)
{
	int finished = sqlite3_backup_finish(copy->backup), closed = sqlite3_close(copy->target);

	copy->backup = NULL;
	copy->target = NULL;
	return finished != SQLITE_OK ? finished : closed;
}

void
store_copy_cancel(struct store_copy *copy)
{
	if (copy == NULL)
		return;
	end_backup(copy);
	if (copy->fd != -1)
		close(copy->fd);
	if (copy->step != NULL)
		event_free(copy->step);
	free(copy);
}

/* code: what the last step gave, SQLITE_DONE when all pages are copied. */
static void
copy_end(struct store_copy *copy, int code)
{
	store_copied_fn fn = copy->fn;
	void *arg = copy->arg;
	char error[256] = "";
	int ended = end_backup(copy), fd = copy->fd;

	if (code == SQLITE_DONE)
		code = ended;
	if (code != SQLITE_OK)
		snprintf(error, sizeof error, "copying: %s", sqlite3_errstr(code));
	else if (!leave_wal(fd))
		snprintf(error, sizeof error, "writing the copy: %s", strerror(errno));
	if (error[0] == '\0')
		copy->fd = -1; /* now the caller's */
	store_copy_cancel(copy);
	fn(error[0] == '\0' ? fd : -1, error[0] == '\0' ? NULL : error, arg);
}

static void
on_step(evutil_socket_t fd, short what, void *arg)
{
	struct store_copy *copy = arg;
	static const struct timeval soon = {0, 0};
	int code;

	(void)fd;
	(void)what;
	/* never in the middle of a turn: what is not committed may be rolled back */
	store_hurry(copy->store);
	code = copy->store->open ? SQLITE_OK : sqlite3_backup_step(copy->backup, PAGES_A_TURN);
	if (code == SQLITE_OK)
		event_add(copy->step, &soon);
	else
		copy_end(copy, code);
}

struct store_copy *
store_copy(struct store *store, store_copied_fn fn, void *arg)
{
	static const struct timeval soon = {0, 0};
	struct store_copy *copy = calloc(1, sizeof *copy);

	if (copy == NULL) {
		snprintf(store->error, sizeof store->error, "out of memory");
		return NULL;
	}
	copy->fd = -1;
	copy->store = store;
	copy->fn = fn;
	copy->arg = arg;
	if (!open_unnamed(copy))
		goto fail;
	copy->step = event_new(store->base, -1, 0, on_step, copy);
	if (copy->step == NULL || event_add(copy->step, &soon) == -1) {
		snprintf(store->error, sizeof store->error, "out of memory");
		goto fail;
	}
	return copy;
fail:
	store_copy_cancel(copy);
	return NULL;
}
