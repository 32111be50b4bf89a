/*
 * Preloaded into msigd and its workers by failing_io.py: lets the n-th call that
 * changes a file fail, or all from the n-th on. What is to fail, where, and how
 * many calls there were stands in a file that the test shares with all of them,
 * which the variable FAILING_IO names.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { OPEN, WRITE, FSYNC, FTRUNCATE, RENAME, LINK, UNLINK, KIND_COUNT };
enum program { MSIGD, WORKER, PROGRAM_COUNT };

/* The shared file; failing_io.py has the same, in the same order. */
struct shared {
	uint32_t kinds;                 /* bits: which calls are counted for nth */
	uint32_t program;               /* of which program */
	uint32_t nth;                   /* the first that fails; 0: none */
	uint32_t lasting;               /* and all after it */
	uint32_t error;                 /* errno */
	_Atomic uint32_t counted;
	_Atomic uint32_t failed;
	_Atomic uint32_t calls[PROGRAM_COUNT][KIND_COUNT];
	_Atomic uint32_t hits[PROGRAM_COUNT][KIND_COUNT];
	char under[1024];               /* folders, each with a newline after it */
};

static struct shared *shared;
static enum program self;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAILING_IO");
	int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (strcmp(program_invocation_short_name, "msigd") == 0)
		self = MSIGD;
	else if (strcmp(program_invocation_short_name, "msigd-worker") == 0)
		self = WORKER;
	else
		return;
	if (fd == -1)
		return;
	map = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		shared = map;
}

static bool
is_under(const char *path)
{
	const char *folder = shared->under, *end;

	for (; (end = strchr(folder, '\n')) != NULL; folder = end + 1) {
		size_t length = (size_t)(end - folder);
		if (strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0'))
			return true;
	}
	return false;
}

static bool
is_fd_under(int fd)
{
	char name[64], path[PATH_MAX];
	ssize_t n;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof path - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	return is_under(path);
}

/* Whether this call, on a file that is watched, is to fail; then errno is set. */
static bool
fails(enum kind kind)
{
	uint32_t number;

	shared->calls[self][kind]++;
	if (shared->program != self || (shared->kinds & (1u << kind)) == 0)
		return false;
	number = ++shared->counted;
	if (shared->nth == 0 || (shared->lasting ? number < shared->nth : number != shared->nth))
		return false;
	shared->hits[self][kind]++;
	shared->failed++;
	errno = (int)shared->error;
	return true;
}

static bool
path_fails(enum kind kind, const char *path)
{
	return shared != NULL && is_under(path) && fails(kind);
}

static bool
fd_fails(enum kind kind, int fd)
{
	int saved = errno;

	if (shared == NULL || !is_fd_under(fd)) {
		errno = saved;
		return false;
	}
	errno = saved;
	return fails(kind);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* --- opening ------------------------------------------------------------------ */

static int
open_at(int dir, const char *path, int flags, mode_t mode)
{
	bool makes = (flags & O_CREAT) != 0;

	if (makes && path[0] != '/' && dir != AT_FDCWD ? fd_fails(OPEN, dir) : makes && path_fails(OPEN, path))
		return -1;
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define MODE_OF(flags, mode) \
	do { \
		va_list values; \
		va_start(values, flags); \
		mode = ((flags) & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(values, mode_t) : 0; \
		va_end(values); \
	} while (0)

int
open(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, mode);
	return open_at(AT_FDCWD, path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, mode);
	return open_at(AT_FDCWD, path, flags, mode);
}

int
openat(int dir, const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, mode);
	return open_at(dir, path, flags, mode);
}

int
mkostemp(char *template, int flags)
{
	return path_fails(OPEN, template) ? -1 : REAL(mkostemp)(template, flags);
}

/* --- writing ------------------------------------------------------------------ */

/* A full disk has room for some of it. */
static size_t
room_for(size_t size)
{
	return errno == ENOSPC ? size / 2 : 0;
}

/* offset -1: where it is. */
static ssize_t
write_at(int fd, const void *data, size_t size, off_t offset)
{
	bool failing = fd_fails(WRITE, fd);
	int error = errno;
	ssize_t n;

	if (failing)
		size = room_for(size);
	n = offset == -1 ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, offset);
	if (!failing)
		return n;
	errno = error;
	return -1;
}

ssize_t
write(int fd, const void *data, size_t size)
{
	return write_at(fd, data, size, -1);
}

ssize_t
pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return write_at(fd, data, size, offset);
}

ssize_t
pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return write_at(fd, data, size, offset);
}

int
fsync(int fd)
{
	return fd_fails(FSYNC, fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	return fd_fails(FSYNC, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int
ftruncate(int fd, off_t size)
{
	return fd_fails(FTRUNCATE, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int
ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

/* --- names -------------------------------------------------------------------- */

int
rename(const char *old, const char *new)
{
	return path_fails(RENAME, new) ? -1 : REAL(rename)(old, new);
}

int
renameat(int old_dir, const char *old, int new_dir, const char *new)
{
	return fd_fails(RENAME, new_dir) ? -1 : REAL(renameat)(old_dir, old, new_dir, new);
}

int
link(const char *old, const char *new)
{
	return path_fails(LINK, new) ? -1 : REAL(link)(old, new);
}

int
unlink(const char *path)
{
	return path_fails(UNLINK, path) ? -1 : REAL(unlink)(path);
}

int
unlinkat(int dir, const char *path, int flags)
{
	return fd_fails(UNLINK, dir) ? -1 : REAL(unlinkat)(dir, path, flags);
}
