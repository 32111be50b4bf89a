/* Events (msigd-api(7)) in words. */
#ifndef MSIGCTL_EVENT_TEXT_H
#define MSIGCTL_EVENT_TEXT_H

#include <jansson.h>
#include <stddef.h>

#include "msigctl/terminal.h"

enum { EVENT_TEXT = 1024 };

/* What happened, without time and escrow: "buyer: make_multisig, round 2, 310
 * ms". A type that is not known is shown as JSON. As msigd said it: to be
 * printed with say(). */
void event_text(const json_t *event, char *out, size_t size);

enum colour event_colour(const json_t *event);

#endif
