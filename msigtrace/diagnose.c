/* The table of rules, and who applies them: see diagnose.h. */
#include "msigtrace/diagnose.h"

#include <stdlib.h>
#include <string.h>

const struct rule rules[] = {
	{"worker_killed", "a worker that a signal ended, in which call, and whether that had run",
	 "msigd goes on by itself. If nobody killed it on purpose: look for the kernel's OOM killer (journalctl -k), and "
	 "report a crash.", look_for_worker_killed},
	{"msigd_interrupted", "a worker whose end nobody saw: msigd itself was killed, or the machine went down",
	 "msigd goes on by itself at its next start. Look into its log, and journalctl, for why it ended.",
	 look_for_interrupted},
	{"two_parties", "two who use one wallet-rpc at the same time",
	 "A wallet-rpc must be msigd's alone: find the other program (ss -tnp at its port), give it one of its own, and let "
	 "every msigd on the machine have the same lock-dir.", look_for_two_parties},
	{"pollution", "a wallet-rpc that had another wallet open, or ours made multisig by somebody, and by which escrow",
	 "See that nothing but msigd uses this wallet-rpc; restart it, then: msigctl endpoint NAME in; msigctl retry ID.",
	 look_for_pollution},
	{"foreign_message", "a message of the key exchange of another escrow, attempt, round or role",
	 "Do not use this attempt's wallets: msigctl retry ID begins anew. Find out who can change what goes to and from the "
	 "wallet-rpcs.", look_for_foreign_message},
	{"worker_refused", "a worker that msigd ended: for what it said, or because its time was over",
	 "msigd goes on with another worker. If it comes again: see that msigd and msigd-worker are of one version, and report "
	 "it with this trace.", look_for_worker_refused},
	{"addresses_differ", "ready wallets of one escrow with different addresses, and whose",
	 "Never use any of these addresses. msigctl retry ID begins anew, with other wallets.", look_for_addresses_differ},
	{"not_two_of_three", "a wallet that became multisig, but not 2 of 3",
	 "A message too many or a foreign one went into make_multisig. msigctl retry ID begins anew.",
	 look_for_not_two_of_three},
	{"torn_wallet", "a wallet that does not open after a call was interrupted",
	 "msigd writes the last committed .keys under a new name by itself, where it can read the wallet's folder "
	 "(wallet-dir); without that: msigctl retry ID.", look_for_torn_wallet},
	{"wallet_unopenable", "a wallet that does not open though nothing was interrupted",
	 "See that its files are there and whole, and that no other program has it open; for a ready escrow: msigctl check "
	 "--repair.", look_for_wallet_unopenable},
	{"unknown_outcome", "a call that went out and whose answer never came, and whether it had run",
	 "msigd never repeats it on that wallet; it looks, and goes on. See whether the wallet-rpc died, or is so slow that "
	 "setup-timeout is too short.", look_for_unknown_outcome},
	{"wallet_closed", "a wallet that was not open any more in the midst of it",
	 "See whether this wallet-rpc was restarted, or whether another program closes wallets there.", look_for_wallet_closed},
	{"endpoint_down", "a wallet-rpc that could not be connected to",
	 "See that this wallet-rpc runs and listens; msigd tries it again by itself.", look_for_endpoint_down},
	{"endpoint_refused", "a wallet-rpc that refused the request: login, TLS or HTTP",
	 "Compare the endpoint's login-file and ca-file with how this wallet-rpc was started.", look_for_endpoint_refused},
	{"wrong_network", "a wallet-rpc on another network than the others",
	 "Start this wallet-rpc for msigd's network, or set network in msigd.conf.", look_for_wrong_network},
	{"lock_contention", "locks that were waited for or not had, and who held them",
	 "Two who take the same lock use the same wallet-rpc or escrow: see who holds it, and whether that is meant.",
	 look_for_lock_contention},
	{"saturation", "escrows that wait for endpoints longer than their set-up takes",
	 "Add wallet-rpcs (managed count, or endpoint sections), or keep fewer sessions (session-max).", look_for_saturation},
	{"timeout", "an attempt whose time ran out, and in what",
	 "See why these calls took so long (msigtrace stats), or raise setup-timeout.", look_for_timeout},
	{"failed", "a failed escrow that no other rule explains",
	 "msigtrace timeline shows what came before; msigctl retry ID begins anew.", look_for_failure},
	{0},
};

bool
diagnose(struct diagnosis *d, const struct trace *traces, size_t count)
{
	memset(d, 0, sizeof *d);
	d->traced = calloc(count + 1, sizeof *d->traced);
	if (d->traced == NULL)
		return false;
	for (; d->count < count; d->count++) {
		struct traced *t = &d->traced[d->count];
		t->trace = &traces[d->count];
		t->result = trace_result(t->trace);
		if (!calls_of(t->trace, &t->calls))
			return false;
	}
	if (!leases_find(d) || !messages_find(d))
		return false;
	for (size_t i = 0; i < count; i++) {
		for (d->rule = rules; d->rule->name != NULL; d->rule++)
			d->rule->look(d, i);
	}
	return !d->failed;
}

void
diagnosis_free(struct diagnosis *d)
{
	for (size_t i = 0; i < d->count; i++)
		calls_free(&d->traced[i].calls);
	for (size_t i = 0; i < d->finding_count; i++)
		json_decref(d->findings[i].evidence);
	free(d->findings);
	free(d->leases);
	free(d->messages);
	free(d->traced);
	memset(d, 0, sizeof *d);
}
