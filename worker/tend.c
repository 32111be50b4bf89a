/* The tend job: is there a wallet-rpc, how fast does it answer, and is no
 * wallet left open in it? */
#include <stdio.h>

#include "common/clock.h"
#include "worker/job.h"

static int64_t asked_ms, rtt_ms;
static json_int_t version;
static bool closed_wallet;

static bool
take_version(struct party *p, json_t *result)
{
	rtt_ms = clock_monotonic_ms() - asked_ms;
	version = json_integer_value(json_object_get(result, "version"));
	if (version > 0)
		return true;
	job_fail(p->job, p, p->op->method, CAUSE_ENDPOINT_REFUSED, false, "it answers, but is no monero-wallet-rpc");
	return false;
}

static bool
take_closed(struct party *p, json_t *result)
{
	(void)p;
	(void)result;
	closed_wallet = true;
	return true;
}

/* What a dead job left open was stored after its last step; whatever came later
 * nobody knows, so it is not saved. */
static const struct op tend_script[] = {
	{.method = "get_version", .take = take_version},
	{.method = "close_wallet", .params = params_no_save, .take = take_closed, .accepted_error = -13 /* none is open */},
	{.method = NULL},
};

static void
on_done(struct party *p)
{
	char text[32];

	snprintf(text, sizeof text, "%lld.%lld", (long long)(version >> 16), (long long)(version & 0xffff));
	job_finish(p->job, "done", json_pack("{s:I, s:s, s:b}", "rtt_ms", (json_int_t)rtt_ms, "version", text,
	    "closed_wallet", closed_wallet));
}

void
tend_begin(struct job *job)
{
	asked_ms = clock_monotonic_ms();
	job_run_script(&job->parties[0], tend_script, on_done);
}
