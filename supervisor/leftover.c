#include "supervisor/leftover.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "ipc/child.h"

/* --- the proof ------------------------------------------------------------ */

/* The kernel's list names who took a lock, as long as it is held. A descriptor
 * of it could have been given to others, but a worker has no children. Where
 * /proc has no such list, nothing is proved. */
static bool
has_flock(pid_t pid, ino_t inode)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[256];
	bool found = false;

	while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
		unsigned long long file;
		long holder;
		found = sscanf(line, "%*[0-9]: FLOCK %*s WRITE %ld %*[^:]:%*[^:]:%llu ", &holder, &file) == 2 &&
		    holder == (long)pid && file == (unsigned long long)inode;
	}
	if (f != NULL)
		fclose(f);
	return found;
}

/* Not by its executable, which may have been replaced since. */
static bool
is_orphaned_worker(pid_t pid)
{
	struct process worker, parent;

	return process_look(pid, &worker) && strcmp(worker.name, "msigd-worker") == 0 &&
	    !(process_look(worker.parent, &parent) && strcmp(parent.name, "msigd") == 0);
}

static bool
is_leftover(const struct lock *lock, const char *lock_dir, pid_t pid)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%.3800s/%s", lock_dir, lock->name);
	return stat(path, &st) == 0 && is_orphaned_worker(pid) && has_flock(pid, st.st_ino);
}

/* --- for others ----------------------------------------------------------- */

bool
leftover_holds(struct lock *lock, const char *lock_dir, struct leftover *who)
{
	long pid;

	memset(who, 0, sizeof *who);
	switch (lock_try(lock, lock_dir, "look", who->holder, sizeof who->holder)) {
	case LOCK_TAKEN:
		lock_release(lock);
		return false;
	case LOCK_ERROR: /* the worker will tell */
		return false;
	case LOCK_BUSY:
		break;
	}
	if (sscanf(who->holder, "pid %ld,", &pid) == 1 && pid > 1 && pid <= INT_MAX && is_leftover(lock, lock_dir, (pid_t)pid))
		who->pid = (pid_t)pid;
	return true;
}

/* What is proved of a number is true of the process that it was opened for: it
 * gets no other one before that has ended, and then there is nobody to signal. */
bool
leftover_kill(const struct lock *lock, const char *lock_dir, const struct leftover *who)
{
	int fd = who->pid != 0 ? pidfd_open(who->pid, 0) : -1;
	bool killed;

	if (fd == -1)
		return false;
	killed = is_leftover(lock, lock_dir, who->pid) && pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0;
	close(fd);
	if (killed)
		log_warn("worker_leftover_killed", F_INT("pid", who->pid), F_STR("lock", lock->name), F_STR("holder", who->holder));
	return killed;
}
