/*
 * msigd-worker(8): one job, then it ends. Speaks over descriptor 3 with the
 * supervisor (ipc/message.h), and with the wallet-rpcs it was given.
 */
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "ipc/channel.h"
#include "worker/job.h"

static struct job job;

/* --- the log goes to the supervisor --------------------------------------- */

static void
send_log(enum log_level level, const char *event, const struct log_field *fields)
{
	json_t *object = json_object();

	if (job.generation == 0) {
		json_decref(object);
		return;
	}
	for (; fields->name != NULL; fields++) {
		if (!fields->is_string)
			json_object_set_new(object, fields->name, json_integer(fields->number));
		else if (fields->string != NULL)
			json_object_set_new(object, fields->name, json_string(fields->string));
	}
	channel_send(job.channel, json_pack("{s:s, s:I, s:s, s:s, s:o}", "type", message_type_name(MESSAGE_LOG),
	    "generation", (json_int_t)job.generation, "level", log_level_name(level), "event", event, "fields", object));
}

/* --- the channel ---------------------------------------------------------- */

static void
on_start(json_t *frame)
{
	const char *why;

	if (json_integer_value(json_object_get(frame, "protocol")) != IPC_PROTOCOL) {
		job_leave(&job, WORKER_EXIT_PROTOCOL);
		return;
	}
	if (!job_init(&job, frame, &why)) {
		job_fail(&job, NULL, NULL, CAUSE_INTERNAL, true, "worker: %s", why);
		return;
	}
	job_take_locks(&job);
}

/* Reports are committed, and so acknowledged, in order. */
static void
on_ack(json_t *frame)
{
	json_int_t serial = json_integer_value(json_object_get(frame, "serial"));

	if (job.acked == NULL || serial != job.acked_serial + 1 || serial > job.serial) {
		job_leave(&job, WORKER_EXIT_PROTOCOL);
		return;
	}
	job.acked_serial = serial;
	job.unacked--;
	job.keep = json_is_true(json_object_get(frame, "session"));
	job.acked(&job, serial);
}

static void
on_frame(json_t *frame, void *arg)
{
	static bool started;
	enum worker_state state = !started ? WORKER_STARTING : job.serving ? WORKER_SERVING : WORKER_WORKING;
	const char *name = json_string_value(json_object_get(frame, "type"));
	enum message_type type;

	(void)arg;
	if (job.ended)
		return;
	/* start comes first, and once */
	if (name == NULL || !message_type_parse(name, &type) || (type == MESSAGE_START) == started ||
	    !message_allowed_to_worker(type, state)) {
		job_leave(&job, WORKER_EXIT_PROTOCOL);
		return;
	}
	if (type == MESSAGE_START) {
		started = true;
		on_start(frame);
	} else if (type == MESSAGE_STOP) {
		job.stopping = true;
		job.stop(&job);
	} else if (type == MESSAGE_REQUEST) {
		session_request(&job, frame);
	} else {
		on_ack(frame);
	}
}

static void
on_channel_end(enum channel_end end, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	job_leave(&job, end == CHANNEL_EOF ? WORKER_EXIT_SUPERVISOR_GONE : WORKER_EXIT_PROTOCOL);
}

/* --- the process ---------------------------------------------------------- */

/* Passwords, messages and seeds pass through JSON values. */
static void
wiping_free(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void
lock_down(void)
{
	static const struct rlimit no_core = {0, 0};

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
}

/* The libraries that libcurl brings take a millisecond to put themselves away,
 * and the kernel does it anyway. */
static _Noreturn void
leave_process(void)
{
#ifdef MSIGD_SANITIZE
	channel_free(job.channel);
	event_base_free(job.base);
	exit(job.exit_status); /* looks for leaks */
#else
	_exit(job.exit_status);
#endif
}

static bool
has_supervisor(void)
{
	struct stat st;

	return fstat(IPC_FD, &st) == 0 && S_ISSOCK(st.st_mode);
}

int
main(void)
{
	lock_down();
	if (!has_supervisor()) {
		fprintf(stderr, "msigd-worker: started by msigd(8) only, with a socket as descriptor %d\n", IPC_FD);
		return WORKER_EXIT_PROTOCOL;
	}
	if (sodium_init() == -1)
		return WORKER_EXIT_RESOURCES;
	json_set_alloc_funcs(malloc, wiping_free);
	job.base = event_base_new();
	if (job.base == NULL)
		return WORKER_EXIT_RESOURCES;
	job.channel = channel_new(job.base, IPC_FD, on_frame, on_channel_end, NULL);
	if (job.channel == NULL)
		return WORKER_EXIT_RESOURCES;
	log_open("msigd-worker", LOG_TARGET_FUNCTION, send_log);
	log_set(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	channel_send(job.channel, json_pack("{s:s, s:i}", "type", message_type_name(MESSAGE_HELLO), "protocol", IPC_PROTOCOL));
	event_base_dispatch(job.base);
	job_clear(&job); /* wipes */
	leave_process();
}
