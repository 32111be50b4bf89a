#include "supervisor/supervisor.h"

#include <bsd/libutil.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/folder.h"
#include "common/log.h"
#include "supervisor/attic.h"
#include "supervisor/backup.h"
#include "supervisor/calibrate.h"
#include "supervisor/check.h"
#include "supervisor/check_control.h"
#include "ipc/child.h"
#include "supervisor/control.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/feed.h"
#include "supervisor/key_file.h"
#include "supervisor/managed.h"
#include "supervisor/metrics_file.h"
#include "supervisor/repair.h"
#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/setup_control.h"
#include "supervisor/tender.h"
#include "supervisor/trace.h"
#include "supervisor/worker_process.h"

enum {
	LIBEVENT_LINES = 10,  /* a minute */
	FILES_WANTED = 65536  /* descriptors, for thousands of workers and clients */
};

/* What only this file needs. */
static struct {
	struct pidfh *pidfile;
	struct event *signals[3];
	struct event *rest;      /* made active when a worker has gone */
	bool managed_stopping;
} own;

/* --- folders -------------------------------------------------------------- */

/* Makes it when it is missing; else it must be ours, and writable. */
static bool
take_folder(const char *key, const char *path, mode_t mode)
{
	struct stat st;

	if (stat(path, &st) == -1 && errno == ENOENT) {
		if (folder_make(path, mode))
			return true;
		fprintf(stderr, "msigd: %s %s: it cannot be made: %s\n", key, path, strerror(errno));
		return false;
	}
	if (stat(path, &st) == -1) {
		fprintf(stderr, "msigd: %s %s: %s\n", key, path, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		fprintf(stderr, "msigd: %s %s: it is no folder\n", key, path);
		return false;
	}
	if (st.st_uid != geteuid()) {
		fprintf(stderr, "msigd: %s %s: it belongs to uid %ld, and msigd runs as uid %ld: chown it, or name another\n",
		    key, path, (long)st.st_uid, (long)geteuid());
		return false;
	}
	if (access(path, R_OK | W_OK | X_OK) == -1) {
		fprintf(stderr, "msigd: %s %s: it cannot be written: %s\n", key, path, strerror(errno));
		return false;
	}
	return true;
}

static bool
take_folders(const struct config *c)
{
	return take_folder("state-dir", c->state_dir, 0700) && take_folder("run-dir", c->run_dir, 0755) &&
	    take_folder("lock-dir", c->lock_dir, 0755) &&
	    (c->managed.count == 0 || take_folder("wallet-dir", c->wallet_dir, 0700));
}

/* --- taking up ------------------------------------------------------------ */

/* A worker costs two descriptors, a client one. Children keep the limit that
 * msigd was started with: some programs look at every descriptor there could be. */
static void
raise_files_limit(void)
{
	struct rlimit files, more;

	if (getrlimit(RLIMIT_NOFILE, &files) == -1)
		return;
	child_set_files_limit(&files);
	more = files;
	if (more.rlim_max != RLIM_INFINITY && more.rlim_max < FILES_WANTED)
		more.rlim_max = FILES_WANTED;
	more.rlim_cur = more.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return;
	/* only for the privileged, and up to fs.nr_open */
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static void
set_limits(void)
{
	static const struct rlimit no_core = {0, 0};

	setrlimit(RLIMIT_CORE, &no_core);
	raise_files_limit();
	signal(SIGPIPE, SIG_IGN);
	umask(077);
}

/* A child that an msigd was just forking when it was killed has its lock until
 * it execs: that is over in a moment. */
static struct pidfh *
open_pidfile(const char *path, pid_t *other)
{
	enum { TRIES = 200 };
	static const struct timespec pause = {0, 10000000};

	for (int i = 0;; i++) {
		struct pidfh *pidfile = pidfile_open(path, 0644, other);
		int why = errno;
		bool dead = pidfile == NULL && why == EEXIST && kill(*other, 0) == -1 && errno == ESRCH;
		errno = why;
		if (!dead || i == TRIES)
			return pidfile;
		nanosleep(&pause, NULL);
	}
}

static bool
take_pidfile(const struct config *c)
{
	char path[4096];
	pid_t other = 0;

	snprintf(path, sizeof path, "%s/msigd.pid", c->run_dir);
	own.pidfile = open_pidfile(path, &other);
	if (own.pidfile != NULL && pidfile_write(own.pidfile) == 0)
		return true;
	if (own.pidfile == NULL && errno == EEXIST)
		fprintf(stderr, "msigd: another msigd runs already with this run-dir (pid %ld, %s): stop it first, or name "
		    "another state-dir and run-dir\n", (long)other, path);
	else
		fprintf(stderr, "msigd: pidfile %s: %s\n", path, strerror(errno));
	return false;
}

static bool
take_store(struct supervisor *sv)
{
	char path[4096], why[512], *error = NULL;
	bool exists;

	snprintf(path, sizeof path, "%s/msigd.db", sv->config->state_dir);
	exists = access(path, F_OK) == 0;
	if (!key_file_load(sv->config->key_file, !exists, sv->master_key, why, sizeof why)) {
		fprintf(stderr, "msigd: %s\n", why);
		return false;
	}
	seal_fingerprint(sv->master_key, sv->key_fingerprint);
	sv->store = store_open(sv->base, path, &error);
	if (sv->store == NULL) {
		fprintf(stderr, "msigd: %s\n", error != NULL ? error : "out of memory");
		free(error);
		return false;
	}
	if (!store_take_key(sv->store, sv->key_fingerprint, why, sizeof why)) {
		fprintf(stderr, "msigd: %s\n", why);
		return false;
	}
	if (store_count_phases(sv->store, sv->metrics.phases) != STORE_OK) {
		fprintf(stderr, "msigd: store %s: %s\n", path, store_error(sv->store));
		return false;
	}
	return true;
}

static void
on_committed(void *arg)
{
	feed_wake(((struct supervisor *)arg)->feed);
}

static void on_rest(evutil_socket_t fd, short what, void *arg);

static bool
take_parts(struct supervisor *sv)
{
	own.rest = event_new(sv->base, -1, 0, on_rest, sv);
	sv->workers = worker_pool_new(sv);
	sv->endpoints = endpoint_pool_new();
	sv->escrows = escrow_table_new();
	sv->scheduler = scheduler_new(sv);
	sv->tender = tender_new(sv);
	sv->sessions = sessions_new(sv);
	sv->verifier = verifier_new(sv);
	sv->checker = checker_new(sv);
	sv->repairer = repairer_new(sv);
	sv->attic = attic_new(sv);
	sv->calibrator = calibrator_new(sv);
	sv->backups = backups_new(sv);
	sv->feed = feed_new(sv);
	sv->traces = traces_new(sv);
	if (own.rest == NULL || sv->workers == NULL || sv->endpoints == NULL || sv->escrows == NULL || sv->scheduler == NULL ||
	    sv->tender == NULL || sv->sessions == NULL ||
	    sv->verifier == NULL || sv->checker == NULL || sv->repairer == NULL || sv->attic == NULL ||
	     sv->calibrator == NULL || sv->backups == NULL || sv->feed == NULL || sv->traces == NULL) {
		fprintf(stderr, "msigd: out of memory\n");
		return false;
	}
	store_on_commit(sv->store, on_committed, sv);
	return true;
}

static bool
take_endpoints(struct supervisor *sv)
{
	char why[512];

	for (size_t i = 0; i < sv->config->endpoint_count; i++) {
		if (endpoint_add_given(sv, &sv->config->endpoints[i]) == NULL) {
			fprintf(stderr, "msigd: out of memory\n");
			return false;
		}
	}
	sv->managed = managed_start(sv, why, sizeof why);
	if (sv->managed == NULL)
		fprintf(stderr, "msigd: %s\n", why);
	return sv->managed != NULL;
}

static bool
take_socket(struct supervisor *sv)
{
	char why[512];

	sv->control = control_new(sv, why, sizeof why);
	if (sv->control == NULL)
		fprintf(stderr, "msigd: %s\n", why);
	return sv->control != NULL;
}

static void
on_signal(evutil_socket_t signal_number, short what, void *arg)
{
	struct supervisor *sv = arg;
	char *error = NULL;

	(void)what;
	if (signal_number == SIGHUP) {
		json_decref(supervisor_reload(sv, &error));
		free(error);
		return;
	}
	log_info("stop_asked", F_STR("signal", strsignal((int)signal_number)));
	supervisor_stop(sv, false);
}

static bool
take_signals(struct supervisor *sv)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		own.signals[i] = evsignal_new(sv->base, numbers[i], on_signal, sv);
		if (own.signals[i] == NULL || event_add(own.signals[i], NULL) == -1)
			return false;
	}
	return true;
}

/* A library that warns in a loop must not fill the disk. */
static void
on_event_log(int severity, const char *message)
{
	static int64_t minute;
	static int said;
	int64_t now = clock_monotonic_ms() / 60000;

	if (severity < EVENT_LOG_WARN)
		return;
	if (now != minute) {
		minute = now;
		said = 0;
	}
	if (said++ < LIBEVENT_LINES)
		log_warn("libevent", F_STR("message", message));
}

bool
supervisor_init(struct supervisor *sv, struct config *config, const char *config_path, bool verbose)
{
	memset(sv, 0, sizeof *sv);
	memset(&own, 0, sizeof own);
	sv->config = config;
	sv->config_path = config_path;
	sv->verbose = verbose;
	log_set(verbose ? LOG_LEVEL_DEBUG : config->log_level, config->log_format);
	sv->started_at = clock_wall_ms();
	set_limits();
	event_set_log_callback(on_event_log);
	sv->base = event_base_new();
	if (sv->base == NULL) {
		fprintf(stderr, "msigd: no event loop: %s\n", strerror(errno));
		return false;
	}
	if (!take_folders(config) || !take_pidfile(config) || !take_store(sv) || !take_parts(sv) ||
	    !take_signals(sv) || !take_socket(sv) || !take_endpoints(sv))
		return false;
	if (!setup_take_up(sv)) {
		fprintf(stderr, "msigd: what is not finished cannot be read: %s\n", store_error(sv->store));
		return false;
	}
	verifier_wake(sv->verifier);
	attic_wake(sv->attic);
	traces_wake(sv->traces);
	sv->metrics_file = metrics_file_new(sv);
	return true;
}

void
supervisor_run(struct supervisor *sv)
{
	log_info("started", F_STR("version", MSIGD_VERSION), F_INT("pid", getpid()),
	    F_STR("network", network_name(sv->config->network)), F_STR("socket", sv->config->socket),
	    F_STR("key", sv->key_fingerprint));
	event_base_dispatch(sv->base);
	log_info("stopped");
}

/* --- ending --------------------------------------------------------------- */

static void
on_managed_stopped(void *arg)
{
	/* what has just been answered still has to leave through the loop */
	static const struct timeval soon = {0, 20000};

	event_base_loopexit(((struct supervisor *)arg)->base, &soon);
}

static bool
is_at_rest(struct supervisor *sv)
{
	return worker_count(sv->workers) == 0 && !escrow_any_goes_on(sv->escrows);
}

/* In a turn of its own: who calls supervisor_worker_gone() is in the midst of
 * something that a stop would change. */
static void
on_rest(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *sv = arg;

	(void)fd;
	(void)what;
	if (sv->draining && !sv->stopping && is_at_rest(sv))
		supervisor_stop(sv, false);
	if (!sv->stopping || own.managed_stopping || worker_count(sv->workers) > 0)
		return;
	own.managed_stopping = true;
	managed_stop(sv->managed, on_managed_stopped, sv);
}

void
supervisor_worker_gone(struct supervisor *sv)
{
	(void)sv;
	event_active(own.rest, EV_TIMEOUT, 1);
}

void
supervisor_stop(struct supervisor *sv, bool drain)
{
	if (sv->stopping)
		return;
	calibrate_stop(sv->calibrator);
	if (drain && !is_at_rest(sv)) {
		sv->draining = true;
		sessions_close_all(sv->sessions);
		tender_drain(sv->tender);
		return;
	}
	sv->stopping = true;
	log_info("stopping", F_INT("workers", worker_count(sv->workers)));
	store_add_event(sv->store, NULL, "stopping", json_object());
	repair_stop(sv->repairer); /* before the end of its worker could seem to be a failure */
	sessions_close_all(sv->sessions);
	worker_stop_all(sv->workers);
	check_stop(sv->checker);
	supervisor_worker_gone(sv);
}

void
supervisor_end(struct supervisor *sv)
{
	if (sv->store != NULL) {
		store_flush(sv->store);
		store_on_commit(sv->store, NULL, NULL); /* whom it wakes is about to go */
	}
	metrics_file_free(sv->metrics_file);
	worker_pool_free(sv->workers);
	if (sv->escrows != NULL)
		escrow_table_free(sv->escrows);
	managed_free(sv->managed);
	sessions_free(sv->sessions);
	tender_free(sv->tender);
	verifier_free(sv->verifier);
	checker_free(sv->checker);
	repairer_free(sv->repairer);
	attic_free(sv->attic);
	calibrator_free(sv->calibrator);
	backups_free(sv->backups);
	feed_free(sv->feed);
	control_free(sv->control);
	traces_free(sv->traces); /* all who could hold one are gone */
	endpoint_pool_free(sv->endpoints);
	scheduler_free(sv->scheduler);
	store_close(sv->store);
	sodium_memzero(sv->master_key, sizeof sv->master_key);
	for (size_t i = 0; i < sizeof own.signals / sizeof own.signals[0]; i++) {
		if (own.signals[i] != NULL)
			event_free(own.signals[i]);
	}
	if (own.rest != NULL)
		event_free(own.rest);
	if (sv->base != NULL)
		event_base_free(sv->base);
	pidfile_remove(own.pidfile);
	config_free(sv->config);
}
