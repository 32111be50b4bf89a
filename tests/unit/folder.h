/* A folder of the test's own, below /tmp, and what is in it removed with it. Give
 * make_folder() and remove_folder() to cmocka as set-up and tear-down. Behind cmocka.h. */
#ifndef TESTS_UNIT_FOLDER_H
#define TESTS_UNIT_FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static inline int
make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/msigd-unit.XXXXXX");
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static inline int
remove_folder(void **state)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	(void)state;
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	return rmdir(folder);
}

/* A file with this in it, and with just these permissions, whatever was there. */
static inline void
write_file(const char *path, const void *data, size_t size, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, data, size), size);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

#endif
