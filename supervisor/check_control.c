#include "supervisor/check_control.h"

#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum {
	QUIET_MS = 2000,        /* nothing was under way for so long */
	AGAIN_SECONDS = 60,     /* until those that could not be looked at get another turn */
	CHECK_LIMIT_MS = 120000
};

struct verifier {
	struct supervisor *sv;
	struct event *quiet;
	int64_t after;          /* seq: those up to it have had their turn */
	bool missed;            /* one of them could not be verified for want of its endpoint */
	struct worker *worker;  /* NULL: none under way */
	char escrow_id[UUID_TEXT];
	int attempt;
	char *address;
	struct store_wallet wallets[ROLE_COUNT];
	struct endpoint *endpoints[ROLE_COUNT];
};

static void
forget(struct verifier *v)
{
	free(v->address);
	v->address = NULL;
	store_wallets_clear(v->wallets);
	memset(v->endpoints, 0, sizeof v->endpoints);
}

static json_t *
participant(struct verifier *v, enum role role)
{
	struct store_wallet *w = &v->wallets[role];
	size_t size = sodium_base64_encoded_len(w->password_size, sodium_base64_VARIANT_ORIGINAL);
	char *password = malloc(size);
	json_t *json = NULL;

	if (password != NULL) {
		sodium_bin2base64(password, size, w->password, w->password_size, sodium_base64_VARIANT_ORIGINAL);
		json = json_pack("{s:s, s:s, s:s, s:s, s:o}", "role", role_name(role), "wallet", w->wallet,
		    "stamp", w->stamp, "password", password, "endpoint", endpoint_describe(v->endpoints[role]));
	}
	free(password);
	return json;
}

static json_t *
start_frame(void *owner)
{
	struct verifier *v = owner;
	char subkey[SEAL_KEY_TEXT];
	json_t *participants = json_array(), *start;

	for (int r = 0; r < ROLE_COUNT; r++) {
		if (v->endpoints[r] != NULL)
			json_array_append_new(participants, participant(v, (enum role)r));
	}
	seal_subkey_base64(v->sv->master_key, v->escrow_id, subkey);
	start = json_pack("{s:s, s:i, s:s, s:s, s:o}", "escrow_id", v->escrow_id, "attempt", v->attempt,
	    "subkey", subkey, "address", v->address, "participants", participants);
	sodium_memzero(subkey, sizeof subkey);
	return start;
}

static void
note_verified(struct verifier *v)
{
	struct store *store = v->sv->store;

	if (!store_enter(store))
		return;
	store_leave(store, store_set_verified(store, v->escrow_id, v->attempt, clock_wall_ms()) == STORE_OK
	    ? store_add_event(store, v->escrow_id, "verified", json_pack("{s:i}", "attempt", v->attempt)) : STORE_CONFLICT);
	log_info("escrow_verified", F_STR("escrow", v->escrow_id));
}

/* Whether a failure tells something of the wallets, or only that they could not
 * be looked at this time. */
static bool
is_about_wallets(const struct worker_end *end)
{
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const char *text = json_string_value(json_object_get(end->finished, "cause"));
	enum failure_cause cause;

	if (outcome == NULL || strcmp(outcome, "failed") != 0 || text == NULL || !failure_cause_parse(text, &cause))
		return false;
	return cause == CAUSE_WALLET_ERROR || cause == CAUSE_WALLET_FILES || cause == CAUSE_GATE ||
	    cause == CAUSE_STAMP_MISMATCH || cause == CAUSE_WRONG_NETWORK || cause == CAUSE_INTERNAL;
}

/* Loudly: the money can be reached from the store, but not from these files. */
static void
note_unverified(struct verifier *v, const struct worker_end *end)
{
	const char *reason = json_string_value(json_object_get(end->finished, "reason"));
	const char *cause = json_string_value(json_object_get(end->finished, "cause"));

	if (!is_about_wallets(end)) {
		log_info("verification_postponed", F_STR("escrow", v->escrow_id),
		    F_STR("reason", reason != NULL ? reason : end->why));
		v->missed = true;
		return;
	}
	log_error("escrow_not_verified", F_STR("escrow", v->escrow_id), F_STR("cause", cause), F_STR("reason", reason),
	    F_STR("remedy", "keep the store and its key safe: the sealed .keys and seeds are in it"));
	store_add_event(v->sv->store, v->escrow_id, "not_verified", json_pack("{s:i, s:s}", "attempt", v->attempt,
	    "reason", reason));
}

static void
on_gone(void *owner, const struct worker_end *end)
{
	struct verifier *v = owner;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	bool done = outcome != NULL && strcmp(outcome, "done") == 0;

	for (int r = 0; r < ROLE_COUNT; r++) {
		if (v->endpoints[r] != NULL)
			endpoint_event(v->endpoints[r], done ? ENDPOINT_EV_RELEASED : ENDPOINT_EV_ABANDONED, NULL);
	}
	if (done)
		note_verified(v);
	else
		note_unverified(v, end);
	forget(v);
	v->worker = NULL;
	verifier_wake(v);
}

static const struct worker_job check_job = {.name = "check", .start = start_frame, .message = NULL, .gone = on_gone};

/* The wallets' own endpoints, all idle, are leased. */
static bool
lease_all(struct verifier *v)
{
	int wanted = 0;

	for (int r = 0; r < ROLE_COUNT; r++) {
		struct endpoint *ep;
		if (v->wallets[r].wallet == NULL || v->wallets[r].password == NULL)
			continue;
		ep = endpoint_find(v->sv->endpoints, v->wallets[r].endpoint);
		if (ep == NULL || ep->state != ENDPOINT_IDLE)
			return false;
		v->endpoints[r] = ep;
		wanted++;
	}
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (v->endpoints[r] != NULL)
			endpoint_lease(v->endpoints[r], v->escrow_id);
	}
	return wanted > 0;
}

static bool
load(struct verifier *v)
{
	struct store_escrow record;

	if (store_get_escrow(v->sv->store, v->escrow_id, &record) != STORE_OK)
		return false;
	v->attempt = record.attempt;
	v->address = record.address;
	record.address = NULL;
	store_escrow_clear(&record);
	return v->address != NULL &&
	    store_get_wallets(v->sv->store, v->escrow_id, v->attempt, v->wallets) == STORE_OK;
}

static void
on_quiet(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval again = {AGAIN_SECONDS, 0};
	struct verifier *v = arg;
	char title[64];

	(void)fd;
	(void)what;
	if (v->worker != NULL || v->sv->stopping || v->sv->draining || escrow_count(v->sv->escrows) > 0)
		return;
	while (store_next_unverified(v->sv->store, &v->after, v->escrow_id) == STORE_OK) {
		if (!load(v) || !lease_all(v)) {
			v->missed = true;
			forget(v);
			continue;
		}
		snprintf(title, sizeof title, "check %s", v->escrow_id);
		v->worker = worker_new(v->sv, &check_job, v, title, v->escrow_id, CHECK_LIMIT_MS);
		if (v->worker == NULL) {
			for (int r = 0; r < ROLE_COUNT; r++) {
				if (v->endpoints[r] != NULL)
					endpoint_event(v->endpoints[r], ENDPOINT_EV_RELEASED, NULL);
			}
			forget(v);
		}
		return;
	}
	/* all had their turn; those that had to be left out get another, later */
	if (v->missed) {
		v->missed = false;
		v->after = 0;
		event_add(v->quiet, &again);
	}
}

struct verifier *
verifier_new(struct supervisor *sv)
{
	struct verifier *v = calloc(1, sizeof *v);

	if (v == NULL || (v->quiet = evtimer_new(sv->base, on_quiet, v)) == NULL) {
		free(v);
		return NULL;
	}
	v->sv = sv;
	return v;
}

void
verifier_free(struct verifier *v)
{
	if (v == NULL)
		return;
	event_free(v->quiet);
	forget(v);
	free(v);
}

void
verifier_wake(struct verifier *v)
{
	static const struct timeval quiet = {QUIET_MS / 1000, (QUIET_MS % 1000) * 1000};

	if (v->worker == NULL && escrow_count(v->sv->escrows) == 0)
		event_add(v->quiet, &quiet);
}
