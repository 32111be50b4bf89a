/* A consistent copy of the store with SQLite's online backup, some pages each
 * turn of the loop. What this connection writes meanwhile goes into the copy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/store_internal.h"

enum { PAGES_A_TURN = 64 };

struct copy {
	struct store *store;
	sqlite3 *target;
	sqlite3_backup *backup;
	struct event *step;
	char *path;
	store_copied_fn fn;
	void *arg;
};

static void
copy_end(struct copy *copy, const char *error)
{
	char text[256];
	store_copied_fn fn = copy->fn;
	void *arg = copy->arg;

	if (error != NULL)
		snprintf(text, sizeof text, "%s: %s", copy->path, error);
	sqlite3_backup_finish(copy->backup);
	if (error == NULL)
		sqlite3_exec(copy->target, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	sqlite3_close(copy->target);
	if (error != NULL)
		unlink(copy->path);
	if (copy->step != NULL)
		event_free(copy->step);
	free(copy->path);
	free(copy);
	fn(error != NULL ? text : NULL, arg);
}

static void
on_step(evutil_socket_t fd, short what, void *arg)
{
	struct copy *copy = arg;
	static const struct timeval soon = {0, 0};
	int code;

	(void)fd;
	(void)what;
	/* never in the middle of a turn: what is not committed may be rolled back */
	code = copy->store->open ? SQLITE_OK : sqlite3_backup_step(copy->backup, PAGES_A_TURN);
	if (code == SQLITE_OK)
		event_add(copy->step, &soon);
	else if (code == SQLITE_DONE)
		copy_end(copy, NULL);
	else
		copy_end(copy, sqlite3_errstr(code));
}

void
store_copy(struct store *store, const char *path, store_copied_fn fn, void *arg)
{
	static const struct timeval soon = {0, 0};
	struct copy *copy = calloc(1, sizeof *copy);

	if (copy == NULL) {
		fn("out of memory", arg);
		return;
	}
	copy->store = store;
	copy->fn = fn;
	copy->arg = arg;
	copy->path = strdup(path);
	copy->step = event_new(store->base, -1, 0, on_step, copy);
	if (copy->path == NULL || copy->step == NULL) {
		copy_end(copy, "out of memory");
		return;
	}
	if (sqlite3_open(path, &copy->target) != SQLITE_OK ||
	    (copy->backup = sqlite3_backup_init(copy->target, "main", store->db, "main")) == NULL) {
		copy_end(copy, sqlite3_errmsg(copy->target));
		return;
	}
	event_add(copy->step, &soon);
}
