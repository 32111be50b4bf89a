/*
 * The life of an endpoint as a total table of state and event; endpoint.c
 * carries it out. (`tending` and `primed` come with spare wallets.)
 *
 *   down     cannot be reached, or its process does not run; tried again later
 *   probing  a tend worker looks at it and closes a wallet left open
 *   dirty    a job left it in a state nobody knows; about to be probed
 *   idle     clean; can be leased
 *   leased   serves an escrow
 *   out      taken out by hand or for a fault that time does not heal; by hand back
 */
#ifndef SUPERVISOR_ENDPOINT_LIFE_H
#define SUPERVISOR_ENDPOINT_LIFE_H

enum endpoint_state {
	ENDPOINT_DOWN, ENDPOINT_PROBING, ENDPOINT_DIRTY, ENDPOINT_IDLE, ENDPOINT_LEASED, ENDPOINT_OUT,
	ENDPOINT_STATE_COUNT
};

enum endpoint_event {
	ENDPOINT_EV_UP,            /* worth a look: its process started, or its wait is over */
	ENDPOINT_EV_DIED,          /* its (managed) process ended */
	ENDPOINT_EV_PROBED,        /* the tend job found or made it clean */
	ENDPOINT_EV_PROBE_FAILED,
	ENDPOINT_EV_LEASED,
	ENDPOINT_EV_RELEASED,      /* the job ended in order: no wallet is open */
	ENDPOINT_EV_ABANDONED,     /* the job ended otherwise */
	ENDPOINT_EV_FAULT,         /* it can never serve: a wallet-rpc of another network */
	ENDPOINT_EV_TAKE_OUT,      /* by hand */
	ENDPOINT_EV_PUT_IN,
	ENDPOINT_EVENT_COUNT
};

enum endpoint_action {
	ENDPOINT_DO_NOTHING,
	ENDPOINT_DO_PROBE,         /* start a tend job */
	ENDPOINT_DO_PROBE_LATER,   /* after a wait that grows with its failures */
	ENDPOINT_DO_WAIT,          /* nothing to try before its process starts again */
	ENDPOINT_DO_OFFER,         /* tell the scheduler */
	ENDPOINT_DO_WITHDRAW,      /* the scheduler forgets it */
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
