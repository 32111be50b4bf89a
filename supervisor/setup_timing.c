#include "supervisor/setup_timing.h"

#include <string.h>

#include "common/clock.h"
#include "supervisor/escrow.h"
#include "supervisor/supervisor.h"

void
setup_time_anew(struct escrow *e)
{
	memset(e->timed, 0, sizeof e->timed);
}

/* -1: of none that is timed. */
static int
round_of(json_t *step)
{
	json_int_t round = json_integer_value(json_object_get(step, "round"));

	return round >= 0 && round < METRICS_ROUNDS ? (int)round : -1;
}

static void
note_result(struct escrow *e, json_t *result)
{
	const char *name = json_string_value(json_object_get(result, "role"));
	int round = round_of(result);
	enum role role;

	if (round == -1 || e->timed[round].began_us == 0 || name == NULL || !role_parse(name, false, &role))
		return;
	e->timed[round].done |= ROLE_BIT(role);
	if (e->timed[round].done == e->claim.needs)
		metrics_round(&e->sv->metrics, round, clock_monotonic_us() - e->timed[round].began_us);
}

/* A "restore", which has a reason, is no step of a round. */
static void
note_intent(struct escrow *e, json_t *intent)
{
	int round = round_of(intent);

	if (round != -1 && e->timed[round].began_us == 0 && json_object_get(intent, "reason") == NULL)
		e->timed[round].began_us = clock_monotonic_us();
}

void
setup_time_report(struct escrow *e, json_t *frame)
{
	json_t *step;
	size_t i;

	json_array_foreach(json_object_get(frame, "results"), i, step)
		note_result(e, step);
	json_array_foreach(json_object_get(frame, "intents"), i, step)
		note_intent(e, step);
}
