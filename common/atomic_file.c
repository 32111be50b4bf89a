#include "common/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool
file_write_all(int fd, const void *data, size_t size)
{
	const unsigned char *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

bool
file_sync_folder(const char *path)
{
	char copy[PATH_MAX];
	int fd;
	bool ok;

	snprintf(copy, sizeof copy, "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return false;
	ok = fsync(fd) == 0 || errno == EINVAL; /* some file systems cannot */
	close(fd);
	return ok;
}

static bool
write_file(const char *path, const void *data, size_t size, mode_t mode, bool exclusive, bool durable)
{
	char temporary[PATH_MAX];
	int fd, saved;
	bool ok;

	if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary) {
		errno = ENAMETOOLONG;
		return false;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd == -1)
		return false;
	ok = fchmod(fd, mode) == 0 && file_write_all(fd, data, size) && (!durable || fsync(fd) == 0);
	if (close(fd) == -1)
		ok = false;
	/* link(2), unlike rename(2), refuses to replace */
	ok = ok && (exclusive ? link(temporary, path) : rename(temporary, path)) == 0;
	saved = errno;
	if (!ok || exclusive)
		unlink(temporary);
	errno = saved;
	return ok && (!durable || file_sync_folder(path));
}

bool
atomic_file_write(const char *path, const void *data, size_t size, mode_t mode, bool exclusive)
{
	return write_file(path, data, size, mode, exclusive, true);
}

bool
atomic_file_write_unsynced(const char *path, const void *data, size_t size, mode_t mode)
{
	return write_file(path, data, size, mode, false, false);
}

unsigned char *
file_read_all(int fd, size_t max, size_t *size)
{
	unsigned char *data = malloc(max + 2);
	size_t have = 0;
	ssize_t n;

	if (data == NULL)
		return NULL;
	while ((n = read(fd, data + have, max + 1 - have)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			goto fail;
		have += (size_t)n;
		if (have > max) {
			errno = EFBIG;
			goto fail;
		}
	}
	data[have] = '\0';
	*size = have;
	return data;
fail:
	free(data);
	return NULL;
}

unsigned char *
atomic_file_read(const char *path, size_t max, size_t *size)
{
	int saved, fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *data;

	if (fd == -1)
		return NULL;
	data = file_read_all(fd, max, size);
	saved = errno;
	close(fd);
	errno = saved;
	return data;
}
