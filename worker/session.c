/*
 * A session: the three wallets of a Ready escrow are open, after its set-up or
 * from disk, and requests are answered as the wallets tell it, each proven by
 * its stamp first. Nothing here changes a wallet. Once it serves it knows no
 * password any more.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "worker/job.h"

enum {
	REQUEST_LIMIT_MS = 60000, /* a wallet that follows the chain may be busy */
	CLOSE_LIMIT_MS = 25000
};

static int open_wallets, asked;
static json_int_t request_id;      /* under way, or 0 */
static json_t *told[ROLE_COUNT];   /* what each wallet tells, in the order of the parties */

static json_t *
told_by(struct party *p)
{
	return told[p - p->job->parties];
}

/* --- opening -------------------------------------------------------------- */

static const struct op open_script[] = {
	{.method = "open_wallet", .params = params_open},
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp},
	{.method = "is_multisig", .take = take_ready},
	{.method = "get_address", .params = params_account, .take = take_right_address},
	{.method = NULL},
};

static void
forget_secrets(struct job *job)
{
	for (int i = 0; i < job->party_count; i++) {
		struct party *p = &job->parties[i];
		wipe_text(&p->message);
		wipe_text(&p->previous);
		wipe_text(&p->seed);
		sodium_memzero(p->password, sizeof p->password);
		sodium_memzero(&p->spare, sizeof p->spare);
	}
	sodium_memzero(job->subkey, sizeof job->subkey);
}

void
session_go_on(struct job *job)
{
	forget_secrets(job);
	memmove(job->address, job->parties[0].address, sizeof job->address);
	job->serving = true;
	job->published = job->unclean = false; /* what fails from here on ends the session, and says why */
	job_limit(job, 0);
	job_send(job, MESSAGE_SERVING, json_object());
	if (job->stopping)
		session_stop(job);
}

static void
on_open(struct party *p)
{
	if (++open_wallets == p->job->party_count)
		session_go_on(p->job);
}

void
session_begin(struct job *job)
{
	if (job_stop_if_idle(job))
		return;
	for (int i = 0; i < job->party_count && !job->ended; i++)
		job_run_script(&job->parties[i], open_script, on_open);
}

/* --- requests ------------------------------------------------------------- */

static bool
take_balance(struct party *p, json_t *result)
{
	json_object_set(told_by(p), "balance", json_object_get(result, "balance"));
	json_object_set(told_by(p), "unlocked_balance", json_object_get(result, "unlocked_balance"));
	return true;
}

static bool
take_height(struct party *p, json_t *result)
{
	json_object_set(told_by(p), "height", json_object_get(result, "height"));
	return true;
}

static bool
take_state(struct party *p, json_t *result)
{
	json_object_set(told_by(p), "ready", json_object_get(result, "ready"));
	json_object_set(told_by(p), "threshold", json_object_get(result, "threshold"));
	json_object_set(told_by(p), "total", json_object_get(result, "total"));
	return true;
}

static bool
take_told_address(struct party *p, json_t *result)
{
	json_object_set(told_by(p), "address", json_object_get(result, "address"));
	return take_right_address(p, result);
}

static json_t *
params_balance(struct party *p)
{
	(void)p;
	return json_pack("{s:i}", "account_index", 0);
}

static const struct op ask_script[] = {
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp},
	{.method = "is_multisig", .take = take_state},
	{.method = "get_address", .params = params_account, .take = take_told_address},
	{.method = "get_balance", .params = params_balance, .take = take_balance},
	{.method = "get_height", .take = take_height},
	{.method = NULL},
};

static void
on_asked(struct party *p)
{
	struct job *job = p->job;
	json_t *wallets;

	if (++asked < job->party_count)
		return;
	wallets = json_array();
	for (int i = 0; i < job->party_count; i++) {
		json_array_append_new(wallets, told[i]);
		told[i] = NULL;
	}
	job_limit(job, 0);
	job_send(job, MESSAGE_REPLY, json_pack("{s:I, s:o}", "request_id", request_id, "wallets", wallets));
	request_id = 0;
	if (job->stopping)
		session_stop(job);
}

void
session_request(struct job *job, json_t *request)
{
	request_id = json_integer_value(json_object_get(request, "request_id"));
	asked = 0;
	job_limit(job, REQUEST_LIMIT_MS);
	for (int i = 0; i < job->party_count && !job->ended; i++) {
		told[i] = json_pack("{s:s}", "role", role_name(job->parties[i].role));
		job_run_script(&job->parties[i], ask_script, on_asked);
	}
}

void
session_stop(struct job *job)
{
	if (!job->serving) {
		job_stop_if_idle(job);
	} else if (request_id == 0) {
		job_limit(job, CLOSE_LIMIT_MS);
		gate_close(job);
	}
}
