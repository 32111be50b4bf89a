#include "tests/stand_in/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"

struct memory_file {
	char *name;
	void *data;
	size_t size;
	bool locked;
};

static const char *folder; /* NULL: in memory */
static void *memory;       /* a tree of struct memory_file */

/* --- in memory ------------------------------------------------------------ */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct memory_file *)a)->name, ((const struct memory_file *)b)->name);
}

static struct memory_file *
find(const char *name)
{
	struct memory_file key = {.name = (char *)name};
	struct memory_file *const *found = tfind(&key, &memory, compare_names);

	return found != NULL ? *found : NULL;
}

static void
free_file(void *file)
{
	free(((struct memory_file *)file)->name);
	free(((struct memory_file *)file)->data);
	free(file);
}

static struct memory_file *
add(const char *name)
{
	struct memory_file *file = calloc(1, sizeof *file);

	if (file == NULL || (file->name = strdup(name)) == NULL || tsearch(file, &memory, compare_names) == NULL) {
		if (file != NULL)
			free_file(file);
		return NULL;
	}
	return file;
}

static bool
write_to_memory(const char *name, const void *data, size_t size)
{
	struct memory_file *file = find(name);
	void *copy = malloc(size > 0 ? size : 1);

	if (file == NULL)
		file = add(name);
	if (copy == NULL || file == NULL) {
		free(copy);
		return false;
	}
	memcpy(copy, data, size);
	free(file->data);
	file->data = copy;
	file->size = size;
	return true;
}

static void *
read_from_memory(const char *name, size_t *size)
{
	const struct memory_file *file = find(name);
	void *copy = file != NULL ? malloc(file->size > 0 ? file->size : 1) : NULL;

	if (copy == NULL)
		return NULL;
	*size = file->size;
	return memcpy(copy, file->data, file->size);
}

/* --- in a folder ---------------------------------------------------------- */

static const char *
path_of(const char *name, const char *suffix, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.3800s/%.*s%s", folder, FILE_NAME_LONGEST, name, suffix);
	return path;
}

static bool
write_to_disk(const char *name, const void *data, size_t size)
{
	char new[PATH_MAX], path[PATH_MAX];
	int fd = open(path_of(name, ".new", new), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool written;

	if (fd == -1)
		return false;
	written = file_write_all(fd, data, size);
	return close(fd) == 0 && written && rename(new, path_of(name, "", path)) == 0;
}

static bool
lock_on_disk(const char *name, struct file_lock *lock)
{
	char path[PATH_MAX];
	int fd = open(path_of(name, "", path), O_RDWR | O_CLOEXEC);

	if (fd == -1)
		return false;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		close(fd);
		return false;
	}
	lock->fd = fd + 1;
	return true;
}

/* --- either --------------------------------------------------------------- */

void
files_init(const char *path)
{
	folder = path;
}

void
files_free(void)
{
	tdestroy(memory, free_file);
	memory = NULL;
}

bool
files_on_disk(void)
{
	return folder != NULL;
}

bool
files_exist(const char *name)
{
	char path[PATH_MAX];

	return folder != NULL ? access(path_of(name, "", path), F_OK) == 0 : find(name) != NULL;
}

unsigned long
files_inode(const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	return folder != NULL && stat(path_of(name, "", path), &st) == 0 ? st.st_ino : 0;
}

bool
files_write(const char *name, const void *data, size_t size)
{
	return folder != NULL ? write_to_disk(name, data, size) : write_to_memory(name, data, size);
}

void *
files_read(const char *name, size_t *size)
{
	char path[PATH_MAX];

	return folder != NULL ? atomic_file_read(path_of(name, "", path), WALLET_FILE_MAX, size) : read_from_memory(name, size);
}

bool
files_lock(const char *name, struct file_lock *lock)
{
	struct memory_file *file;

	if (folder != NULL)
		return lock_on_disk(name, lock);
	file = find(name);
	if (file == NULL || file->locked)
		return false;
	file->locked = true;
	lock->file = file;
	return true;
}

void
files_unlock(struct file_lock *lock)
{
	if (lock->fd != 0)
		close(lock->fd - 1);
	if (lock->file != NULL)
		lock->file->locked = false;
	*lock = (struct file_lock){0};
}
