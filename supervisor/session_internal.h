/* What the files of sessions share: session.c has the life of one, session_wait.c
 * its waiting for endpoints, session_room.c who has to make room, and sessions.c
 * what others ask of them all. */
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
	bool held;                      /* waiting: in no queue yet, its wallets are being repaired */
	bool again;                     /* it was opened anew for those who asked one that was stale */
	json_int_t request_id;          /* the last */
	struct request_list queue, asked;
	STAILQ_HEAD(, waiter) waiters;
	json_t *told;                   /* the reply under way to those who asked */
};
RB_HEAD(session_tree, session);
RB_PROTOTYPE(session_tree, session, node, compare)

struct sessions {
	struct supervisor *sv;
	struct session_tree tree;
	TAILQ_HEAD(, session) by_use;
	int count;
};

/* One without endpoints, in the table; roles: 0, they are not known yet. NULL: out of memory. */
struct session *session_new(struct sessions *sessions, const char *escrow_id, unsigned roles);
/* Whoever still waits for an answer is told why there is none. */
void session_free(struct session *session, const char *why);
/* What the table of session.h says; may free it. */
void session_event(struct session *session, enum session_event event);
/* How long its state may last from now on. */
void session_set_timer(struct session *session, int64_t ms);
/* Has it closed, once it has answered those it asks for. */
void session_close_for(struct session *session, enum close_cause cause);

/* Lets it wait for the endpoints where its wallets can be opened. False: why it cannot. */
bool session_enqueue(struct session *session, char *why, size_t why_size);
/* One that waits leaves the queue. */
void session_dequeue(struct session *session);
/* It has waited for a while: lets it wait on, or frees it and tells why. */
void session_wait_on(struct session *session);

/* Whether there would be room for one more, if those that can go went. */
bool sessions_have_room(struct sessions *sessions);
int sessions_waiting(const struct sessions *sessions);

#endif
