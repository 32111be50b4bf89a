#include "common/phase.h"

#include <string.h>

static const char *const names[PHASE_COUNT] = {
	[PHASE_NOT_STARTED] = "NotStarted", [PHASE_PREPARING] = "Preparing",
	[PHASE_EXCHANGING] = "Exchanging",  [PHASE_READY] = "Ready",
	[PHASE_FAILED] = "Failed",
};

/* may[from][to] */
static const bool may[PHASE_COUNT][PHASE_COUNT] = {
	/*                      NotStarted Preparing Exchanging Ready  Failed */
	[PHASE_NOT_STARTED] = { false,     true,     false,     false, true  },
	[PHASE_PREPARING]   = { false,     false,    true,      false, true  },
	[PHASE_EXCHANGING]  = { false,     false,    true,      true,  true  },
	[PHASE_READY]       = { false,     false,    false,     false, false },
	[PHASE_FAILED]      = { false,     false,    false,     false, false },
};

const char *
phase_name(enum phase phase)
{
	return names[phase];
}

bool
phase_parse(const char *name, enum phase *phase)
{
	for (int i = 0; i < PHASE_COUNT; i++) {
		if (strcmp(name, names[i]) == 0) {
			*phase = (enum phase)i;
			return true;
		}
	}
	return false;
}

bool
phase_is_terminal(enum phase phase)
{
	return phase == PHASE_READY || phase == PHASE_FAILED;
}

bool
phase_may_follow(enum phase from, enum phase to)
{
	return may[from][to];
}
