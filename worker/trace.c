#include "worker/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/sha256.h"
#include "common/url.h"
#include "ipc/channel.h"
#include "worker/steps.h"
#include "worker/trace_internal.h"

double
trace_since_ms(int64_t since_us)
{
	return trace_round_ms((double)(clock_monotonic_us() - since_us) / 1000);
}

/* --- saying it ------------------------------------------------------------ */

static bool
send_event(struct job *job, enum trace_type type, json_t *fields)
{
	return job_send(job, MESSAGE_TRACE, json_pack("{s:s, s:f, s:o}", "event", trace_type_name(type), "at", trace_now_ms(),
	    "fields", fields));
}

/* One that does not fit a frame is told to be lost, as the supervisor tells those
 * that it could not write. */
static void
say(struct job *job, enum trace_type type, json_t *fields)
{
	if (!send_event(job, type, fields))
		send_event(job, TRACE_CUSTOM, json_pack("{s:s, s:i, s:s}", "name", "lost", "events", 1, "type", trace_type_name(type)));
	channel_push(job->channel);
}

int
trace_round(int kex_round)
{
	switch (kex_round) {
	case ROUND_CREATE:
		return 0;
	case ROUND_PREPARE:
	case ROUND_MAKE:
		return 1;
	case ROUND_EXCHANGE:
		return 2;
	default:
		return 3;
	}
}

int
trace_port(const struct party *p)
{
	const char *colon = strrchr(p->url, ':');

	return colon != NULL ? atoi(colon + 1) : 0;
}

json_t *
trace_fields(const struct party *p)
{
	json_t *fields = json_pack("{s:s*, s:s, s:i, s:s*}", "role", p->role != ROLE_ANY ? role_name(p->role) : NULL,
	    "endpoint", p->endpoint, "port", trace_port(p), "wallet", p->wallet[0] != '\0' ? p->wallet : NULL);

	if (p->in_step)
		json_object_set_new(fields, "round", json_integer(trace_round(p->round)));
	return fields;
}

void
trace_say(struct party *p, enum trace_type type, json_t *fields)
{
	json_t *whole = trace_fields(p);

	json_object_update(whole, fields);
	json_decref(fields);
	say(p->job, type, whole);
}

/* Length and SHA-256 of what may not be said itself. */
static json_t *
digest(const char *text)
{
	char hash[SHA256_TEXT];

	sha256_text(text, strlen(text), hash);
	return json_pack("{s:I, s:s}", "length", (json_int_t)strlen(text), "sha256", hash);
}

void
trace_set_address(json_t *fields, const char *address)
{
	char hash[SHA256_TEXT];

	sha256_text(address, strlen(address), hash);
	json_object_set_new(fields, "address_hash", json_string(hash));
	if (address_is_placeholder(address))
		json_object_set_new(fields, "placeholder", json_true());
}

/* --- calls ---------------------------------------------------------------- */

static bool
takes_messages(const char *method)
{
	return strcmp(method, "make_multisig") == 0 || strcmp(method, "exchange_multisig_keys") == 0;
}

static json_t *
given(const struct job *job)
{
	json_t *list = json_array();

	for (int i = 0; i < job->party_count; i++) {
		const struct party *p = &job->parties[i];
		json_t *one;
		if (p->previous == NULL)
			continue;
		one = digest(p->previous);
		json_object_set_new(one, "role", json_string(role_name(p->role)));
		json_array_append_new(list, one);
	}
	return list;
}

void
trace_call(struct party *p, const char *method)
{
	json_t *fields;

	if (!p->job->trace)
		return;
	p->called_us = clock_monotonic_us();
	if (p->op->look)
		return;
	fields = json_pack("{s:s}", "method", method);
	if (takes_messages(method))
		json_object_set_new(fields, "given", given(p->job));
	trace_say(p, TRACE_RPC_CALL_START, fields);
}

/* What a wallet-rpc sends may be anything: a text could be a secret, or have no end. */
void
trace_set_fact(json_t *facts, const char *name, const json_t *value)
{
	if (json_is_boolean(value) || json_is_integer(value))
		json_object_set(facts, name, (json_t *)value);
}

static json_t *
multisig_facts(const json_t *result)
{
	static const char *const names[] = {"multisig", "ready", "threshold", "total"};
	json_t *facts = json_object();

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		trace_set_fact(facts, names[i], json_object_get(result, names[i]));
	return facts;
}

static json_t *
validity_facts(const json_t *result)
{
	static const enum network networks[] = {NETWORK_MAINNET, NETWORK_STAGENET, NETWORK_TESTNET};
	const char *nettype = json_string_value(json_object_get(result, "nettype"));
	json_t *facts = json_object();

	trace_set_fact(facts, "valid", json_object_get(result, "valid"));
	for (size_t i = 0; nettype != NULL && i < sizeof networks / sizeof *networks; i++) {
		if (strcmp(nettype, network_name(networks[i])) == 0)
			json_object_set_new(facts, "nettype", json_string(nettype));
	}
	return facts;
}

/* The few facts that diagnosis needs, by method; NULL: none. */
static json_t *
found(const struct party *p, const char *method, json_t *result)
{
	const char *address = json_string_value(json_object_get(result, "address"));
	const char *value = json_string_value(json_object_get(result, "value"));
	json_t *facts = NULL;

	if (strcmp(method, "is_multisig") == 0)
		return multisig_facts(result);
	if (strcmp(method, "get_attribute") == 0)
		facts = trace_stamp(p, value);
	else if (strcmp(method, "validate_address") == 0)
		facts = validity_facts(result);
	else if (address != NULL && address[0] != '\0')
		trace_set_address(facts = json_object(), address);
	return facts;
}

static const char *const outcomes[] = {
	[RPC_ANSWERED] = "answered", [RPC_ERROR] = "error", [RPC_DOWN] = "down", [RPC_REFUSED] = "refused", [RPC_UNKNOWN] = "unknown",
};

void
trace_answer(struct party *p, const struct op *op, const struct rpc_result *r, bool accepted)
{
	const char *message = json_string_value(json_object_get(r->result, "multisig_info"));
	json_t *fields;

	if (!p->job->trace || (op->look && r->outcome == RPC_ANSWERED))
		return;
	fields = json_pack("{s:s, s:f, s:b}", "method", op->method, "duration_ms", trace_since_ms(p->called_us), "ok",
	    r->outcome == RPC_ANSWERED);
	if (r->outcome == RPC_ANSWERED) {
		json_t *facts = found(p, op->method, r->result);
		if (facts != NULL)
			json_object_set_new(fields, "found", facts);
		if (message != NULL && message[0] != '\0')
			json_object_set_new(fields, "message", digest(message));
		trace_say(p, TRACE_RPC_CALL_END, fields);
		return;
	}
	json_object_set_new(fields, "outcome", json_string(outcomes[r->outcome]));
	json_object_set_new(fields, "error", json_string(r->why));
	if (r->outcome == RPC_ERROR)
		json_object_set_new(fields, "code", json_integer(r->code));
	if (accepted)
		json_object_set_new(fields, "expected", json_true());
	trace_say(p, TRACE_RPC_CALL_ERROR, fields);
}

void
trace_overtime(struct party *p)
{
	bool sent = rpc_was_sent(p->rpc);
	json_t *fields;

	if (!p->job->trace)
		return;
	fields = json_pack("{s:s, s:f, s:b, s:s, s:s, s:s}", "method", p->op->method, "duration_ms", trace_since_ms(p->called_us), "ok", 0,
	    "outcome", outcomes[sent ? RPC_UNKNOWN : RPC_DOWN], "error", "no answer when the time was over", "cause",
	    failure_cause_name(CAUSE_TIMEOUT));
	if (p->op->look)
		json_object_set_new(fields, "expected", json_true());
	trace_say(p, TRACE_RPC_CALL_ERROR, fields);
}

/* --- files ---------------------------------------------------------------- */

void
trace_file(struct party *p, const char *op, const char *path, const char *what, int64_t bytes, int64_t since_us, int error)
{
	const char *slash = strrchr(path, '/');
	int saved = errno;
	json_t *fields;

	if (!p->job->trace)
		return;
	fields = json_pack("{s:s, s:s, s:s, s:f, s:b, s:s*}", "op", op, "file", slash != NULL ? slash + 1 : path, "what", what,
	    "duration_ms", trace_since_ms(since_us), "ok", error == 0, "error", error != 0 ? strerror(error) : NULL);
	if (bytes >= 0)
		json_object_set_new(fields, "bytes", json_integer(bytes));
	trace_say(p, TRACE_FILE_OPERATION, fields);
	errno = saved;
}

void
trace_copy(struct party *p, const char *what, size_t bytes, int64_t since_us)
{
	if (p->job->trace)
		trace_say(p, TRACE_CUSTOM, json_pack("{s:s, s:s, s:I, s:f}", "name", "copy", "what", what, "bytes", (json_int_t)bytes,
		    "duration_ms", trace_since_ms(since_us)));
}

/* --- locks, delays, restores ---------------------------------------------- */

void
trace_lock(struct job *job, const struct lock *l, const char *holder, const char *error)
{
	if (job->trace)
		say(job, TRACE_LOCK_ACQUIRED, json_pack("{s:s, s:I, s:i, s:b, s:s*, s:s*}", "lock", l->name, "wait_ms",
		    (json_int_t)lock_wait_ms(l), "busy_tries", (int)l->busy_tries, "ok", holder == NULL && error == NULL,
		    "holder", holder, "error", error));
}

void
trace_locks_released(struct job *job)
{
	for (int i = 0; job->trace && i < job->lock_count; i++) {
		if (job->locks[i].fd != -1)
			say(job, TRACE_LOCK_RELEASED, json_pack("{s:s, s:I}", "lock", job->locks[i].name, "hold_ms",
			    (json_int_t)lock_hold_ms(&job->locks[i])));
	}
}

void
trace_delay(struct party *p, const char *kind, int64_t asked_ms, int64_t measured_ms)
{
	if (p->job->trace)
		trace_say(p, TRACE_DELAY, json_pack("{s:s, s:I, s:I}", "kind", kind, "asked_ms", (json_int_t)asked_ms, "measured_ms",
		    (json_int_t)measured_ms));
}

void
trace_restore(struct party *p, const char *why)
{
	if (p->job->trace)
		trace_say(p, TRACE_CUSTOM, json_pack("{s:s, s:s}", "name", "restore", "reason", why));
}
