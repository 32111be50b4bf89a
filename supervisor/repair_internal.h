/* What the files of the repair share. */
#ifndef SUPERVISOR_REPAIR_INTERNAL_H
#define SUPERVISOR_REPAIR_INTERNAL_H

#include <event2/event.h>

#include "ipc/message.h"
#include "supervisor/repair.h"
#include "supervisor/scheduler.h"
#include "supervisor/wallets.h"

struct worker;

enum state { STATE_IDLE, STATE_PICKING, STATE_CLOSING, STATE_WAITING, STATE_WORKING, STATE_ENDING };

struct repairer {
	struct supervisor *sv;
	enum state state;
	char only[UUID_TEXT];         /* this escrow; "": every one */
	bool elsewhere;               /* also wallets whose endpoint is not in the configuration */
	repaired_fn fn;
	void *arg;
	json_t *repaired, *problems;
	json_t *absent;               /* names of endpoints that were waited for in vain, as keys */
	struct event *step;           /* the next wallet, or a look at its endpoint */
	char escrow_id[UUID_TEXT];    /* the one under way, or the last one; "" before the first */
	int64_t number, total;        /* of escrows */
	int role;                     /* of it, or ROLE_COUNT */
	bool has_escrow;              /* there is one under way */
	bool loaded;                  /* and its wallets are these */
	struct wallets wallets;
	struct store_wallet before;   /* of the role: what was on record before its worker intended another; or empty */
	unsigned good;                /* ROLE_BIT()s of those that are good now */
	struct claim claim;
	int64_t there_ms;             /* monotonic: when its endpoint was there last */
	int64_t since_ms;             /* monotonic: since when it waits */
	struct endpoint *endpoint;    /* leased, or NULL */
	struct worker *worker;
};

/* The role whose wallet is under way. */
const char *repair_role(const struct repairer *repairer);

/* Of struct worker_job; owner is the repairer. */
json_t *repair_start_frame(void *owner);
bool repair_message(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why);

/* Nothing came of what its worker intended: what was on record before is so again. */
void repair_put_back(struct repairer *repairer);
void repair_forget_before(struct repairer *repairer);

/* Has the wallet under way wait for an endpoint, and says what is in the way of it. */
void repair_wait(struct repairer *repairer);
/* A look at it, meanwhile. */
void repair_look_at_endpoint(struct repairer *repairer);

/* For repair_wait.c: it has its endpoint; it will not have one; what is next. */
void repair_work(struct repairer *repairer);
void repair_not_repaired(struct repairer *repairer, const char *reason, const char *remedy);
void repair_next_wallet(struct repairer *repairer);

/* Copies on record that were not good, made anew: from its finished frame. */
void repair_store_copies(struct repairer *repairer, json_t *finished);

#endif
