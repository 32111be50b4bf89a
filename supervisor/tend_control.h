/*
 * The supervisor's side of the tend job: a worker looks at an endpoint, closes
 * a wallet left open there and says how long an answer takes; and, when it is
 * to make one, leaves a spare wallet open there for the next escrow.
 */
#ifndef SUPERVISOR_TEND_CONTROL_H
#define SUPERVISOR_TEND_CONTROL_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/store.h"

struct endpoint;
struct supervisor;

/* Starts the job for an endpoint that is PROBING, or (makes) TENDING. Its end
 * comes back as ENDPOINT_EV_PROBED, _SPARE_READY, _PROBE_FAILED, _TEND_FAILED or
 * _FAULT. */
void tend_start(struct endpoint *endpoint, bool makes);

/* What a worker is told of a spare (SPARE in ipc/message.h). NULL: out of memory. */
json_t *tend_describe_spare(struct supervisor *sv, const struct store_spare *spare);

#endif
