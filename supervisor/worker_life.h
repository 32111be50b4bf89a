/*
 * The life of a worker as a total table of state and event: what is to be done
 * and which state follows. worker_process.c carries it out. The states are
 * those of ipc/message.h.
 */
#ifndef SUPERVISOR_WORKER_LIFE_H
#define SUPERVISOR_WORKER_LIFE_H

#include "ipc/message.h"

enum worker_event {
	WORKER_EV_SLOT,      /* fewer than four are starting: fork it */
	WORKER_EV_NO_FORK,   /* there was no process to be had */
	WORKER_EV_HELLO,
	WORKER_EV_MESSAGE,   /* a report, publish, locked, reply or log */
	WORKER_EV_SERVING,   /* it is a session now */
	WORKER_EV_FINISHED,
	WORKER_EV_GARBAGE,   /* no frame, or one that is not allowed now */
	WORKER_EV_EOF,       /* fd 3 was closed at the other end */
	WORKER_EV_DEADLINE,  /* the time for this state is over */
	WORKER_EV_STOP,      /* it is to end at the next step */
	WORKER_EV_EXIT,      /* reaped */
	WORKER_EVENT_COUNT
};

enum worker_action {
	WORKER_DO_NOTHING,
	WORKER_DO_FORK,
	WORKER_DO_START,     /* send the start frame */
	WORKER_DO_HAND_OVER, /* the message goes to the job */
	WORKER_DO_FINISH,    /* the finished frame is kept for the end */
	WORKER_DO_SEND_STOP,
	WORKER_DO_TERMINATE, /* SIGTERM */
	WORKER_DO_KILL,      /* SIGKILL */
	WORKER_DO_COMPLAIN,  /* SIGKILL did not end it within its time: say so, wait on */
	WORKER_DO_BURY,      /* tell the job, free */
	WORKER_DO_BUG,       /* cannot be; said in the log, nothing else */
	WORKER_ACTION_COUNT
};

struct worker_step {
	enum worker_action action;
	enum worker_state next;
};

struct worker_step worker_life(enum worker_state state, enum worker_event event);
const char *worker_event_name(enum worker_event event);

/* How long a state may last, in milliseconds; 0: as long as it likes.
 * WORKING lasts as long as its job says. */
int worker_state_limit_ms(enum worker_state state);

#endif
