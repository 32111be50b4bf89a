#include "supervisor/tend_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/endpoint.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum { TEND_LIMIT_MS = 60000 }; /* a busy wallet-rpc answers nothing for seconds */

static json_t *
start(void *owner)
{
	return json_pack("{s:o}", "endpoint", endpoint_describe(owner));
}

static void
gone(void *owner, const struct worker_end *end)
{
	struct endpoint *ep = owner;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const char *cause = json_string_value(json_object_get(end->finished, "cause"));
	const char *reason = json_string_value(json_object_get(end->finished, "reason"));
	char busy[160];

	ep->tend = NULL;
	if (outcome == NULL) {
		endpoint_event(ep, ENDPOINT_EV_PROBE_FAILED, end->why);
	} else if (strcmp(outcome, "done") == 0) {
		ep->last_rtt_ms = json_integer_value(json_object_get(end->finished, "rtt_ms"));
		endpoint_event(ep, ENDPOINT_EV_PROBED, NULL);
	} else if (strcmp(outcome, "busy") == 0) {
		const char *holder = json_string_value(json_object_get(end->finished, "holder"));
		const char *why = json_string_value(json_object_get(end->finished, "why"));
		snprintf(busy, sizeof busy, "in use by %s", holder != NULL ? holder : "another process");
		endpoint_event(ep, ENDPOINT_EV_PROBE_FAILED, why != NULL ? why : busy);
	} else if (cause != NULL && strcmp(cause, failure_cause_name(CAUSE_WRONG_NETWORK)) == 0) {
		endpoint_event(ep, ENDPOINT_EV_FAULT, reason);
	} else {
		endpoint_event(ep, ENDPOINT_EV_PROBE_FAILED, reason != NULL ? reason : outcome);
	}
}

static const struct worker_job tend_job = {.name = "tend", .start = start, .message = NULL, .gone = gone};

/* The login is read anew for each look, so that a changed file is found. */
static bool
read_login(struct endpoint *ep, char *why, size_t why_size)
{
	char *login;

	if (ep->given == NULL || ep->given->login_file == NULL)
		return true;
	login = config_read_login(ep->given, why, why_size);
	if (login == NULL)
		return false;
	if (ep->login != NULL)
		explicit_bzero(ep->login, strlen(ep->login));
	free(ep->login);
	ep->login = login;
	return true;
}

void
tend_start(struct endpoint *ep)
{
	char title[64], why[256];

	if (ep->sv->stopping) {
		endpoint_event(ep, ENDPOINT_EV_PROBE_FAILED, "msigd is stopping");
		return;
	}
	if (!read_login(ep, why, sizeof why)) {
		endpoint_event(ep, ENDPOINT_EV_PROBE_FAILED, why);
		return;
	}
	snprintf(title, sizeof title, "tend %.50s", ep->name);
	ep->tend = worker_new(ep->sv, &tend_job, ep, title, NULL, TEND_LIMIT_MS);
	if (ep->tend == NULL)
		endpoint_event(ep, ENDPOINT_EV_PROBE_FAILED, "out of memory");
}
