/*
 * One monero-wallet-rpc: one port, one open wallet, one call at a time; the
 * others wait in order. Knows delays and faults; what the calls do is methods.h's.
 */
#ifndef STAND_IN_ENDPOINT_H
#define STAND_IN_ENDPOINT_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/stand_in/methods.h"
#include "tests/stand_in/wallet.h"

/* What becomes of a call, instead of its answer. */
enum fault_kind {
	FAULT_DELAY,          /* value: ms, in place of the method's */
	FAULT_LOST_BEFORE,    /* not carried out, and no answer */
	FAULT_LOST,           /* carried out, and no answer */
	FAULT_CUT,            /* carried out; value: bytes that lack at the end, 0: half the body */
	FAULT_CUT_HEAD,       /* carried out; of the answer only "HTTP/1.1 200 Ok" arrives */
	FAULT_GARBAGE,        /* carried out; the answer is no JSON */
	FAULT_TWICE,          /* carried out; its answer comes twice */
	FAULT_HTTP,           /* not carried out; value: the status */
	FAULT_ERROR,          /* not carried out; value: the code of the JSON-RPC error;
	                       * -13 is made true: its wallet is not open any more */
	FAULT_KILL_BEFORE,    /* the endpoint is killed, and the call not carried out */
	FAULT_KILL,           /* carried out, then the endpoint is killed */
	FAULT_TORN,           /* killed while it writes: .keys is new, the cache is not */
	FAULT_COUNT
};

bool fault_parse(const char *name, enum fault_kind *kind);

struct endpoint;

struct settings {
	enum network network;
	const char *login;    /* "user:password", or NULL */
	int64_t delay_ms[METHOD_COUNT];
};

/* 0, or with errno the port where one cannot listen. */
int endpoints_start(struct event_base *base, const struct settings *settings, int first_port, int count);

/* As SIGTERM does it: open wallets are stored. */
void endpoints_stop(void);

int endpoints_count(void);

/* By its port; NULL: there is none. */
struct endpoint *endpoint_at(int port);
struct endpoint *endpoint_nth(int number);
int endpoint_port(const struct endpoint *ep);

/* The next `times` calls of a method, after `skip` others; times < 0: all. */
bool endpoint_add_fault(struct endpoint *ep, enum method method, enum fault_kind kind, int64_t value, int skip, int times);
void endpoint_clear_faults(struct endpoint *ep);
int endpoint_faults(const struct endpoint *ep); /* that no call has met yet */

/* As by SIGKILL: nothing is stored, everyone is hung up on. */
void endpoint_kill(struct endpoint *ep);

/* False with errno. Nothing when it runs. */
bool endpoint_restart(struct endpoint *ep);
bool endpoint_runs(const struct endpoint *ep);

/* A call behind the clients' backs: past the queue, at once, not counted. Returns
 * the result, or NULL with the error. */
json_t *endpoint_call(struct endpoint *ep, enum method method, json_t *params, struct method_error *error);

uint64_t endpoint_calls(const struct endpoint *ep, enum method method);

#endif
