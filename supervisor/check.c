#include "supervisor/check.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/lock.h"
#include "supervisor/api.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/supervisor.h"

enum {
	ESCROWS_A_TURN = 20,
	PROBLEMS_MAX = 1000
};

struct checker {
	struct supervisor *sv;
	struct api_call *call;        /* NULL: none under way */
	struct event *step;           /* the next few escrows */
	struct event *child_said;     /* the child's pipe */
	int child_pipe;
	pid_t child;
	char copy[PATH_MAX];
	char after[UUID_TEXT];        /* the last escrow looked at, or "" */
	json_t *problems;
	int64_t escrows, wallets, sealed, locks;
	unsigned char subkey[SEAL_KEY_BYTES];
	const char *escrow_id;        /* while its seals are looked at */
};

static void
problem(struct checker *c, const char *escrow_id, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void
problem(struct checker *c, const char *escrow_id, const char *remedy, const char *format, ...)
{
	char what[512];
	va_list values;

	if (json_array_size(c->problems) >= PROBLEMS_MAX)
		return;
	va_start(values, format);
	vsnprintf(what, sizeof what, format, values);
	va_end(values);
	json_array_append_new(c->problems, json_pack("{s:s*, s:s, s:s}", "escrow_id", escrow_id, "what", what,
	    "remedy", remedy));
}

/* --- the answer ----------------------------------------------------------- */

static void
finish(struct checker *c)
{
	struct api_call *call = c->call;
	bool ok = json_array_size(c->problems) == 0;

	c->call = NULL;
	api_result(call, json_pack("{s:b, s:{s:I, s:I, s:I, s:I}, s:o}", "ok", ok, "checked",
	    "escrows", (json_int_t)c->escrows, "wallets", (json_int_t)c->wallets,
	    "sealed", (json_int_t)c->sealed, "locks", (json_int_t)c->locks, "problems", c->problems));
	c->problems = NULL;
}

/* --- escrows -------------------------------------------------------------- */

static bool
parse_kind(const char *name, enum seal_kind *kind)
{
	static const char *const names[SEAL_KIND_COUNT] = {"password", "message", "keys", "seed"};

	for (int i = 0; i < SEAL_KIND_COUNT; i++) {
		if (strcmp(name, names[i]) == 0) {
			*kind = (enum seal_kind)i;
			return true;
		}
	}
	return false;
}

static void
check_sealed(int attempt, enum role role, int round, const char *kind, const void *sealed, size_t size, void *arg)
{
	struct checker *c = arg;
	struct seal_place place = {.escrow_id = c->escrow_id, .attempt = attempt, .role = role, .round = round};
	unsigned char *plain = malloc(size + 1);
	bool good = plain != NULL && parse_kind(kind, &place.kind) && unseal(c->subkey, &place, sealed, size, plain);

	c->sealed++;
	if (!good)
		problem(c, c->escrow_id, "is key-file the one this store was made with? else restore the store from a backup",
		    "attempt %d: %s: the sealed %s cannot be opened", attempt, role_name(role), kind);
	if (plain != NULL)
		explicit_bzero(plain, size);
	free(plain);
}

/* Where the files of an endpoint are; NULL: they cannot be read, or are a guess. */
static const char *
wallet_dir_of(struct checker *c, const char *endpoint)
{
	struct endpoint *ep = endpoint != NULL ? endpoint_find(c->sv->endpoints, endpoint) : NULL;

	if (ep == NULL)
		return NULL;
	if (ep->managed)
		return c->sv->config->wallet_dir;
	return ep->given->wallet_dir_given && ep->given->wallet_dir[0] != '\0' ? ep->given->wallet_dir : NULL;
}

static void
check_files(struct checker *c, const struct store_escrow *e)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		const struct store_participant *p = &e->participants[r];
		const char *dir = wallet_dir_of(c, p->endpoint);
		char path[PATH_MAX];
		if (dir == NULL || p->wallet == NULL)
			continue;
		c->wallets++;
		snprintf(path, sizeof path, "%.3000s/%.200s.keys", dir, p->wallet);
		if (access(path, R_OK) == -1)
			problem(c, e->escrow_id, "put the file back; its sealed copy and the wallet's seed are in the store",
			    "%s: the wallet file %s: %s", role_name((enum role)r), path, strerror(errno));
	}
}

static void
check_escrow(struct checker *c, const char *id)
{
	struct store_escrow e;

	c->escrows++;
	if (store_get_escrow(c->sv->store, id, &e) != STORE_OK) {
		problem(c, id, "restore the store from a backup", "%s", store_error(c->sv->store));
		return;
	}
	if (e.phase == PHASE_READY)
		check_files(c, &e);
	if (!phase_is_terminal(e.phase) && escrow_find(c->sv->escrows, id) == NULL)
		problem(c, id, "restart msigd: it takes up all that is not finished", "it is %s and nobody works at it",
		    phase_name(e.phase));
	store_escrow_clear(&e);
	seal_subkey(c->sv->master_key, id, c->subkey);
	c->escrow_id = id;
	store_each_sealed(c->sv->store, id, check_sealed, c);
	explicit_bzero(c->subkey, sizeof c->subkey);
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
		if (ep->state != ENDPOINT_IDLE)
			continue;
		lock_init_endpoint(&lock, ep->url.text);
		switch (lock_try(&lock, c->sv->config->lock_dir, "check", holder, sizeof holder)) {
		case LOCK_TAKEN:
			lock_release(&lock);
			break;
		case LOCK_BUSY:
			problem(c, NULL, "is another msigd at work on this endpoint? give each endpoint to one of them",
			    "endpoint %s (%s) is idle here, but held by %s", ep->name, ep->url.text, holder);
			break;
		case LOCK_ERROR:
			problem(c, NULL, "look at lock-dir and its permissions", "%s/%s: %s", c->sv->config->lock_dir, lock.name,
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
	if (store_list_escrows(c->sv->store, PHASE_COUNT, c->after[0] != '\0' ? c->after : NULL, ESCROWS_A_TURN, ids, &count)
	    != STORE_OK)
		problem(c, NULL, "restore the store from a backup", "%s", store_error(c->sv->store));
	for (int i = 0; i < count; i++)
		check_escrow(c, ids[i]);
	if (count == ESCROWS_A_TURN) {
		memcpy(c->after, ids[count - 1], sizeof c->after);
		event_add(c->step, &soon);
		return;
	}
	check_locks(c);
	finish(c);
}

/* --- the database: a child looks at a copy -------------------------------- */

static _Noreturn void
child_main(const char *path, int out)
{
	sqlite3 *db;
	sqlite3_stmt *statement;
	char text[512] = "the copy cannot be opened";

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "PRAGMA integrity_check(5)", -1, &statement, NULL) == SQLITE_OK) {
		text[0] = '\0';
		while (sqlite3_step(statement) == SQLITE_ROW && strlen(text) < 400)
			snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.80s", text[0] != '\0' ? "; " : "",
			    (const char *)sqlite3_column_text(statement, 0));
	}
	if (write(out, text, strlen(text)) == -1)
		_exit(1);
	_exit(0);
}

static void
on_child_said(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = {0, 0};
	struct checker *c = arg;
	char text[600];
	ssize_t n = read(fd, text, sizeof text - 1);

	(void)what;
	text[n > 0 ? n : 0] = '\0';
	waitpid(c->child, NULL, 0); /* it has written its last word */
	c->child = 0;
	close(c->child_pipe);
	event_free(c->child_said);
	c->child_said = NULL;
	unlink(c->copy);
	if (strcmp(text, "ok") != 0)
		problem(c, NULL, "restore the store from a backup", "the database is damaged: %s", text);
	event_add(c->step, &soon);
}

static void
on_copied(const char *error, void *arg)
{
	struct checker *c = arg;
	int fds[2];

	if (error == NULL && pipe2(fds, O_CLOEXEC) == 0) {
		c->child = fork();
		if (c->child == 0)
			child_main(c->copy, fds[1]);
		close(fds[1]);
		c->child_pipe = fds[0];
		if (c->child != -1)
			c->child_said = event_new(c->sv->base, fds[0], EV_READ, on_child_said, c);
		if (c->child_said != NULL) {
			event_add(c->child_said, NULL);
			return;
		}
		close(fds[0]);
		error = strerror(errno);
	}
	unlink(c->copy);
	problem(c, NULL, "make room in state-dir, and look at the disk", "the database could not be copied to be checked: %s",
	    error != NULL ? error : strerror(errno));
	on_step(-1, 0, c);
}

void
check_begin(struct checker *c, struct api_call *call)
{
	if (c->call != NULL) {
		api_error(call, API_BUSY, "a check is under way: wait for it to end");
		return;
	}
	c->call = call;
	c->problems = json_array();
	c->escrows = c->wallets = c->sealed = c->locks = 0;
	c->after[0] = '\0';
	snprintf(c->copy, sizeof c->copy, "%.4000s/check-%ld.tmp", c->sv->config->state_dir, (long)getpid());
	store_copy(c->sv->store, c->copy, on_copied, c);
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
	return c;
}

void
checker_free(struct checker *c)
{
	if (c == NULL)
		return;
	if (c->call != NULL)
		unlink(c->copy);
	if (c->child_said != NULL)
		event_free(c->child_said);
	event_free(c->step);
	json_decref(c->problems);
	free(c);
}
