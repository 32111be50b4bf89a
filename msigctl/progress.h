/*
 * How far one escrow is, gathered from get_escrow and from events in whatever
 * order they come, and the one line that shows it. No terminal here: wait.c
 * draws.
 */
#ifndef MSIGCTL_PROGRESS_H
#define MSIGCTL_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/phase.h"
#include "common/uuid.h"

enum { PROGRESS_NOTE = 160, PROGRESS_LINE = 512 };

struct progress {
	char id[UUID_TEXT];
	int64_t attempt;
	enum phase phase;
	int64_t round;            /* kex round of the calls under way; 0 create_wallet, 1 prepare */
	unsigned done;            /* ROLE_BIT()s of those who did their call of this round */
	char note[PROGRESS_NOTE]; /* what it waits for, while NotStarted; made safe */
};

void progress_init(struct progress *progress, const char *id);

/* Takes what get_escrow says. */
void progress_escrow(struct progress *progress, const json_t *escrow);

/* Takes an event. What is older than what is known already changes nothing. */
void progress_event(struct progress *progress, const json_t *event);

/* The line, at most so many columns wide: "3f2a81c0  Exchanging, round 3
 * buyer ✓ vendor · arbiter ✓  1.8 s". In ASCII without utf8. Narrower: initials of roles,
 * then none. */
void progress_line(const struct progress *progress, int64_t elapsed_ms, bool utf8, int columns,
    char *out, size_t size);

#endif
