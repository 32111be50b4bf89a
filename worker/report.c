#include "worker/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/sha256.h"
#include "worker/steps.h"
#include "worker/wallet_files.h"

void
setup_make_stamp(struct party *p)
{
	char nonce[NONCE_TEXT], *text;
	json_t *stamp;

	wallet_nonce(nonce);
	stamp = json_pack("{s:s, s:i, s:s, s:s}", "escrow_id", p->job->escrow_id, "attempt", p->job->attempt,
	    "role", role_name(p->role), "nonce", nonce);
	text = json_dumps(stamp, JSON_COMPACT);
	snprintf(p->stamp, sizeof p->stamp, "%s", text != NULL ? text : "");
	free(text);
	json_decref(stamp);
}

/* Password and stamp are on disk before create_wallet. A spare keeps its
 * password, sealed anew for the escrow. */
static json_t *
create_intent(struct party *p, json_t *intent)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, 0, SEAL_PASSWORD};
	char *sealed;

	setup_make_stamp(p);
	if (party_uses_spare(p)) {
		strcpy(p->wallet, p->spare.wallet);
		strcpy(p->password, p->spare.password);
		sealed = seal_base64(p->job->subkey, &place, p->password, strlen(p->password));
	} else {
		sealed = wallet_new_password(p, p->job->subkey, &place);
	}
	json_object_set_new(intent, "wallet", json_string(p->wallet));
	json_object_set_new(intent, "stamp", json_string(p->stamp));
	json_object_set_new(intent, "password", json_string(sealed != NULL ? sealed : ""));
	if (p->spare.lost)
		json_object_set_new(intent, "lost_spare", spare_lost_json(&p->spare));
	free(sealed);
	return intent;
}

json_t *
intent_json(struct party *p, int round)
{
	json_t *intent = json_pack("{s:s, s:s, s:i}", "role", role_name(p->role), "call", step_call(round),
	    "round", round);

	if (p->journal.given && p->journal.intent == round) {
		json_object_set_new(intent, "again", json_true());
		p->journal.intent = -1;
		if (round == ROUND_CREATE)
			wallet_new_name(p);
	}
	return round == ROUND_CREATE ? create_intent(p, intent) : intent;
}

static json_t *
message_json(struct party *p)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, p->round, SEAL_MESSAGE};
	char hash[SHA256_TEXT];
	size_t length = strlen(p->message);
	char *sealed = seal_base64(p->job->subkey, &place, p->message, length);
	json_t *json;

	sha256_text(p->message, length, hash);
	json = json_pack("{s:I, s:s, s:s}", "length", (json_int_t)length, "sha256", hash, "sealed", sealed);
	free(sealed);
	return json;
}

json_t *
result_json(struct party *p)
{
	bool ok = true;
	char *keys = step_writes(p->round) ? wallet_sealed_keys(p, p->round, &ok) : NULL;
	json_t *result;

	if (!ok || (p->ready && keys != NULL && !wallet_sync_files(p))) {
		free(keys);
		return NULL;
	}
	result = json_pack("{s:s, s:s, s:i, s:I, s:s*, s:s*}", "role", role_name(p->role), "call", step_call(p->round),
	    "round", p->round, "duration_ms", (json_int_t)p->main_ms, "keys", keys, "keys_sha256",
	    keys != NULL ? p->keys_sha256 : NULL);
	free(keys);
	if (p->message != NULL)
		json_object_set_new(result, "message", message_json(p));
	return result;
}
