/* One escrow, or many, for people. */
#ifndef MSIGCTL_ESCROW_VIEW_H
#define MSIGCTL_ESCROW_VIEW_H

#include <jansson.h>

#include "msigctl/command.h"
#include "msigctl/terminal.h"

/* Prints get_escrow's answer; with refresh, also what the wallets tell. */
void escrow_view(const json_t *escrow);

/* Prints a table of such answers, or with -q their ids. */
void escrow_view_list(const struct context *context, const json_t *escrows);

/* Green for Ready, red for Failed; phase is its name. */
enum colour phase_colour(const char *phase);

#endif
