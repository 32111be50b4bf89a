/*
 * The attic: wallets that no attempt uses any more, in the store, and their files,
 * in the wallet folders. Once trace-keep has gone by since one was put there, and
 * no address can have been published with it (store.h, removable), a worker
 * removes its files, and then it goes from the store. Looked at a while after the
 * start, and once an hour.
 *
 * SIGKILL between the two: the files are gone, and the next time that is as good
 * as having removed them.
 */
#ifndef SUPERVISOR_ATTIC_H
#define SUPERVISOR_ATTIC_H

struct attic;
struct supervisor;

struct attic *attic_new(struct supervisor *sv);
void attic_free(struct attic *attic);

/* The start, or the configuration was read again: looks soon. */
void attic_wake(struct attic *attic);

#endif
