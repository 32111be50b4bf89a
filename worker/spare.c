/*
 * Spare wallets: is the one on record the wallet that is open, fresh as it was
 * created? Whatever is not, is lost: it is closed without saving, and never used.
 */
#include <stdio.h>
#include <string.h>

#include "worker/job.h"

static bool
lose(struct party *p, bool polluted, const char *why)
{
	p->spare.lost = true;
	p->spare.polluted = polluted;
	snprintf(p->spare.why, sizeof p->spare.why, "%s", why);
	return true;
}

/* The wallet-rpc said no: none is open, or this one has no such attribute. */
static bool
lose_refused(struct party *p, const struct rpc_result *r)
{
	return lose(p, false, r->why);
}

static bool
stands(struct party *p)
{
	return !p->spare.lost;
}

static bool
is_lost(struct party *p)
{
	return p->spare.lost;
}

static json_t *
params_open_spare(struct party *p)
{
	return json_pack("{s:s, s:s}", "filename", p->spare.wallet, "password", p->spare.password);
}

/* Only once it is known to be ours does it tell anything that it is multisig. */
static bool
take_stamp_of_spare(struct party *p, json_t *result)
{
	const char *value = json_string_value(json_object_get(result, "value"));

	if (value == NULL || strcmp(value, p->spare.stamp) != 0)
		return lose(p, false, "another wallet is open there: its stamp is not that of the spare");
	if (!json_is_false(json_object_get(p->is_multisig, "multisig")))
		return lose(p, true, "the spare wallet was made multisig by another program: does one use this endpoint?");
	return true;
}

static bool
take_address_of_spare(struct party *p, json_t *result)
{
	const char *address = json_string_value(json_object_get(result, "address"));

	if (address == NULL || strcmp(address, p->spare.address) != 0)
		return lose(p, false, "its address is not the one that the spare was created with");
	return true;
}

static const struct op open_script[] = {
	{.method = "open_wallet", .params = params_open_spare, .refused = lose_refused, .main = true},
	/* from here on also what proves one that is open */
	{.method = "is_multisig", .take = take_multisig_later, .wanted = stands, .refused = lose_refused},
	{.method = "get_attribute", .params = params_stamp_key, .take = take_stamp_of_spare, .wanted = stands,
	    .refused = lose_refused},
	{.method = "get_address", .params = params_account, .take = take_address_of_spare, .wanted = stands,
	    .refused = lose_refused},
	{.method = "close_wallet", .params = params_no_save, .take = take_closed, .wanted = is_lost, .accepted_error = -13},
	{.method = NULL},
};

void
spare_prove(struct party *p, void (*done)(struct party *p))
{
	p->spare.lost = p->spare.polluted = false;
	if (p->spare.address[0] == '\0')
		lose(p, false, "it was not finished");
	job_run_script(p, open_script + 1, done);
}

void
spare_open(struct party *p, void (*done)(struct party *p))
{
	p->spare.lost = p->spare.polluted = false;
	job_run_script(p, open_script, done);
}

json_t *
spare_lost_json(const struct spare *spare)
{
	return json_pack("{s:b, s:s}", "polluted", spare->polluted, "reason", spare->why);
}
