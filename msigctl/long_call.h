/*
 * A call that takes minutes: on a terminal a line on standard error shows how
 * long it has gone on, and the last event that tells how far it is.
 */
#ifndef MSIGCTL_LONG_CALL_H
#define MSIGCTL_LONG_CALL_H

#include <jansson.h>
#include <stdint.h>

#include "msigctl/command.h"

/* As client_call(). event: the type of those events; text: shown before the first. */
enum exit_status long_call(const struct context *context, const char *method, json_t *params, int64_t limit_ms,
    const char *event, const char *text, json_t **result);

#endif
