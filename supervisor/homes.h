/*
 * Where a claim can be served whose wallets exist already: each where its files
 * are; or, once that place is not waited for any more, where they can be written
 * from the copy in the store. Looks at endpoints and changes nothing; who comes
 * first, the scheduler says.
 */
#ifndef SUPERVISOR_HOMES_H
#define SUPERVISOR_HOMES_H

#include <stdbool.h>

#include "supervisor/scheduler.h"

struct endpoint_pool;

/* Whether it answered when it was looked at last, and is not about to go: busy
 * or not, one can wait for it. */
bool homes_is_there(const struct endpoint *endpoint);

/* Whether the wallet of this role can be opened there, or written, or, if there
 * is none yet, made. */
bool homes_suit(const struct claim *claim, const struct endpoint *endpoint, int role);

/* A free endpoint that suits for each role that is needed, and is not reserved:
 * as many wallets as possible at their homes. False: not for all of them. */
bool homes_pick(struct endpoint_pool *pool, const struct claim *claim, struct endpoint *picked[ROLE_COUNT]);

/* The first role that stands in the way of all having a place at the same time,
 * were all endpoints free that are there; one with its own endpoint away, if there
 * is one. ever: were all there that can come back by themselves. ROLE_COUNT: none. */
int homes_lacking_role(const struct endpoint_pool *pool, const struct claim *claim, bool ever);

/* Whether the copy of this role's wallet could be written for any endpoint but
 * its home, now or later. */
bool homes_has_other(const struct endpoint_pool *pool, const struct claim *claim, int role);

#endif
