/* Each method as measured on monero-wallet-rpc: which error comes first, what is
 * written, and when. MONERO.md has it in words. */
#include "tests/stand_in/methods.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 65561 /* 1.25, of Debian's package */, INFOS_MAX = 64 };

static const char multisig_disabled[] = "This wallet is multisig, and multisig is disabled. Multisig is an experimental "
    "feature and may have bugs. Things that could go wrong include: funds sent to a multisig wallet can't be spent at "
    "all, can only be spent with the participation of a malicious group member, or can be stolen by a malicious group "
    "member. You can enable it by running this once in monero-wallet-cli: set enable-multisig-experimental 1";

json_t *
method_fail(struct method_call *call, int code, const char *text)
{
	call->error.code = code;
	snprintf(call->error.message, sizeof call->error.message, "%s", text);
	return NULL;
}

static json_t *
fail_file_name(struct method_call *call)
{
	return method_fail(call, ERROR_UNKNOWN, "Invalid filename");
}

/* --- parameters: one that is missing or null is what it is by default ----- */

static const char *
text_param(const struct method_call *call, const char *name)
{
	const char *text = json_string_value(json_object_get(call->params, name));

	return text != NULL ? text : "";
}

static json_int_t
number_param(const struct method_call *call, const char *name)
{
	return json_integer_value(json_object_get(call->params, name));
}

static bool
bool_param(const struct method_call *call, const char *name, bool otherwise)
{
	const json_t *value = json_object_get(call->params, name);

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* The texts of a list; what is no list counts as none. */
static size_t
infos_param(const struct method_call *call, const char *infos[INFOS_MAX])
{
	const json_t *list = json_object_get(call->params, "multisig_info");
	size_t count = json_array_size(list) < INFOS_MAX ? json_array_size(list) : INFOS_MAX;

	for (size_t i = 0; i < count; i++)
		infos[i] = json_string_value(json_array_get(list, i));
	return count;
}

static const struct {
	const char *name;
	json_type type; /* JSON_TRUE: a boolean */
} param_types[] = {
	{"filename", JSON_STRING}, {"password", JSON_STRING}, {"language", JSON_STRING}, {"key", JSON_STRING},
	{"value", JSON_STRING}, {"key_type", JSON_STRING}, {"address", JSON_STRING}, {"old_password", JSON_STRING},
	{"new_password", JSON_STRING}, {"account_index", JSON_INTEGER}, {"threshold", JSON_INTEGER},
	{"autosave_current", JSON_TRUE}, {"any_net_type", JSON_TRUE}, {"enable_multisig_experimental", JSON_TRUE},
};

static bool
is_of_type(const json_t *value, json_type type)
{
	if (value == NULL || json_is_null(value))
		return true;
	if (type == JSON_TRUE)
		return json_is_boolean(value);
	return json_typeof(value) == type && (type != JSON_INTEGER || json_integer_value(value) >= 0);
}

static bool
is_list_of(const json_t *list, json_type type)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (json_typeof(json_array_get(list, i)) != type)
			return false;
	}
	return true;
}

static bool
params_are_good(const json_t *params)
{
	for (size_t i = 0; i < sizeof param_types / sizeof param_types[0]; i++) {
		if (!is_of_type(json_object_get(params, param_types[i].name), param_types[i].type))
			return false;
	}
	return is_list_of(json_object_get(params, "multisig_info"), JSON_STRING) &&
	    is_list_of(json_object_get(params, "address_index"), JSON_INTEGER);
}

/* --- the process and its wallet ------------------------------------------- */

static json_t *
get_version(struct method_call *call)
{
	(void)call;
	return json_pack("{s:b, s:i}", "release", 0, "version", VERSION);
}

static json_t *
done(struct method_call *call, bool written)
{
	return written ? json_object() : method_fail(call, ERROR_UNKNOWN, "Failed to save file");
}

/* The wallet that was open is stored, and another is in its place. */
static void
replace_wallet(struct method_call *call, struct wallet *wallet, bool store)
{
	if (*call->wallet != NULL && store)
		wallet_write(*call->wallet, WRITE_CACHE);
	wallet_free(*call->wallet);
	*call->wallet = wallet;
}

static bool
is_language(const char *name)
{
	static const char *const languages[] = {"German", "English", "Spanish", "French", "Italian", "Dutch", "Portuguese",
	    "Russian", "Japanese", "Chinese (simplified)", "Esperanto", "Lojban"};

	for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++) {
		if (strcmp(name, languages[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_taken(const char *name)
{
	char keys[FILE_NAME_LONGEST + 16];

	snprintf(keys, sizeof keys, "%.*s.keys", FILE_NAME_LONGEST, name);
	return *name != '\0' && (files_exist(name) || files_exist(keys));
}

static json_t *
create_wallet(struct method_call *call)
{
	const char *name = text_param(call, "filename"), *language = text_param(call, "language");
	struct wallet *wallet;

	if (strchr(name, '/') != NULL || strlen(name) > FILE_NAME_LONGEST)
		return fail_file_name(call);
	if (!is_language(language)) {
		method_fail(call, ERROR_UNKNOWN, "");
		snprintf(call->error.message, sizeof call->error.message, "Unknown language: %s", language);
		return NULL;
	}
	if (is_taken(name))
		return method_fail(call, ERROR_FILE_EXISTS, "Cannot create wallet. Already exists.");
	wallet = wallet_create(name, text_param(call, "password"), call->network, call->torn);
	if (wallet == NULL)
		return method_fail(call, ERROR_UNKNOWN, "Failed to generate wallet");
	replace_wallet(call, wallet, true);
	return json_object();
}

/* The wallet before is stored first, and stays open when this one does not. */
static json_t *
open_wallet(struct method_call *call)
{
	const char *name = text_param(call, "filename");
	struct wallet *wallet;

	if (strchr(name, '/') != NULL)
		return fail_file_name(call);
	if (*call->wallet != NULL && bool_param(call, "autosave_current", true))
		wallet_write(*call->wallet, WRITE_CACHE);
	wallet = wallet_open(name, text_param(call, "password"), call->network, *call->wallet);
	if (wallet == NULL)
		return method_fail(call, ERROR_UNKNOWN, "Failed to open wallet");
	replace_wallet(call, wallet, false);
	return json_object();
}

static json_t *
close_wallet(struct method_call *call)
{
	replace_wallet(call, NULL, bool_param(call, "autosave_current", true));
	return json_object();
}

static json_t *
store(struct method_call *call)
{
	return done(call, wallet_write(*call->wallet, WRITE_CACHE));
}

static json_t *
change_wallet_password(struct method_call *call)
{
	struct wallet *wallet = *call->wallet;

	if (!wallet_has_password(wallet, text_param(call, "old_password")))
		return method_fail(call, ERROR_PASSWORD, "Invalid original password.");
	wallet_set_password(wallet, text_param(call, "new_password"));
	return done(call, wallet_write(wallet, WRITE_KEYS | (call->torn ? 0 : WRITE_CACHE)));
}

/* --- what a wallet says --------------------------------------------------- */

static json_t *
is_multisig(struct method_call *call)
{
	const struct kex *kex = &(*call->wallet)->kex;

	return json_pack("{s:b, s:b, s:i, s:i}", "multisig", kex->multisig, "ready", kex_is_ready(kex), "threshold",
	    kex->threshold, "total", kex->total);
}

static json_t *
get_address(struct method_call *call)
{
	const json_t *indices = json_object_get(call->params, "address_index");
	char address[ADDRESS_LENGTH + 1];

	if (number_param(call, "account_index") > 0)
		return method_fail(call, ERROR_ACCOUNT_INDEX, "account index is out of bound");
	for (size_t i = 0; i < json_array_size(indices); i++) {
		if (json_integer_value(json_array_get(indices, i)) > 0)
			return method_fail(call, ERROR_ADDRESS_INDEX, "address index is out of bound");
	}
	wallet_address(*call->wallet, address);
	return json_pack("{s:s, s:[{s:s, s:i, s:s, s:b}]}", "address", address, "addresses", "address", address,
	    "address_index", 0, "label", "Primary account", "used", 0);
}

static json_t *
validate_address(struct method_call *call)
{
	bool any = bool_param(call, "any_net_type", false), valid;
	struct address_kind kind;

	if (!any && *call->wallet == NULL)
		return method_fail(call, ERROR_NO_WALLET, "No wallet file");
	valid = address_read(text_param(call, "address"), &kind) && (any || kind.network == call->network);
	return json_pack("{s:b, s:s, s:s, s:b, s:b}", "integrated", valid && kind.integrated, "nettype",
	    valid ? network_name(kind.network) : "", "openalias_address", "", "subaddress", valid && kind.subaddress,
	    "valid", valid);
}

static json_t *
get_attribute(struct method_call *call)
{
	json_t *value = json_object_get((*call->wallet)->attributes, text_param(call, "key"));

	return value != NULL ? json_pack("{s:O}", "value", value)
	                     : method_fail(call, ERROR_NO_ATTRIBUTE, "Attribute not found.");
}

static json_t *
set_attribute(struct method_call *call)
{
	json_object_set_new((*call->wallet)->attributes, text_param(call, "key"), json_string(text_param(call, "value")));
	return json_object();
}

static json_t *
get_balance(struct method_call *call)
{
	(void)call;
	return json_pack("{s:i, s:i, s:b, s:i, s:i}", "balance", 0, "blocks_to_unlock", 0, "multisig_import_needed", 0,
	    "time_to_unlock", 0, "unlocked_balance", 0);
}

static json_t *
get_height(struct method_call *call)
{
	(void)call;
	return json_pack("{s:i}", "height", 1);
}

static json_t *
refresh(struct method_call *call)
{
	(void)call;
	return json_pack("{s:i, s:b}", "blocks_fetched", 0, "received_money", 0);
}

/* 25 words, as many as a real one has, and a seed of nothing. */
static void
write_words(const struct kex *kex, char out[KEX_SEED_MAX])
{
	static const char *const words[16] = {"abbey", "bamboo", "cactus", "dagger", "eagle", "fabric", "gadget", "haggled",
	    "icing", "jaded", "karate", "lagoon", "macro", "nabbing", "oaks", "pact"};
	uint8_t key[KEY_SIZE];
	size_t size = 0;

	kex_derive(kex, "words", key);
	for (int i = 0; i < 25; i++)
		size += (size_t)snprintf(out + size, KEX_SEED_MAX - size, "%s%s", i > 0 ? " " : "", words[key[i] % 16]);
}

static json_t *
query_key(struct method_call *call)
{
	const struct kex *kex = &(*call->wallet)->kex;
	const char *type = text_param(call, "key_type");
	char text[KEX_SEED_MAX];
	uint8_t key[KEY_SIZE];

	if (strcmp(type, "mnemonic") == 0 && kex->multisig && !kex_is_ready(kex))
		return method_fail(call, ERROR_NOT_MULTISIG, "This wallet is multisig, but not yet finalized");
	if (strcmp(type, "mnemonic") == 0 && kex->multisig) {
		kex_seed(kex, text);
	} else if (strcmp(type, "mnemonic") == 0) {
		write_words(kex, text);
	} else if (strcmp(type, "view_key") == 0 || strcmp(type, "spend_key") == 0) {
		kex_derive(kex, type, key);
		sodium_bin2hex(text, sizeof text, key, sizeof key);
	} else {
		method_fail(call, 0, "");
		snprintf(call->error.message, sizeof call->error.message, "key_type %.64s not found", type);
		return NULL;
	}
	return json_pack("{s:s}", "key", text);
}

/* --- the key exchange ----------------------------------------------------- */

/* The flag gets to the disk only with the next .keys: a wallet that is closed
 * or killed before has lost it. */
static json_t *
prepare_multisig(struct method_call *call)
{
	struct kex *kex = &(*call->wallet)->kex;
	char message[KEX_MESSAGE_MAX];

	if (kex->multisig)
		return method_fail(call, ERROR_ALREADY_MULTISIG, "This wallet is already multisig");
	kex->experimental = bool_param(call, "enable_multisig_experimental", false);
	kex_first_message(kex, message);
	return json_pack("{s:s}", "multisig_info", message);
}

static json_t *
make_multisig(struct method_call *call)
{
	struct wallet *wallet = *call->wallet;
	const char *infos[INFOS_MAX];
	char message[KEX_MESSAGE_MAX], address[ADDRESS_LENGTH + 1], why[KEX_WHY_MAX];
	json_int_t threshold = number_param(call, "threshold");

	if (wallet->kex.multisig)
		return method_fail(call, ERROR_ALREADY_MULTISIG, "This wallet is already multisig");
	if (!kex_make(&wallet->kex, infos, infos_param(call, infos), threshold < UINT8_MAX ? (unsigned)threshold : UINT8_MAX,
	    message, why))
		return method_fail(call, ERROR_UNKNOWN, why);
	wallet_take_password(wallet, text_param(call, "password"));
	if (!wallet_write(wallet, WRITE_KEYS | (call->torn ? 0 : WRITE_CACHE)))
		return done(call, false);
	wallet_address(wallet, address);
	return json_pack("{s:s, s:s}", "address", address, "multisig_info", message);
}

/* NULL: the exchange may be tried. */
static const char *
forbid_exchange(const struct kex *kex, size_t infos, int *code)
{
	if (!kex->multisig) {
		*code = ERROR_NOT_MULTISIG;
		return "This wallet is not multisig";
	}
	if (kex_is_ready(kex)) {
		*code = ERROR_ALREADY_MULTISIG;
		return "This wallet is multisig, and already finalized";
	}
	if (!kex->experimental) {
		*code = ERROR_MULTISIG_DISABLED;
		return multisig_disabled;
	}
	*code = ERROR_MORE_INFOS;
	return infos + 1 < kex->total ? "Needs multisig info from more participants" : NULL;
}

/* Writes the cache only with the last round: killed after the one before, the
 * wallet is torn. */
static json_t *
exchange_multisig_keys(struct method_call *call)
{
	struct wallet *wallet = *call->wallet;
	const char *infos[INFOS_MAX], *forbidden;
	size_t count = infos_param(call, infos);
	char message[KEX_MESSAGE_MAX], address[ADDRESS_LENGTH + 1] = "", why[KEX_WHY_MAX];
	int code;

	forbidden = forbid_exchange(&wallet->kex, count, &code);
	if (forbidden != NULL)
		return method_fail(call, code, forbidden);
	if (!kex_exchange(&wallet->kex, infos, count, message, why)) {
		method_fail(call, ERROR_UNKNOWN, "");
		snprintf(call->error.message, sizeof call->error.message, "Error calling exchange_multisig_info: %s", why);
		return NULL;
	}
	wallet_take_password(wallet, text_param(call, "password"));
	if (!wallet_write(wallet, WRITE_KEYS | (kex_is_ready(&wallet->kex) && !call->torn ? WRITE_CACHE : 0)))
		return done(call, false);
	if (kex_is_ready(&wallet->kex))
		wallet_address(wallet, address);
	return json_pack("{s:s, s:s}", "address", address, "multisig_info", message);
}

/* --- all of them ---------------------------------------------------------- */

static const struct {
	const char *name;
	json_t *(*run)(struct method_call *call);
	bool needs_wallet;
	bool changing;
} methods[METHOD_COUNT] = {
	[METHOD_GET_VERSION] = {"get_version", get_version, false, false},
	[METHOD_CREATE_WALLET] = {"create_wallet", create_wallet, false, true},
	[METHOD_OPEN_WALLET] = {"open_wallet", open_wallet, false, true},
	[METHOD_CLOSE_WALLET] = {"close_wallet", close_wallet, true, true},
	[METHOD_STORE] = {"store", store, true, true},
	[METHOD_IS_MULTISIG] = {"is_multisig", is_multisig, true, false},
	[METHOD_GET_ADDRESS] = {"get_address", get_address, true, false},
	[METHOD_VALIDATE_ADDRESS] = {"validate_address", validate_address, false, false},
	[METHOD_GET_ATTRIBUTE] = {"get_attribute", get_attribute, true, false},
	[METHOD_SET_ATTRIBUTE] = {"set_attribute", set_attribute, true, false},
	[METHOD_CHANGE_WALLET_PASSWORD] = {"change_wallet_password", change_wallet_password, true, true},
	[METHOD_PREPARE_MULTISIG] = {"prepare_multisig", prepare_multisig, true, true},
	[METHOD_MAKE_MULTISIG] = {"make_multisig", make_multisig, true, true},
	[METHOD_EXCHANGE_MULTISIG_KEYS] = {"exchange_multisig_keys", exchange_multisig_keys, true, true},
	[METHOD_QUERY_KEY] = {"query_key", query_key, true, false},
	[METHOD_GET_BALANCE] = {"get_balance", get_balance, true, false},
	[METHOD_GET_HEIGHT] = {"get_height", get_height, true, false},
	[METHOD_REFRESH] = {"refresh", refresh, true, false},
	[METHOD_STOP_WALLET] = {"stop_wallet", store, true, true},
};

enum method
method_find(const char *name)
{
	int i = 0;

	while (i < METHOD_COUNT && strcmp(methods[i].name, name) != 0)
		i++;
	return (enum method)i;
}

const char *
method_name(enum method method)
{
	return methods[method].name;
}

bool
method_is_changing(enum method method)
{
	return methods[method].changing;
}

json_t *
method_run(enum method method, struct method_call *call)
{
	if (!params_are_good(call->params))
		return method_fail(call, ERROR_INVALID_PARAMS, "Invalid params");
	if (methods[method].needs_wallet && *call->wallet == NULL)
		return method_fail(call, ERROR_NO_WALLET, "No wallet file");
	return methods[method].run(call);
}
