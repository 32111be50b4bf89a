/*
 * The files in trace-dir, as msigd's loop may touch them: it never waits there, and
 * never writes where a name leads out of the folder. The folder must be msigd's own;
 * it is made when it is missing. A file is a plain one, no link and no FIFO.
 * Everything takes the folder's path and a name in it; false, -1 or NULL: errno is
 * set.
 */
#ifndef SUPERVISOR_TRACE_FOLDER_H
#define SUPERVISOR_TRACE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* A descriptor of the folder. make: when it is missing. EPERM: it is another user's. */
int trace_folder_open(const char *folder, bool make);
/* Of a file in it. flags: of open(2), without O_TRUNC. ENOTSUP: it is no plain file. */
int trace_folder_open_file(const char *folder, const char *name, int flags);

/* The whole file, at most max bytes, from malloc, with a NUL behind it. */
char *trace_folder_read(const char *folder, const char *name, size_t max, size_t *size);
/* What the name begins with under which a file is written at first; nobody gives a
 * copy such a name. */
#define TRACE_FOLDER_TEMPORARY ".msigd."
/* Replaces it at once, without fsync; mode 0600. modified: its time, NULL for now.
 * What a SIGKILL leaves of it is replaced next time. */
bool trace_folder_write(const char *folder, const char *name, const void *data, size_t size, const struct timespec *modified);
bool trace_folder_modified(const char *folder, const char *name, struct timespec *at);
bool trace_folder_remove(const char *folder, const char *name);

/* What is wrong with the folder itself, in words; NULL: nothing. */
const char *trace_folder_trouble(const char *folder);

#endif
