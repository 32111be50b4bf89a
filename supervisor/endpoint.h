/*
 * The pool of endpoints: monero-wallet-rpcs, given or managed. Each lives by
 * the table of endpoint_life.h. Owns: state, login, counts and the wait of
 * each, and the lists of free ones that the scheduler takes from. Never talks
 * to a wallet: tend_control.c has a worker do that.
 */
#ifndef SUPERVISOR_ENDPOINT_H
#define SUPERVISOR_ENDPOINT_H

#include <bsd/sys/queue.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "supervisor/endpoint_life.h"

struct supervisor;
struct worker;

enum { SPARE_WALLET_MAX = 64 };

struct endpoint {
	TAILQ_ENTRY(endpoint) all;
	TAILQ_ENTRY(endpoint) free;     /* in a list of the pool while IDLE or PRIMED */
	struct supervisor *sv;
	char name[ENDPOINT_NAME_MAX];
	struct url url;
	enum role role;
	bool managed;
	char *login;                    /* "user:password" or NULL */
	struct config_endpoint *given;  /* a copy of its section, or NULL when managed */
	enum endpoint_state state;
	int64_t since;                  /* wall, ms: when it came into this state */
	char reason[256];               /* why it is down, dirty or out; else "" */
	char announced[256];            /* the last reason it was announced down or out with, "" once up */
	char escrow_id[37];             /* who it is leased to, or "" */
	enum role leased_role;          /* and for which role */
	int64_t leased_ms;              /* monotonic: since when */
	bool is_up;                     /* announced so */
	bool take_out;                  /* wished for, once its job has ended */
	bool removed;                   /* no longer in the configuration: goes once its job has ended */
	unsigned failures_in_row, tend_failures_in_row;
	unsigned silent_in_row;      /* looks without an answer */
	unsigned pollutions;            /* found there since a job ended in order */
	unsigned blames;                /* jobs that failed because of it since then */
	int64_t again_ms;               /* monotonic: when one that is down is tried again; 0: not by itself */
	int64_t free_since_ms;          /* monotonic: when it became IDLE or PRIMED */
	int64_t tend_after_ms;          /* monotonic: not tended before */
	bool reserved;                  /* while the scheduler looks: kept for one who came earlier */
	uint64_t leases, failures;
	int64_t last_rtt_ms;            /* of get_version, or -1 */
	struct event *timer;
	struct worker *tend;            /* its tend job, or NULL */
	bool tend_makes;                /* which is to make it a spare wallet, not only to look */
	char new_spare_id[37];          /* the id that one would get */
	char spare[SPARE_WALLET_MAX];   /* its spare wallet while PRIMED, else "" */
};
TAILQ_HEAD(endpoint_list, endpoint);

/* By role, ROLE_ANY last. */
typedef int endpoint_counts[ROLE_COUNT + 1];

struct endpoint_pool {
	struct endpoint_list all;
	/* those that can be leased, by role, ROLE_ANY last; the longest free first */
	struct endpoint_list idle[ROLE_COUNT + 1], primed[ROLE_COUNT + 1];
	int by_state[ENDPOINT_STATE_COUNT];
	endpoint_counts left;  /* that serve nobody, and can now or soon: neither leased, nor down, nor out */
};

struct endpoint_pool *endpoint_pool_new(void);
void endpoint_pool_free(struct endpoint_pool *pool);

/* Adds one and has it probed. A given one is copied; a managed one (given NULL)
 * waits in DOWN until its process is up. NULL: out of memory. */
struct endpoint *endpoint_add_given(struct supervisor *sv, const struct config_endpoint *given);
struct endpoint *endpoint_add_managed(struct supervisor *sv, const char *name, int port);

/* Goes now, or once its job has ended. */
void endpoint_remove(struct endpoint *endpoint);

struct endpoint *endpoint_find(struct endpoint_pool *pool, const char *name);

/* Something happened to it; reason (or NULL) is for people. */
void endpoint_event(struct endpoint *endpoint, enum endpoint_event event, const char *reason);

/* Whether one in this state serves nobody, and can now or soon. */
bool endpoint_state_is_left(enum endpoint_state state);

/* Whether so many escrows, who need all three roles, can be served with these at a time. */
bool endpoint_counts_serve(const endpoint_counts counts, int escrows);

/* Whether wallet files of `home` can be opened there: it is that one, or they
 * are known to share a folder. */
bool endpoint_shares_files(const struct endpoint *endpoint, const struct endpoint *home);

/* The folder of its wallet files; NULL: they cannot be read, or it is a guess. */
const char *endpoint_folder(const struct endpoint *endpoint);

/* Takes one that is IDLE or PRIMED for a role of an escrow; queued_ms: since when
 * that waited, monotonic, ms. */
void endpoint_lease(struct endpoint *endpoint, const char *escrow_id, enum role role, int64_t queued_ms);

/* A failure of this endpoint was the cause of a job's failure. True: that was so
 * too often in a row: it needs a pause (ENDPOINT_EV_FAILED), or a restart. */
bool endpoint_blame(struct endpoint *endpoint);

/* What a worker is told of it (ENDPOINT in ipc/message.h); holds the login. */
json_t *endpoint_describe(const struct endpoint *endpoint);

/* What get_endpoints says of it. */
json_t *endpoint_to_json(const struct endpoint *endpoint);

#endif
