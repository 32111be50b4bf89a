/* What the files of sessions share: session.c has their life, session_room.c
 * who has to make room. */
#ifndef SUPERVISOR_SESSION_INTERNAL_H
#define SUPERVISOR_SESSION_INTERNAL_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/wallets.h"

enum session_state { SESSION_WAITING, SESSION_OPENING, SESSION_OPEN, SESSION_ASKING, SESSION_CLOSING, SESSION_STATE_COUNT };
enum session_event { SESSION_GRANTED, SESSION_SERVING, SESSION_REQUEST, SESSION_REPLY, SESSION_CLOSE, SESSION_EVENT_COUNT };

/* Why one is closed. */
enum close_cause { CLOSE_NONE, CLOSE_EVICTED, CLOSE_EXPIRED, CLOSE_BY_HAND, CLOSE_LOST, CLOSE_STOPPING };

struct request {
	STAILQ_ENTRY(request) next;
	session_told_fn fn;
	void *arg;
};
STAILQ_HEAD(request_list, request);

struct waiter {
	STAILQ_ENTRY(waiter) next;
	void (*fn)(void *arg);
	void *arg;
};

struct session {
	RB_ENTRY(session) node;
	TAILQ_ENTRY(session) use;       /* the one not used for longest first */
	struct sessions *all;
	char escrow_id[UUID_TEXT];
	enum session_state state;
	enum close_cause close_cause;   /* why it closes, or will once it has been answered */
	struct claim claim;             /* while WAITING */
	struct wallets wallets;         /* until its worker has started */
	unsigned roles;
	struct endpoint *endpoints[ROLE_COUNT];
	struct worker *worker;
	struct event *timer;            /* of the state */
	int64_t since, last_used;       /* wall, ms */
	int64_t uses;
	bool has_served;                /* its wallets were open when the request came */
	bool again;                     /* it was opened anew for those who asked one that was stale */
	json_int_t request_id;          /* the last */
	struct request_list queue, asked;
	STAILQ_HEAD(, waiter) waiters;
	json_t *told;                   /* the reply under way to those who asked */
};
RB_HEAD(session_tree, session);

struct sessions {
	struct supervisor *sv;
	struct session_tree tree;
	TAILQ_HEAD(, session) by_use;
	int count;
};

/* Has it closed, once it has answered those it asks for. */
void session_close_for(struct session *session, enum close_cause cause);

/* Whether there would be room for one more, if those that can go went. */
bool sessions_have_room(struct sessions *sessions);
int sessions_waiting(const struct sessions *sessions);

#endif
