/*
 * Whole files, written so that a crash at any instant leaves the old one, the
 * new one or none, never a part: temporary name in the same folder, fsync,
 * rename, fsync of the folder.
 */
#ifndef COMMON_ATOMIC_FILE_H
#define COMMON_ATOMIC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Writes size bytes under path with this mode. With exclusive, an existing
 * file is never replaced: false with errno EEXIST. False: errno is set, and no
 * temporary file is left. */
bool atomic_file_write(const char *path, const void *data, size_t size, mode_t mode, bool exclusive);

/* The same without fsync, replacing what is there: for what may be lost with the
 * machine, and must not make anybody wait for the disk. A crash of the machine may
 * leave a part. */
bool atomic_file_write_unsynced(const char *path, const void *data, size_t size, mode_t mode);

/* Its pieces, for a file that does not come in one. Writes all of size bytes;
 * makes the names in the folder of path durable. False: errno is set. */
bool file_write_all(int fd, const void *data, size_t size);
bool file_sync_folder(const char *path);

/* Reads a whole file of at most max bytes. Returns a buffer from malloc with a
 * NUL behind it, its size in *size, or NULL with errno (EFBIG: longer than max). */
unsigned char *atomic_file_read(const char *path, size_t max, size_t *size);
unsigned char *file_read_all(int fd, size_t max, size_t *size); /* the same of one that is open */

#endif
