#include "common/config_keys.h"

#include <confuse.h>
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- values ---- */

static bool
copy_text(const char *text, char **field, char *why)
{
	*field = strdup(text);
	if (*field == NULL)
		snprintf(why, WHY_MAX, "cannot be kept: out of memory");
	return *field != NULL;
}

static bool
parse_text(const struct key *key, const char *text, void *field, char *why)
{
	(void)key;
	return *text != '\0' && copy_text(text, field, why);
}

static bool
parse_path(const struct key *key, const char *text, void *field, char *why)
{
	size_t length = strlen(text);
	char *path;

	if (text[0] != '/')
		return false;
	if (length >= PATH_MAX) {
		snprintf(why, WHY_MAX, "is longer than a path may be (%d bytes)", PATH_MAX - 1);
		return false;
	}
	if (!parse_text(key, text, field, why))
		return false;
	path = *(char **)field;
	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
	return true;
}

static bool
parse_path_or_empty(const struct key *key, const char *text, void *field, char *why)
{
	if (*text != '\0')
		return parse_path(key, text, field, why);
	return copy_text(text, field, why);
}

static bool
parse_program(const struct key *key, const char *text, void *field, char *why)
{
	if (strchr(text, '/') != NULL)
		return parse_path(key, text, field, why);
	return parse_text(key, text, field, why);
}

static bool
parse_duration(const struct key *key, const char *text, void *field, char *why)
{
	int64_t ms;

	if (!duration_parse(text, &ms))
		return false;
	if (ms < key->min) {
		snprintf(why, WHY_MAX, "is too short; at least %d ms", (int)key->min);
		return false;
	}
	*(int64_t *)field = ms;
	return true;
}

static bool
parse_number(const struct key *key, const char *text, void *field, char *why)
{
	int64_t number = 0;

	snprintf(why, WHY_MAX, "is not a whole number from %lld to %lld", (long long)key->min, (long long)key->max);
	if (*text == '\0')
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if (!isdigit((unsigned char)*c))
			return false;
		number = number * 10 + (*c - '0');
		if (number > key->max)
			return false;
	}
	if (number < key->min)
		return false;
	*(int *)field = (int)number;
	return true;
}

static bool
parse_bool(const struct key *key, const char *text, void *field, char *why)
{
	int truth = cfg_parse_boolean(text);

	(void)key, (void)why;
	if (truth != 0 && truth != 1)
		return false;
	*(bool *)field = truth == 1;
	return true;
}

static bool
parse_network(const struct key *key, const char *text, void *field, char *why)
{
	(void)key, (void)why;
	return network_parse(text, field);
}

static bool
parse_role(const struct key *key, const char *text, void *field, char *why)
{
	(void)key, (void)why;
	return role_parse(text, true, field);
}

static bool
parse_log_level(const struct key *key, const char *text, void *field, char *why)
{
	(void)key, (void)why;
	return log_level_parse(text, field);
}

/* True, and which, when text is one of two. */
static bool
one_of_two(const char *text, const char *first, const char *second, bool *is_second)
{
	*is_second = strcmp(text, second) == 0;
	return *is_second || strcmp(text, first) == 0;
}

static bool
parse_log_format(const struct key *key, const char *text, void *field, char *why)
{
	bool json;

	(void)key, (void)why;
	if (!one_of_two(text, "text", "json", &json))
		return false;
	*(enum log_format *)field = json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
	return true;
}

static bool
parse_gate(const struct key *key, const char *text, void *field, char *why)
{
	bool reopen;

	(void)key, (void)why;
	if (!one_of_two(text, "seed", "reopen", &reopen))
		return false;
	*(enum gate *)field = reopen ? GATE_REOPEN : GATE_SEED;
	return true;
}

static bool
parse_endpoint_url(const struct key *key, const char *text, void *field, char *why)
{
	char reason[WHY_MAX - 16];

	(void)key;
	if (url_parse(text, field, reason, sizeof reason))
		return true;
	snprintf(why, WHY_MAX, "is no url: %s", reason);
	return false;
}

/* As monero-wallet-rpc's --daemon-address takes it: the scheme may be left out. */
static bool
parse_daemon_address(const struct key *key, const char *text, void *field, char *why)
{
	char full[PATH_MAX], reason[WHY_MAX - 16];
	struct url url;

	if (*text == '\0')
		return false;
	snprintf(full, sizeof full, "%s%s", strstr(text, "://") == NULL ? "http://" : "", text);
	if (!url_parse(full, &url, reason, sizeof reason)) {
		snprintf(why, WHY_MAX, "is no address: %s", reason);
		return false;
	}
	return parse_text(key, text, field, why);
}

/* ---- the keys ---- */

#define ABSOLUTE "an absolute path (it begins with \"/\")"
#define BOOLEAN "true or false (yes, no, on and off will do)"
#define DURATION(name, field, fallback, min) {name, parse_duration, offsetof(struct config, field), fallback, NULL, min, 0}
#define NUMBER(name, type, field, fallback, min, max) {name, parse_number, offsetof(struct type, field), fallback, NULL, min, max}
#define BOOL(name, type, field, fallback) {name, parse_bool, offsetof(struct type, field), fallback, BOOLEAN, 0, 0}
#define PATH(name, type, field, fallback) {name, parse_path, offsetof(struct type, field), fallback, ABSOLUTE, 0, 0}

static const struct key general_keys[] = {
	{"network", parse_network, offsetof(struct config, network), "testnet", "testnet, stagenet or mainnet", 0, 0},
	PATH("state-dir", config, state_dir, "/var/lib/msigd"),
	PATH("run-dir", config, run_dir, "/run/msigd"),
	PATH("lock-dir", config, lock_dir, "/run/lock/msigd"),
	/* without a default of their own: they lie under state-dir and run-dir */
	PATH("wallet-dir", config, wallet_dir, NULL),
	PATH("trace-dir", config, trace_dir, NULL),
	PATH("socket", config, socket, NULL),
	PATH("key-file", config, key_file, NULL),
	{"log-level", parse_log_level, offsetof(struct config, log_level), "info", "error, warn, info or debug", 0, 0},
	{"log-format", parse_log_format, offsetof(struct config, log_format), "text", "text or json", 0, 0},
	BOOL("instrumentation", config, instrumentation, "false"),
	DURATION("trace-keep", trace_keep_ms, "7d", 0),
	DURATION("setup-timeout", setup_timeout_ms, "10m", 1),
	NUMBER("max-attempts", config, max_attempts, "3", 1, 100),
	NUMBER("queue-max", config, queue_max, "100000", 1, 1000000),
	DURATION("stagger-delay", stagger_delay_ms, "0", 0),
	DURATION("pollution-delay", pollution_delay_ms, "10s", 0),
	NUMBER("session-max", config, session_max, "10", 0, 1000000),
	DURATION("session-ttl", session_ttl_ms, "2h", 0),
	BOOL("spares", config, spares, "true"),
	{"gate", parse_gate, offsetof(struct config, gate), "seed", "seed or reopen", 0, 0},
	PATH("metrics-file", config, metrics_file, NULL),
};

static const struct key endpoint_keys[] = {
	{"url", parse_endpoint_url, offsetof(struct config_endpoint, url), NULL, ANY_URL, 0, 0},
	{"role", parse_role, offsetof(struct config_endpoint, role), "any", "any, buyer, vendor or arbiter", 0, 0},
	PATH("login-file", config_endpoint, login_file, NULL),
	PATH("ca-file", config_endpoint, ca_file, NULL),
	{"wallet-dir", parse_path_or_empty, offsetof(struct config_endpoint, wallet_dir), NULL,
	    ABSOLUTE ", or \"\" when msigd cannot read this endpoint's files", 0, 0},
	BOOL("insecure", config_endpoint, insecure, "false"),
};

static const struct key managed_keys[] = {
	{"program", parse_program, offsetof(struct config_managed, program), "monero-wallet-rpc",
	    "a program's name, looked up in PATH, or its absolute path", 0, 0},
	NUMBER("count", config_managed, count, "6", 1, 1000),
	NUMBER("port-base", config_managed, port_base, "18082", 1, PORT_MAX),
	BOOL("offline", config_managed, offline, "true"),
	{"daemon-address", parse_daemon_address, offsetof(struct config_managed, daemon_address), NULL,
	    "HOST:PORT of a monerod", 0, 0},
};

_Static_assert(LENGTH(general_keys) <= SECTION_KEYS_MAX && LENGTH(endpoint_keys) <= SECTION_KEYS_MAX &&
    LENGTH(managed_keys) <= SECTION_KEYS_MAX, "SECTION_KEYS_MAX is too small");

const struct section_type section_types[TYPE_COUNT] = {
	{"", "at the top of the file", false, general_keys, LENGTH(general_keys)},
	{"endpoint", "endpoint \"NAME\" { … }", true, endpoint_keys, LENGTH(endpoint_keys)},
	{"managed", "managed { … }", false, managed_keys, LENGTH(managed_keys)},
};

const struct section_type *
find_type(const char *name)
{
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		if (strcmp(section_types[i].name, name) == 0)
			return &section_types[i];
	}
	return NULL;
}

const struct key *
find_key(const struct section_type *type, const char *name)
{
	for (size_t i = 0; i < type->key_count; i++) {
		if (strcmp(type->keys[i].name, name) == 0)
			return &type->keys[i];
	}
	return NULL;
}

bool
key_is_string(const struct key *key)
{
	return key->parse == parse_text || key->parse == parse_path || key->parse == parse_path_or_empty ||
	    key->parse == parse_program || key->parse == parse_daemon_address;
}

bool
key_is_duration(const struct key *key)
{
	return key->parse == parse_duration;
}

bool
key_may_hold_login(const struct key *key)
{
	return key->parse == parse_endpoint_url || key->parse == parse_daemon_address;
}
