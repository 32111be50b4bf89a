/*
 * Locks between processes: files under lock-dir, taken with flock(2) by the
 * worker that uses the thing (DESIGN.md, "Locks"). The kernel drops a lock
 * when its holder ends, so none is ever stale; files are never unlinked.
 * Nothing here blocks: who finds a lock busy tries again later.
 */
#ifndef COMMON_LOCK_H
#define COMMON_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOCK_NAME_MAX = 255 };

enum lock_try { LOCK_TAKEN, LOCK_BUSY, LOCK_ERROR };

struct lock {
	char name[LOCK_NAME_MAX + 1]; /* file name inside lock-dir */
	int fd;                       /* -1 while not held */
	int64_t requested_ms;         /* monotonic; when lock_init() was called */
	int64_t acquired_ms;          /* monotonic; 0 while not held */
	unsigned busy_tries;          /* tries that found it busy */
};

/* "escrow-<uuid>.lock" */
void lock_init_escrow(struct lock *lock, const char *escrow_id);

/* "endpoint-<url>.lock", '/' and '%' of the normalised URL (common/url.h)
 * percent-encoded. */
void lock_init_endpoint(struct lock *lock, const char *normalised_url);

/* One try. LOCK_TAKEN: held, and the file says by whom. LOCK_BUSY: holder
 * (may be NULL) gets what the file says of who has it, for people. LOCK_ERROR:
 * errno is set. dir must exist. */
enum lock_try lock_try(struct lock *lock, const char *dir, const char *who,
    char *holder, size_t holder_size);

/* Whether somebody holds the lock of this name, and who by its file's word. It is
 * not taken, but for an instant nobody else can take it. */
bool lock_is_held(const char *dir, const char *name, char *holder, size_t holder_size);

/* Whether LOCK_ERROR with this errno is a shortage, of room or descriptors, that
 * may be over soon. */
bool lock_error_passes(int error);

/* Drops the lock and empties its file; nothing happens when it is not held. */
void lock_release(struct lock *lock);

/* Milliseconds from request to acquisition (or to now), and from there to now. */
int64_t lock_wait_ms(const struct lock *lock);
int64_t lock_hold_ms(const struct lock *lock);

#endif
