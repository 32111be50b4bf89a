#include "supervisor/wallets.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/endpoint.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace.h"

static bool
is_complete(const struct wallets *w)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct store_wallet *one = &w->of[r];
		if ((w->roles & ROLE_BIT(r)) != 0 &&
		    (one->endpoint == NULL || one->wallet == NULL || one->stamp == NULL || one->password == NULL))
			return false;
	}
	return w->address != NULL && w->roles != 0;
}

enum wallets_loaded
wallets_load(struct supervisor *sv, const char *escrow_id, struct wallets *w)
{
	struct store_escrow record;
	enum store_result result;
	enum phase phase;

	memset(w, 0, sizeof *w);
	result = store_get_escrow(sv->store, escrow_id, &record);
	if (result != STORE_OK)
		return result == STORE_NOT_FOUND ? WALLETS_NO_ESCROW : WALLETS_UNREADABLE;
	snprintf(w->escrow_id, sizeof w->escrow_id, "%s", record.escrow_id);
	w->attempt = record.attempt;
	w->roles = ROLE_ALL & ~record.external;
	w->address = record.address;
	w->not_verified_at = record.not_verified_at;
	w->trace = trace_hold(sv->traces, &record);
	phase = record.phase;
	record.address = NULL;
	store_escrow_clear(&record);
	if (phase != PHASE_READY)
		return WALLETS_NOT_READY;
	if (store_get_wallets(sv->store, w->escrow_id, w->attempt, w->of) != STORE_OK)
		return WALLETS_UNREADABLE;
	return is_complete(w) ? WALLETS_LOADED : WALLETS_UNREADABLE;
}

void
wallets_clear(struct wallets *w)
{
	free(w->address);
	w->address = NULL;
	trace_release(w->trace);
	w->trace = NULL;
	store_wallets_clear(w->of);
}

static json_t *
participant(const struct store_wallet *w, enum role role, const struct endpoint *ep)
{
	char *password = sealed_to_base64(w->password, w->password_size);
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o}", "role", role_name(role), "wallet", w->wallet,
	    "stamp", w->stamp, "password", password, "endpoint", endpoint_describe(ep));

	free(password);
	return json;
}

json_t *
wallets_start_frame(struct supervisor *sv, const struct wallets *w, unsigned roles,
    struct endpoint *const endpoints[ROLE_COUNT])
{
	char subkey[SEAL_KEY_TEXT];
	json_t *participants = json_array(), *start;

	for (int r = 0; r < ROLE_COUNT; r++) {
		if ((roles & ROLE_BIT(r)) == 0)
			continue;
		if (json_array_append_new(participants, participant(&w->of[r], (enum role)r, endpoints[r])) == -1) {
			json_decref(participants);
			return NULL;
		}
	}
	seal_subkey_base64(sv->master_key, w->escrow_id, subkey);
	start = json_pack("{s:s, s:i, s:s, s:s, s:o}", "escrow_id", w->escrow_id, "attempt", w->attempt,
	    "subkey", subkey, "address", w->address, "participants", participants);
	sodium_memzero(subkey, sizeof subkey);
	return start;
}
