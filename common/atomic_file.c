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

bool
atomic_file_write(const char *path, const void *data, size_t size, mode_t mode, bool exclusive)
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
	ok = fchmod(fd, mode) == 0 && file_write_all(fd, data, size) && fsync(fd) == 0;
	if (close(fd) == -1)
		ok = false;
	/* link(2), unlike rename(2), refuses to replace */
	ok = ok && (exclusive ? link(temporary, path) : rename(temporary, path)) == 0;
	saved = errno;
	if (!ok || exclusive)
		unlink(temporary);
	errno = saved;
	return ok && file_sync_folder(path);
}

unsigned char *
atomic_file_read(const char *path, size_t max, size_t *size)
{
	unsigned char *data = NULL;
	size_t have = 0;
	ssize_t n;
	int saved, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return NULL;
	data = malloc(max + 2);
	if (data == NULL)
		goto fail;
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
	close(fd);
	data[have] = '\0';
	*size = have;
	return data;
fail:
	saved = errno;
	close(fd);
	free(data);
	errno = saved;
	return NULL;
}
