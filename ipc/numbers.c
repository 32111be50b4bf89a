#include "ipc/numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that the worker calls (the tables of scripts in worker/). */
static const char *const methods[NUMBERS_METHODS] = {
	"change_wallet_password", "close_wallet", "create_wallet", "exchange_multisig_keys", "get_address", "get_attribute",
	"get_balance", "get_height", "get_version", "is_multisig", "make_multisig", "open_wallet", "prepare_multisig",
	"query_key", "restore_deterministic_wallet", "set_attribute", "store", "validate_address", "other"};

/* wallet-rpc's own codes go from 0 down (wallet_rpc_server_error_codes.h);
 * JSON-RPC's come after them. */
enum { OWN_CODES = 51, OTHER_CODE = NUMBERS_CODES - 1 };
static const int json_rpc_codes[NUMBERS_CODES - OWN_CODES - 1] = {-32700, -32600, -32601, -32602, -32603};

static const char *const silences[NUMBERS_SILENCES] = {"down", "refused", "unknown"};
static const char *const copies[NUMBERS_COPIES] = {"read", "written"};

/* From under a millisecond (is_multisig) to 30 s. */
const struct histogram_bounds numbers_call_bounds = {
	14, {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000}};

/* No sum of so many microseconds, bytes or calls is true. */
static const json_int_t number_max = (json_int_t)1 << 50;

const char *
numbers_method_name(int method)
{
	return methods[method];
}

void
numbers_code_name(int code, char out[16])
{
	if (code == OTHER_CODE)
		snprintf(out, 16, "other");
	else
		snprintf(out, 16, "%d", code < OWN_CODES ? -code : json_rpc_codes[code - OWN_CODES]);
}

const char *
numbers_silence_name(enum numbers_silence silence)
{
	return silences[silence];
}

const char *
numbers_copy_name(enum numbers_copy copy)
{
	return copies[copy];
}

int
numbers_method(const char *name)
{
	int i = 0;

	while (i < NUMBERS_METHODS - 1 && strcmp(name, methods[i]) != 0)
		i++;
	return i;
}

int
numbers_code(int64_t code)
{
	if (code <= 0 && code > -OWN_CODES)
		return (int)-code;
	for (int i = OWN_CODES; i < OTHER_CODE; i++) {
		if (json_rpc_codes[i - OWN_CODES] == code)
			return i;
	}
	return OTHER_CODE;
}

void
numbers_add_copy(struct numbers *numbers, enum numbers_copy copy, uint64_t bytes, int64_t us)
{
	numbers->copies[copy].count++;
	numbers->copies[copy].bytes += bytes;
	numbers->copies[copy].us += (uint64_t)us;
}

/* --- to JSON -------------------------------------------------------------- */

/* [microseconds, how many in each bucket …] */
static json_t *
call_json(const struct histogram *h)
{
	json_t *list = json_array();

	json_array_append_new(list, json_integer((json_int_t)h->us));
	for (int i = 0; i <= numbers_call_bounds.count; i++)
		json_array_append_new(list, json_integer((json_int_t)h->buckets[i]));
	return list;
}

/* Under name, unless it is empty. */
static void
put(json_t *object, const char *name, json_t *member)
{
	if (json_object_size(member) > 0)
		json_object_set_new(object, name, member);
	else
		json_decref(member);
}

static void
put_number(json_t *object, const char *name, uint64_t number)
{
	if (number > 0)
		json_object_set_new(object, name, json_integer((json_int_t)number));
}

json_t *
numbers_take(struct numbers *n)
{
	json_t *json = json_object(), *called = json_object(), *errors = json_object(), *silent = json_object(),
	    *copied = json_object();
	char code[16];

	for (int i = 0; i < NUMBERS_METHODS; i++) {
		if (histogram_count(&n->calls[i]) > 0)
			json_object_set_new(called, methods[i], call_json(&n->calls[i]));
	}
	for (int i = 0; i < NUMBERS_CODES; i++) {
		numbers_code_name(i, code);
		put_number(errors, code, n->errors[i]);
	}
	for (int i = 0; i < NUMBERS_SILENCES; i++)
		put_number(silent, silences[i], n->silences[i]);
	for (int i = 0; i < NUMBERS_COPIES; i++) {
		if (n->copies[i].count > 0)
			json_object_set_new(copied, copies[i], json_pack("[I, I, I]", (json_int_t)n->copies[i].count,
			    (json_int_t)n->copies[i].bytes, (json_int_t)n->copies[i].us));
	}
	put(json, "calls", called);
	put(json, "errors", errors);
	put(json, "silences", silent);
	put(json, "copies", copied);
	memset(n, 0, sizeof *n);
	if (json_object_size(json) > 0)
		return json;
	json_decref(json);
	return NULL;
}

/* --- from JSON ------------------------------------------------------------ */

static bool
take_number(json_t *json, uint64_t *number)
{
	json_int_t value = json_integer_value(json);

	if (!json_is_integer(json) || value < 0 || value > number_max)
		return false;
	*number += (uint64_t)value;
	return true;
}

static bool
take_call(struct numbers *n, const char *name, json_t *json)
{
	int method = numbers_method(name);
	struct histogram *h = &n->calls[method];
	bool ok = strcmp(methods[method], name) == 0 && json_array_size(json) == (size_t)numbers_call_bounds.count + 2 &&
	    take_number(json_array_get(json, 0), &h->us);

	for (int i = 0; ok && i <= numbers_call_bounds.count; i++)
		ok = take_number(json_array_get(json, (size_t)i + 1), &h->buckets[i]);
	return ok;
}

static bool
take_error(struct numbers *n, const char *name, json_t *json)
{
	char code[16];

	for (int i = 0; i < NUMBERS_CODES; i++) {
		numbers_code_name(i, code);
		if (strcmp(code, name) == 0)
			return take_number(json, &n->errors[i]);
	}
	return false;
}

static bool
take_silence(struct numbers *n, const char *name, json_t *json)
{
	for (int i = 0; i < NUMBERS_SILENCES; i++) {
		if (strcmp(silences[i], name) == 0)
			return take_number(json, &n->silences[i]);
	}
	return false;
}

static bool
take_copy(struct numbers *n, const char *name, json_t *json)
{
	for (int i = 0; i < NUMBERS_COPIES; i++) {
		if (strcmp(copies[i], name) == 0)
			return json_array_size(json) == 3 && take_number(json_array_get(json, 0), &n->copies[i].count) &&
			    take_number(json_array_get(json, 1), &n->copies[i].bytes) &&
			    take_number(json_array_get(json, 2), &n->copies[i].us);
	}
	return false;
}

static const struct {
	const char *name;
	bool (*take)(struct numbers *n, const char *name, json_t *json);
} members[] = {{"calls", take_call}, {"errors", take_error}, {"silences", take_silence}, {"copies", take_copy}};

static bool
take_all(struct numbers *n, json_t *json)
{
	const char *name;
	json_t *value;

	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		json_object_foreach(json_object_get(json, members[i].name), name, value) {
			if (!members[i].take(n, name, value))
				return false;
		}
	}
	return true;
}

bool
numbers_add(struct numbers *n, json_t *json)
{
	struct numbers sum = *n;

	if (json == NULL)
		return true;
	if (!json_is_object(json) || !take_all(&sum, json))
		return false;
	*n = sum;
	return true;
}
