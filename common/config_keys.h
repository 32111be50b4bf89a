/*
 * The keys of msigd.conf: what each may be, its default, and where it goes. For
 * config.c only.
 */
#ifndef COMMON_CONFIG_KEYS_H
#define COMMON_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

#define ANY_URL "http://HOST:PORT or https://HOST:PORT"

enum { WHY_MAX = 256, PORT_MAX = 65535, SECTION_KEYS_MAX = 32 };

/* One key of a section. */
struct key {
	const char *name;
	/* Reads text into field. False: it is not what rule says, or what why
	 * says when that is filled. */
	bool (*parse)(const struct key *key, const char *text, void *field, char *why);
	size_t field;         /* its offset in the section's struct */
	const char *fallback; /* the default, as text; NULL: the field stays as it is */
	const char *rule;     /* what is allowed: "testnet, stagenet or mainnet" */
	int64_t min, max;
};

/* The sections; the first is the file itself. */
enum { TYPE_TOP, TYPE_ENDPOINT, TYPE_MANAGED, TYPE_COUNT };

extern const struct section_type {
	const char *name;
	const char *shown;
	bool titled;
	const struct key *keys;
	size_t key_count;
} section_types[TYPE_COUNT];

/* NULL: there is none of that name. */
const struct section_type *find_type(const char *name);
const struct key *find_key(const struct section_type *type, const char *name);

/* What the field of a key holds: a string of its own, a duration; and whether
 * what is written there may be a url with user and password in it. */
bool key_is_string(const struct key *key);
bool key_is_duration(const struct key *key);
bool key_may_hold_login(const struct key *key);

#endif
