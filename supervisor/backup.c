#include "supervisor/backup.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/api.h"
#include "supervisor/supervisor.h"

enum { IDLE_SECONDS = 60, COPIES_MAX = 4 };

struct backup {
	TAILQ_ENTRY(backup) next;
	struct backups *pool;
	int64_t id;
	struct store_copy *copying; /* NULL: it is whole */
	int fd;                  /* -1 while it is being copied */
	off_t size;
	struct api_call *first;  /* waits for the copy */
	struct event *idle;
};

struct backups {
	struct supervisor *sv;
	TAILQ_HEAD(, backup) all;
	int count;
	int64_t last_id;
};

static void
backup_free(struct backup *b)
{
	TAILQ_REMOVE(&b->pool->all, b, next);
	b->pool->count--;
	store_copy_cancel(b->copying);
	if (b->fd != -1)
		close(b->fd);
	event_free(b->idle);
	free(b);
}

static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	backup_free(arg);
}

/* Answers with a piece; after the last one the copy is gone. */
static void
answer_piece(struct backup *b, struct api_call *call, int64_t offset)
{
	static const struct timeval idle = {IDLE_SECONDS, 0};
	unsigned char piece[BACKUP_PIECE];
	char text[sodium_base64_ENCODED_LEN(BACKUP_PIECE, sodium_base64_VARIANT_ORIGINAL)];
	ssize_t n = pread(b->fd, piece, sizeof piece, offset);
	bool eof = n >= 0 && offset + n >= b->size;

	if (n == -1) {
		api_error(call, API_STORE_FAILED, "backup: reading the copy: %s: begin a new one", strerror(errno));
		backup_free(b);
		return;
	}
	sodium_bin2base64(text, sizeof text, piece, (size_t)n, sodium_base64_VARIANT_ORIGINAL);
	api_result(call, json_pack("{s:I, s:I, s:I, s:s, s:b}", "backup_id", (json_int_t)b->id,
	    "size", (json_int_t)b->size, "offset", (json_int_t)offset, "data", text, "eof", eof));
	if (eof)
		backup_free(b);
	else
		event_add(b->idle, &idle);
}

static void
on_copied(int fd, const char *error, void *arg)
{
	struct backup *b = arg;
	struct api_call *call = b->first;
	struct stat st = {0};

	b->first = NULL;
	b->copying = NULL;
	b->fd = fd;
	if (fd != -1 && fstat(fd, &st) == -1)
		error = strerror(errno);
	if (error != NULL) {
		api_error(call, API_STORE_FAILED, "backup: the copy could not be made: %s", error);
		backup_free(b);
		return;
	}
	b->size = st.st_size;
	answer_piece(b, call, 0);
}

void
backup_begin(struct backups *pool, struct api_call *call)
{
	struct backup *b = pool->count < COPIES_MAX ? calloc(1, sizeof *b) : NULL;

	if (b == NULL || (b->idle = evtimer_new(pool->sv->base, on_idle, b)) == NULL) {
		free(b);
		api_error(call, API_BUSY, "backup: %d are under way already: wait for one to end", pool->count);
		return;
	}
	b->pool = pool;
	b->id = ++pool->last_id;
	b->fd = -1;
	b->first = call;
	TAILQ_INSERT_TAIL(&pool->all, b, next);
	pool->count++;
	b->copying = store_copy(pool->sv->store, on_copied, b);
	if (b->copying == NULL)
		on_copied(-1, store_error(pool->sv->store), b);
}

void
backup_piece(struct backups *pool, struct api_call *call, int64_t backup_id, int64_t offset)
{
	struct backup *b;

	TAILQ_FOREACH(b, &pool->all, next) {
		if (b->id == backup_id && b->fd != -1)
			break;
	}
	if (b == NULL)
		api_error(call, API_BACKUP_GONE, "backup: there is no backup %lld: begin a new one", (long long)backup_id);
	else
		answer_piece(b, call, offset);
}

struct backups *
backups_new(struct supervisor *sv)
{
	struct backups *pool = calloc(1, sizeof *pool);

	if (pool == NULL)
		return NULL;
	pool->sv = sv;
	TAILQ_INIT(&pool->all);
	return pool;
}

void
backups_free(struct backups *pool)
{
	struct backup *b;

	if (pool == NULL)
		return;
	while ((b = TAILQ_FIRST(&pool->all)) != NULL)
		backup_free(b);
	free(pool);
}
