/*
 * A wallet that another program has been at, or that it has put in the place of
 * ours: one that is multisig before its make_multisig, or whose stamp is not the
 * one that it should be. What was done may be in the memory of the wallet-rpc
 * only. So what is open is closed without saving and, after pollution-delay, the
 * party's wallet is opened again from disk; if it is then what it was, the set-up
 * goes on with it. No call that changes a wallet is made before.
 */
#include <stdio.h>
#include <string.h>

#include "worker/steps.h"
#include "worker/trace.h"

static void (*go_on[ROLE_COUNT])(struct party *party);

/* --- what is open --------------------------------------------------------- */

static void
take_uuid(const json_t *json, const char *name, char out[UUID_TEXT])
{
	const char *text = json_string_value(json_object_get(json, name));

	if (text == NULL || !uuid_normalise(text, out))
		out[0] = '\0';
}

void
stamp_read(const char *value, struct stamp *stamp)
{
	json_t *json = value != NULL ? json_loads(value, 0, NULL) : NULL;
	const char *role = json_string_value(json_object_get(json, "role"));

	take_uuid(json, "escrow_id", stamp->escrow_id);
	take_uuid(json, "spare", stamp->spare);
	stamp->has_role = role != NULL && role_parse(role, false, &stamp->role);
	stamp->attempt = (int)json_integer_value(json_object_get(json, "attempt"));
	json_decref(json);
}

void
pollution_describe(struct party *p, const char *value)
{
	struct stamp stamp;

	stamp_read(value, &stamp);
	memcpy(p->found_escrow, stamp.escrow_id, sizeof p->found_escrow);
	if (stamp.escrow_id[0] != '\0' && stamp.has_role)
		snprintf(p->found, sizeof p->found, "the %s's wallet of escrow %s, attempt %d", role_name(stamp.role), stamp.escrow_id,
		    stamp.attempt);
	else if (stamp.spare[0] != '\0')
		snprintf(p->found, sizeof p->found, "the spare wallet msigd-%s", stamp.spare);
	else
		snprintf(p->found, sizeof p->found, value != NULL ? "a wallet whose stamp is not one of msigd's"
		    : "a wallet without a stamp");
}

static void
found_another(struct party *p, const char *stamp)
{
	p->polluted = true;
	pollution_describe(p, stamp);
}

bool
take_own_stamp(struct party *p, json_t *result)
{
	const char *value = json_string_value(json_object_get(result, "value"));

	if (value == NULL || strcmp(value, p->stamp) != 0)
		found_another(p, value);
	return !p->polluted;
}

bool
take_stamp_not_polluted(struct party *p, json_t *result)
{
	if (!take_own_stamp(p, result))
		return false;
	p->polluted = !json_is_false(json_object_get(p->is_multisig, "multisig"));
	p->found[0] = p->found_escrow[0] = '\0';
	return !p->polluted;
}

bool
refused_stamp(struct party *p, const struct rpc_result *r)
{
	if (r->code != NO_ATTRIBUTE)
		return false;
	found_another(p, NULL);
	return true;
}

/* --- what is done about it ------------------------------------------------ */

static void
on_reopened(struct party *p)
{
	int place = (int)(p - p->job->parties);

	if (p->polluted)
		pollution_found(p, go_on[place]);
	else if (!job_stop_if_idle(p->job) && !p->job->stopping)
		go_on[place](p);
}

static void
reopen(struct party *p)
{
	p->reopened = true;
	job_run_script(p, step_reopen_script, on_reopened);
}

static void
on_closed(struct party *p)
{
	if (!job_stop_if_idle(p->job) && !p->job->stopping)
		job_delay(p, "pollution", p->job->pollution_ms, reopen);
}

static void
put_right(struct party *p)
{
	struct job *job = p->job;
	char what[400];

	if (p->found[0] != '\0')
		snprintf(what, sizeof what, "in the place of wallet %s another one is open there: %s", p->wallet, p->found);
	else
		snprintf(what, sizeof what, "the wallet %s is multisig before its make_multisig", p->wallet);
	if (p->reopened || job->pollution_ms < 0) {
		job_fail(job, p, step_call(p->round), CAUSE_POLLUTED, false, "%s%s: does another program use this endpoint?", what,
		    p->reopened ? ", also after it was opened again" : "");
		return;
	}
	job_send(job, MESSAGE_NOTE, json_pack("{s:s, s:s, s:s, s:s, s:s*}", "what", "pollution", "role", role_name(p->role),
	    "wallet", p->wallet, "found", what, "found_escrow", p->found_escrow[0] != '\0' ? p->found_escrow : NULL));
	job_run_script(p, step_close_script, on_closed);
}

void
pollution_found(struct party *p, void (*clean)(struct party *party))
{
	go_on[p - p->job->parties] = clean;
	snapshot_of_another(p, put_right);
}
