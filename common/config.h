/*
 * msigd.conf(5), read with libconfuse. What libconfuse takes silently and we
 * do not (a section not closed at the end of the file, a key or the managed
 * section given twice) is found here too, and every mistake is reported with
 * file and line: "msigd.conf:12: setup-timeout: …".
 */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/log.h"
#include "common/role.h"
#include "common/url.h"

enum { ENDPOINT_NAME_MAX = 64 /* with the NUL: letters, digits, '-', '_', '.' */ };

enum gate { GATE_SEED, GATE_REOPEN };

/* One wallet-rpc given by the operator. All strings are owned by the config. */
struct config_endpoint {
	char name[ENDPOINT_NAME_MAX];
	struct url url;
	enum role role;         /* ROLE_ANY for any */
	char *login_file;       /* or NULL; holds user:password on its first line */
	char *ca_file;          /* or NULL: the system's authorities */
	char *wallet_dir;       /* "" when msigd cannot read its files */
	bool wallet_dir_given;  /* false: wallet_dir is the general one, a guess; a
	                         * .keys file that is not there is then no error */
	bool insecure;          /* plain http beyond loopback is allowed */
	int line;               /* where its section begins */
};

/* wallet-rpcs that msigd starts itself. */
struct config_managed {
	char *program;          /* looked up in PATH unless it has a slash */
	int count;              /* 0: none */
	int port_base;
	bool offline;
	char *daemon_address;   /* or NULL */
};

struct config {
	enum network network;
	char *state_dir, *run_dir, *lock_dir, *wallet_dir, *trace_dir, *socket, *key_file;
	enum log_level log_level;
	enum log_format log_format;
	bool instrumentation;
	int64_t trace_keep_ms, setup_timeout_ms, stagger_delay_ms, pollution_delay_ms, session_ttl_ms;
	int max_attempts, queue_max, session_max;
	bool spares;
	enum gate gate;
	char *metrics_file;     /* or NULL */
	struct config_endpoint *endpoints;
	size_t endpoint_count;
	struct config_managed managed;
};

#define CONFIG_DEFAULT_NETWORK NETWORK_TESTNET

/* Reads a file, or, with path NULL, an empty one. NULL: *error, from malloc, is
 * what to print: one line a mistake, each with file and line. Nothing outside
 * is touched (no folder is made, no login-file is read). */
struct config *config_load(const char *path, char **error);
void config_free(struct config *config);

/* "user:password" of an endpoint's login-file, from malloc, to be wiped and
 * freed. NULL: why says what is wrong (missing, readable by others, no colon). */
char *config_read_login(const struct config_endpoint *endpoint, char *why, size_t why_size);

#endif
