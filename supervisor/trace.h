/*
 * Traces (common/trace.h) as msigd writes them: which escrows have one, and what
 * is added to it. An escrow is traced when instrumentation is on or it was opened
 * with trace. Whoever works for one holds its trace: the escrow under way, its
 * worker, the wallets of a Ready one that are about to be opened. No file is
 * touched before the first event, so that holding costs nothing; when nobody holds
 * it any more, and whenever the escrow comes to its end, it is soon folded into its
 * .json (trace_fold.c).
 *
 * A trace that is NULL is that of an escrow without one: everything takes it and
 * does nothing. A trace that cannot be written is said in the log, once, and
 * changes nothing else.
 */
#ifndef SUPERVISOR_TRACE_H
#define SUPERVISOR_TRACE_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/phase.h"
#include "common/role.h"
#include "common/trace.h"
#include "supervisor/trace_file.h"

struct endpoint;
struct store_escrow;
struct supervisor;

struct trace {
	RB_ENTRY(trace) node;
	TAILQ_ENTRY(trace) turn; /* of those that are due */
	bool due;                /* to be folded */
	struct traces *all;
	struct trace_file file;
	char *label;
	int attempt;             /* goes with each event */
	enum phase phase;        /* as it was told last */
	int round;
	int holders, workers;    /* workers: of the holders */
	bool trouble;            /* said that it cannot be written */
	bool full;               /* said that no more is added */
	int lost;                /* events that could not be written, since one could */
	/* the last failure, and where each role was last, for ERROR_FINAL and FAILOVER */
	char failed_role[16], failed_method[32], failed_endpoint[64], why_role[16];
	char why[200];           /* what the last failure said, or "" */
	char endpoints[ROLE_COUNT][64];
};

/* NULL: out of memory. */
struct traces *traces_new(struct supervisor *sv);
void traces_free(struct traces *traces);

/* That of an escrow, as the store has it, held once more; NULL: it has none. */
struct trace *trace_hold(struct traces *traces, const struct store_escrow *record);
/* If somebody holds it; borrowed, or NULL. */
struct trace *trace_find(struct traces *traces, const char *escrow_id);
/* One who holds it shares it with a worker. Returns it. */
struct trace *trace_hold_for_worker(struct trace *trace);
void trace_release_of_worker(struct trace *trace);
void trace_release(struct trace *trace);

/* Adds an event that happens now, or did at that time (trace_now_ms()). Takes the
 * reference to fields, an object or NULL. */
void trace_event(struct trace *trace, enum trace_type type, json_t *fields);
void trace_event_at(struct trace *trace, enum trace_type type, double at_ms, json_t *fields);

/* The escrow is at its end: in a later turn the file is as if nobody held it. Who
 * calls this may be in front of others that wait. */
void trace_finish(struct trace *trace);

/* An endpoint was leased to an escrow for this role, after so long in the queue,
 * and given back. */
void trace_lease(struct traces *traces, const struct endpoint *endpoint, int64_t wait_ms, bool spare);
void trace_lease_end(struct traces *traces, const struct endpoint *endpoint, bool clean);

/* A request that found the escrow's worker there. */
void trace_race(struct traces *traces, const char *escrow_id, const char *method, int64_t pid, int64_t uid);

/* SHA-256 of a text, hexadecimal. */
enum { TRACE_HASH_TEXT = 65 };
void trace_hash(const char *text, char out[TRACE_HASH_TEXT]);

/* The file of an escrow, where there is one. complete: nothing is added just now. */
bool traces_look(struct traces *traces, const char *escrow_id, char path[TRACE_PATH_MAX], bool *complete);

/* Soon, and then now and then: what is older than trace-keep is removed, and what
 * an earlier msigd left of escrows that are at their end is folded (trace_keep.c). */
void traces_wake(struct traces *traces);

#endif
