/*
 * msigd.conf in three passes: config_lint.c walks the text for structure and
 * lines; libconfuse parses it, every value as a string; the tables of keys
 * of config_keys.c say what each string may be and where it goes. libconfuse's own types
 * are not used: it stops at the first bad value, and reads 010 as 8.
 */
#include "common/config.h"

#include <confuse.h>
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
#include "common/config_keys.h"
#include "common/config_lint.h"
#include "common/duration.h"
#include "common/suggest.h"

enum { FILE_MAX = 1 << 20 };

/* A file on its way to being a struct config. */
struct load {
	struct config *config;
	struct lint lint;
	struct config_errors errors;
	cfg_t *cfg;
};

/* ---- keys and sections that are not there ---- */

static const char *
nearest_key(const struct section_type *type, const char *name)
{
	const char *names[SECTION_KEYS_MAX];

	for (size_t i = 0; i < type->key_count; i++)
		names[i] = type->keys[i].name;
	return suggest(name, names, type->key_count);
}

/* What the operator may have meant by a key that this section does not have. */
static void
advise(const struct section_type *type, const struct lint_section *section, const char *name, char *out, size_t size)
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
		advise(type, section, key->name, advice, sizeof advice);
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
	cfg_opt_t endpoint[SECTION_KEYS_MAX + 1], managed[SECTION_KEYS_MAX + 1];
	cfg_opt_t top[SECTION_KEYS_MAX + 3], *end;
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
	const char *at = key_may_hold_login(key) ? strrchr(text, '@') : NULL;

	return at != NULL ? at : text;
}

static void
refuse_value(struct load *load, int line, const struct key *key, const char *text, const char *why)
{
	if (why[0] != '\0')
		config_errors_add(&load->errors, line, "%s: \"%s\" %s", key->name, shown(key, text), why);
	else if (key_is_duration(key))
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
	static const char reserved[] = "managed-";
	size_t length = strlen(title);

	if (strncmp(title, reserved, sizeof reserved - 1) == 0)
		config_errors_add(&load->errors, endpoint->line,
		    "endpoint: the name \"%s\" is not allowed; names that begin with \"%s\" are those of msigd's own", title, reserved);
	else if (length > 0 && length < sizeof endpoint->name && strspn(title, allowed) == length)
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
		if (key_is_string(&type->keys[i]))
			free(*(char **)((char *)base + type->keys[i].field));
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
