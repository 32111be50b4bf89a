/*
 * The life of an endpoint as a total table of state and event; endpoint.c
 * carries it out.
 *
 *   down     cannot be reached, or its process does not run, or jobs fail there; tried again later
 *   probing  a tend worker looks at it and closes a wallet left open, unless that is its spare
 *   dirty    a job left it in a state nobody knows; about to be probed
 *   idle     clean; can be leased
 *   tending  a tend worker makes or opens a spare wallet there
 *   primed   its spare wallet is open; can be leased
 *   leased   serves an escrow or a session
 *   out      taken out by hand or for a fault that time does not heal; by hand back
 */
#ifndef SUPERVISOR_ENDPOINT_LIFE_H
#define SUPERVISOR_ENDPOINT_LIFE_H

enum endpoint_state {
	ENDPOINT_DOWN, ENDPOINT_PROBING, ENDPOINT_DIRTY, ENDPOINT_IDLE, ENDPOINT_TENDING, ENDPOINT_PRIMED,
	ENDPOINT_LEASED, ENDPOINT_OUT,
	ENDPOINT_STATE_COUNT
};

enum endpoint_event {
	ENDPOINT_EV_UP,            /* worth a look: its process started, its wait is over, or it was free for a while */
	ENDPOINT_EV_DIED,          /* its (managed) process ended */
	ENDPOINT_EV_PROBED,        /* the tend job found or made it clean */
	ENDPOINT_EV_SPARE_READY,   /* the same, and its spare wallet is open and proven */
	ENDPOINT_EV_PROBE_FAILED,
	ENDPOINT_EV_TEND,          /* nobody waits for it: it is to get a spare wallet */
	ENDPOINT_EV_TEND_FAILED,
	ENDPOINT_EV_LEASED,
	ENDPOINT_EV_RELEASED,      /* the job ended in order: no wallet is open */
	ENDPOINT_EV_ABANDONED,     /* the job ended otherwise */
	ENDPOINT_EV_FAILED,        /* likewise, because of it, and those before it too */
	ENDPOINT_EV_FAULT,         /* it cannot serve before somebody acts: another network, polluted twice */
	ENDPOINT_EV_TAKE_OUT,      /* by hand */
	ENDPOINT_EV_PUT_IN,
	ENDPOINT_EVENT_COUNT
};

enum endpoint_action {
	ENDPOINT_DO_NOTHING,
	ENDPOINT_DO_PROBE,         /* start a tend job that looks */
	ENDPOINT_DO_LOOK,          /* likewise, and the scheduler forgets it meanwhile */
	ENDPOINT_DO_PAUSE,         /* probe it after a wait that grows with the jobs that failed there */
	ENDPOINT_DO_PROBE_LATER,   /* after a wait that grows with its failures */
	ENDPOINT_DO_WAIT,          /* nothing to try before its process starts again */
	ENDPOINT_DO_OFFER,         /* tell the scheduler */
	ENDPOINT_DO_WITHDRAW,      /* the scheduler forgets it */
	ENDPOINT_DO_TEND,          /* likewise, and start a tend job that makes a spare */
	ENDPOINT_DO_TEND_LATER,    /* look at it now, and tend it after a wait that grows with its failures */
	ENDPOINT_DO_PROBE_NOW,     /* in this turn's end, without counting a failure */
	ENDPOINT_DO_TAKE_OUT_LATER,/* once the job it serves has ended */
	ENDPOINT_DO_KEEP_IN,       /* forget that it was to be taken out */
	ENDPOINT_DO_REST,          /* forget timers: it is out */
	ENDPOINT_DO_BUG,           /* cannot be; said in the log, nothing else */
	ENDPOINT_ACTION_COUNT
};

struct endpoint_step {
	enum endpoint_action action;
	enum endpoint_state next;
};

struct endpoint_step endpoint_life(enum endpoint_state state, enum endpoint_event event);
const char *endpoint_state_name(enum endpoint_state state);
const char *endpoint_event_name(enum endpoint_event event);

#endif
