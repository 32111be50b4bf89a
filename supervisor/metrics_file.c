#include "supervisor/metrics_file.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/atomic_file.h"
#include "common/log.h"
#include "supervisor/supervisor.h"

struct metrics_file {
	struct supervisor *sv;
	struct event *again;
	int failed;             /* the errno that was told, 0: it could be written */
};

static bool
write_all(struct metrics_file *f)
{
	struct evbuffer *text = evbuffer_new();
	bool ok;

	if (text == NULL) {
		errno = ENOMEM;
		return false;
	}
	metrics_write(f->sv, METRICS_PROMETHEUS, text);
	/* the collector is another user */
	ok = atomic_file_write_unsynced(f->sv->config->metrics_file, evbuffer_pullup(text, -1), evbuffer_get_length(text), 0644);
	evbuffer_free(text);
	return ok;
}

void
metrics_file_write(struct metrics_file *f)
{
	int why;

	if (f == NULL)
		return;
	why = write_all(f) ? 0 : errno;
	if (why == f->failed)
		return;
	f->failed = why;
	if (why == 0)
		log_info("metrics_file_written", F_STR("file", f->sv->config->metrics_file));
	else
		log_warn("metrics_file_failed", F_STR("file", f->sv->config->metrics_file), F_STR("error", strerror(why)),
		    F_STR("remedy", "let msigd write into its folder, or set metrics-file to another"));
}

static void
on_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	metrics_file_write(arg);
}

struct metrics_file *
metrics_file_new(struct supervisor *sv)
{
	static const struct timeval interval = {15, 0};
	struct metrics_file *f;

	if (sv->config->metrics_file == NULL || (f = calloc(1, sizeof *f)) == NULL)
		return NULL;
	f->sv = sv;
	f->again = event_new(sv->base, -1, EV_PERSIST, on_time, f);
	if (f->again == NULL || event_add(f->again, &interval) == -1)
		log_warn("metrics_file_failed", F_STR("file", sv->config->metrics_file), F_STR("error", "no timer"));
	metrics_file_write(f);
	return f;
}

void
metrics_file_free(struct metrics_file *f)
{
	if (f == NULL)
		return;
	metrics_file_write(f);
	if (f->again != NULL)
		event_free(f->again);
	free(f);
}
