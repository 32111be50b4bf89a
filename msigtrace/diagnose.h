/*
 * What went wrong, and why: rules look at the traces, and each tells what it finds
 * with evidence and with what to do.
 *
 * A rule reasons from types, codes, causes (the names of enum failure_cause),
 * snapshots, hashes, ports and the order of things. The words of error, reason and
 * found are for people, and no rule may look at them.
 */
#ifndef MSIGTRACE_DIAGNOSE_H
#define MSIGTRACE_DIAGNOSE_H

#include "common/uuid.h"
#include "msigtrace/calls.h"

enum { FINDING_TEXT = 640, FINDINGS_OF_RULE = 8 /* in one trace: more of them say nothing new */ };

struct diagnosis;

struct rule {
	const char *name;      /* of the cause; part of the interface */
	const char *looks_for; /* for people */
	const char *remedy;    /* what to do, unless the finding knows better */
	/* Looks at this trace; the others are there to be asked. */
	void (*look)(struct diagnosis *d, size_t trace);
};

/* Causes come before what follows from them. Ends with name NULL. */
extern const struct rule rules[];

struct finding {
	const struct rule *rule;
	size_t trace;             /* place in the diagnosis */
	const struct event *about;/* attempt, role, endpoint, port, method */
	char other[UUID_TEXT];    /* another escrow that has a part in it, or "" */
	char what[FINDING_TEXT];
	char remedy[FINDING_TEXT];/* "": the rule's */
	json_t *evidence;         /* [{file, seq, t_ms, role, event, note}] */
};

/* An endpoint in the hands of a role, from LEASE to RELEASE. */
struct lease {
	size_t trace;
	const struct event *lease, *release; /* release NULL: there is none */
	double from, to;        /* ms since the epoch; to without release: the role's last event in it */
	const char *wallet;     /* open at its end, as far as the trace tells; "": it was closed */
	const struct event *wallet_seen;     /* the last call on that wallet, or NULL */
};

/* A message of the key exchange that a wallet gave. */
struct message {
	const char *sha256;
	size_t trace;
	const struct event *event;
};

struct traced {
	const struct trace *trace;
	struct calls calls;
	struct result_of result;
};

struct diagnosis {
	struct traced *traced;
	size_t count;
	struct lease *leases;     /* of all traces */
	size_t lease_count;
	struct message *messages; /* that wallets gave, of all traces, by hash */
	size_t message_count;
	const struct rule *rule;  /* at work */
	struct finding *findings;
	size_t finding_count, room;
	bool failed;              /* out of memory */
};

/* Applies every rule to every trace. False: out of memory. diagnosis_free() in any
 * case; the traces outlive it. */
bool diagnose(struct diagnosis *d, const struct trace *traces, size_t count);
void diagnosis_free(struct diagnosis *d);

/* --- for rules (findings.c) ------------------------------------------------------- */

/* A new finding of the rule at work. NULL: enough of them, or out of memory; the
 * others here then do nothing. */
struct finding *finding_new(struct diagnosis *d, size_t trace, const struct event *about);
/* Adds to what it says. */
void finding_say(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding_help(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An event that shows it, and why; event may be NULL. */
void finding_evidence(struct diagnosis *d, struct finding *f, size_t trace, const struct event *event,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Whether the rule (NULL: any rule) has found something in this trace; with role
 * ROLE_COUNT and attempt -1 of any. */
bool finding_there(const struct diagnosis *d, const char *rule, size_t trace, enum role role, int64_t attempt);

/* "buyer's wallet-rpc one (port 18082)", "the wallet-rpc on port 18082". */
enum { PLACE_TEXT = 160 };
void place_text(const struct event *event, char out[PLACE_TEXT]);
/* "make_multisig on port 18082" */
void call_text(const struct call *call, char out[PLACE_TEXT]);
/* The first eight letters of the escrow's id, or the file's name. */
const char *escrow_name(const struct diagnosis *d, size_t trace, char out[64]);

/* --- leases (leases.c) ---------------------------------------------------------- */

/* Fills d->leases. False: out of memory. */
bool leases_find(struct diagnosis *d);
/* The lease that this event belongs to, or NULL. */
const struct lease *lease_of(const struct diagnosis *d, size_t trace, const struct event *event);
/* Of one wallet-rpc, as far as one can tell: the name is the same, or there is none
 * and the port is. */
bool same_endpoint(const struct event *a, const struct event *b);
/* When it was, ms since the epoch. */
double absolute_ms(const struct diagnosis *d, size_t trace, const struct event *event);

/* --- messages (messages.c) -------------------------------------------------------- */

/* Fills d->messages. False: out of memory. */
bool messages_find(struct diagnosis *d);
/* The first with this hash, and behind the last that is worth looking at; NULL: none. */
const struct message *messages_alike(const struct diagnosis *d, const char *sha256, const struct message **end);
/* The SHA-256 of the message that an answer gave; "": none. */
const char *message_hash(const struct event *event);

/* --- a call that has no answer (look.c) ------------------------------------------- */

enum ran {
	RAN_NOT_KNOWN, /* nobody looked at the wallet after it */
	RAN_NO,
	RAN_YES,
	RAN_TORN,      /* the wallet does not open any more: it had run in part at least */
	RAN_HARMLESS   /* it changes nothing on disk */
};

/* Whether the call had run, by the next look at its wallet; shown is the event
 * that tells, or NULL. */
enum ran had_run(const struct trace *trace, const struct call *call, const struct event **shown);
/* "it had run", "it had not run", … */
const char *ran_text(enum ran ran);

/* --- the rules --------------------------------------------------------------------- */

/* rules_run.c */
void look_for_worker_killed(struct diagnosis *d, size_t trace);
void look_for_worker_refused(struct diagnosis *d, size_t trace);
void look_for_interrupted(struct diagnosis *d, size_t trace);
void look_for_lock_contention(struct diagnosis *d, size_t trace);
void look_for_saturation(struct diagnosis *d, size_t trace);
void look_for_failure(struct diagnosis *d, size_t trace);
/* rules_endpoint.c */
void look_for_two_parties(struct diagnosis *d, size_t trace);
void look_for_pollution(struct diagnosis *d, size_t trace);
/* rules_message.c */
void look_for_foreign_message(struct diagnosis *d, size_t trace);
/* rules_wallet.c */
void look_for_addresses_differ(struct diagnosis *d, size_t trace);
void look_for_not_two_of_three(struct diagnosis *d, size_t trace);
void look_for_torn_wallet(struct diagnosis *d, size_t trace);
void look_for_wallet_unopenable(struct diagnosis *d, size_t trace);
/* rules_call.c */
void look_for_unknown_outcome(struct diagnosis *d, size_t trace);
void look_for_wallet_closed(struct diagnosis *d, size_t trace);
void look_for_endpoint_down(struct diagnosis *d, size_t trace);
void look_for_endpoint_refused(struct diagnosis *d, size_t trace);
void look_for_wrong_network(struct diagnosis *d, size_t trace);
void look_for_timeout(struct diagnosis *d, size_t trace);

#endif
