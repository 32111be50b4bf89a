/*
 * Going on with an attempt that was interrupted: by a failure that is not the
 * wallets' own, or by the end of msigd. The escrow waits for the endpoints where
 * its wallets are. If one of them does not come back, and there is a copy of that
 * wallet in the store, it is written elsewhere, and the others stay; if there is
 * none, it is waited for longer, and then the attempt is given up. Its worker does
 * what worker/recovery.c says.
 */
#ifndef SUPERVISOR_SETUP_RECOVERY_H
#define SUPERVISOR_SETUP_RECOVERY_H

#include <event2/util.h>
#include <jansson.h>

#include "supervisor/escrow.h"

/* What follows a failure: the same attempt goes on where it stands, or a new one
 * begins, with new wallets. counts: against max-attempts; of one that goes on,
 * only if it does so again and again without getting any further. */
struct remedy {
	bool go_on, counts;
};
struct remedy setup_remedy(enum failure_cause cause);

/* Whether one that stopped here has anything to go on with. */
bool setup_can_go_on(const struct escrow *escrow);

/* Says in its claim where it can go on: at the endpoints of its wallets, while
 * they may come back. False: the store cannot be read. */
bool setup_queue_to_go_on(struct escrow *escrow);

/* Whether it waits for endpoints that do not come back soon, if at all. */
bool setup_is_stranded(const struct escrow *escrow);

/* Whether somebody else holds its lock; then it pauses, and looks again. A
 * worker that an earlier msigd left has some time to end, and is then killed. */
bool setup_is_locked(struct escrow *escrow);

/* Pauses, the longer the more often it was interrupted without a result, and
 * then queues it. later: also the first time. False: it counts, and was too often. */
bool setup_pause(struct escrow *escrow, bool counts, bool later);
/* There was a result: what interrupted it before is forgotten. */
void setup_gets_further(struct escrow *escrow);
/* Pauses because the store cannot be read; nothing counts. */
void setup_pause_for_store(struct escrow *escrow);
void setup_on_pause(evutil_socket_t fd, short what, void *arg);

/* The part of a start frame that is about its wallets; NULL: it cannot be read. */
json_t *setup_journals(struct escrow *escrow);

/* Writes where it goes on. */
enum store_result setup_store_resumption(struct escrow *escrow);

#endif
