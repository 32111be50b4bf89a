#include "supervisor/check.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/lock.h"
#include "common/text.h"
#include "supervisor/api.h"
#include "ipc/child.h"
#include "supervisor/check_files.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/repair.h"
#include "supervisor/store_integrity.h"
#include "supervisor/supervisor.h"

enum {
	ESCROWS_A_TURN = 20,
	PROBLEMS_MAX = 1000
};

struct checker {
	struct supervisor *sv;
	struct api_call *call;        /* NULL: none under way */
	struct event *step;           /* the next few escrows */
	struct store_copy *copying;   /* NULL: not now */
	struct child *child;          /* looks at the copy; NULL: not now */
	int copy_fd;                  /* the copy while child looks at it, else -1 */
	char after[UUID_TEXT];        /* the last escrow looked at, or "" */
	json_t *problems;
	struct check_files *files;    /* the folders, the last of it; NULL: not now */
	json_t *repaired;             /* what a repair before it has brought back, or NULL */
	int64_t escrows, wallets, unreadable, sealed, locks;
	unsigned char subkey[SEAL_KEY_BYTES];
	const char *escrow_id;        /* while its seals are looked at */
};

static void
take_problem(json_t *problem, void *arg)
{
	struct checker *c = arg;

	if (json_array_size(c->problems) < PROBLEMS_MAX)
		json_array_append_new(c->problems, problem);
	else
		json_decref(problem);
}

static void
problem(struct checker *c, const char *kind, const char *escrow_id, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static void
problem(struct checker *c, const char *kind, const char *escrow_id, const char *remedy, const char *format, ...)
{
	char whole[1024], what[512];
	va_list values;

	va_start(values, format);
	vsnprintf(whole, sizeof whole, format, values);
	va_end(values);
	text_copy(what, sizeof what, whole);
	take_problem(json_pack("{s:s, s:s*, s:s, s:s}", "kind", kind, "escrow_id", escrow_id, "what", what,
	    "remedy", remedy), c);
}

static const char wrong_key[] =
    "is key-file the one this store was made with? else restore the store from a backup";

/* Whether it opens, in the place it was made for. */
static bool
opens(struct checker *c, const struct seal_place *place, const void *sealed, size_t size)
{
	unsigned char *plain = malloc(size + 1);
	bool good = plain != NULL && unseal(c->subkey, place, sealed, size, plain);

	c->sealed++;
	if (plain != NULL)
		sodium_memzero(plain, size);
	free(plain);
	return good;
}

/* --- the answer ----------------------------------------------------------- */

static void
forget(struct checker *c)
{
	check_files_free(c->files);
	c->files = NULL;
	json_decref(c->problems);
	json_decref(c->repaired);
	c->problems = c->repaired = NULL;
}

static void
finish(struct checker *c)
{
	struct api_call *call = c->call;
	bool ok = json_array_size(c->problems) == 0;

	json_t *answer = json_pack("{s:b, s:{s:I, s:I, s:I, s:I}, s:I, s:O, s:O*}", "ok", ok, "checked",
	    "escrows", (json_int_t)c->escrows, "wallets", (json_int_t)c->wallets,
	    "sealed", (json_int_t)c->sealed, "locks", (json_int_t)c->locks, "not_looked_at", (json_int_t)c->unreadable,
	    "problems", c->problems, "repaired", c->repaired);

	if (c->files != NULL)
		check_files_answer(c->files, answer);
	c->call = NULL;
	forget(c);
	api_result(call, answer);
}

/* --- escrows -------------------------------------------------------------- */

static void
check_sealed(int attempt, enum role role, int round, const char *kind, const void *sealed, size_t size, void *arg)
{
	struct checker *c = arg;
	struct seal_place place = {.escrow_id = c->escrow_id, .attempt = attempt, .role = role, .round = round};

	if (!seal_kind_parse(kind, &place.kind) || !opens(c, &place, sealed, size))
		problem(c, "seal", c->escrow_id, wrong_key, "attempt %d: %s: the sealed %s cannot be opened", attempt, role_name(role),
		    kind);
}

static const char repair[] = "run msigctl check --repair: it brings the wallet back from what is sealed in the store";

static void
check_file(struct checker *c, const struct store_escrow *e, enum role role, const char *folder)
{
	const char *wallet = e->participants[role].wallet;
	char path[PATH_MAX];
	struct stat st;

	c->wallets++;
	snprintf(path, sizeof path, "%.3000s/%.200s.keys", folder, wallet);
	if (stat(path, &st) == -1)
		problem(c, errno == ENOENT ? "wallet_missing" : "wallet_unreadable", e->escrow_id, repair, "%s: the wallet file %s: %s",
		    role_name(role), path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size == 0)
		problem(c, "wallet_missing", e->escrow_id, repair, "%s: the wallet file %s: it is empty, or no file",
		    role_name(role), path);
	else if (access(path, R_OK) == -1)
		problem(c, "wallet_unreadable", e->escrow_id, "let msigd read it", "%s: the wallet file %s: %s", role_name(role), path,
		    strerror(errno));
	else if ((st.st_mode & 077) != 0)
		problem(c, "wallet_permissions", e->escrow_id, "chmod 600 that file", "%s: the wallet file %s: group or others may "
		    "use it: its mode is %04o", role_name(role), path, (unsigned)st.st_mode & 07777);
}

static void
check_wallets(struct checker *c, const struct store_escrow *e)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct store_participant *p = &e->participants[r];
		struct endpoint *ep = p->endpoint != NULL ? endpoint_find(c->sv->endpoints, p->endpoint) : NULL;
		const char *folder = ep != NULL ? endpoint_folder(ep) : NULL;
		if (p->wallet == NULL || p->external)
			continue;
		if (ep == NULL)
			problem(c, "endpoint_missing", e->escrow_id, "put it back into the configuration; or, if it is lost, run msigctl check "
			    "--repair --elsewhere: it brings the wallet back on another", "%s: its endpoint %s is not in the configuration",
			    role_name((enum role)r), p->endpoint != NULL ? p->endpoint : "?");
		else if (folder != NULL)
			check_file(c, e, (enum role)r, folder);
		else
			c->unreadable++;
	}
}

/* What the last look at its wallets gave (check_control.c). */
static void
check_not_verified(struct checker *c, const struct store_escrow *e)
{
	time_t at = (time_t)(e->not_verified_at / 1000);
	char date[32] = "";
	struct tm utc;

	if (gmtime_r(&at, &utc) != NULL)
		strftime(date, sizeof date, "%F %T UTC", &utc);
	problem(c, "not_verified", e->escrow_id, "its money can be reached with the sealed .keys and seeds in the store: keep a "
	    "backup of it and of key-file; then run msigctl check --repair, or put the wallet files right and restart msigd, "
	    "which opens them again", "%s its wallets could not be opened from disk: %s", date, e->not_verified_reason);
}

static void
check_escrow(struct checker *c, const char *id)
{
	struct store_escrow e;

	c->escrows++;
	if (store_get_escrow(c->sv->store, id, &e) != STORE_OK) {
		problem(c, "store", id, "restore the store from a backup", "%s", store_error(c->sv->store));
		return;
	}
	if (e.phase == PHASE_READY)
		check_wallets(c, &e);
	if (e.not_verified_at != 0)
		check_not_verified(c, &e);
	if (!phase_is_terminal(e.phase) && escrow_find(c->sv->escrows, id) == NULL)
		problem(c, "idle", id, "restart msigd: it takes up all that is not finished", "it is %s and nobody works at it",
		    phase_name(e.phase));
	store_escrow_clear(&e);
	seal_subkey(c->sv->master_key, id, c->subkey);
	c->escrow_id = id;
	if (store_each_sealed(c->sv->store, id, check_sealed, c) != STORE_OK)
		problem(c, "store", id, "restore the store from a backup", "%s", store_error(c->sv->store));
	sodium_memzero(c->subkey, sizeof c->subkey);
}

/* --- spare wallets --------------------------------------------------------- */

static void
check_spare(const char *spare_id, const char *wallet, const void *sealed, size_t size, void *arg)
{
	struct checker *c = arg;
	struct seal_place place = {spare_id, 0, ROLE_ANY, 0, SEAL_PASSWORD};

	seal_subkey(c->sv->master_key, spare_id, c->subkey);
	if (!opens(c, &place, sealed, size))
		problem(c, "seal", NULL, wrong_key, "spare wallet %s: the sealed password cannot be opened", wallet);
	sodium_memzero(c->subkey, sizeof c->subkey);
}

/* At most one an endpoint. */
static void
check_spares(struct checker *c)
{
	if (store_each_spare(c->sv->store, check_spare, c) != STORE_OK)
		problem(c, "store", NULL, "restore the store from a backup", "%s", store_error(c->sv->store));
}

/* --- locks ---------------------------------------------------------------- */

/* An endpoint that nobody is leased to should have no lock either. */
static void
check_locks(struct checker *c)
{
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &c->sv->endpoints->all, all) {
		struct lock lock;
		char holder[128] = "";
		c->locks++;
		if (ep->state != ENDPOINT_IDLE && ep->state != ENDPOINT_PRIMED)
			continue;
		lock_init_endpoint(&lock, ep->url.text);
		switch (lock_try(&lock, c->sv->config->lock_dir, "check", holder, sizeof holder)) {
		case LOCK_TAKEN:
			lock_release(&lock);
			break;
		case LOCK_BUSY:
			problem(c, "lock", NULL, "is another msigd at work on this endpoint? give each endpoint to one of them",
			    "endpoint %s (%s) is %s here, but held by %s", ep->name, ep->url.text, endpoint_state_name(ep->state),
			    holder);
			break;
		case LOCK_ERROR:
			problem(c, "lock", NULL, "look at lock-dir and its permissions", "%s/%s: %s", c->sv->config->lock_dir, lock.name,
			    strerror(errno));
			break;
		}
	}
}

static void
on_step(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = {0, 0};
	struct checker *c = arg;
	char ids[ESCROWS_A_TURN][UUID_TEXT];
	int count = 0;

	(void)fd;
	(void)what;
	if (c->files != NULL) {
		if (check_files_step(c->files))
			event_add(c->step, &soon);
		else
			finish(c);
		return;
	}
	if (store_list_escrows(c->sv->store, PHASE_COUNT, c->after[0] != '\0' ? c->after : NULL, ESCROWS_A_TURN, ids, &count)
	    != STORE_OK)
		problem(c, "store", NULL, "restore the store from a backup", "%s", store_error(c->sv->store));
	for (int i = 0; i < count; i++)
		check_escrow(c, ids[i]);
	if (count == ESCROWS_A_TURN) {
		memcpy(c->after, ids[count - 1], sizeof c->after);
		event_add(c->step, &soon);
		return;
	}
	check_spares(c);
	check_locks(c);
	c->files = check_files_new(c->sv, take_problem, c);
	if (c->files != NULL)
		event_add(c->step, &soon);
	else
		finish(c);
}

/* --- the database: a process of its own looks at a copy -------------------- */

static void
look_at_escrows(struct checker *c)
{
	static const struct timeval soon = {0, 0};

	event_add(c->step, &soon);
}

static void
not_looked_at(struct checker *c, const char *why)
{
	problem(c, "store", NULL, "make room in state-dir, look at the disk, and check again", "the database was not looked at: %s", why);
	look_at_escrows(c);
}

static void
on_looked(int status, int exec_errno, int64_t cpu_us, void *arg)
{
	struct checker *c = arg;
	char text[STORE_INTEGRITY_TEXT] = "", end[128];
	ssize_t n = pread(c->copy_fd, text, sizeof text - 1, 0);

	(void)cpu_us;
	c->child = NULL;
	close(c->copy_fd);
	c->copy_fd = -1;
	if (exec_errno != 0) {
		not_looked_at(c, strerror(exec_errno));
		return;
	}
	if (status != 0 || n <= 0) {
		child_describe_end(status, end, sizeof end);
		not_looked_at(c, end);
		return;
	}
	text[n] = '\0';
	if (strcmp(text, "ok") != 0)
		problem(c, "store", NULL, "restore the store from a backup", "the database is damaged: %s", text);
	look_at_escrows(c);
}

/* The copy is all that the process gets of us. */
static void
on_copied(int fd, const char *error, void *arg)
{
	static char name[] = "msigd", option[] = STORE_INTEGRITY_OPTION;
	char *argv[] = {name, option, NULL}, *envp[] = {NULL};
	struct child_spec spec = {.program = "/proc/self/exe", .argv = argv, .envp = envp, .fd3 = fd, .dies_with_us = true};
	struct checker *c = arg;

	c->copying = NULL;
	if (fd != -1) {
		c->child = child_spawn(c->sv->base, &spec, on_looked, c);
		if (c->child != NULL) {
			c->copy_fd = fd;
			return;
		}
		error = strerror(errno);
		close(fd);
	}
	not_looked_at(c, error);
}

static void
look_at_database(struct checker *c)
{
	c->escrows = c->wallets = c->unreadable = c->sealed = c->locks = 0;
	c->after[0] = '\0';
	c->copying = store_copy(c->sv->store, on_copied, c);
	if (c->copying == NULL)
		not_looked_at(c, store_error(c->sv->store));
}

/* It is looked at what is there now. */
static void
on_repaired(json_t *repaired, json_t *problems, void *arg)
{
	struct checker *c = arg;

	if (repaired == NULL)
		return; /* msigd stops: check_stop() tells it */
	c->repaired = repaired;
	json_array_extend(c->problems, problems);
	json_decref(problems);
	look_at_database(c);
}

void
check_begin(struct checker *c, struct api_call *call, bool repair_first, bool elsewhere)
{
	if (c->call != NULL) {
		api_error(call, API_BUSY, "a check is under way: wait for it to end");
		return;
	}
	if (c->sv->stopping || (repair_first && c->sv->draining)) {
		api_error(call, API_STOPPING, "msigd is stopping: check it after the next start");
		return;
	}
	if (repair_first && repair_is_under_way(c->sv->repairer)) {
		api_error(call, API_BUSY, "a repair is under way, of wallets that were not good when they were verified, or one that was "
		    "called off: repair again in a moment");
		return;
	}
	c->call = call;
	c->problems = json_array();
	if (repair_first)
		repair_begin(c->sv->repairer, NULL, elsewhere, on_repaired, c);
	else
		look_at_database(c);
}

/* Everything that goes on by itself is ended. */
static void
abandon(struct checker *c)
{
	store_copy_cancel(c->copying);
	c->copying = NULL;
	if (c->child != NULL) {
		child_kill(c->child, SIGKILL);
		child_reap(c->child);
		close(c->copy_fd);
	}
	c->child = NULL;
	c->copy_fd = -1;
	event_del(c->step);
	forget(c);
}

void
check_stop(struct checker *c)
{
	struct api_call *call = c->call;

	if (call == NULL)
		return;
	abandon(c);
	c->call = NULL;
	api_error(call, API_STOPPING, "msigd is stopping: the check was not finished");
}

struct checker *
checker_new(struct supervisor *sv)
{
	struct checker *c = calloc(1, sizeof *c);

	if (c == NULL || (c->step = evtimer_new(sv->base, on_step, c)) == NULL) {
		free(c);
		return NULL;
	}
	c->sv = sv;
	c->copy_fd = -1;
	return c;
}

void
checker_free(struct checker *c)
{
	if (c == NULL)
		return;
	abandon(c);
	event_free(c->step);
	free(c);
}
