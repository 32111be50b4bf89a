/*
 * The setup job: the round engine. Three wallets in parallel through create,
 * prepare, make and exchange until is_multisig says ready, then the gate.
 *
 * A step is: intent (committed by the supervisor) -> the calls of its script,
 * which begin with the proof by stamp and end with store -> the .keys file is
 * read -> result (committed). The result of one step and the intents that it
 * makes possible go in one report. prepare needs nothing of the others and
 * follows create at once; each further round begins when all three have said
 * their message of the round before.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/steps.h"

/* --- intents and results -------------------------------------------------- */

static void
make_stamp(struct party *p)
{
	char nonce[NONCE_TEXT], *text;
	json_t *stamp;

	wallet_nonce(nonce);
	stamp = json_pack("{s:s, s:i, s:s, s:s}", "escrow_id", p->job->escrow_id, "attempt", p->job->attempt,
	    "role", role_name(p->role), "nonce", nonce);
	text = json_dumps(stamp, JSON_COMPACT);
	snprintf(p->stamp, sizeof p->stamp, "%s", text != NULL ? text : "");
	free(text);
	json_decref(stamp);
}

/* Password and stamp are on disk before create_wallet. A spare keeps its
 * password, sealed anew for the escrow. */
static json_t *
create_intent(struct party *p, json_t *intent)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, 0, SEAL_PASSWORD};
	char *sealed;

	make_stamp(p);
	if (party_uses_spare(p)) {
		strcpy(p->wallet, p->spare.wallet);
		strcpy(p->password, p->spare.password);
		sealed = seal_base64(p->job->subkey, &place, p->password, strlen(p->password));
	} else {
		sealed = wallet_new_password(p, p->job->subkey, &place);
	}
	json_object_set_new(intent, "wallet", json_string(p->wallet));
	json_object_set_new(intent, "stamp", json_string(p->stamp));
	json_object_set_new(intent, "password", json_string(sealed != NULL ? sealed : ""));
	if (p->spare.lost)
		json_object_set_new(intent, "lost_spare", spare_lost_json(&p->spare));
	free(sealed);
	return intent;
}

static json_t *
intent_json(struct party *p, int round)
{
	json_t *intent = json_pack("{s:s, s:s, s:i}", "role", role_name(p->role), "call", step_call(round),
	    "round", round);

	return round == ROUND_CREATE ? create_intent(p, intent) : intent;
}

static json_t *
message_json(struct party *p)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, p->round, SEAL_MESSAGE};
	unsigned char hash[crypto_hash_sha256_BYTES];
	char hex[sizeof hash * 2 + 1];
	size_t length = strlen(p->message);
	char *sealed = seal_base64(p->job->subkey, &place, p->message, length);
	json_t *json;

	crypto_hash_sha256(hash, (const unsigned char *)p->message, length);
	sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	json = json_pack("{s:I, s:s, s:s}", "length", (json_int_t)length, "sha256", hex, "sealed", sealed);
	free(sealed);
	return json;
}

/* NULL: the job has ended. */
static json_t *
result_json(struct party *p)
{
	bool ok = true;
	char *keys = step_writes(p->round) ? wallet_sealed_keys(p, p->round, &ok) : NULL;
	json_t *result;

	if (!ok)
		return NULL;
	result = json_pack("{s:s, s:s, s:i, s:I, s:s*}", "role", role_name(p->role), "call", step_call(p->round),
	    "round", p->round, "duration_ms", (json_int_t)p->main_ms, "keys", keys);
	free(keys);
	if (p->message != NULL)
		json_object_set_new(result, "message", message_json(p));
	return result;
}

/* --- the engine ----------------------------------------------------------- */

/* What an ack lets begin: the next step of those with a bit set. */
struct waiting {
	json_int_t serial;
	unsigned parties;   /* bits by place in job->parties */
	bool gate;
};

enum { WAITING_MAX = 2 * ROLE_COUNT };
static struct waiting waiting[WAITING_MAX];
static unsigned arrived;    /* parties that have said their message of the round */

static void on_step_done(struct party *p);

static void
expect_ack(json_int_t serial, unsigned parties, bool gate)
{
	for (int i = 0; i < WAITING_MAX; i++) {
		if (waiting[i].serial == 0) {
			waiting[i] = (struct waiting){serial, parties, gate};
			return;
		}
	}
}

static unsigned
everyone(const struct job *job)
{
	return (1u << job->party_count) - 1;
}

static void
run_step(struct party *p)
{
	job_run_script(p, step_script(p), on_step_done);
}

/* stagger-delay lies between two make_multisig: each party but the first waits
 * for the one before it. */
static void
begin_step(struct party *p)
{
	p->round++;
	if (p->round != ROUND_MAKE || p->job->stagger_ms == 0 || p == p->job->parties)
		run_step(p);
}

void
setup_make_begins(struct party *p)
{
	struct job *job = p->job;
	struct party *next = p + 1;

	if (job->stagger_ms > 0 && next < job->parties + job->party_count)
		job_delay(next, "stagger", job->stagger_ms, run_step);
}

/* What was said in the round that is over is what is processed in the next. */
static void
turn_page(struct job *job)
{
	for (int i = 0; i < job->party_count; i++) {
		struct party *p = &job->parties[i];
		if (p->previous != NULL)
			sodium_memzero(p->previous, strlen(p->previous));
		free(p->previous);
		p->previous = p->message;
		p->message = NULL;
	}
}

/* All have done the round: they are ready, or have more to say. */
static bool
all_equally_ready(const struct job *job)
{
	for (int i = 0; i < job->party_count; i++) {
		const struct party *p = &job->parties[i];
		if (p->ready != job->parties[0].ready || (!p->ready && p->message == NULL))
			return false;
	}
	return true;
}

static bool
any_said_twice(const struct job *job)
{
	for (int i = 0; i < job->party_count; i++) {
		for (int k = 0; k < i; k++) {
			const char *a = job->parties[i].message, *b = job->parties[k].message;
			if (a != NULL && b != NULL && strcmp(a, b) == 0)
				return true;
		}
	}
	return false;
}

static void
fail_disagreement(struct job *job)
{
	char said[128];
	size_t n = 0;

	for (int i = 0; i < job->party_count; i++) {
		const struct party *p = &job->parties[i];
		n += (size_t)snprintf(said + n, sizeof said - n, "%s%s: %s", i > 0 ? ", " : "", role_name(p->role),
		    p->ready ? "ready" : p->message != NULL ? "not ready" : "not ready, no message");
	}
	job_fail(job, NULL, NULL, CAUSE_GATE, false, "after kex round %d the wallets do not agree: %s",
	    job->parties[0].round, said);
}

/* Sends a result with the intents it makes possible. One that makes none
 * possible, for the others are not so far, may be committed with theirs. */
static void
report(struct party *p, json_t *result, unsigned next, bool gate)
{
	struct job *job = p->job;
	json_t *intents = json_array();

	if (job->stopping) {
		next = 0;
		gate = false;
	}
	for (int i = 0; i < job->party_count; i++) {
		if (next & (1u << i))
			json_array_append_new(intents, intent_json(&job->parties[i], job->parties[i].round + 1));
	}
	expect_ack(job_report(job, MESSAGE_REPORT, json_pack("{s:[o], s:o, s:b}", "results", result, "intents", intents,
	    "waits", next != 0 || gate || job->stopping)), next, gate);
}

static void
on_step_done(struct party *p)
{
	struct job *job = p->job;
	unsigned self = 1u << (p - job->parties);
	json_t *result;

	if (p->polluted) {
		pollution_found(p, run_step);
		return;
	}
	if (p->round == ROUND_MAKE)
		p->make_ms = p->main_ms;
	result = result_json(p);
	if (result == NULL)
		return;
	if (p->round == ROUND_CREATE) {
		report(p, result, self, false);
		return;
	}
	arrived |= self;
	if (arrived != everyone(job)) {
		report(p, result, 0, false);
		return;
	}
	arrived = 0;
	if (any_said_twice(job) || (p->round >= ROUND_MAKE && !all_equally_ready(job))) {
		report(p, result, 0, false);
		if (any_said_twice(job))
			job_fail(job, NULL, NULL, CAUSE_GATE, false, "in kex round %d two wallets said the same: one wallet serves "
			    "two roles", p->round);
		else
			fail_disagreement(job);
		return;
	}
	report(p, result, p->ready ? 0 : everyone(job), p->ready);
	if (!p->ready)
		turn_page(job);
}

void
setup_acked(struct job *job, json_int_t serial)
{
	struct waiting w = {0, 0, false};

	if (gate_acked(job, serial))
		return;
	for (int i = 0; i < WAITING_MAX; i++) {
		if (waiting[i].serial == serial) {
			w = waiting[i];
			waiting[i].serial = 0;
		}
	}
	if (job_stop_if_idle(job) || job->stopping)
		return;
	if (w.gate) {
		job->ready(job);
		return;
	}
	for (int i = 0; i < job->party_count; i++) {
		if (w.parties & (1u << i))
			begin_step(&job->parties[i]);
	}
}

static void
intend_create(struct job *job)
{
	json_t *intents = json_array();

	if (job_stop_if_idle(job))
		return;
	for (int i = 0; i < job->party_count; i++) {
		job->parties[i].round = ROUND_CREATE - 1;
		json_array_append_new(intents, intent_json(&job->parties[i], ROUND_CREATE));
	}
	expect_ack(job_report(job, MESSAGE_REPORT, json_pack("{s:[], s:o}", "results", "intents", intents)),
	    everyone(job), false);
}

static void
on_spare_proven(struct party *p)
{
	arrived |= 1u << (p - p->job->parties);
	if (arrived != everyone(p->job))
		return;
	arrived = 0;
	intend_create(p->job);
}

/* What a spare is worth is seen before anything is intended. */
void
setup_begin(struct job *job)
{
	if (job_stop_if_idle(job))
		return;
	for (int i = 0; i < job->party_count; i++)
		arrived |= job->parties[i].spare.id[0] == '\0' ? 1u << i : 0;
	if (arrived == everyone(job)) {
		arrived = 0;
		intend_create(job);
		return;
	}
	for (int i = 0; i < job->party_count && !job->ended; i++) {
		if (job->parties[i].spare.id[0] != '\0')
			spare_prove(&job->parties[i], on_spare_proven);
	}
}

void
setup_stop(struct job *job)
{
	if (job->serving)
		session_stop(job);
	else
		job_stop_if_idle(job);
}
