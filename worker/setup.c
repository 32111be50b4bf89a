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

#include "worker/report.h"
#include "worker/steps.h"
#include "worker/trace.h"

/* --- the engine ----------------------------------------------------------- */

/* What an ack lets begin, of those with a bit set: the next step; or what comes
 * before its intent or before the gate, a look at the wallets; or the gate. */
enum begins { STEPS, LOOKS, LOOKS_AND_GATE, GATE };

struct waiting {
	json_int_t serial;
	unsigned parties;   /* bits by place in job->parties */
	enum begins begins;
};

enum { WAITING_MAX = 2 * ROLE_COUNT };
static struct waiting waiting[WAITING_MAX];
static unsigned arrived;    /* parties that have said their message of the round */
static bool made_before;    /* a make_multisig may have been sent just before the interruption */

static void on_step_done(struct party *p);

static void
expect_ack(json_int_t serial, unsigned parties, enum begins begins)
{
	for (int i = 0; i < WAITING_MAX; i++) {
		if (waiting[i].serial == 0) {
			waiting[i] = (struct waiting){serial, parties, begins};
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
	p->in_step = true;
	if (p->round == ROUND_CREATE && !setup_tell_of_spare(p))
		return;
	job_run_script(p, step_script(p), on_step_done);
}

/* The first from `from` on that has its make_multisig before it; else the end. */
static struct party *
next_to_make(struct job *job, struct party *from)
{
	while (from < job->parties + job->party_count && from->journal.done >= ROUND_MAKE)
		from++;
	return from;
}

/* stagger-delay lies between two make_multisig: each party but the first waits
 * for the one before it. */
static void
begin_step(struct party *p)
{
	p->round++;
	if (p->round != ROUND_MAKE || p->job->stagger_ms == 0)
		run_step(p);
	else if (p == next_to_make(p->job, p->job->parties) && made_before)
		job_delay(p, "stagger", p->job->stagger_ms, run_step);
	else if (p == next_to_make(p->job, p->job->parties))
		run_step(p);
}

void
setup_make_begins(struct party *p)
{
	struct job *job = p->job;
	struct party *next = next_to_make(job, p + 1);

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

/* Sends a result with the intents it makes possible. One that makes nothing
 * possible, for the others are not so far, may be committed with theirs. */
static void
report(struct job *job, json_t *result, unsigned next, enum begins begins)
{
	json_t *intents = json_array(), *results = json_array();

	if (result != NULL)
		json_array_append_new(results, result);
	if (job->stopping)
		next = 0;
	for (int i = 0; i < job->party_count && begins == STEPS; i++) {
		if (next & (1u << i))
			json_array_append_new(intents, intent_json(&job->parties[i], job->parties[i].round + 1));
	}
	expect_ack(job_report(job, MESSAGE_REPORT, json_pack("{s:o, s:o, s:b}", "results", results, "intents", intents,
	    "waits", next != 0 || job->stopping)), next, begins);
}

/* --- with a trace: a look at the wallets between two steps ------------------ */

/* Snapshots take time, and may get no answer. So none is taken between a call that
 * changes a wallet and the report of its result, nor between an intent and its call:
 * result -> (its ack | snapshot after the step) -> snapshot before the next ->
 * intents, or the gate. A kill in one of them leaves no outcome unknown. */
static struct looks {
	unsigned parties;   /* that go on together; 0: it may not go on yet */
	bool gate;
} looks[ROLE_COUNT];        /* by place in job->parties */
static unsigned looked;     /* parties that wait for others of theirs */

static void
on_looked_before(struct party *p)
{
	struct job *job = p->job;
	struct looks mine = looks[p - job->parties];

	looked |= 1u << (p - job->parties);
	if (job_stop_if_idle(job) || job->stopping || (looked & mine.parties) != mine.parties)
		return;
	looked &= ~mine.parties;
	for (int i = 0; i < job->party_count; i++) {
		if (mine.parties & (1u << i))
			looks[i].parties = 0;
	}
	if (mine.gate)
		job->ready(job);
	else
		report(job, NULL, mine.parties, STEPS);
}

static void
look_before(struct party *p)
{
	if (looks[p - p->job->parties].gate)
		on_looked_before(p);
	else
		snapshot_before(p, on_looked_before);
}

static void
on_looked_after(struct party *p)
{
	if (!job_stop_if_idle(p->job) && !p->job->stopping && looks[p - p->job->parties].parties != 0)
		look_before(p);
}

static void
begin_looks(struct job *job, unsigned parties, bool gate)
{
	for (int i = 0; i < job->party_count; i++) {
		if (parties & (1u << i))
			looks[i] = (struct looks){parties, gate};
	}
	for (int i = 0; i < job->party_count; i++) {
		if ((parties & (1u << i)) && job->parties[i].op == NULL) /* or it goes on after that snapshot */
			look_before(&job->parties[i]);
	}
}

/* result: of the last of these; NULL: all are on record. */
static void
go_on(struct job *job, json_t *result, unsigned parties, bool gate)
{
	if (!job->trace)
		report(job, result, parties, gate ? GATE : STEPS);
	else if (result != NULL)
		report(job, result, parties, gate ? LOOKS_AND_GATE : LOOKS);
	else
		begin_looks(job, parties, gate);
}

/* All have done it. result: of the last of them; NULL: all are on record. */
static void
end_round(struct job *job, json_t *result)
{
	int round = job->parties[0].round;
	bool ready = job->parties[0].ready;

	arrived = 0;
	if (any_said_twice(job) || (round >= ROUND_MAKE && !all_equally_ready(job))) {
		if (result != NULL)
			report(job, result, 0, STEPS);
		if (any_said_twice(job))
			job_fail(job, NULL, NULL, CAUSE_GATE, false, "in kex round %d two wallets said the same: one wallet serves "
			    "two roles", round);
		else
			fail_disagreement(job);
		return;
	}
	go_on(job, result, everyone(job), ready);
	if (!ready)
		turn_page(job);
}

static void
on_step_done(struct party *p)
{
	struct job *job = p->job;
	unsigned self = 1u << (p - job->parties);
	json_t *result;

	if (p->polluted) {
		p->in_step = false;
		pollution_found(p, run_step);
		return;
	}
	if (p->round == ROUND_MAKE)
		p->make_ms = p->main_ms;
	result = result_json(p);
	p->in_step = false;
	if (result == NULL)
		return;
	if (p->round == ROUND_CREATE) {
		go_on(job, result, self, false);
	} else {
		arrived |= self;
		if (arrived == everyone(job))
			end_round(job, result);
		else
			report(job, result, 0, STEPS);
	}
	if (!job->ended)
		snapshot_after(p, on_looked_after);
}

void
setup_acked(struct job *job, json_int_t serial)
{
	struct waiting w = {0, 0, STEPS};

	if (gate_acked(job, serial) || recovery_acked(job, serial))
		return;
	for (int i = 0; i < WAITING_MAX; i++) {
		if (waiting[i].serial == serial) {
			w = waiting[i];
			waiting[i].serial = 0;
		}
	}
	if (job_stop_if_idle(job) || job->stopping)
		return;
	if (w.begins != STEPS) {
		if (w.begins != GATE)
			begin_looks(job, w.parties, w.begins == LOOKS_AND_GATE);
		else if (w.parties != 0)
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
	    everyone(job), STEPS);
}

/* --- going on ------------------------------------------------------------- */

static char *
take_said(struct party *p, int round)
{
	for (size_t i = 0; i < sizeof p->journal.said / sizeof p->journal.said[0]; i++) {
		char *text = p->journal.said[i].text;
		if (text == NULL || p->journal.said[i].round != round)
			continue;
		p->journal.said[i].text = NULL;
		return text;
	}
	return NULL;
}

/* Some have done one round more than the others, who are in the midst of it. */
static void
go_on_within_round(struct job *job, int round)
{
	unsigned next = 0;

	for (int i = 0; i < job->party_count; i++) {
		struct party *p = &job->parties[i];
		p->previous = take_said(p, round);
		if (p->journal.done > round) {
			p->message = take_said(p, round + 1);
			arrived |= 1u << i;
		} else {
			next |= 1u << i;
		}
	}
	go_on(job, NULL, next, false);
}

/* Every wallet stands where its last result left it. create and prepare need
 * nothing of the others: until all have prepared, each goes on by itself. */
void
setup_go_on(struct job *job)
{
	int lowest = job->parties[0].journal.done, highest = lowest;

	for (int i = 0; i < job->party_count; i++) {
		int done = job->parties[i].journal.done;
		job->parties[i].round = done;
		made_before = made_before || done == ROUND_MAKE || job->parties[i].journal.intent == ROUND_MAKE;
		lowest = done < lowest ? done : lowest;
		highest = done > highest ? done : highest;
	}
	if (job_stop_if_idle(job))
		return;
	if (lowest < ROUND_PREPARE) {
		go_on_within_round(job, ROUND_CREATE);
	} else if (highest > lowest) {
		go_on_within_round(job, lowest);
	} else {
		for (int i = 0; i < job->party_count; i++)
			job->parties[i].message = take_said(&job->parties[i], lowest);
		if (job->parties[0].ready && all_equally_ready(job))
			job->ready(job);
		else
			end_round(job, NULL);
	}
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
	if (job_stop_if_idle(job) || setup_store_is_older(job))
		return;
	if (job->parties[0].journal.given) {
		recovery_begin(job);
		return;
	}
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
