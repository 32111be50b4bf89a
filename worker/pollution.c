/*
 * A wallet that bears our stamp and is multisig before its make_multisig: another
 * program has been at it. What it did may be in the memory of the wallet-rpc
 * only. So the wallet is closed without saving and, after pollution-delay, opened
 * again from disk; if it is then what it was, the set-up goes on with it. A
 * wallet that is polluted is never given a make_multisig.
 */
#include "worker/steps.h"

static void (*go_on[ROLE_COUNT])(struct party *party);

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

void
pollution_found(struct party *p, void (*clean)(struct party *party))
{
	struct job *job = p->job;

	if (p->reopened || job->pollution_ms < 0) {
		job_fail(job, p, "make_multisig", CAUSE_POLLUTED, false, "the wallet %s is multisig before its make_multisig%s: "
		    "does another program use this endpoint?", p->wallet, p->reopened ? ", also after it was opened again" : "");
		return;
	}
	job_send(job, MESSAGE_NOTE, json_pack("{s:s, s:s, s:s}", "what", "pollution", "role", role_name(p->role),
	    "wallet", p->wallet));
	go_on[p - job->parties] = clean;
	job_run_script(p, step_close_script, on_closed);
}
