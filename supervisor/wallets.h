/* The wallets of a Ready escrow, as those who open them again need them: its
 * session, the proof from disk, and their repair. */
#ifndef SUPERVISOR_WALLETS_H
#define SUPERVISOR_WALLETS_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/store.h"

struct endpoint;
struct supervisor;
struct trace;

struct wallets {
	char escrow_id[UUID_TEXT];
	int attempt;
	unsigned roles;          /* ROLE_BIT()s: whose wallets are ours to open */
	char *address;
	int64_t not_verified_at; /* as in struct store_escrow */
	struct trace *trace;     /* held, or NULL */
	struct store_wallet of[ROLE_COUNT];
};

enum wallets_loaded { WALLETS_LOADED, WALLETS_NO_ESCROW, WALLETS_NOT_READY, WALLETS_UNREADABLE };

/* Fills w, to be cleared with wallets_clear() whatever comes out. */
enum wallets_loaded wallets_load(struct supervisor *sv, const char *escrow_id, struct wallets *w);
void wallets_clear(struct wallets *w);

/* The start frame of a job that opens those of these roles, on these endpoints; NULL when out of memory. */
json_t *wallets_start_frame(struct supervisor *sv, const struct wallets *w, unsigned roles,
    struct endpoint *const endpoints[ROLE_COUNT]);

#endif
