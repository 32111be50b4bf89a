/* open --wait: follows one escrow to its end, with a line on the terminal. */
#ifndef MSIGCTL_WAIT_H
#define MSIGCTL_WAIT_H

#include <jansson.h>
#include <stdint.h>

#include "msigctl/command.h"

/* Follows events until the escrow is Ready or Failed (STATUS_DONE), or
 * deadline_ms (clock_monotonic_ms(); 0: none) is over (STATUS_TIMED_OUT), or
 * msigd or the patience of the person ends. *escrow, get_escrow's answer, is
 * replaced by the last one seen. */
enum exit_status wait_for_escrow(const struct context *context, const char *id, json_t **escrow,
    int64_t deadline_ms);

#endif
