/* See progress.h. */
#include "msigctl/progress.h"

#include <stdio.h>
#include <string.h>

#include "common/role.h"
#include "msigctl/output.h"
#include "msigctl/text.h"

void
progress_init(struct progress *progress, const char *id)
{
	memset(progress, 0, sizeof *progress);
	snprintf(progress->id, sizeof progress->id, "%s", id);
	progress->attempt = 1;
}

/* False: of an attempt that is over. */
static bool
enter_attempt(struct progress *progress, int64_t attempt)
{
	if (attempt < progress->attempt)
		return false;
	if (attempt > progress->attempt) {
		progress->attempt = attempt;
		progress->phase = PHASE_NOT_STARTED;
		progress->round = 0;
		progress->done = 0;
		progress->note[0] = '\0';
	}
	return true;
}

static void
enter_round(struct progress *progress, int64_t round)
{
	if (round <= progress->round)
		return;
	progress->round = round;
	progress->done = 0;
}

static void
step_done(struct progress *progress, const char *role_text, int64_t round)
{
	enum role role;

	if (!role_parse(role_text, false, &role) || round < progress->round)
		return;
	enter_round(progress, round);
	progress->done |= ROLE_BIT(role);
}

void
progress_escrow(struct progress *progress, const json_t *escrow)
{
	const json_t *participants = json_object_get(escrow, "participants"), *party;
	enum phase phase;
	size_t i;

	if (!enter_attempt(progress, member_int(escrow, "attempt", 1)))
		return;
	if (phase_parse(member_text(escrow, "phase"), &phase) && phase >= progress->phase)
		progress->phase = phase;
	text_safe(progress->phase == PHASE_NOT_STARTED ? member_text(escrow, "status") : "",
	    progress->note, sizeof progress->note);
	enter_round(progress, member_int(json_object_get(escrow, "multisig_state"), "round", 0));
	json_array_foreach(participants, i, party) {
		/* the first is create_wallet, of round 0 */
		int64_t steps = (int64_t)json_array_size(json_object_get(party, "completed"));
		step_done(progress, member_text(party, "role"), steps - 1);
	}
}

void
progress_event(struct progress *progress, const json_t *event)
{
	const char *type = member_text(event, "type");
	enum phase phase;

	if (!enter_attempt(progress, member_int(event, "attempt", progress->attempt)))
		return;
	if (strcmp(type, "step") == 0)
		step_done(progress, member_text(event, "role"), member_int(event, "round", 0));
	if (strcmp(type, "phase") != 0 || !phase_parse(member_text(event, "phase"), &phase) || phase < progress->phase)
		return;
	progress->phase = phase;
	enter_round(progress, member_int(event, "round", 0));
}

enum roles_width { ROLES_NAMED, ROLES_INITIAL, ROLES_NONE };

static void
roles_text(const struct progress *progress, enum roles_width width, bool utf8, char *out, size_t size)
{
	size_t have = 0;

	out[0] = '\0';
	if (width == ROLES_NONE || progress->phase == PHASE_NOT_STARTED || phase_is_terminal(progress->phase))
		return;
	for (int role = 0; role < ROLE_COUNT && have < size; role++) {
		const char *name = role_name((enum role)role);
		bool done = progress->done & ROLE_BIT(role);
		const char *mark = utf8 ? (done ? "\u2713" : "\u00b7") : (done ? "+" : "-");
		have += (size_t)snprintf(out + have, size - have, "%s%.*s%s%s", role == 0 ? "  " : " ",
		    width == ROLES_NAMED ? (int)strlen(name) : 1, name, width == ROLES_NAMED ? " " : "", mark);
	}
}

void
progress_line(const struct progress *progress, int64_t elapsed_ms, bool utf8, int columns,
    char *out, size_t size)
{
	char short_id[TEXT_SHORT_ID], time[TEXT_TIME], roles[128], attempt[32] = "", round[32] = "";

	text_short_id(progress->id, short_id);
	text_elapsed(elapsed_ms, time, sizeof time);
	if (progress->attempt > 1)
		snprintf(attempt, sizeof attempt, "  attempt %lld", (long long)progress->attempt);
	if (progress->phase == PHASE_EXCHANGING && progress->round > 0)
		snprintf(round, sizeof round, ", round %lld", (long long)progress->round);
	for (int width = ROLES_NAMED; width <= ROLES_NONE; width++) {
		roles_text(progress, (enum roles_width)width, utf8, roles, sizeof roles);
		snprintf(out, size, "%s%s  %s%s%s  %s", short_id, width == ROLES_NONE ? "" : attempt,
		    phase_name(progress->phase), round, roles, time);
		if (text_width(out) <= columns)
			break;
	}
	if (progress->phase == PHASE_NOT_STARTED && progress->note[0] != '\0') {
		size_t have = strlen(out);
		snprintf(out + have, size - have, "  %s", progress->note);
	}
	text_cut(out, columns);
}
