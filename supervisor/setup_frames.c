#include "supervisor/setup_frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/seal.h"
#include "common/text.h"
#include "supervisor/endpoint.h"
#include "supervisor/setup_trace.h"
#include "supervisor/supervisor.h"

enum { ADDRESS_LENGTH = 95, STAMP_MAX = 256 };

/* --- shape ---------------------------------------------------------------- */

/* The kex rounds a call may belong to (ipc/message.h). */
static const struct {
	const char *call;
	int first, last;
} calls[] = {
	{"create_wallet", 0, 0},
	{"prepare_multisig", 1, 1},
	{"make_multisig", 2, 2},
	{"exchange_multisig_keys", 3, 64},
};

static const char *
text_of(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int
round_of(json_t *step)
{
	return (int)json_integer_value(json_object_get(step, "round"));
}

static bool
managed_role(const struct escrow *e, json_t *object, enum role *role)
{
	const char *name = text_of(object, "role");

	return name != NULL && role_parse(name, false, role) && (e->claim.needs & ROLE_BIT(*role)) != 0;
}

void
setup_wallet_name(const struct escrow *e, enum role role, char out[SETUP_WALLET_MAX])
{
	snprintf(out, SETUP_WALLET_MAX, "%s-%d-%s", e->id, e->guard.attempt, role_name(role));
}

/* Another of the same role: its name, '-', eight hexadecimal digits. */
static bool
is_another(const char *wallet, const char *own)
{
	size_t length = strlen(own);

	return strncmp(wallet, own, length) == 0 && wallet[length] == '-' && strlen(wallet + length + 1) == 8 &&
	    strspn(wallet + length + 1, "0123456789abcdef") == 8;
}

/* A wallet is the spare that was given for the role, or a new one. */
static bool
valid_wallet(const struct escrow *e, json_t *intent)
{
	const char *wallet = text_of(intent, "wallet"), *stamp = text_of(intent, "stamp"), *spare;
	char own[SETUP_WALLET_MAX];
	enum role role;

	if (wallet == NULL || stamp == NULL || strlen(stamp) > STAMP_MAX || !managed_role(e, intent, &role))
		return false;
	setup_wallet_name(e, role, own);
	spare = text_of(e->spares[role], "wallet");
	return strcmp(wallet, own) == 0 || is_another(wallet, own) || (spare != NULL && strcmp(wallet, spare) == 0);
}

static bool
valid_step(const struct escrow *e, json_t *step)
{
	const char *call = text_of(step, "call");
	enum role role;
	int round = round_of(step);

	if (!managed_role(e, step, &role) || call == NULL || !json_is_integer(json_object_get(step, "round")))
		return false;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		if (strcmp(call, calls[i].call) == 0)
			return round >= calls[i].first && round <= calls[i].last;
	}
	return false;
}

/* Never the name that a wallet was made with: its files may be there. */
static bool
valid_restore(const struct escrow *e, json_t *intent)
{
	const char *wallet = text_of(intent, "wallet");
	char own[SETUP_WALLET_MAX];
	enum role role;

	if (!e->resumed || !valid_wallet(e, intent) || text_of(intent, "reason") == NULL || !managed_role(e, intent, &role))
		return false;
	setup_wallet_name(e, role, own);
	return is_another(wallet, own) || MSIGD_MISTAKE_RESTORE_OVER;
}

static bool
is_restore(json_t *intent)
{
	const char *call = text_of(intent, "call");

	return call != NULL && strcmp(call, "restore") == 0;
}

static bool
valid_intent(const struct escrow *e, json_t *intent)
{
	if (is_restore(intent))
		return valid_restore(e, intent);
	if (!valid_step(e, intent) || (round_of(intent) == 0) != (text_of(intent, "password") != NULL))
		return false;
	if (json_is_true(json_object_get(intent, "again")) && !e->resumed)
		return false;
	return round_of(intent) != 0 || valid_wallet(e, intent);
}

static bool
valid_keys(json_t *step)
{
	const char *sha256 = text_of(step, "keys_sha256");

	return text_of(step, "keys") == NULL || (sha256 != NULL && strlen(sha256) == 64);
}

static bool
valid_message(json_t *message)
{
	const char *sha256 = text_of(message, "sha256");

	return message == NULL || (json_integer_value(json_object_get(message, "length")) > 0 &&
	    sha256 != NULL && strlen(sha256) == 64 && text_of(message, "sealed") != NULL);
}

static bool
valid_report(const struct escrow *e, json_t *frame)
{
	json_t *results = json_object_get(frame, "results"), *intents = json_object_get(frame, "intents"), *step;
	size_t i;

	if (json_array_size(results) + json_array_size(intents) == 0)
		return false;
	json_array_foreach(results, i, step) {
		if (!valid_step(e, step) || !valid_keys(step) || !valid_message(json_object_get(step, "message")))
			return false;
	}
	json_array_foreach(intents, i, step) {
		if (!valid_intent(e, step))
			return false;
	}
	return true;
}

bool
setup_address_valid(const char *address)
{
	static const char base58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

	return strlen(address) == ADDRESS_LENGTH && strspn(address, base58) == ADDRESS_LENGTH;
}

static bool
valid_publish(const struct escrow *e, json_t *frame)
{
	const char *address = text_of(frame, "address");
	json_t *participant;
	unsigned seen = 0;
	size_t i;

	if (address == NULL || !setup_address_valid(address))
		return false;
	json_array_foreach(json_object_get(frame, "participants"), i, participant) {
		enum role role;
		if (!managed_role(e, participant, &role) || text_of(participant, "seed") == NULL)
			return false;
		seen |= ROLE_BIT(role);
	}
	return seen == e->claim.needs;
}

bool
setup_frame_valid(const struct escrow *e, enum message_type type, json_t *frame, const char **why)
{
	if (!json_is_integer(json_object_get(frame, "serial"))) {
		*why = "a message without a serial";
		return false;
	}
	if (type == MESSAGE_PUBLISH) {
		*why = "a publish that lacks an address or a seed";
		return valid_publish(e, frame);
	}
	*why = "a report whose results or intents are not steps of this escrow";
	return type == MESSAGE_REPORT && valid_report(e, frame);
}

/* --- notes ---------------------------------------------------------------- */

bool
setup_note_delay(struct supervisor *sv, const char *escrow_id, json_t *frame)
{
	const char *what = text_of(frame, "what"), *kind = text_of(frame, "kind"), *role = text_of(frame, "role");
	json_int_t asked = json_integer_value(json_object_get(frame, "asked_ms"));
	json_int_t measured = json_integer_value(json_object_get(frame, "measured_ms"));

	if (what == NULL || strcmp(what, "delay") != 0 || kind == NULL || measured < 0 ||
	    !metrics_delay(&sv->metrics, kind, measured))
		return false;
	log_info("delay", F_STR("escrow", escrow_id), F_STR("role", role), F_STR("kind", kind), F_INT("asked_ms", asked),
	    F_INT("measured_ms", measured));
	return true;
}

void
setup_tell_pollution(struct escrow *e, enum role role, const char *wallet, const char *found, const char *found_escrow)
{
	struct endpoint *ep = e->endpoints[role];

	e->polluted |= ROLE_BIT(role);
	ep->pollutions++;
	e->sv->metrics.pollutions++;
	setup_trace_pollution(e, role, wallet, found, found_escrow);
	log_warn("wallet_polluted", F_STR("escrow", e->id), F_INT("attempt", e->guard.attempt), F_STR("role", role_name(role)),
	    F_STR("endpoint", ep->name), F_STR("wallet", wallet), F_STR("found", found), F_STR("found_escrow", found_escrow));
	store_add_event(e->sv->store, e->id, "pollution", json_pack("{s:i, s:s, s:s, s:s*, s:s, s:s*}", "attempt",
	    e->guard.attempt, "role", role_name(role), "name", ep->name, "wallet", wallet, "found", found,
	    "found_escrow", found_escrow));
}

static bool
note_pollution(struct escrow *e, json_t *frame)
{
	const char *wallet = text_of(frame, "wallet"), *found = text_of(frame, "found");
	enum role role;

	if (wallet == NULL || found == NULL || !managed_role(e, frame, &role) || e->endpoints[role] == NULL)
		return false;
	setup_tell_pollution(e, role, wallet, found, text_of(frame, "found_escrow"));
	return true;
}

bool
setup_note(struct escrow *e, json_t *frame)
{
	const char *what = text_of(frame, "what");

	if (what != NULL && strcmp(what, "pollution") == 0)
		return note_pollution(e, frame);
	return setup_note_delay(e->sv, e->id, frame);
}

/* --- writing -------------------------------------------------------------- */

struct blob {
	unsigned char *data;
	size_t size;
};

/* Decodes base64; nothing when text is NULL. False: it is no base64. */
static bool
decode(const char *text, struct blob *blob)
{
	*blob = (struct blob){NULL, 0};
	if (text == NULL)
		return true;
	blob->data = sealed_from_base64(text, &blob->size);
	return blob->data != NULL && blob->size > 0;
}

static enum store_result
store_result_of(struct escrow *e, json_t *step)
{
	json_t *message = json_object_get(step, "message");
	struct blob keys = {NULL, 0}, sealed = {NULL, 0};
	struct store_step_result row = {.escrow_id = e->id, .attempt = e->guard.attempt, .now = clock_wall_ms()};
	enum store_result result = STORE_CONFLICT;

	role_parse(text_of(step, "role"), false, &row.role);
	row.round = round_of(step);
	row.call = text_of(step, "call");
	row.duration_ms = json_integer_value(json_object_get(step, "duration_ms"));
	if (decode(text_of(step, "keys"), &keys) && decode(text_of(message, "sealed"), &sealed)) {
		row.keys = keys.data;
		row.keys_size = keys.size;
		row.keys_sha256 = text_of(step, "keys_sha256");
		row.message = sealed.data;
		row.message_size = sealed.size;
		row.message_length = (int)json_integer_value(json_object_get(message, "length"));
		row.message_sha256 = text_of(message, "sha256");
		result = store_add_result(e->sv->store, &row);
	}
	free(keys.data);
	free(sealed.data);
	if (result == STORE_OK)
		result = store_add_event(e->sv->store, e->id, "step", json_pack("{s:i, s:s, s:s, s:i, s:I}",
		    "attempt", e->guard.attempt, "role", role_name(row.role), "call", row.call, "round", row.round,
		    "duration_ms", (json_int_t)row.duration_ms));
	return result;
}

/* The first intent of a kex round brings the attempt into it. */
static enum store_result
enter_round(struct escrow *e, int round)
{
	enum store_result result;

	if (round < 2 || round <= e->guard.round)
		return STORE_OK;
	result = store_start_round(e->sv->store, &e->guard, round);
	if (result != STORE_OK)
		return result;
	return store_add_event(e->sv->store, e->id, "phase", json_pack("{s:i, s:s, s:i}", "attempt", e->guard.attempt,
	    "phase", phase_name(PHASE_EXCHANGING), "round", round));
}

/* The spare that was given for it was not what it should be. */
static enum store_result
tell_lost_spare(struct escrow *e, json_t *intent, enum role role)
{
	json_t *lost = json_object_get(intent, "lost_spare");
	const char *why = text_of(lost, "reason");

	if (why == NULL || e->endpoints[role] == NULL)
		return STORE_OK;
	return store_add_event(e->sv->store, e->id, "spare_lost", json_pack("{s:s, s:s, s:b, s:s}", "role", role_name(role),
	    "name", e->endpoints[role]->name, "polluted", json_is_true(json_object_get(lost, "polluted")), "reason", why));
}

static enum store_result
store_restore_of(struct escrow *e, json_t *intent)
{
	struct store_intent row = {.escrow_id = e->id, .attempt = e->guard.attempt, .now = clock_wall_ms(),
		.wallet = text_of(intent, "wallet"), .stamp = text_of(intent, "stamp")};
	char reason[STORE_REASON_MAX];
	enum store_result result;

	text_copy(reason, sizeof reason, text_of(intent, "reason"));
	role_parse(text_of(intent, "role"), false, &row.role);
	result = store_intend_restore(e->sv->store, &row, reason);
	if (result != STORE_OK)
		return result;
	return store_add_event(e->sv->store, e->id, "restore", json_pack("{s:i, s:s, s:i, s:s}", "attempt",
	    e->guard.attempt, "role", role_name(row.role), "round", round_of(intent), "reason", reason));
}

static enum store_result
store_intent_of(struct escrow *e, json_t *step)
{
	struct store_intent row = {.escrow_id = e->id, .attempt = e->guard.attempt, .now = clock_wall_ms()};
	struct blob password;
	enum store_result result;

	if (is_restore(step))
		return store_restore_of(e, step);
	result = enter_round(e, round_of(step));
	if (result != STORE_OK)
		return result;
	if (!decode(text_of(step, "password"), &password)) {
		free(password.data);
		return STORE_CONFLICT;
	}
	role_parse(text_of(step, "role"), false, &row.role);
	row.round = round_of(step);
	row.call = text_of(step, "call");
	row.wallet = text_of(step, "wallet");
	row.stamp = text_of(step, "stamp");
	row.password = password.data;
	row.password_size = password.size;
	result = json_is_true(json_object_get(step, "again")) ? store_intend_again(e->sv->store, &row)
	    : store_add_intent(e->sv->store, &row);
	free(password.data);
	return result == STORE_OK ? tell_lost_spare(e, step, row.role) : result;
}

enum store_result
setup_store_report(struct escrow *e, json_t *frame)
{
	enum store_result result = STORE_OK;
	json_t *step;
	size_t i;

	if (!store_enter(e->sv->store))
		return STORE_FAILED;
	json_array_foreach(json_object_get(frame, "results"), i, step) {
		if (result == STORE_OK)
			result = store_result_of(e, step);
	}
	json_array_foreach(json_object_get(frame, "intents"), i, step) {
		if (result == STORE_OK)
			result = store_intent_of(e, step);
	}
	return store_leave(e->sv->store, result);
}

static enum store_result
write_publication(struct escrow *e, json_t *frame, struct blob seeds[ROLE_COUNT])
{
	struct store_publication p = {
		.address = text_of(frame, "address"),
		.verified = json_is_true(json_object_get(frame, "verified")),
		.now = clock_wall_ms(),
	};
	json_t *participant;
	size_t i;

	json_array_foreach(json_object_get(frame, "participants"), i, participant) {
		enum role role;
		role_parse(text_of(participant, "role"), false, &role);
		if (seeds[role].data != NULL || !decode(text_of(participant, "seed"), &seeds[role]))
			return STORE_CONFLICT;
		p.roles[role].seed = seeds[role].data;
		p.roles[role].seed_size = seeds[role].size;
	}
	return store_publish(e->sv->store, &e->guard, &p);
}

enum store_result
setup_store_publish(struct escrow *e, json_t *frame)
{
	struct blob seeds[ROLE_COUNT] = {{NULL, 0}};
	enum store_result result;

	if (!store_enter(e->sv->store))
		return STORE_FAILED;
	result = write_publication(e, frame, seeds);
	for (int r = 0; r < ROLE_COUNT; r++)
		free(seeds[r].data);
	if (result == STORE_OK)
		result = store_add_event(e->sv->store, e->id, "phase", json_pack("{s:i, s:s, s:s}",
		    "attempt", e->guard.attempt, "phase", phase_name(PHASE_READY), "address", text_of(frame, "address")));
	return store_leave(e->sv->store, result);
}

/* --- for status ----------------------------------------------------------- */

/* What became of the spare that was given for a role. */
static void
count_spare(struct escrow *e, json_t *intent, enum role role)
{
	json_t *lost = json_object_get(intent, "lost_spare");
	struct metrics *m = &e->sv->metrics;

	if (e->spares[role] == NULL)
		return;
	if (lost == NULL) {
		m->spares_used++;
		return;
	}
	m->spares_lost++;
	m->pollutions += json_is_true(json_object_get(lost, "polluted")) ? 1 : 0;
	if (json_is_true(json_object_get(lost, "polluted")) && e->endpoints[role] != NULL)
		setup_trace_pollution(e, role, text_of(e->spares[role], "wallet"), text_of(lost, "reason"), NULL);
	log_warn(json_is_true(json_object_get(lost, "polluted")) ? "spare_polluted" : "spare_lost", F_STR("escrow", e->id),
	    F_STR("role", role_name(role)), F_STR("endpoint", e->endpoints[role] != NULL ? e->endpoints[role]->name : NULL),
	    F_STR("reason", text_of(lost, "reason")));
}

void
setup_note_answered(struct escrow *e, json_t *frame)
{
	json_t *step;
	enum role role;
	size_t i;

	json_array_foreach(json_object_get(frame, "results"), i, step) {
		if (role_parse(text_of(step, "role"), false, &role))
			e->open[role].call[0] = '\0';
	}
}

void
setup_note_open(struct escrow *e, json_t *frame)
{
	json_t *step;
	enum role role;
	size_t i;

	json_array_foreach(json_object_get(frame, "intents"), i, step) {
		if (!role_parse(text_of(step, "role"), false, &role))
			continue;
		snprintf(e->open[role].call, sizeof e->open[role].call, "%s", text_of(step, "call"));
		if (round_of(step) == 0)
			count_spare(e, step, role);
	}
}
