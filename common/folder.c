#include "common/folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool
make_parents(const char *path)
{
	char copy[4096];

	snprintf(copy, sizeof copy, "%s", path);
	for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			return false;
		*slash = '/';
	}
	return true;
}

bool
folder_make(const char *path, mode_t mode)
{
	mode_t mask = umask(0);
	bool made = make_parents(path) && mkdir(path, mode) == 0;

	umask(mask);
	return made;
}
