/* What get_endpoints says of an endpoint. */
#include <stdio.h>

#include "common/clock.h"
#include "common/duration.h"
#include "supervisor/endpoint.h"

/* Why it does not serve, and when it is tried again. */
static void
describe_reason(const struct endpoint *ep, char *out, size_t size)
{
	int64_t left = ep->again_ms - clock_monotonic_ms();
	unsigned failures = ep->failures_in_row > ep->blames ? ep->failures_in_row : ep->blames;
	char after[32];

	if (ep->reason[0] == '\0' || ep->state != ENDPOINT_DOWN || ep->again_ms == 0) {
		snprintf(out, size, "%s", ep->reason);
		return;
	}
	duration_format(left > 0 ? left : 0, after, sizeof after);
	if (failures > 1)
		snprintf(out, size, "%.255s; tried again in %s, after %u failures in a row", ep->reason, after, failures);
	else
		snprintf(out, size, "%.255s; tried again in %s", ep->reason, after);
}

json_t *
endpoint_to_json(const struct endpoint *ep)
{
	char reason[sizeof ep->reason + 96];

	describe_reason(ep, reason, sizeof reason);
	return json_pack("{s:s, s:s, s:s, s:b, s:s, s:o, s:o, s:I, s:I, s:I, s:o, s:s*}",
	    "name", ep->name, "url", ep->url.text, "role", role_name(ep->role), "managed", ep->managed,
	    "state", endpoint_state_name(ep->state),
	    "escrow_id", ep->escrow_id[0] != '\0' ? json_string(ep->escrow_id) : json_null(),
	    "spare", ep->state == ENDPOINT_PRIMED ? json_string(ep->spare) : json_null(),
	    "since", (json_int_t)ep->since, "leases", (json_int_t)ep->leases, "failures", (json_int_t)ep->failures,
	    "last_rtt_ms", ep->last_rtt_ms >= 0 ? json_integer(ep->last_rtt_ms) : json_null(),
	    "reason", reason[0] != '\0' ? reason : NULL);
}
