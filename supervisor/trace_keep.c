/*
 * How long trace files are kept: those of escrows that nobody works for go when
 * nothing was added for trace-keep. What was not folded because msigd ended first
 * is folded then. The folder may have many: some are looked at in a turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "supervisor/escrow.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace_folder.h"
#include "supervisor/trace_internal.h"

enum {
	AT_ONCE = 50,                         /* names */
	PAUSE_MS = 50,                        /* between two turns */
	INTERVAL_MS = FAULT_SOONER(3600000),
	TEMPORARY_MS = 3600000                /* nobody writes one for so long */
};

static void
look_in(struct traces *all, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(all->timer, &tv);
}

static bool
is_in_use(struct traces *all, const char *escrow_id)
{
	return traces_get(all, escrow_id) != NULL || escrow_find(all->sv->escrows, escrow_id) != NULL;
}

static bool
is_old(const struct traces *all, const char *name, int64_t age_ms)
{
	struct stat st;

	return fstatat(dirfd(all->folder), name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 <= clock_wall_ms() - age_ms;
}

static void
remove_one(struct traces *all, const char *escrow_id, const char *name)
{
	if (unlinkat(dirfd(all->folder), name, 0) == 0)
		log_debug("trace_removed", F_STR("escrow", escrow_id), F_STR("file", name));
	else if (errno != ENOENT)
		traces_complain(all, escrow_id, "an old one cannot be removed");
}

/* True: that took time, and was enough for this turn. */
static bool
look_at(struct traces *all, const char *name)
{
	struct trace_file file;
	char escrow_id[UUID_TEXT];

	switch (trace_file_name(name, escrow_id)) {
	case TRACE_NAME_OTHER:
		break;
	case TRACE_NAME_TEMPORARY:
		if (is_old(all, name, TEMPORARY_MS))
			remove_one(all, escrow_id, name);
		break;
	case TRACE_NAME_WHOLE:
		if (!is_in_use(all, escrow_id) && is_old(all, name, all->sv->config->trace_keep_ms))
			remove_one(all, escrow_id, name);
		break;
	case TRACE_NAME_LINES:
		if (is_in_use(all, escrow_id))
			break;
		if (is_old(all, name, all->sv->config->trace_keep_ms)) { /* it may be one that cannot be folded */
			remove_one(all, escrow_id, name);
			break;
		}
		trace_file_init(&file, all->sv->config->trace_dir, escrow_id, 0);
		if (!trace_file_finish(&file) && errno != ENODATA)
			traces_complain(all, escrow_id, "it stays as it is, line by line");
		return true;
	}
	return false;
}

/* None is there before the first trace. */
static DIR *
open_folder(struct traces *all)
{
	int fd = trace_folder_open(all->sv->config->trace_dir, false);
	DIR *folder;

	if (fd == -1) {
		if (errno != ENOENT)
			traces_complain(all, NULL, "nothing can be written or removed there");
		return NULL;
	}
	folder = fdopendir(fd);
	if (folder == NULL)
		close(fd);
	return folder;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct traces *all = arg;
	struct dirent *entry;

	(void)fd;
	(void)what;
	if (all->folder == NULL)
		all->folder = open_folder(all);
	for (int i = 0; all->folder != NULL && i < AT_ONCE; i++) {
		entry = readdir(all->folder);
		if (entry == NULL) {
			closedir(all->folder);
			all->folder = NULL;
		} else if (look_at(all, entry->d_name)) {
			break;
		}
	}
	look_in(all, all->folder != NULL ? PAUSE_MS : INTERVAL_MS);
}

bool
trace_keep_init(struct traces *all)
{
	all->timer = evtimer_new(all->sv->base, on_timer, all);
	return all->timer != NULL;
}

void
trace_keep_end(struct traces *all)
{
	if (all->timer != NULL)
		event_free(all->timer);
	if (all->folder != NULL)
		closedir(all->folder);
}

void
traces_wake(struct traces *all)
{
	look_in(all, 0);
}
