/* Whether a call without an answer had run: what its wallet said of itself when it
 * was looked at next (MONERO.md). See diagnose.h. */
#include <string.h>

#include "msigtrace/diagnose.h"

/* The rounds that are told apart by what a wallet says. */
enum step { STEP_OTHER, STEP_CREATE, STEP_PREPARE, STEP_MAKE, STEP_FIRST_EXCHANGE, STEP_LATER_EXCHANGE };

static enum step
step_of(const struct event *e)
{
	if (strcmp(e->method, "create_wallet") == 0)
		return STEP_CREATE;
	if (strcmp(e->method, "prepare_multisig") == 0)
		return STEP_PREPARE;
	if (strcmp(e->method, "make_multisig") == 0)
		return STEP_MAKE;
	if (strcmp(e->method, "exchange_multisig_keys") == 0)
		return e->round <= 2 ? STEP_FIRST_EXCHANGE : STEP_LATER_EXCHANGE;
	return STEP_OTHER;
}

static enum ran
yes_or_no(enum answer answer)
{
	return answer == ANSWER_NONE ? RAN_NOT_KNOWN : answer == ANSWER_YES ? RAN_YES : RAN_NO;
}

/* What the facts of one answer or snapshot tell. */
static enum ran
judge(enum step step, const json_t *facts, enum answer multisig)
{
	enum answer ready = answer_of(facts, "ready"), placeholder = answer_of(facts, "placeholder");

	switch (step) {
	case STEP_MAKE:
		return yes_or_no(multisig);
	case STEP_FIRST_EXCHANGE:
		if (ready == ANSWER_YES)
			return RAN_YES;
		if (placeholder == ANSWER_YES)
			return RAN_NO;
		/* it is named only where it is so: another address is that of a wallet that has exchanged keys */
		if (multisig != ANSWER_NO && *text_of(facts, "address_hash") != '\0')
			return RAN_YES;
		return RAN_NOT_KNOWN;
	case STEP_LATER_EXCHANGE:
		return yes_or_no(ready);
	case STEP_CREATE:
	case STEP_PREPARE:
	case STEP_OTHER:
		break;
	}
	return RAN_NOT_KNOWN;
}

static enum ran
judge_event(enum step step, const struct event *e)
{
	if (event_is_snapshot(e))
		return judge(step, event_snapshot(e), answer_of(event_snapshot(e), "is_multisig"));
	if (strcmp(e->method, "open_wallet") == 0) {
		if (e->type == RPC_CALL_ERROR && strcmp(event_text(e, "outcome"), "error") == 0)
			return step == STEP_CREATE ? RAN_NO : RAN_TORN;
		return e->type == RPC_CALL_END && step == STEP_CREATE ? RAN_YES : RAN_NOT_KNOWN;
	}
	if (e->type == RPC_CALL_END)
		return judge(step, event_found(e), answer_of(event_found(e), "multisig"));
	return RAN_NOT_KNOWN;
}

/* From here on the role has another wallet, or the call was made again. */
static bool
ends_the_look(const struct event *call, const struct event *e)
{
	if (e->type == FILE_OPERATION && strcmp(event_text(e, "op"), "write") == 0)
		return true;
	if (e->type == RPC_CALL_START && (strcmp(e->method, call->method) == 0 || strcmp(e->method, "create_wallet") == 0))
		return true;
	return *e->wallet != '\0' && *call->wallet != '\0' && strcmp(e->wallet, call->wallet) != 0;
}

enum ran
had_run(const struct trace *trace, const struct call *call, const struct event **shown)
{
	const struct event *last = call->end != NULL ? call->end : call->start;
	enum step step = step_of(call->at);

	*shown = NULL;
	if (step == STEP_PREPARE || step == STEP_OTHER)
		return RAN_HARMLESS;
	for (const struct event *e = last + 1; e < trace->events + trace->count && e->attempt == last->attempt; e++) {
		enum ran ran;

		if (e->role != last->role)
			continue;
		if (ends_the_look(call->at, e))
			break;
		if ((ran = judge_event(step, e)) != RAN_NOT_KNOWN) {
			*shown = e;
			return ran;
		}
	}
	return RAN_NOT_KNOWN;
}

const char *
ran_text(enum ran ran)
{
	static const char *const texts[] = {
		[RAN_NOT_KNOWN] = "whether it had run is not known: nobody looked at the wallet after it",
		[RAN_NO] = "it had not run, by the next look at the wallet",
		[RAN_YES] = "it had run, by the next look at the wallet",
		[RAN_TORN] = "it had run in part at least: the wallet did not open any more",
		[RAN_HARMLESS] = "it changes no file of the wallet",
	};

	return texts[ran];
}
