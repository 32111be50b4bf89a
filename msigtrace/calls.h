/*
 * The calls of a trace: each RPC_CALL_START with the event that ended it. A role
 * has one call under way at a time, for a wallet-rpc serves one at a time. And the
 * attempts: what became of each.
 */
#ifndef MSIGTRACE_CALLS_H
#define MSIGTRACE_CALLS_H

#include "msigtrace/trace.h"

enum outcome {
	OUTCOME_OK,
	OUTCOME_ERROR,      /* wallet-rpc answered with an error; code says which */
	OUTCOME_DOWN,       /* no connection: nothing was sent */
	OUTCOME_REFUSED,    /* HTTP status, login or TLS */
	OUTCOME_UNKNOWN,    /* sent, and no answer came */
	OUTCOME_UNFINISHED, /* the trace has no end of it: who made it was killed */
	OUTCOME_COUNT
};

struct call {
	const struct event *start, *end; /* one of them may be NULL */
	const struct event *at;          /* the first of the two that is there */
	enum outcome outcome;
	int code;                        /* of OUTCOME_ERROR; 0: none */
	bool expected;                   /* an error that was asked for */
	double t_ms, duration_ms;        /* duration -1: unknown */
};

struct calls {
	struct call *list;               /* in the order in which they ended in the file, unfinished ones where they began */
	size_t count;
};

/* False: out of memory. calls_free() in any case. The trace outlives them. */
bool calls_of(const struct trace *trace, struct calls *calls);
void calls_free(struct calls *calls);

/* "ok", "error", …, and for people: "error -28". */
const char *outcome_name(enum outcome outcome);
void outcome_text(const struct call *call, char *out, size_t size);

/* A call that is not as it should be. */
bool call_is_bad(const struct call *call);

/* create_wallet, make_multisig and what else changes a wallet's keys. */
bool method_changes(const char *method);

/* --- attempts --------------------------------------------------------------------- */

enum result { RESULT_UNDER_WAY, RESULT_READY, RESULT_FAILED };

struct result_of {
	enum result result;      /* of the last attempt */
	int64_t attempt;
	const struct event *end; /* the STATE_CHANGE that made it so, or NULL */
	double total_ms;         /* until then; of one under way until its last event */
};

struct result_of trace_result(const struct trace *trace);

#endif
