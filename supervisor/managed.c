#include "supervisor/managed.h"

#include <arpa/inet.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "ipc/child.h"
#include "supervisor/endpoint.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"

enum {
	LISTEN_LOOK_MS = 100,      /* how often a port that is not open yet is looked at */
	LISTEN_LIMIT_MS = FAULT_SOONER(60000), /* then it hangs */
	STOP_LIMIT_MS = 5000,
	KILLED_LIMIT_MS = 5000,    /* for a leftover that was killed to end */
	FIRST_RESTART_MS = 500, LONGEST_RESTART_MS = 60000,
	STABLE_MS = 60000          /* one that ran so long starts again without delay */
};

struct managed {
	TAILQ_ENTRY(managed) next;
	struct managed_pool *pool;
	struct endpoint *endpoint;
	struct child *child;          /* NULL while it does not run */
	struct event *timer;          /* to start it, or to look whether it listens */
	struct event *leftover;       /* on the pidfd of one that an earlier msigd left, or NULL */
	int64_t started_ms;           /* monotonic */
	int64_t restart_ms;           /* the next wait */
	int port;
	const char *restarting;       /* it was killed to start afresh: why; or NULL */
	char directory[PATH_MAX];     /* its home: log and ring database */
	char conf[PATH_MAX], pidfile[PATH_MAX];
};

struct managed_pool {
	struct supervisor *sv;
	TAILQ_HEAD(, managed) all;
	char program[PATH_MAX];
	int running;
	bool stopping;
	struct event *kill_timer;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* --- ports ---------------------------------------------------------------- */

enum port_state { PORT_FREE, PORT_TAKEN, PORT_UNKNOWN };

/* Whether somebody listens there; PORT_UNKNOWN with errno. To connect could
 * block, and whoever listens would notice. */
static enum port_state
look_at_port(int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;

	if (fd == -1)
		return PORT_UNKNOWN;
	/* what is left of a closed connection does not count */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) == -1)
		error = errno;
	close(fd);
	errno = error;
	return error == 0 ? PORT_FREE : error == EADDRINUSE ? PORT_TAKEN : PORT_UNKNOWN;
}

/* --- one process ---------------------------------------------------------- */

static void
set_timer(struct managed *m, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(m->timer, &tv);
}

/* A new login for each start; the old one dies with the old process. */
static bool
new_login(struct endpoint *ep)
{
	unsigned char random[16];
	char hex[sizeof random * 2 + 1];

	if (ep->login != NULL)
		explicit_bzero(ep->login, strlen(ep->login));
	free(ep->login);
	randombytes_buf(random, sizeof random);
	sodium_bin2hex(hex, sizeof hex, random, sizeof random);
	if (asprintf(&ep->login, "msigd:%s", hex) == -1)
		ep->login = NULL;
	explicit_bzero(hex, sizeof hex);
	return ep->login != NULL;
}

static bool
write_conf(struct managed *m)
{
	const struct config *c = m->pool->sv->config;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	bool ok;

	if (f == NULL)
		return false;
	if (c->network != NETWORK_MAINNET)
		fprintf(f, "%s=1\n", network_name(c->network));
	if (c->managed.offline)
		fprintf(f, "offline=1\n");
	if (c->managed.daemon_address != NULL)
		fprintf(f, "daemon-address=%s\n", c->managed.daemon_address);
	fprintf(f, "rpc-bind-ip=127.0.0.1\nrpc-bind-port=%d\nrpc-login=%s\n", m->port, m->endpoint->login);
	fprintf(f, "rpc-ssl=disabled\ndaemon-ssl=%s\nnon-interactive=1\nno-dns=1\n",
	    c->managed.offline ? "disabled" : "autodetect");
	fprintf(f, "wallet-dir=%s\nshared-ringdb-dir=%s/ringdb\n", c->wallet_dir, m->directory);
	fprintf(f, "log-file=%s/wallet-rpc.log\nlog-level=0\nmax-log-file-size=10000000\nmax-log-files=2\n", m->directory);
	ok = fclose(f) == 0 && atomic_file_write(m->conf, text, size, 0600, false);
	if (text != NULL)
		explicit_bzero(text, size);
	free(text);
	return ok;
}

static void
write_pidfile(struct managed *m)
{
	char text[64];
	pid_t pid = child_pid(m->child);
	int n = snprintf(text, sizeof text, "%ld %llu\n", (long)pid, process_start_time(pid));

	if (!atomic_file_write(m->pidfile, text, (size_t)n, 0600, false))
		log_warn("pidfile_not_written", F_STR("file", m->pidfile), F_STR("error", strerror(errno)));
}

static void
all_stopped(struct managed_pool *pool)
{
	if (pool->stopping && pool->running == 0 && pool->stopped != NULL)
		pool->stopped(pool->stopped_arg);
}

static void
start_later(struct managed *m)
{
	set_timer(m, m->restart_ms);
	m->endpoint->again_ms = clock_monotonic_ms() + m->restart_ms;
	m->restart_ms = m->restart_ms * 2 < LONGEST_RESTART_MS ? m->restart_ms * 2 : LONGEST_RESTART_MS;
}

static void
on_end(int status, int exec_errno, int64_t cpu_us, void *arg)
{
	struct managed *m = arg;
	char how[96], reason[256];

	(void)cpu_us;
	m->child = NULL;
	m->pool->running--;
	unlink(m->pidfile);
	event_del(m->timer);
	if (m->pool->stopping) {
		all_stopped(m->pool);
		return;
	}
	child_describe_end(status, how, sizeof how);
	if (exec_errno != 0)
		snprintf(reason, sizeof reason, "%.80s cannot be executed: %s", m->pool->program, strerror(exec_errno));
	else
		snprintf(reason, sizeof reason, "its monero-wallet-rpc %s; see wallet-rpc.log in state-dir/managed/%s",
		    how, m->endpoint->name);
	if (clock_monotonic_ms() - m->started_ms > STABLE_MS)
		m->restart_ms = FIRST_RESTART_MS;
	if (m->restarting != NULL)
		snprintf(reason, sizeof reason, "its monero-wallet-rpc is started afresh: %s", m->restarting);
	log_event(m->restarting != NULL ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, m->restarting != NULL ? "managed_restarted" : "managed_died",
	    F_STR("endpoint", m->endpoint->name), F_STR("reason", reason), F_INT("restart_in_ms", m->restart_ms));
	m->pool->sv->metrics.managed_deaths += m->restarting != NULL ? 0 : 1;
	m->restarting = NULL;
	endpoint_event(m->endpoint, ENDPOINT_EV_DIED, reason);
	sessions_endpoint_died(m->pool->sv->sessions, m->endpoint);
	start_later(m);
}

static bool
spawn(struct managed *m)
{
	char home[PATH_MAX + 8], option[] = "--config-file";
	char *argv[] = {m->pool->program, option, m->conf, NULL};
	char *envp[] = {home, NULL};
	struct child_spec spec = {
		.program = m->pool->program, .argv = argv, .envp = envp, .directory = m->directory,
		.fd3 = -1, .dies_with_us = true,
	};

	snprintf(home, sizeof home, "HOME=%s", m->directory);
	m->child = child_spawn(m->pool->sv->base, &spec, on_end, m);
	return m->child != NULL;
}

/* What hinders, or "" once it runs. */
static void
try_start(struct managed *m, char *reason, size_t size)
{
	enum port_state port = look_at_port(m->port);

	reason[0] = '\0';
	if (port == PORT_TAKEN)
		snprintf(reason, size, "port %d is in use by another program: end that one, or choose another port-base",
		    m->port);
	else if (port == PORT_UNKNOWN)
		snprintf(reason, size, "port %d cannot be had: %s", m->port, strerror(errno));
	else if (!new_login(m->endpoint) || !write_conf(m))
		snprintf(reason, size, "its configuration file cannot be written: %s", strerror(errno));
	else if (!spawn(m))
		snprintf(reason, size, "it cannot be started: %s", strerror(errno));
}

static void
start(struct managed *m)
{
	char reason[256];

	try_start(m, reason, sizeof reason);
	if (reason[0] != '\0') {
		log_warn("managed_not_started", F_STR("endpoint", m->endpoint->name), F_STR("reason", reason),
		    F_INT("again_in_ms", m->restart_ms));
		endpoint_event(m->endpoint, ENDPOINT_EV_DIED, reason);
		start_later(m);
		return;
	}
	write_pidfile(m);
	m->pool->running++;
	m->pool->sv->metrics.managed_starts++;
	m->started_ms = clock_monotonic_ms();
	log_debug("managed_started", F_STR("endpoint", m->endpoint->name), F_INT("pid", child_pid(m->child)));
	set_timer(m, LISTEN_LOOK_MS);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct managed *m = arg;

	(void)fd;
	(void)what;
	if (m->pool->stopping)
		return;
	if (m->child == NULL)
		start(m);
	else if (look_at_port(m->port) == PORT_TAKEN)
		endpoint_event(m->endpoint, ENDPOINT_EV_UP, NULL);
	else if (clock_monotonic_ms() - m->started_ms >= LISTEN_LIMIT_MS)
		managed_restart(m->pool, m->endpoint, "it runs, and does not listen");
	else
		set_timer(m, LISTEN_LOOK_MS);
}

/* --- those an earlier msigd left ------------------------------------------ */

static void
leftover_free(struct managed *m)
{
	if (m->leftover == NULL)
		return;
	close(event_get_fd(m->leftover));
	event_free(m->leftover);
	m->leftover = NULL;
}

/* It has ended, or does not: then its port, if it holds that, is found taken. */
static void
on_leftover_end(evutil_socket_t fd, short what, void *arg)
{
	struct managed *m = arg;

	(void)fd;
	(void)what;
	leftover_free(m);
	set_timer(m, 0);
}

/* Kills it and waits for its end, with which its port is free: true. pid and
 * start time together name a process for good: one that has taken over the
 * number is not touched. */
static bool
kill_leftover(struct managed *m, pid_t pid, unsigned long long start_time)
{
	static const struct timeval limit = {KILLED_LIMIT_MS / 1000, 0};
	int fd = pidfd_open(pid, 0);

	if (fd == -1)
		return false;
	if (process_start_time(pid) == start_time && pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0) {
		log_warn("managed_leftover_killed", F_STR("endpoint", m->endpoint->name), F_INT("pid", pid));
		m->leftover = event_new(m->pool->sv->base, fd, EV_READ, on_leftover_end, m);
	}
	if (m->leftover != NULL && event_add(m->leftover, &limit) == 0)
		return true;
	if (m->leftover != NULL)
		leftover_free(m);
	else
		close(fd);
	return false;
}

/* Whether there was one whose end is waited for. */
static bool
end_leftover(struct managed *m)
{
	unsigned long long start_time;
	unsigned char *text;
	size_t size;
	long pid;
	bool waits;

	text = atomic_file_read(m->pidfile, 64, &size);
	if (text == NULL)
		return false;
	waits = sscanf((char *)text, "%ld %llu", &pid, &start_time) == 2 && pid > 1 && start_time != 0 &&
	    kill_leftover(m, (pid_t)pid, start_time);
	free(text);
	unlink(m->pidfile);
	return waits;
}

/* --- the pool ------------------------------------------------------------- */

bool
managed_find_program(const char *name, char out[PATH_MAX])
{
	const char *path = getenv("PATH");
	char *copy, *rest, *folder;
	bool found = false;

	if (strlen(name) >= PATH_MAX)
		return false;
	if (strchr(name, '/') != NULL)
		return access(strcpy(out, name), X_OK) == 0;
	rest = copy = strdup(path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");
	while (copy != NULL && !found && (folder = strsep(&rest, ":")) != NULL) {
		snprintf(out, PATH_MAX, "%s/%s", folder, name);
		found = access(out, X_OK) == 0;
	}
	free(copy);
	return found;
}

static bool
add(struct managed_pool *pool, int number)
{
	struct supervisor *sv = pool->sv;
	struct managed *m = calloc(1, sizeof *m);
	char name[32], parent[PATH_MAX];

	if (m == NULL)
		return false;
	snprintf(name, sizeof name, "managed-%d", number + 1);
	m->pool = pool;
	m->port = sv->config->managed.port_base + number;
	m->restart_ms = FIRST_RESTART_MS;
	m->timer = evtimer_new(sv->base, on_timer, m);
	m->endpoint = endpoint_add_managed(sv, name, m->port);
	if (m->timer == NULL || m->endpoint == NULL) {
		free(m);
		return false;
	}
	TAILQ_INSERT_TAIL(&pool->all, m, next);
	if (snprintf(parent, sizeof parent, "%s/managed", sv->config->state_dir) >= PATH_MAX - 40)
		return false;
	snprintf(m->directory, sizeof m->directory, "%.4000s/%s", parent, name);
	snprintf(m->conf, sizeof m->conf, "%.4000s/%s.conf", sv->config->run_dir, name);
	snprintf(m->pidfile, sizeof m->pidfile, "%.4000s/%s.pid", sv->config->run_dir, name);
	if ((mkdir(parent, 0700) == -1 && errno != EEXIST) || (mkdir(m->directory, 0700) == -1 && errno != EEXIST))
		return false;
	if (!end_leftover(m))
		set_timer(m, 0);
	return true;
}

struct managed_pool *
managed_start(struct supervisor *sv, char *why, size_t why_size)
{
	struct managed_pool *pool = calloc(1, sizeof *pool);
	const struct config_managed *c = &sv->config->managed;

	if (pool == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	pool->sv = sv;
	TAILQ_INIT(&pool->all);
	if (c->count > 0 && c->program != NULL && !managed_find_program(c->program, pool->program)) {
		snprintf(why, why_size, "managed: program: there is no executable %s%s: install Debian's package monero, "
		    "or give its path in the managed section, or name endpoints of your own",
		    c->program, strchr(c->program, '/') == NULL ? " in PATH" : "");
		free(pool);
		return NULL;
	}
	for (int i = 0; i < c->count; i++) {
		if (!add(pool, i)) {
			snprintf(why, why_size, "managed endpoint %d: %s", i + 1, strerror(errno));
			managed_free(pool);
			return NULL;
		}
	}
	return pool;
}

static void
on_kill(evutil_socket_t fd, short what, void *arg)
{
	struct managed_pool *pool = arg;
	struct managed *m;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(m, &pool->all, next) {
		if (m->child != NULL)
			child_kill(m->child, SIGKILL);
	}
}

void
managed_restart(struct managed_pool *pool, const struct endpoint *ep, const char *why)
{
	struct managed *m;

	TAILQ_FOREACH(m, &pool->all, next) {
		if (m->endpoint != ep || m->child == NULL)
			continue;
		m->restarting = why;
		child_kill(m->child, SIGKILL);
	}
}

void
managed_stop(struct managed_pool *pool, void (*fn)(void *arg), void *arg)
{
	static const struct timeval limit = {STOP_LIMIT_MS / 1000, 0};
	struct managed *m;

	pool->stopping = true;
	pool->stopped = fn;
	pool->stopped_arg = arg;
	TAILQ_FOREACH(m, &pool->all, next) {
		if (m->child != NULL)
			child_kill(m->child, SIGTERM);
	}
	pool->kill_timer = evtimer_new(pool->sv->base, on_kill, pool);
	if (pool->kill_timer != NULL)
		event_add(pool->kill_timer, &limit);
	all_stopped(pool);
}

void
managed_free(struct managed_pool *pool)
{
	struct managed *m;

	if (pool == NULL)
		return;
	while ((m = TAILQ_FIRST(&pool->all)) != NULL) {
		TAILQ_REMOVE(&pool->all, m, next);
		if (m->child != NULL) {
			child_kill(m->child, SIGKILL);
			child_reap(m->child);
			unlink(m->pidfile);
		}
		unlink(m->conf);
		leftover_free(m);
		event_free(m->timer);
		free(m);
	}
	if (pool->kill_timer != NULL)
		event_free(pool->kill_timer);
	free(pool);
}
