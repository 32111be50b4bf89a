/*
 * The phases of an escrow's attempt and the changes that are possible between
 * them (DESIGN.md, "How an escrow goes"). The store validates with this table
 * when it writes and when it reads.
 */
#ifndef COMMON_PHASE_H
#define COMMON_PHASE_H

#include <stdbool.h>

enum phase {
	PHASE_NOT_STARTED, /* waits for endpoints */
	PHASE_PREPARING,   /* create_wallet and prepare_multisig */
	PHASE_EXCHANGING,  /* make_multisig and exchange_multisig_keys, by kex round */
	PHASE_READY,       /* the address is published; terminal */
	PHASE_FAILED,      /* has a reason; terminal */
	PHASE_COUNT
};

/* "NotStarted", "Preparing", "Exchanging", "Ready", "Failed". */
const char *phase_name(enum phase phase);
bool phase_parse(const char *name, enum phase *phase);

/* Ready and Failed: nothing leaves them. */
bool phase_is_terminal(enum phase phase);

/* Whether an attempt may go from one to the other. Staying is no change, but
 * in Exchanging, where the round goes up. */
bool phase_may_follow(enum phase from, enum phase to);

#endif
