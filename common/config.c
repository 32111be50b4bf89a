/*
 * msigd.conf in three passes: config_lint.c walks the text for structure and
 * lines; libconfuse parses it, every value as a string; the tables of keys
 * below say what each string may be and where it goes. libconfuse's own types
 * are not used: it stops at the first bad value, and reads 010 as 8.
 */
#include "common/config.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/config_lint.h"
#include "common/duration.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define ANY_URL "http://HOST:PORT or https://HOST:PORT"

enum { FILE_MAX = 1 << 20, WHY_MAX = 256, LOGIN_MAX = 512, KEY_TEXT_MAX = 32, PORT_MAX = 65535 };

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

/* A file on its way to being a struct config. */
struct load {
	struct config *config;
	struct lint lint;
	struct config_errors errors;
	cfg_t *cfg;
};

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

/* The sections; the first is the file itself. */
static const struct section_type {
	const char *name;
	const char *shown;
	bool titled;
	const struct key *keys;
	size_t key_count;
} section_types[] = {
	{"", "at the top of the file", false, general_keys, LENGTH(general_keys)},
	{"endpoint", "endpoint \"NAME\" { … }", true, endpoint_keys, LENGTH(endpoint_keys)},
	{"managed", "managed { … }", false, managed_keys, LENGTH(managed_keys)},
};

enum { TYPE_TOP, TYPE_ENDPOINT, TYPE_MANAGED, TYPE_COUNT };

static const struct section_type *
find_type(const char *name)
{
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		if (strcmp(section_types[i].name, name) == 0)
			return &section_types[i];
	}
	return NULL;
}

static const struct key *
find_key(const struct section_type *type, const char *name)
{
	for (size_t i = 0; i < type->key_count; i++) {
		if (strcmp(type->keys[i].name, name) == 0)
			return &type->keys[i];
	}
	return NULL;
}

/* ---- keys and sections that are not there ---- */

static char
folded(char c)
{
	return c == '_' ? '-' : (char)tolower((unsigned char)c);
}

/* Levenshtein's distance; case, and '_' for '-', cost nothing. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[KEY_TEXT_MAX + 1], width = strlen(b), diagonal, above;

	if (strlen(a) > KEY_TEXT_MAX || width > KEY_TEXT_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= width; j++) {
			size_t best = diagonal + (folded(a[i - 1]) != folded(b[j - 1]));
			above = row[j];
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = above;
			row[j] = best;
		}
	}
	return row[width];
}

static const char *
nearest_key(const struct section_type *type, const char *name)
{
	const char *nearest = NULL;
	size_t least = strlen(name) < 5 ? 2 : 3;

	for (size_t i = 0; i < type->key_count; i++) {
		size_t d = distance(name, type->keys[i].name);
		if (d < least) {
			least = d;
			nearest = type->keys[i].name;
		}
	}
	return nearest;
}

/* What the operator may have meant by a key that this section does not have. */
static void
suggest(const struct section_type *type, const struct lint_section *section, const char *name, char *out, size_t size)
{
	const char *nearest;

	for (size_t i = 0; i < TYPE_COUNT; i++) {
		if (find_key(&section_types[i], name) == NULL)
			continue;
		if (i == TYPE_TOP)
			snprintf(out, size, "it belongs at the top of the file: is the \"}\" of line %d's section missing before it?", section->line);
		else
			snprintf(out, size, "it belongs into %s", section_types[i].shown);
		return;
	}
	nearest = nearest_key(type, name);
	if (nearest != NULL)
		snprintf(out, size, "did you mean %s?", nearest);
	else
		snprintf(out, size, "msigd.conf(5) lists what there is");
}

/* "endpoint = x": check_section_names() says what is wrong with it. */
static bool
is_section_as_key(const struct lint_key *key)
{
	return key->section == LINT_TOP && find_type(key->name) != NULL;
}

static void
check_key_names(struct load *load)
{
	for (size_t i = 0; i < load->lint.key_count; i++) {
		const struct lint_key *key = &load->lint.keys[i];
		const struct lint_section *section = &load->lint.sections[key->section];
		const struct section_type *type = find_type(section->name);
		char advice[WHY_MAX];

		if (type == NULL || find_key(type, key->name) != NULL || is_section_as_key(key))
			continue;
		suggest(type, section, key->name, advice, sizeof advice);
		config_errors_add(&load->errors, key->line, "%s: unknown key%s%s; %s", key->name,
		    section->name[0] != '\0' ? " in section " : "", section->name, advice);
	}
}

/* False: libconfuse would stumble, so that nothing more can be found. */
static bool
check_section_names(struct load *load)
{
	bool ok = true;

	for (size_t i = LINT_TOP + 1; i < load->lint.section_count; i++) {
		const struct lint_section *section = &load->lint.sections[i];
		const struct section_type *type = find_type(section->name);

		if (type != NULL && type->titled == (section->title != NULL))
			continue;
		ok = false;
		if (type == &section_types[TYPE_ENDPOINT])
			config_errors_add(&load->errors, section->line, "endpoint: it needs a name: %s", type->shown);
		else if (type == &section_types[TYPE_MANAGED])
			config_errors_add(&load->errors, section->line, "managed: it takes no name: %s", type->shown);
		else if (find_key(&section_types[TYPE_TOP], section->name) != NULL)
			config_errors_add(&load->errors, section->line, "%s: this is a key, not a section: %s = VALUE", section->name,
			    section->name);
		else
			config_errors_add(&load->errors, section->line, "%s: unknown section; there are %s and %s", section->name,
			    section_types[TYPE_ENDPOINT].shown, section_types[TYPE_MANAGED].shown);
	}
	for (size_t i = 0; i < load->lint.key_count; i++) {
		const struct lint_key *key = &load->lint.keys[i];

		if (!is_section_as_key(key))
			continue;
		ok = false;
		config_errors_add(&load->errors, key->line, "%s: this is a section, not a key: %s", key->name,
		    find_type(key->name)->shown);
	}
	return ok;
}

/* ---- libconfuse ---- */

/* For on_parser_error(): libconfuse hands no pointer of ours through. */
static struct config_errors *parser_errors;

static void __attribute__((format(printf, 2, 0)))
on_parser_error(cfg_t *cfg, const char *format, va_list ap)
{
	char text[WHY_MAX];

	vsnprintf(text, sizeof text, format, ap);
	config_errors_add(parser_errors, cfg->line, "syntax: %s", text);
}

/* options has room for each key and the end. */
static cfg_opt_t *
fill_options(const struct section_type *type, cfg_opt_t *options)
{
	for (size_t i = 0; i < type->key_count; i++)
		*options++ = (cfg_opt_t)CFG_STR(type->keys[i].name, NULL, CFGF_NONE);
	*options = (cfg_opt_t)CFG_END();
	return options;
}

/* With unknown_keys, which have been reported, libconfuse skips those. */
static bool
parse_syntax(struct load *load, const char *text, bool unknown_keys)
{
	cfg_opt_t endpoint[LENGTH(endpoint_keys) + 1], managed[LENGTH(managed_keys) + 1];
	cfg_opt_t top[LENGTH(general_keys) + 3], *end;
	size_t before = load->errors.count;
	int result;

	fill_options(&section_types[TYPE_ENDPOINT], endpoint);
	fill_options(&section_types[TYPE_MANAGED], managed);
	end = fill_options(&section_types[TYPE_TOP], top);
	*end++ = (cfg_opt_t)CFG_SEC("endpoint", endpoint, CFGF_MULTI | CFGF_TITLE);
	*end++ = (cfg_opt_t)CFG_SEC("managed", managed, CFGF_MULTI);
	*end = (cfg_opt_t)CFG_END();

	load->cfg = cfg_init(top, unknown_keys ? CFGF_IGNORE_UNKNOWN : CFGF_NONE);
	if (load->cfg == NULL) {
		load->errors.out_of_memory = true;
		return false;
	}
	parser_errors = &load->errors;
	cfg_set_error_function(load->cfg, on_parser_error);
	result = cfg_parse_buf(load->cfg, text);
	if (result != CFG_SUCCESS && load->errors.count == before)
		config_errors_add(&load->errors, 0, "syntax: libconfuse gave up and did not say why (out of memory?)");
	return result == CFG_SUCCESS;
}

/* ---- from strings to the struct ---- */

/* A url with user and password in it is refused; its password is not shown. */
static const char *
shown(const struct key *key, const char *text)
{
	bool is_url = key->parse == parse_endpoint_url || key->parse == parse_daemon_address;
	const char *at = is_url ? strrchr(text, '@') : NULL;

	return at != NULL ? at : text;
}

static void
refuse_value(struct load *load, int line, const struct key *key, const char *text, const char *why)
{
	if (why[0] != '\0')
		config_errors_add(&load->errors, line, "%s: \"%s\" %s", key->name, shown(key, text), why);
	else if (key->parse == parse_duration)
		config_errors_add(&load->errors, line, "%s: \"%s\" is no duration; %s; 10 years at most", key->name, text, DURATION_RULE);
	else
		config_errors_add(&load->errors, line, "%s: \"%s\" is not allowed; it has to be %s", key->name, shown(key, text), key->rule);
}

/* cfg may be NULL: a section that is not in the file, with its defaults. */
static void
read_keys(struct load *load, cfg_t *cfg, size_t section, const struct section_type *type, void *base)
{
	for (size_t i = 0; i < type->key_count; i++) {
		const struct key *key = &type->keys[i];
		const char *text = cfg != NULL ? cfg_getstr(cfg, key->name) : NULL;
		char why[WHY_MAX] = "";

		if (text == NULL)
			text = key->fallback;
		if (text != NULL && !key->parse(key, text, (char *)base + key->field, why))
			refuse_value(load, lint_line(&load->lint, section, key->name), key, text, why);
	}
}

static void
derive_path(struct load *load, char **path, const char *dir, const char *name)
{
	if (*path != NULL || dir == NULL)
		return;
	if (asprintf(path, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name) == -1) {
		*path = NULL;
		load->errors.out_of_memory = true;
	}
}

static void
finish_general(struct load *load)
{
	struct config *config = load->config;
	const char *set = getenv("ENABLE_INSTRUMENTATION"), *key = cfg_getstr(load->cfg, "socket") != NULL ? "socket" : "run-dir";
	const size_t longest = sizeof ((struct sockaddr_un *)0)->sun_path - 1;

	derive_path(load, &config->wallet_dir, config->state_dir, "wallets");
	derive_path(load, &config->trace_dir, config->state_dir, "traces");
	derive_path(load, &config->key_file, config->state_dir, "key");
	derive_path(load, &config->socket, config->run_dir, "msigd.sock");
	if (config->socket != NULL && strlen(config->socket) > longest) {
		config_errors_add(&load->errors, lint_line(&load->lint, LINT_TOP, key),
		    "%s: the socket's path, \"%s\", has %zu bytes; a Unix socket's may have %zu at most", key, config->socket,
		    strlen(config->socket), longest);
	}
	if (set != NULL && strcmp(set, "1") == 0)
		config->instrumentation = true;
}

/* What keys say together, when each is right by itself. */
static void
check_managed(struct load *load, const struct config_managed *managed, size_t section)
{
	if (managed->count > 0 && managed->port_base + managed->count - 1 > PORT_MAX) {
		config_errors_add(&load->errors, lint_line(&load->lint, section, "port-base"),
		    "port-base: %d with count %d goes up to port %d; the highest is %d", managed->port_base, managed->count,
		    managed->port_base + managed->count - 1, PORT_MAX);
	}
	if (managed->offline && managed->daemon_address != NULL) {
		config_errors_add(&load->errors, lint_line(&load->lint, section, "daemon-address"),
		    "daemon-address: with offline = true no daemon is asked; remove it, or set offline = false");
	}
	if (!managed->offline && managed->daemon_address == NULL) {
		config_errors_add(&load->errors, lint_line(&load->lint, section, "offline"),
		    "offline: with false, daemon-address has to say which monerod to use, as daemon-address = 127.0.0.1:28081");
	}
}

static void
read_managed(struct load *load)
{
	struct config_managed *managed = &load->config->managed;
	bool present = cfg_size(load->cfg, "managed") > 0;
	size_t section = lint_find(&load->lint, "managed", NULL), before = load->errors.count;

	/* The last one, when there are several: which is an error already. */
	read_keys(load, present ? cfg_getnsec(load->cfg, "managed", cfg_size(load->cfg, "managed") - 1) : NULL, section,
	    &section_types[TYPE_MANAGED], managed);
	if (!present && cfg_size(load->cfg, "endpoint") > 0)
		managed->count = 0;
	if (load->errors.count == before)
		check_managed(load, managed, section);
}

static void
check_endpoint_name(struct load *load, struct config_endpoint *endpoint, const char *title)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t length = strlen(title);

	if (length > 0 && length < sizeof endpoint->name && strspn(title, allowed) == length)
		memcpy(endpoint->name, title, length + 1);
	else
		config_errors_add(&load->errors, endpoint->line,
		    "endpoint: the name \"%s\" is not allowed; a name has 1 to %d letters, digits, \"-\", \"_\" or \".\"", title,
		    ENDPOINT_NAME_MAX - 1);
}

/* http and https on one host and port are one wallet-rpc. */
static const char *
without_scheme(const struct url *url)
{
	return strstr(url->text, "://") + strlen("://");
}

static bool
is_managed_port(const struct config *config, const struct url *url)
{
	char managed[URL_MAX];
	int base = config->managed.port_base;

	if (url->port < base || url->port >= base + config->managed.count)
		return false;
	snprintf(managed, sizeof managed, "127.0.0.1:%d", url->port);
	return strcmp(managed, without_scheme(url)) == 0;
}

/* endpoint is the one behind those that config has so far. */
static void
check_endpoint_url(struct load *load, const struct config_endpoint *endpoint, int line)
{
	const struct config *config = load->config;

	if (!endpoint->url.https && !endpoint->url.loopback && !endpoint->insecure) {
		config_errors_add(&load->errors, line,
		    "url: \"%s\" is plain http to another machine, which everyone on the way can read and change; "
		    "use https, or say insecure = true", endpoint->url.text);
	}
	for (size_t i = 0; i < config->endpoint_count; i++) {
		const struct config_endpoint *other = &config->endpoints[i];
		if (other->url.text[0] == '\0' || strcmp(without_scheme(&other->url), without_scheme(&endpoint->url)) != 0)
			continue;
		config_errors_add(&load->errors, line, "url: \"%s\" is the wallet-rpc of endpoint \"%s\" (line %d) already",
		    endpoint->url.text, other->name, other->line);
		return;
	}
	if (is_managed_port(config, &endpoint->url)) {
		config_errors_add(&load->errors, line,
		    "url: \"%s\" is one of the managed wallet-rpcs (ports %d to %d); give it, or them, another port",
		    endpoint->url.text, config->managed.port_base, config->managed.port_base + config->managed.count - 1);
	}
}

static void
read_endpoint(struct load *load, cfg_t *cfg)
{
	struct config *config = load->config;
	struct config_endpoint *endpoint = &config->endpoints[config->endpoint_count];
	size_t section = lint_find(&load->lint, "endpoint", cfg_title(cfg)), before;

	endpoint->line = load->lint.sections[section].line;
	check_endpoint_name(load, endpoint, cfg_title(cfg));
	before = load->errors.count;
	read_keys(load, cfg, section, &section_types[TYPE_ENDPOINT], endpoint);
	endpoint->wallet_dir_given = cfg_getstr(cfg, "wallet-dir") != NULL;
	if (!endpoint->wallet_dir_given && config->wallet_dir != NULL) {
		endpoint->wallet_dir = strdup(config->wallet_dir);
		load->errors.out_of_memory |= endpoint->wallet_dir == NULL;
	}
	if (cfg_getstr(cfg, "url") == NULL)
		config_errors_add(&load->errors, endpoint->line, "endpoint: \"%s\" has no url; url = %s is needed", cfg_title(cfg), ANY_URL);
	else if (load->errors.count == before)
		check_endpoint_url(load, endpoint, lint_line(&load->lint, section, "url"));
	config->endpoint_count++;
}

static void
read_endpoints(struct load *load)
{
	size_t count = cfg_size(load->cfg, "endpoint");

	if (count == 0)
		return;
	load->config->endpoints = calloc(count, sizeof *load->config->endpoints);
	if (load->config->endpoints == NULL) {
		load->errors.out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < count; i++)
		read_endpoint(load, cfg_getnsec(load->cfg, "endpoint", (unsigned)i));
}

/* ---- the file ---- */

static char *
read_text(struct load *load, const char *path, size_t *size)
{
	unsigned char *text;

	if (path == NULL) {
		*size = 0;
		return calloc(1, 1);
	}
	text = atomic_file_read(path, FILE_MAX, size);
	if (text == NULL && errno == EFBIG)
		config_errors_add(&load->errors, 0, "longer than %d bytes; is this the right file?", FILE_MAX);
	else if (text == NULL)
		config_errors_add(&load->errors, 0, "cannot be read: %s", strerror(errno));
	return (char *)text;
}

/* True: everything has been looked at; whether it is right, errors say. */
static bool
read_all(struct load *load, char *text, size_t size)
{
	bool sound = lint_walk(text, size, &load->lint, &load->errors);
	size_t before = load->errors.count;
	bool unknown_keys;

	check_key_names(load);
	unknown_keys = load->errors.count > before;
	if (!check_section_names(load) || !sound || !parse_syntax(load, text, unknown_keys))
		return false;
	read_keys(load, load->cfg, LINT_TOP, &section_types[TYPE_TOP], load->config);
	finish_general(load);
	read_managed(load);
	read_endpoints(load);
	return true;
}

struct config *
config_load(const char *path, char **error)
{
	struct load load = {.config = calloc(1, sizeof *load.config)};
	size_t size = 0;
	char *text = read_text(&load, path, &size);
	bool complete = text != NULL && load.config != NULL && read_all(&load, text, size);

	if (!complete && load.errors.count == 0)
		load.errors.out_of_memory = true;
	free(text);
	lint_free(&load.lint);
	if (load.cfg != NULL)
		cfg_free(load.cfg);
	if (load.errors.count > 0 || load.errors.out_of_memory) {
		*error = config_errors_text(&load.errors, path != NULL ? path : "(no file)");
		config_free(load.config);
		load.config = NULL;
	}
	config_errors_free(&load.errors);
	return load.config;
}

/* Frees the strings of a section: what these functions have parsed. */
static void
free_strings(const struct section_type *type, void *base)
{
	for (size_t i = 0; i < type->key_count; i++) {
		const struct key *key = &type->keys[i];
		if (key->parse == parse_text || key->parse == parse_path || key->parse == parse_path_or_empty ||
		    key->parse == parse_program || key->parse == parse_daemon_address)
			free(*(char **)((char *)base + key->field));
	}
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->endpoint_count; i++)
		free_strings(&section_types[TYPE_ENDPOINT], &config->endpoints[i]);
	free(config->endpoints);
	free_strings(&section_types[TYPE_MANAGED], &config->managed);
	free_strings(&section_types[TYPE_TOP], config);
	free(config);
}

/* ---- login files ---- */

static bool __attribute__((format(printf, 4, 5)))
refuse_login(const char *path, char *why, size_t why_size, const char *format, ...)
{
	char reason[WHY_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(reason, sizeof reason, format, ap);
	va_end(ap);
	snprintf(why, why_size, "login-file %s: %s", path, reason);
	return false;
}

static bool
check_login_file(int fd, const char *path, char *why, size_t why_size)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return refuse_login(path, why, why_size, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse_login(path, why, why_size, "not a regular file");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_login(path, why, why_size, "belongs to user %u; it has to be msigd's user's (%u) or root's",
		    (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) != 0)
		return refuse_login(path, why, why_size, "group or others may read or write it (mode %04o); chmod 600 it",
		    (unsigned)st.st_mode & 07777);
	return true;
}

/* Up to size bytes; a login that does not fit is told by its length. */
static ssize_t
read_up_to(int fd, char *out, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, out + have, size - have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* Ends the first line with a NUL. */
static bool
cut_login(char *line, size_t size, const char *path, char *why, size_t why_size)
{
	char *end = memchr(line, '\n', size), *colon;
	size_t length = end != NULL ? (size_t)(end - line) : size;

	if (length > 0 && line[length - 1] == '\r')
		length--;
	if (length > LOGIN_MAX)
		return refuse_login(path, why, why_size, "its first line is longer than %d bytes", LOGIN_MAX);
	if (memchr(line, '\0', length) != NULL)
		return refuse_login(path, why, why_size, "there is a NUL in its first line");
	line[length] = '\0';
	colon = strchr(line, ':');
	if (colon == NULL || colon == line || colon[1] == '\0')
		return refuse_login(path, why, why_size, "its first line is not USER:PASSWORD");
	return true;
}

char *
config_read_login(const struct config_endpoint *endpoint, char *why, size_t why_size)
{
	const char *path = endpoint->login_file;
	char line[LOGIN_MAX + sizeof "\r\n"], *login = NULL;
	ssize_t n;
	int fd;

	if (path == NULL) {
		snprintf(why, why_size, "endpoint %s has no login-file", endpoint->name);
		return NULL;
	}
	/* O_NONBLOCK: open(2) of a FIFO would wait for its writer */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		refuse_login(path, why, why_size, "%s", strerror(errno));
		return NULL;
	}
	if (!check_login_file(fd, path, why, why_size))
		goto done;
	n = read_up_to(fd, line, sizeof line - 1);
	if (n == -1)
		refuse_login(path, why, why_size, "%s", strerror(errno));
	else if (cut_login(line, (size_t)n, path, why, why_size) && (login = strdup(line)) == NULL)
		refuse_login(path, why, why_size, "out of memory");
	explicit_bzero(line, sizeof line);
done:
	close(fd);
	return login;
}
