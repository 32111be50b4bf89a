/*
 * monero-wallet-rpcs that msigd starts itself, one process for each managed
 * endpoint. Owns their processes, configuration files (0600, with a random
 * login that is new at each start), folders and restarts. They die with msigd.
 */
#ifndef SUPERVISOR_MANAGED_H
#define SUPERVISOR_MANAGED_H

#include <stdbool.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct endpoint;
struct managed_pool;
struct supervisor;

/* The path of an executable: name itself if it has a slash, else looked for in
 * PATH. False: there is none. */
bool managed_find_program(const char *name, char out[PATH_MAX]);

/* Ends those that an earlier msigd left behind (known by pid and start time),
 * then starts all that the configuration asks for. NULL: why says what is wrong. */
struct managed_pool *managed_start(struct supervisor *sv, char *why, size_t why_size);

/* Kills the process of an endpoint, so that it keeps nothing; another follows.
 * why, for people, is static. */
void managed_restart(struct managed_pool *pool, const struct endpoint *endpoint, const char *why);

/* SIGTERM to all; none is started again. fn is called when the last has gone. */
void managed_stop(struct managed_pool *pool, void (*fn)(void *arg), void *arg);

/* Kills what is left. */
void managed_free(struct managed_pool *pool);

#endif
