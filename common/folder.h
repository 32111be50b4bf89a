/* Folders that are made when they are missing. */
#ifndef COMMON_FOLDER_H
#define COMMON_FOLDER_H

#include <stdbool.h>
#include <sys/types.h>

/* Makes it with this mode, whatever the umask, and its parents with 0755. False:
 * errno is set (EEXIST: something is there already). */
bool folder_make(const char *path, mode_t mode);

#endif
