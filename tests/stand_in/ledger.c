#include "tests/stand_in/ledger.h"

#include <sha2.h>
#include <stdio.h>

#include "tests/stand_in/files.h"

static json_t *entries;

static json_t *
digest(const json_t *text)
{
	char hex[SHA256_DIGEST_STRING_LENGTH];

	if (!json_is_string(text))
		return json_null();
	return json_string(SHA256Data((const uint8_t *)json_string_value(text), json_string_length(text), hex));
}

static json_t *
digests(const json_t *texts)
{
	json_t *found = json_array(), *text;
	size_t i;

	json_array_foreach(texts, i, text)
		json_array_append_new(found, digest(text));
	return found;
}

void
ledger_add(int port, enum method method, const char *wallet, const json_t *params, int error)
{
	char keys[FILE_NAME_LONGEST + 16];

	if (!files_on_disk() || (!method_is_changing(method) && method != METHOD_SET_ATTRIBUTE))
		return;
	if (entries == NULL)
		entries = json_array();
	snprintf(keys, sizeof keys, "%.*s.keys", FILE_NAME_LONGEST, wallet);
	json_array_append_new(entries, json_pack("{s:i, s:s, s:s, s:i, s:I, s:o, s:o}", "port", port, "call",
	    method_name(method), "wallet", wallet, "error", error, "keys", (json_int_t)files_inode(keys),
	    "password", digest(json_object_get(params, "password")),
	    "messages", digests(json_object_get(params, "multisig_info"))));
}

json_t *
ledger_entries(void)
{
	return entries != NULL ? json_incref(entries) : json_array();
}

void
ledger_free(void)
{
	json_decref(entries);
	entries = NULL;
}
