/*
 * What `msigd --check-copy` does: a process of its own that has one descriptor,
 * 3, a copy of the store without a name (store_copy()). It asks SQLite whether
 * that is sound, and leaves what SQLite says, in place of the copy, in the file.
 */
#ifndef SUPERVISOR_STORE_INTEGRITY_H
#define SUPERVISOR_STORE_INTEGRITY_H

/* The one argument of such a process. */
#define STORE_INTEGRITY_OPTION "--check-copy"

enum { STORE_INTEGRITY_TEXT = 512 /* bytes of what it says, with the NUL */ };

/* Returns the exit status: 0 when the file holds what SQLite said ("ok", or what
 * is wrong), 1 when it does not. */
int store_integrity_main(void);

#endif
