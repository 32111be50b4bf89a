/*
 * The publication gate (DESIGN.md): nothing is shown to anyone before all three
 * wallets are ready, 2 of 3, have the same valid address, bear their stamps,
 * are stored, and can be had back from the store alone: seed and .keys sealed.
 * With gate = reopen each is also closed and opened again from disk.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "worker/trace.h"

/* The three addresses have to be equal to the byte: one of them is looked at. */
static bool
is_first(struct party *p)
{
	return p == p->job->parties;
}

/* The last exchange ended with store, and nothing has changed since. */
static const struct op prove_script[] = {
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp},
	{.method = "is_multisig", .take = take_ready},
	{.method = "get_address", .params = params_account, .take = take_address},
	{.method = "validate_address", .params = params_address, .take = take_validity, .wanted = is_first},
	{.method = "query_key", .params = params_mnemonic, .take = take_seed},
	{.method = NULL},
};

/* What it shows after it was opened must be what it showed before. */
static bool
take_same_address(struct party *p, json_t *result)
{
	char before[ADDRESS_MAX];

	strcpy(before, p->address);
	if (!take_address(p, result))
		return false;
	if (strcmp(before, p->address) == 0)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_GATE, false, "opened from disk the wallet has another address");
	return false;
}

static const struct op reopen_script[] = {
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp},
	{.method = "close_wallet"},
	{.method = "open_wallet", .params = params_open},
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp},
	{.method = "is_multisig", .take = take_ready},
	{.method = "get_address", .params = params_account, .take = take_same_address},
	{.method = NULL},
};

/* After publication the endpoints are left clean. The wallets are stored, and on
 * the disk for good: to save them again would undo that. */
static const struct op close_script[] = {
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp},
	{.method = "close_wallet", .params = params_no_save, .accepted_error = NO_WALLET_OPEN},
	{.method = NULL},
};

static int proven, closed;
static json_int_t published;

/* --- do they agree? ------------------------------------------------------- */

static bool
agree(struct job *job)
{
	struct party *p = job->parties;

	if (address_is_placeholder(p[0].address)) {
		job_fail(job, &p[0], "get_address", CAUSE_GATE, false, "the address is the placeholder of an unfinished wallet");
		return false;
	}
	for (int i = 0; i < job->party_count; i++) {
		if (strcmp(p[i].address, p[0].address) != 0) {
			job_fail(job, &p[i], "get_address", CAUSE_GATE, false, "its address is not that of the %s",
			    role_name(p[0].role));
			return false;
		}
		for (int k = 0; k < i; k++) {
			if (strcmp(p[i].seed, p[k].seed) == 0) {
				job_fail(job, &p[i], "query_key", CAUSE_GATE, false, "it has the same seed as the %s: one wallet "
				    "serves two roles", role_name(p[k].role));
				return false;
			}
		}
	}
	return true;
}

/* --- publishing ----------------------------------------------------------- */

static json_t *
participant_json(struct party *p)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, 0, SEAL_SEED};
	char *seed = seal_base64(p->job->subkey, &place, p->seed, strlen(p->seed));
	json_t *json = json_pack("{s:s, s:s}", "role", role_name(p->role), "seed", seed);

	free(seed);
	return json;
}

static void
publish(struct job *job)
{
	json_t *participants = json_array();

	for (int i = 0; i < job->party_count; i++) {
		json_t *participant = participant_json(&job->parties[i]);
		if (participant == NULL) {
			json_decref(participants);
			job_fail(job, &job->parties[i], NULL, CAUSE_INTERNAL, false, "out of memory");
			return;
		}
		json_array_append_new(participants, participant);
	}
	published = job_report(job, MESSAGE_PUBLISH, json_pack("{s:s, s:o, s:b}", "address", job->parties[0].address,
	    "participants", participants, "verified", job->reopen));
}

static void
on_reopened(struct party *p)
{
	if (++proven == p->job->party_count)
		publish(p->job);
}

static void
on_proven(struct party *p)
{
	struct job *job = p->job;

	if (++proven < job->party_count) {
		job_stop_if_idle(job); /* the others may not have begun */
		return;
	}
	if (!agree(job) || job_stop_if_idle(job))
		return;
	if (!job->reopen) {
		publish(job);
		return;
	}
	proven = 0;
	for (int i = 0; i < job->party_count && !job->ended; i++)
		job_run_script(&job->parties[i], reopen_script, on_reopened);
}

static void
prove(struct party *p)
{
	if (!job_stop_if_idle(p->job) && !p->job->stopping)
		job_run_script(p, prove_script, on_proven);
}

void
gate_begin(struct job *job)
{
	for (int i = 0; i < job->party_count && !job->ended; i++)
		snapshot_final(&job->parties[i], prove);
}

/* --- after it ------------------------------------------------------------- */

static void
on_closed(struct party *p)
{
	if (++closed == p->job->party_count)
		job_finish(p->job, "done", json_pack("{s:b}", "clean", !p->job->unclean));
}

void
gate_close(struct job *job)
{
	job->published = true; /* nothing can fail any more */
	for (int i = 0; i < job->party_count && !job->ended; i++)
		job_run_script(&job->parties[i], close_script, on_closed);
}

bool
gate_acked(struct job *job, json_int_t serial)
{
	if (published == 0 || serial != published)
		return false;
	if (job->keep)
		session_go_on(job);
	else
		gate_close(job);
	return true;
}
