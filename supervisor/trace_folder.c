#include "supervisor/trace_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/folder.h"

/* Closes it, and errno stays. */
static void
drop(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/* --- the folder ----------------------------------------------------------- */

int
trace_folder_open(const char *folder, bool make)
{
	static const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = open(folder, flags);
	struct stat st;

	if (fd == -1 && errno == ENOENT && make && (folder_make(folder, 0700) || errno == EEXIST))
		fd = open(folder, flags);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid())
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

const char *
trace_folder_trouble(const char *folder)
{
	int fd = trace_folder_open(folder, true);

	if (fd == -1)
		return errno == EPERM ? "it belongs to another user" : strerror(errno);
	close(fd);
	return access(folder, R_OK | W_OK | X_OK) == -1 ? strerror(errno) : NULL;
}

/* --- a file in it --------------------------------------------------------- */

static bool
is_plain(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return true;
	errno = ENOTSUP;
	return false;
}

int
trace_folder_open_file(const char *folder, const char *name, int flags)
{
	int dir = trace_folder_open(folder, (flags & O_CREAT) != 0), fd;

	if (dir == -1)
		return -1;
	/* a FIFO would let this wait */
	fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	drop(dir);
	if (fd == -1 || is_plain(fd))
		return fd;
	drop(fd);
	return -1;
}

char *
trace_folder_read(const char *folder, const char *name, size_t max, size_t *size)
{
	int fd = trace_folder_open_file(folder, name, O_RDONLY);
	char *text;

	if (fd == -1)
		return NULL;
	text = (char *)file_read_all(fd, max, size);
	drop(fd);
	return text;
}

static bool
write_new(int dir, const char *name, const void *data, size_t size, const struct timespec *modified)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, modified != NULL ? *modified : (struct timespec){.tv_nsec = UTIME_NOW}};
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok;

	if (fd == -1)
		return false;
	ok = file_write_all(fd, data, size) && futimens(fd, times) == 0;
	if (close(fd) == -1)
		ok = false;
	return ok;
}

bool
trace_folder_write(const char *folder, const char *name, const void *data, size_t size, const struct timespec *modified)
{
	int dir = trace_folder_open(folder, true), saved;
	char temporary[NAME_MAX + 1];
	bool ok;

	if (dir == -1)
		return false;
	snprintf(temporary, sizeof temporary, "%s%s", TRACE_FOLDER_TEMPORARY, name);
	ok = unlinkat(dir, temporary, 0) == 0 || errno == ENOENT;
	ok = ok && write_new(dir, temporary, data, size, modified) && renameat(dir, temporary, dir, name) == 0;
	saved = errno;
	if (!ok)
		unlinkat(dir, temporary, 0);
	close(dir);
	errno = saved;
	return ok;
}

bool
trace_folder_modified(const char *folder, const char *name, struct timespec *at)
{
	int dir = trace_folder_open(folder, false);
	struct stat st;
	bool ok;

	if (dir == -1)
		return false;
	ok = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	drop(dir);
	if (ok)
		*at = st.st_mtim;
	return ok;
}

bool
trace_folder_remove(const char *folder, const char *name)
{
	int dir = trace_folder_open(folder, false);
	bool ok;

	if (dir == -1)
		return false;
	ok = unlinkat(dir, name, 0) == 0;
	drop(dir);
	return ok;
}
