/* SIGHUP and `reload`: the configuration is read again, and what can change
 * while msigd runs, changes. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/attic.h"
#include "supervisor/endpoint.h"
#include "supervisor/metrics_file.h"
#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace.h"

enum kind { TEXT, INT, INT64, BOOL };

static const struct {
	const char *key;
	enum kind kind;
	size_t offset;
	bool live;   /* else it needs a restart */
} keys[] = {
	{"network", INT, offsetof(struct config, network), false},
	{"state-dir", TEXT, offsetof(struct config, state_dir), false},
	{"run-dir", TEXT, offsetof(struct config, run_dir), false},
	{"lock-dir", TEXT, offsetof(struct config, lock_dir), false},
	{"wallet-dir", TEXT, offsetof(struct config, wallet_dir), false},
	{"trace-dir", TEXT, offsetof(struct config, trace_dir), false},
	{"socket", TEXT, offsetof(struct config, socket), false},
	{"key-file", TEXT, offsetof(struct config, key_file), false},
	{"metrics-file", TEXT, offsetof(struct config, metrics_file), false},
	{"managed: program", TEXT, offsetof(struct config, managed.program), false},
	{"managed: count", INT, offsetof(struct config, managed.count), false},
	{"managed: port-base", INT, offsetof(struct config, managed.port_base), false},
	{"managed: offline", BOOL, offsetof(struct config, managed.offline), false},
	{"managed: daemon-address", TEXT, offsetof(struct config, managed.daemon_address), false},
	{"log-level", INT, offsetof(struct config, log_level), true},
	{"log-format", INT, offsetof(struct config, log_format), true},
	{"instrumentation", BOOL, offsetof(struct config, instrumentation), true},
	{"trace-keep", INT64, offsetof(struct config, trace_keep_ms), true},
	{"setup-timeout", INT64, offsetof(struct config, setup_timeout_ms), true},
	{"stagger-delay", INT64, offsetof(struct config, stagger_delay_ms), true},
	{"pollution-delay", INT64, offsetof(struct config, pollution_delay_ms), true},
	{"session-ttl", INT64, offsetof(struct config, session_ttl_ms), true},
	{"max-attempts", INT, offsetof(struct config, max_attempts), true},
	{"queue-max", INT, offsetof(struct config, queue_max), true},
	{"session-max", INT, offsetof(struct config, session_max), true},
	{"spares", BOOL, offsetof(struct config, spares), true},
	{"gate", INT, offsetof(struct config, gate), true},
};

static size_t
size_of(enum kind kind)
{
	switch (kind) {
	case TEXT:
		return sizeof(char *);
	case INT:
		return sizeof(int);
	case INT64:
		return sizeof(int64_t);
	case BOOL:
		return sizeof(bool);
	}
	return 0;
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same(enum kind kind, const void *a, const void *b)
{
	if (kind == TEXT)
		return same_text(*(char *const *)a, *(char *const *)b);
	return memcmp(a, b, size_of(kind)) == 0;
}

static bool
same_endpoint(const struct config_endpoint *a, const struct config_endpoint *b)
{
	return strcmp(a->url.text, b->url.text) == 0 && a->role == b->role && same_text(a->login_file, b->login_file) &&
	    same_text(a->ca_file, b->ca_file) && same_text(a->wallet_dir, b->wallet_dir) &&
	    a->wallet_dir_given == b->wallet_dir_given && a->insecure == b->insecure;
}

static const struct config_endpoint *
find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->endpoint_count; i++) {
		if (strcmp(config->endpoints[i].name, name) == 0)
			return &config->endpoints[i];
	}
	return NULL;
}

/* Those that went or changed leave once their job has ended; new ones come. */
static bool
change_endpoints(struct supervisor *sv, const struct config *next)
{
	const struct config *now = sv->config;
	bool changed = false;

	for (size_t i = 0; i < now->endpoint_count; i++) {
		const struct config_endpoint *stays = find(next, now->endpoints[i].name);
		struct endpoint *ep = endpoint_find(sv->endpoints, now->endpoints[i].name);
		if ((stays != NULL && same_endpoint(stays, &now->endpoints[i])) || ep == NULL)
			continue;
		endpoint_remove(ep);
		changed = true;
	}
	for (size_t i = 0; i < next->endpoint_count; i++) {
		if (endpoint_find(sv->endpoints, next->endpoints[i].name) != NULL)
			continue;
		endpoint_add_given(sv, &next->endpoints[i]);
		changed = true;
	}
	return changed;
}

static void
swap_endpoints(struct config *a, struct config *b)
{
	struct config_endpoint *endpoints = a->endpoints;
	size_t count = a->endpoint_count;

	a->endpoints = b->endpoints;
	a->endpoint_count = b->endpoint_count;
	b->endpoints = endpoints;
	b->endpoint_count = count;
}

json_t *
supervisor_reload(struct supervisor *sv, char **error)
{
	struct config *next = config_load(sv->config_path, error);
	json_t *changed = json_array(), *restart = json_array();

	if (next == NULL) {
		if (*error != NULL)
			(*error)[strcspn(*error, "\n")] = '\0'; /* the first mistake will do: msigd -n tells all */
		log_error("reload_refused", F_STR("error", *error));
		json_decref(changed);
		json_decref(restart);
		return NULL;
	}
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		void *have = (char *)sv->config + keys[i].offset, *want = (char *)next + keys[i].offset;
		if (same(keys[i].kind, have, want))
			continue;
		json_array_append_new(keys[i].live ? changed : restart, json_string(keys[i].key));
		if (keys[i].live)
			memcpy(have, want, size_of(keys[i].kind));
	}
	if (change_endpoints(sv, next))
		json_array_append_new(changed, json_string("endpoint"));
	swap_endpoints(sv->config, next);
	config_free(next);
	log_set(sv->verbose ? LOG_LEVEL_DEBUG : sv->config->log_level, sv->config->log_format);
	log_info("reloaded", F_INT("changed", json_array_size(changed)), F_INT("restart_needed", json_array_size(restart)));
	sessions_reload(sv->sessions);
	attic_wake(sv->attic);
	traces_wake(sv->traces);
	scheduler_wake(sv->scheduler);
	metrics_file_write(sv->metrics_file);
	return json_pack("{s:o, s:o}", "changed", changed, "restart_needed", restart);
}
