/* See event_text.h. */
#include "msigctl/event_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/phase.h"
#include "msigctl/output.h"
#include "msigctl/text.h"

static void
describe_opened(const json_t *event, char *out, size_t size)
{
	const char *label = member_text(event, "label");

	snprintf(out, size, label[0] != '\0' ? "opened: %s" : "opened", label);
}

static void
describe_phase(const json_t *event, char *out, size_t size)
{
	const char *why = member_text(event, "address");
	int64_t round = member_int(event, "round", 0);
	char of_round[32] = "";

	if (why[0] == '\0')
		why = member_text(event, "reason");
	if (round > 0)
		snprintf(of_round, sizeof of_round, ", round %lld", (long long)round);
	snprintf(out, size, "%s%s%s%s", member_text(event, "phase"), of_round, why[0] != '\0' ? ": " : "", why);
}

static void
describe_step(const json_t *event, char *out, size_t size)
{
	char took[TEXT_TIME], of_round[32] = "";
	int64_t round = member_int(event, "round", 0);

	duration_format(member_int(event, "duration_ms", 0), took, sizeof took);
	if (round > 0)
		snprintf(of_round, sizeof of_round, ", round %lld", (long long)round);
	snprintf(out, size, "%s: %s%s, %s", member_text(event, "role"), member_text(event, "call"), of_round, took);
}

static void
describe_attempt(const json_t *event, char *out, size_t size)
{
	const char *reason = member_text(event, "reason");

	if (reason[0] == '\0')
		reason = member_text(event, "cause");
	snprintf(out, size, "attempt %lld begins%s%s", (long long)member_int(event, "attempt", 0),
	    reason[0] != '\0' ? ": " : "", reason);
}

static void
describe_interrupted(const json_t *event, char *out, size_t size)
{
	snprintf(out, size, "attempt %lld is interrupted: %s", (long long)member_int(event, "attempt", 0),
	    member_text(event, "reason"));
}

static void
describe_resume(const json_t *event, char *out, size_t size)
{
	snprintf(out, size, "attempt %lld goes on", (long long)member_int(event, "attempt", 0));
}

static void
describe_restore(const json_t *event, char *out, size_t size)
{
	snprintf(out, size, "%s: its wallet is written from the store: %s", member_text(event, "role"),
	    member_text(event, "reason"));
}

static void
describe_verified(const json_t *event, char *out, size_t size)
{
	(void)event;
	snprintf(out, size, "verified: its wallets open from disk");
}

static void
describe_not_verified(const json_t *event, char *out, size_t size)
{
	snprintf(out, size, "NOT verified: %s", member_text(event, "reason"));
}

static void
describe_endpoint(const json_t *event, char *out, size_t size)
{
	const char *reason = member_text(event, "reason");

	snprintf(out, size, "endpoint %s: %s%s%s", member_text(event, "name"), member_text(event, "state"),
	    reason[0] != '\0' ? ": " : "", reason);
}

static void
describe_spare_lost(const json_t *event, char *out, size_t size)
{
	snprintf(out, size, "endpoint %s: its spare wallet %s: %s", member_text(event, "name"),
	    member_true(event, "polluted") ? "is POLLUTED" : "is thrown away", member_text(event, "reason"));
}

static void
describe_pollution(const json_t *event, char *out, size_t size)
{
	const char *role = member_text(event, "role");

	snprintf(out, size, "%s%sendpoint %s is POLLUTED: %s", role, role[0] != '\0' ? ": " : "", member_text(event, "name"),
	    member_text(event, "found"));
}

static void
describe_calibrate(const json_t *event, char *out, size_t size)
{
	char stagger[TEXT_TIME];

	duration_format(member_int(event, "stagger_ms", 0), stagger, sizeof stagger);
	snprintf(out, size, "calibrate: stagger %s, trial %lld of %lld: %s%s", stagger,
	    (long long)member_int(event, "trial", 0), (long long)member_int(event, "trials", 0),
	    member_true(event, "ok") ? "no error" : "error: ", member_text(event, "reason"));
}

static void
describe_repair(const json_t *event, char *out, size_t size)
{
	snprintf(out, size, "repair: escrow %lld of %lld", (long long)member_int(event, "number", 0),
	    (long long)member_int(event, "total", 0));
}

static void
describe_repaired(const json_t *event, char *out, size_t size)
{
	snprintf(out, size, "%s: wallet %s was brought back from its %s", member_text(event, "role"),
	    member_text(event, "wallet"), strcmp(member_text(event, "from"), "seed") == 0 ? "seed" : ".keys on record");
}

static void
describe_not_repaired(const json_t *event, char *out, size_t size)
{
	snprintf(out, size, "%s: NOT repaired: %s", member_text(event, "role"), member_text(event, "reason"));
}

static void
describe_stopping(const json_t *event, char *out, size_t size)
{
	(void)event;
	snprintf(out, size, "msigd is stopping");
}

static const struct {
	const char *type;
	void (*describe)(const json_t *, char *, size_t);
} types[] = {
	{"escrow_opened", describe_opened}, {"phase", describe_phase},       {"step", describe_step},
	{"attempt", describe_attempt},      {"verified", describe_verified}, {"endpoint", describe_endpoint},
	{"stopping", describe_stopping},    {"not_verified", describe_not_verified},
	{"interrupted", describe_interrupted}, {"resume", describe_resume}, {"restore", describe_restore},
	{"spare_lost", describe_spare_lost},
	{"pollution", describe_pollution},  {"calibrate", describe_calibrate},
	{"repair", describe_repair},        {"repaired", describe_repaired},
	{"not_repaired", describe_not_repaired},
};

void
event_text(const json_t *event, char *out, size_t size)
{
	const char *type = member_text(event, "type");
	char *dump;

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (strcmp(type, types[i].type) == 0) {
			types[i].describe(event, out, size);
			return;
		}
	}
	dump = json_dumps(event, JSON_COMPACT);
	snprintf(out, size, "%s", dump != NULL ? dump : type);
	free(dump);
}

enum colour
event_colour(const json_t *event)
{
	const char *type = member_text(event, "type");
	enum phase phase;

	if (strcmp(type, "attempt") == 0 || strcmp(type, "interrupted") == 0 || strcmp(type, "spare_lost") == 0 || strcmp(type, "pollution") == 0)
		return COLOUR_YELLOW;
	if (strcmp(type, "phase") != 0 || !phase_parse(member_text(event, "phase"), &phase))
		return COLOUR_NONE;
	return phase == PHASE_READY ? COLOUR_GREEN : phase == PHASE_FAILED ? COLOUR_RED : COLOUR_NONE;
}
