/*
 * The tend job: is there a wallet-rpc, how fast does it answer, and is no wallet
 * open in it but its spare? When told to make one, it leaves a spare open there:
 * the one on record, or a new one.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "worker/steps.h"

static int64_t asked_ms, rtt_ms;
static json_int_t version;
static json_int_t intended, made; /* serials of the reports, 0: not sent */

/* What is on record is not used any more, and why: told with what takes its
 * place, or else at the end. NULL: it is used, or may be another time. */
static json_t *lost;

static void
finish(struct party *p, const char *spare)
{
	char text[32];

	snprintf(text, sizeof text, "%lld.%lld", (long long)(version >> 16), (long long)(version & 0xffff));
	job_finish(p->job, "done", json_pack("{s:I, s:s, s:b, s:s*, s:b, s:o*, s:s*, s:s*}", "rtt_ms", (json_int_t)rtt_ms,
	    "version", text, "closed_wallet", p->closed, "spare", spare, "made", made != 0, "lost", lost,
	    "found", p->found[0] != '\0' ? p->found : NULL, "found_escrow", p->found_escrow[0] != '\0' ? p->found_escrow : NULL));
}

/* --- a new spare ---------------------------------------------------------- */

static void
make_new(struct party *p)
{
	struct job *job = p->job;
	struct seal_place place = {job->new_spare_id, 0, ROLE_ANY, 0, SEAL_PASSWORD};
	char *sealed, nonce[NONCE_TEXT];

	if (job_stop_if_idle(job))
		return;
	snprintf(p->wallet, sizeof p->wallet, "msigd-%s", job->new_spare_id);
	wallet_nonce(nonce);
	snprintf(p->stamp, sizeof p->stamp, "{\"spare\":\"%s\",\"nonce\":\"%s\"}", job->new_spare_id, nonce);
	sealed = wallet_new_password(p, job->new_spare_subkey, &place);
	intended = job_report(job, MESSAGE_REPORT, json_pack("{s:{s:s, s:s, s:s}, s:o*}", "spare", "wallet", p->wallet,
	    "stamp", p->stamp, "password", sealed != NULL ? sealed : "", "lost", lost));
	lost = NULL;
	free(sealed);
}

static void
on_created(struct party *p)
{
	made = job_report(p->job, MESSAGE_REPORT, json_pack("{s:{s:s}}", "spare", "address", p->address));
}

void
tend_acked(struct job *job, json_int_t serial)
{
	struct party *p = &job->parties[0];

	if (serial == made) {
		finish(p, p->wallet);
	} else if (serial == intended && !job->stopping) {
		p->round = ROUND_CREATE;
		job_run_script(p, step_script(p), on_created);
	}
}

/* --- the one on record ---------------------------------------------------- */

static void
on_opened(struct party *p)
{
	if (!p->spare.lost) {
		finish(p, p->spare.wallet);
		return;
	}
	lost = spare_lost_json(&p->spare);
	make_new(p);
}

static void
on_proven(struct party *p)
{
	bool makes = p->job->new_spare_id[0] != '\0';

	if (!p->spare.lost) {
		finish(p, p->spare.wallet);
	} else if (p->spare.polluted) {
		lost = spare_lost_json(&p->spare);
		if (makes)
			make_new(p);
		else
			finish(p, NULL);
	} else if (!makes) {
		finish(p, NULL); /* it can still be opened, another time */
	} else if (p->spare.address[0] == '\0') {
		make_new(p);
	} else {
		spare_open(p, on_opened);
	}
}

/* --- looking -------------------------------------------------------------- */

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

/* What was left open there. */
static bool
take_open(struct party *p, json_t *result)
{
	(void)result;
	p->found_open = true;
	return true;
}

static bool
refused_open(struct party *p, const struct rpc_result *r)
{
	(void)p;
	(void)r;
	return true;
}

static bool
is_open(struct party *p)
{
	return p->found_open;
}

static bool
take_left(struct party *p, json_t *result)
{
	const char *stamp = json_string_value(json_object_get(result, "value"));

	if (stamp == NULL || p->spare.id[0] == '\0' || strcmp(stamp, p->spare.stamp) != 0)
		pollution_describe(p, stamp);
	return true;
}

static bool
refused_left(struct party *p, const struct rpc_result *r)
{
	(void)r;
	pollution_describe(p, NULL);
	return true;
}

static const struct op look_script[] = {
	{.method = "get_version", .take = take_version},
	{.method = "get_address", .params = params_account, .take = take_open, .refused = refused_open},
	{.method = "get_attribute", .params = params_stamp_key, .take = take_left, .wanted = is_open, .refused = refused_left},
	{.method = NULL},
};

/* Also where no spare is on record: then whatever is open is none, and closed.
 * What a dead job left open was stored after its last step; whatever came later
 * nobody knows, so it is not saved. */
static void
on_looked(struct party *p)
{
	spare_prove(p, on_proven);
}

void
tend_begin(struct job *job)
{
	asked_ms = clock_monotonic_ms();
	job_run_script(&job->parties[0], look_script, on_looked);
}
