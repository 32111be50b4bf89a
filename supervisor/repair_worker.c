/* A repair's worker: what it is told, and what it reports (ipc/message.h). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/endpoint.h"
#include "supervisor/managed.h"
#include "supervisor/repair_internal.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

const char *
repair_role(const struct repairer *r)
{
	return role_name((enum role)r->role);
}

/* --- what it is told ---------------------------------------------------------- */

/* The one beside the wallet-rpc that msigd starts, and the one in PATH: either may
 * be too old for it. */
static json_t *
wallet_clis(const struct repairer *r)
{
	const char *program = r->sv->config->managed.program, *slash = program != NULL ? strrchr(program, '/') : NULL;
	char name[PATH_MAX], beside[PATH_MAX] = "", path[PATH_MAX];
	json_t *list = json_array();

	snprintf(name, sizeof name, "%.*smonero-wallet-cli", slash != NULL ? (int)(slash - program + 1) : 0,
	    program != NULL ? program : "");
	if (slash != NULL && managed_find_program(name, beside))
		json_array_append_new(list, json_string(beside));
	if (managed_find_program("monero-wallet-cli", path) && strcmp(path, beside) != 0)
		json_array_append_new(list, json_string(path));
	return list;
}

static json_t *
copies_json(const struct store_copies *copies)
{
	char *keys = copies->keys != NULL ? sealed_to_base64(copies->keys, copies->keys_size) : NULL;
	char *seed = copies->seed != NULL ? sealed_to_base64(copies->seed, copies->seed_size) : NULL;
	json_t *json = json_pack("{s:s*, s:i, s:s*}", "keys", keys, "keys_round", copies->keys_round, "seed", seed);

	free(keys);
	free(seed);
	return json;
}

json_t *
repair_start_frame(void *owner)
{
	struct repairer *r = owner;
	struct endpoint *endpoints[ROLE_COUNT] = {NULL};
	struct store_copies copies;
	json_t *frame;

	if (store_get_copies(r->sv->store, r->escrow_id, r->wallets.attempt, (enum role)r->role, &copies) != STORE_OK)
		return NULL;
	endpoints[r->role] = r->endpoint;
	frame = wallets_start_frame(r->sv, &r->wallets, ROLE_BIT(r->role), endpoints);
	if (frame != NULL) {
		json_object_set_new(frame, "copies", copies_json(&copies));
		json_object_set_new(frame, "wallet_clis", wallet_clis(r));
	}
	store_copies_clear(&copies);
	return frame;
}

/* --- what it says ------------------------------------------------------------- */

/* The recorded name, or another of the role's. */
static bool
is_valid(const struct repairer *r, json_t *intent)
{
	const char *role = json_string_value(json_object_get(intent, "role"));
	const char *call = json_string_value(json_object_get(intent, "call"));
	const char *wallet = json_string_value(json_object_get(intent, "wallet"));
	const char *stamp = json_string_value(json_object_get(intent, "stamp"));
	char own[128];
	size_t length;

	if (role == NULL || strcmp(role, repair_role(r)) != 0 || call == NULL || strcmp(call, "restore") != 0 ||
	    wallet == NULL || stamp == NULL || stamp[0] == '\0' || json_object_get(intent, "reason") == NULL)
		return false;
	if (strcmp(wallet, r->wallets.of[r->role].wallet) == 0)
		return true;
	length = (size_t)snprintf(own, sizeof own, "%s-%d-%s-", r->escrow_id, r->wallets.attempt, role);
	return strncmp(wallet, own, length) == 0 && strlen(wallet) == length + 8 &&
	    strspn(wallet + length, "0123456789abcdef") == 8;
}

/* A name on its way to disk. */
struct intended {
	struct supervisor *sv;
	uint64_t generation;
	char *wallet;
};

/* The wallet is on record under that name. */
static void
note_intended(struct repairer *r, char *name)
{
	struct store_wallet *w = &r->wallets.of[r->role];

	if (r->before.wallet != NULL) {
		free(w->wallet);
	} else {
		r->before = (struct store_wallet){.wallet = w->wallet, .stamp = strdup(w->stamp), .endpoint = strdup(w->endpoint)};
	}
	w->wallet = name;
}

/* When its worker is gone already, another wallet may be under way. */
static void
on_intended(bool durable, void *arg)
{
	struct intended *intended = arg;

	if (durable && worker_find(intended->sv->workers, intended->generation) != NULL)
		note_intended(intended->sv->repairer, intended->wallet);
	else
		free(intended->wallet);
	free(intended);
}

/* Takes the name. */
static bool
note_when_durable(struct repairer *r, const struct worker *worker, char *name)
{
	struct intended *intended = malloc(sizeof *intended);

	if (intended == NULL) {
		free(name);
		return false;
	}
	*intended = (struct intended){r->sv, worker_generation(worker), name};
	store_when_durable(r->sv->store, on_intended, intended);
	return true;
}

static enum store_result
write_intent(struct repairer *r, json_t *intent)
{
	struct store *store = r->sv->store;
	const char *reason = json_string_value(json_object_get(intent, "reason"));
	struct store_intent row = {.escrow_id = r->escrow_id, .attempt = r->wallets.attempt, .role = (enum role)r->role,
		.wallet = json_string_value(json_object_get(intent, "wallet")),
		.stamp = json_string_value(json_object_get(intent, "stamp")), .now = clock_wall_ms()};
	const struct store_wallet *w = &r->wallets.of[r->role];
	enum store_result result;

	/* its home stays: this one reads the same files, if it is another */
	result = store_intend_repair(store, &row, r->claim.at_home != 0 ? w->endpoint : r->endpoint->name,
	    strcmp(row.wallet, w->wallet) != 0 ? reason : NULL);
	if (result != STORE_OK)
		return result;
	return store_add_event(store, r->escrow_id, "restore", json_pack("{s:i, s:s, s:i, s:s}", "attempt", row.attempt, "role",
	    repair_role(r), "round", 0, "reason", reason));
}

bool
repair_message(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why)
{
	struct repairer *r = owner;
	json_t *intents = json_object_get(frame, "intents"), *intent = json_array_get(intents, 0);
	char *name;

	*why = "a report that is none of a repair's";
	if (type != MESSAGE_REPORT || json_array_size(intents) != 1 || !is_valid(r, intent))
		return false;
	name = strdup(json_string_value(json_object_get(intent, "wallet")));
	*why = "a report that could not be stored";
	if (name == NULL || !store_enter(r->sv->store) ||
	    store_leave(r->sv->store, write_intent(r, intent)) != STORE_OK) {
		free(name);
		return false;
	}
	return note_when_durable(r, worker, name) &&
	    worker_ack_when_durable(worker, json_integer_value(json_object_get(frame, "serial")));
}

/* --- and back ------------------------------------------------------------------- */

void
repair_forget_before(struct repairer *r)
{
	free(r->before.endpoint);
	free(r->before.wallet);
	free(r->before.stamp);
	memset(&r->before, 0, sizeof r->before);
}

static enum store_result
put_back(struct repairer *r)
{
	struct store *store = r->sv->store;
	struct store_intent row = {.escrow_id = r->escrow_id, .attempt = r->wallets.attempt, .role = (enum role)r->role,
		.wallet = r->before.wallet, .stamp = r->before.stamp, .now = clock_wall_ms()};
	bool renamed = strcmp(r->before.wallet, r->wallets.of[r->role].wallet) != 0;

	return store_intend_repair(store, &row, r->before.endpoint, renamed ? "nothing could be restored under this name" : NULL);
}

void
repair_put_back(struct repairer *r)
{
	if (r->before.wallet == NULL || r->before.stamp == NULL || r->before.endpoint == NULL)
		return;
	if (!store_enter(r->sv->store) || store_leave(r->sv->store, put_back(r)) != STORE_OK) {
		log_error("wallet_name_not_put_back", F_STR("escrow", r->escrow_id), F_STR("role", repair_role(r)),
		    F_STR("wallet", r->before.wallet), F_STR("error", store_error(r->sv->store)));
		return;
	}
	log_info("wallet_name_put_back", F_STR("escrow", r->escrow_id), F_STR("role", repair_role(r)),
	    F_STR("wallet", r->before.wallet));
	free(r->wallets.of[r->role].wallet);
	r->wallets.of[r->role].wallet = r->before.wallet;
	r->before.wallet = NULL;
}

static void *
decode(json_t *finished, const char *key, size_t *size)
{
	const char *text = json_string_value(json_object_get(finished, key));

	return text != NULL ? sealed_from_base64(text, size) : NULL;
}

/* Copies on record that were damaged, or missing, were made anew. */
void
repair_store_copies(struct repairer *r, json_t *finished)
{
	struct store_copies copies = {.keys_round = (int)json_integer_value(json_object_get(finished, "keys_round"))};

	copies.keys = decode(finished, "keys", &copies.keys_size);
	copies.seed = decode(finished, "seed", &copies.seed_size);
	if ((copies.keys != NULL || copies.seed != NULL) &&
	    store_set_copies(r->sv->store, r->escrow_id, r->wallets.attempt, (enum role)r->role, &copies) == STORE_OK)
		log_warn("copies_made_anew", F_STR("escrow", r->escrow_id), F_STR("role", repair_role(r)),
		    F_STR("what", copies.seed == NULL ? "keys" : copies.keys == NULL ? "seed" : "keys, seed"));
	store_copies_clear(&copies);
}
