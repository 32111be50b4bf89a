/*
 * Workers that an earlier msigd left. A worker ends by itself when its msigd has
 * gone; one that is stopped (SIGSTOP) or hangs does not, and holds its locks: so
 * nobody touches its escrow and its endpoints before it has ended. Whoever finds
 * a lock busy asks here who that is, and may end it if it is provably such a worker.
 */
#ifndef SUPERVISOR_LEFTOVER_H
#define SUPERVISOR_LEFTOVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/lock.h"

enum { LEFTOVER_LIMIT_MS = 5000 /* for one to end by itself */ };

struct leftover {
	pid_t pid;         /* of a worker whose msigd is gone; 0: it is somebody else, or that cannot be proved */
	char holder[128];  /* what the lock's file says of who holds it, for people */
};

/* Whether somebody holds the lock (from lock_init_*(), not held), and who. */
bool leftover_holds(struct lock *lock, const char *lock_dir, struct leftover *who);

/* Ends who was found, if it still is what it was found to be. */
bool leftover_kill(const struct lock *lock, const char *lock_dir, const struct leftover *who);

#endif
