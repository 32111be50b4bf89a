/* The supervisor's side of the tend job: a worker looks at an endpoint, closes
 * a wallet left open there, and says how long an answer takes. */
#ifndef SUPERVISOR_TEND_CONTROL_H
#define SUPERVISOR_TEND_CONTROL_H

struct endpoint;

/* Starts the job for an endpoint that is PROBING. Its end comes back as
 * ENDPOINT_EV_PROBED, ENDPOINT_EV_PROBE_FAILED or ENDPOINT_EV_FAULT. */
void tend_start(struct endpoint *endpoint);

#endif
