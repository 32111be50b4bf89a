/*
 * The files of wallets, by name: in a folder that all endpoints share, or in
 * memory. As monero-wallet-rpc does it: a new file is written beside the old one
 * and renamed, without fsync, and who has a wallet open holds a lock on its .keys.
 */
#ifndef STAND_IN_FILES_H
#define STAND_IN_FILES_H

#include <stdbool.h>
#include <stddef.h>

enum { FILE_NAME_LONGEST = 200, WALLET_FILE_MAX = 1024 * 1024 };

/* The lock of one file. At rest when all of it is zero. */
struct file_lock {
	int fd;               /* in a folder: one more than the descriptor */
	struct memory_file *file;
};

/* folder == NULL: in memory. Before everything else. */
void files_init(const char *folder);
void files_free(void);
bool files_on_disk(void);

bool files_exist(const char *name);

/* 0: there is none, or they are in memory. */
unsigned long files_inode(const char *name);

/* False: there is no room. */
bool files_write(const char *name, const void *data, size_t size);

/* From malloc; NULL: there is no such file. */
void *files_read(const char *name, size_t *size);

/* False: there is no such file, or somebody else has its lock. */
bool files_lock(const char *name, struct file_lock *lock);
void files_unlock(struct file_lock *lock);

#endif
