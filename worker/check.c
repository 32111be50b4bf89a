/* The check job: the wallets of a Ready escrow are opened from disk with their
 * passwords, and are what they should be. Changes nothing. */
#include "worker/job.h"

static int checked;

static const struct op check_script[] = {
	{.method = "open_wallet", .params = params_open},
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp},
	{.method = "is_multisig", .take = take_ready},
	{.method = "get_address", .params = params_account, .take = take_right_address},
	{.method = "query_key", .params = params_mnemonic, .take = take_seed},
	{.method = "close_wallet", .params = params_no_save},
	{.method = NULL},
};

static void
on_checked(struct party *p)
{
	struct job *job = p->job;
	json_t *roles;

	if (++checked < job->party_count)
		return;
	roles = json_array();
	for (int i = 0; i < job->party_count; i++)
		json_array_append_new(roles, json_string(role_name(job->parties[i].role)));
	job_finish(job, "done", json_pack("{s:o}", "roles", roles));
}

void
check_begin(struct job *job)
{
	if (job_stop_if_idle(job))
		return;
	for (int i = 0; i < job->party_count && !job->ended; i++)
		job_run_script(&job->parties[i], check_script, on_checked);
}
