/* status --refresh: asks an escrow's wallets, with a line on the terminal. */
#ifndef MSIGCTL_REFRESH_H
#define MSIGCTL_REFRESH_H

#include <jansson.h>

#include "msigctl/command.h"

/* STATUS_DONE: *escrow, the caller's, is get_escrow's answer with "wallets". */
enum exit_status refresh_escrow(const struct context *context, const char *id, json_t **escrow);

#endif
