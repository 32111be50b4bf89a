/* Endpoints and requests in the trace of the escrow that they are for. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/sha256.h"
#include "supervisor/endpoint.h"
#include "supervisor/trace.h"

void
trace_lease(struct traces *all, const struct endpoint *ep, int64_t wait_ms, bool spare)
{
	struct trace *t = trace_find(all, ep->escrow_id);

	if (t == NULL)
		return;
	snprintf(t->endpoints[ep->leased_role], sizeof t->endpoints[0], "%s", ep->name);
	trace_event(t, TRACE_LEASE, json_pack("{s:s, s:s, s:i, s:I, s:b}", "role", role_name(ep->leased_role), "endpoint", ep->name,
	    "port", ep->url.port, "wait_ms", (json_int_t)wait_ms, "spare", spare));
}

void
trace_lease_end(struct traces *all, const struct endpoint *ep, bool clean)
{
	struct trace *t = trace_find(all, ep->escrow_id);

	if (t != NULL)
		trace_event(t, TRACE_RELEASE, json_pack("{s:s, s:s, s:i, s:I, s:b}", "role", role_name(ep->leased_role), "endpoint", ep->name,
		    "port", ep->url.port, "hold_ms", (json_int_t)(clock_monotonic_ms() - ep->leased_ms), "clean", clean));
}

void
trace_race(struct traces *all, const char *escrow_id, const char *method, int64_t pid, int64_t uid)
{
	struct trace *t = trace_find(all, escrow_id);

	if (t != NULL && t->workers > 0)
		trace_event(t, TRACE_RACE_DETECTED, json_pack("{s:s, s:I, s:I}", "method", method, "pid", (json_int_t)pid,
		    "uid", (json_int_t)uid));
}

void
trace_hash(const char *text, char out[TRACE_HASH_TEXT])
{
	sha256_text(text, strlen(text), out);
}
