/* One worker: what it says and does, and what is done with it by worker_life.h. */
#include "supervisor/worker_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "ipc/channel.h"
#include "ipc/child.h"
#include "supervisor/store.h"
#include "supervisor/supervisor.h"
#include "supervisor/trace.h"
#include "supervisor/worker_internal.h"

static const char worker_program[] = MSIGD_LIBEXECDIR "/msigd-worker";

enum { GRACE_MS = 5000 };

/* For log lines: NULL is left out. */
static const char *
escrow_of(const struct worker *w)
{
	return w->escrow_id[0] != '\0' ? w->escrow_id : NULL;
}

/* The first is what it is ended for. */
static void
blame(struct worker *w, enum worker_fault fault)
{
	if (w->fault == WORKER_FAULT_NONE)
		w->fault = fault;
}

/* --- what comes in -------------------------------------------------------- */

static void
log_line_of(struct worker *w, json_t *frame)
{
	const char *event = json_string_value(json_object_get(frame, "event"));
	const char *level_text = json_string_value(json_object_get(frame, "level"));
	struct log_field fields[16] = {F_STR("escrow", escrow_of(w)),
	    F_INT("worker", w->generation)};
	enum log_level level;
	size_t n = 2;
	const char *name;
	json_t *value;

	if (event == NULL || level_text == NULL || !log_level_parse(level_text, &level))
		return;
	json_object_foreach(json_object_get(frame, "fields"), name, value) {
		if (n == sizeof fields / sizeof fields[0] - 1)
			break;
		if (json_is_string(value))
			fields[n++] = F_STR(name, json_string_value(value));
		else if (json_is_integer(value))
			fields[n++] = F_INT(name, json_integer_value(value));
	}
	fields[n] = (struct log_field){0, 0, 0, false};
	log_write(level, event, fields);
}

/* All locks of its job are held. */
static void
log_locked(struct worker *w, json_t *frame)
{
	json_t *lock;
	size_t i;

	json_array_foreach(json_object_get(frame, "locks"), i, lock) {
		json_int_t busy = json_integer_value(json_object_get(lock, "busy_tries"));
		if (busy > 0)
			log_info("lock_waited", F_STR("escrow", escrow_of(w)),
			    F_STR("lock", json_string_value(json_object_get(lock, "name"))),
			    F_INT("wait_ms", json_integer_value(json_object_get(lock, "wait_ms"))), F_INT("busy_tries", busy));
	}
}

/* What a worker counted of a lock; what cannot be is nothing. */
static int64_t
lock_number(const json_t *lock, const char *what)
{
	static const int64_t most = INT64_C(1000) * 86400 * 365;
	int64_t value = json_integer_value(json_object_get(lock, what));

	return value >= 0 && value <= most ? value : 0;
}

/* Wait, hold and busy tries of each lock, and of all together. One that was still
 * waited for at the end was busy, and was not had. */
static void
log_released(struct worker *w, json_t *frame)
{
	int64_t longest_wait = 0, longest_hold = 0, all_busy = 0;
	json_t *lock;
	size_t i;

	json_array_foreach(json_object_get(frame, "locks"), i, lock) {
		const char *name = json_string_value(json_object_get(lock, "name"));
		int64_t wait = lock_number(lock, "wait_ms"), hold = lock_number(lock, "hold_ms"), busy = lock_number(lock, "busy_tries");
		if (name == NULL)
			continue;
		metrics_lock(&w->sv->metrics, name, json_is_true(json_object_get(lock, "held")), wait, hold, busy);
		log_debug("lock_released", F_STR("escrow", escrow_of(w)), F_STR("lock", name), F_INT("wait_ms", wait),
		    F_INT("hold_ms", hold), F_INT("busy_tries", busy));
		longest_wait = wait > longest_wait ? wait : longest_wait;
		longest_hold = hold > longest_hold ? hold : longest_hold;
		all_busy += busy;
	}
	if (w->escrow_id[0] != '\0')
		log_info("locks_released", F_STR("escrow", w->escrow_id), F_STR("job", w->job->name), F_INT("locks", i),
		    F_INT("wait_ms", longest_wait), F_INT("hold_ms", longest_hold), F_INT("busy_tries", all_busy));
}

static enum worker_event
event_of(enum message_type type)
{
	if (type == MESSAGE_HELLO)
		return WORKER_EV_HELLO;
	if (type == MESSAGE_SERVING)
		return WORKER_EV_SERVING;
	return type == MESSAGE_FINISHED ? WORKER_EV_FINISHED : WORKER_EV_MESSAGE;
}

static const char *
fault_in(struct worker *w, json_t *frame, enum message_type *type)
{
	const char *name = json_string_value(json_object_get(frame, "type"));

	if (name == NULL || !message_type_parse(name, type))
		return "a frame of no known type";
	if (w->state == WORKER_KILLED)
		return NULL;
	if (!message_allowed_from_worker(*type, w->state) &&
	    !(*type == MESSAGE_HELLO && w->state == WORKER_TERMINATED))
		return "a frame that is not allowed in its state";
	if (*type != MESSAGE_HELLO || json_integer_value(json_object_get(frame, "protocol")) == IPC_PROTOCOL)
		return NULL;
	blame(w, WORKER_FAULT_VERSION);
	return "another version of the protocol: msigd and msigd-worker are not of one installation";
}

static void
on_frame(json_t *frame, void *arg)
{
	struct worker *w = arg;
	enum message_type type = MESSAGE_LOG;
	const char *fault = fault_in(w, frame, &type);
	json_t *generation = json_object_get(frame, "generation");

	if (fault != NULL) {
		worker_reject(w, fault);
		return;
	}
	if (type != MESSAGE_HELLO && (uint64_t)json_integer_value(generation) != w->generation) {
		log_warn("worker_old_generation", F_INT("worker", w->generation), F_STR("type", message_type_name(type)));
		return;
	}
	if (!numbers_add(&w->sv->metrics.numbers, json_object_get(frame, "numbers"))) {
		worker_reject(w, "numbers that cannot be");
		return;
	}
	/* of one that is killed, too: what it says tells what it came to */
	if (type != MESSAGE_TRACE)
		worker_handle(w, event_of(type), frame);
	else if (!worker_trace_frame(w, frame))
		worker_reject(w, "an event that is none of a worker's");
}

static void
on_channel_end(enum channel_end end, const char *why, void *arg)
{
	struct worker *w = arg;

	if (end == CHANNEL_EOF) {
		worker_handle(w, WORKER_EV_EOF, NULL);
		return;
	}
	worker_reject(w, why);
}

static void
on_child_end(int status, int exec_errno, int64_t cpu_us, void *arg)
{
	struct worker *w = arg;

	w->child = NULL;
	w->status = status;
	w->exec_errno = exec_errno;
	metrics_worker_cpu(&w->sv->metrics, w->job->name, cpu_us);
	/* its last frames may be in the socket still, and its reason with them */
	if (w->channel != NULL)
		channel_drain(w->channel);
	worker_handle(w, WORKER_EV_EXIT, NULL);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	blame(w, WORKER_FAULT_DEADLINE);
	if (w->why[0] == '\0')
		snprintf(w->why, sizeof w->why, w->state == WORKER_STARTING
		    ? "it did not say hello within %lld ms" : "its time was over after %lld ms (%s)",
		    (long long)(clock_monotonic_ms() - w->spawned_ms), worker_state_name(w->state));
	worker_handle(w, WORKER_EV_DEADLINE, NULL);
}

/* --- the actions of the table --------------------------------------------- */

static struct child *
spawn(struct worker *w, int fd3)
{
	char program[] = "msigd-worker";
	char *argv[] = {program, w->title, NULL};
	/* libcurl brings GnuTLS for protocols that are not used here: it need not set itself up */
	char without_gnutls[] = "GNUTLS_NO_IMPLICIT_INIT=1";
#ifdef MSIGD_FAULTS
	char *envp[1 + FAULT_VARIABLES + 1] = {without_gnutls};
#else
	char *envp[] = {without_gnutls, NULL};
#endif
	struct child_spec spec = {
		.program = worker_program, .argv = argv, .envp = envp, .fd3 = fd3, .dies_with_us = false,
	};

#ifdef MSIGD_FAULTS
	fault_environment(envp + 1);
#endif
	return child_spawn(w->sv->base, &spec, on_child_end, w);
}

static void
do_fork(struct worker *w)
{
	int fds[2];

	worker_pool_dequeue(w);
	worker_pool_count_starting(w->sv->workers, 1);
	w->spawned_ms = clock_monotonic_ms();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1) {
		snprintf(w->why, sizeof w->why, "no socketpair: %s", strerror(errno));
		worker_handle(w, WORKER_EV_NO_FORK, NULL);
		return;
	}
	w->child = spawn(w, fds[1]);
	w->forked = w->child != NULL;
	if (w->forked)
		metrics_worker_start(&w->sv->metrics, w->job->name);
	else
		snprintf(w->why, sizeof w->why, "no process: %s", strerror(errno));
	close(fds[1]);
	w->channel = w->child != NULL ? channel_new(w->sv->base, fds[0], on_frame, on_channel_end, w) : NULL;
	if (w->channel == NULL)
		close(fds[0]);
	if (w->child == NULL) {
		worker_handle(w, WORKER_EV_NO_FORK, NULL);
		return;
	}
	if (w->channel == NULL) {
		worker_reject(w, "out of memory for its channel");
		return;
	}
	worker_trace_start(w);
	log_debug("worker_started", F_STR("job", w->job->name), F_INT("worker", w->generation),
	    F_STR("escrow", escrow_of(w)), F_INT("pid", child_pid(w->child)));
}

static void
do_start(struct worker *w)
{
	json_t *start = w->job->start(w->owner);
	const struct config *c = w->sv->config;

	if (start == NULL) {
		worker_reject(w, "its job cannot begin");
		return;
	}
	json_object_set_new(start, "type", json_string(message_type_name(MESSAGE_START)));
	json_object_set_new(start, "protocol", json_integer(IPC_PROTOCOL));
	json_object_set_new(start, "generation", json_integer((json_int_t)w->generation));
	json_object_set_new(start, "job", json_string(w->job->name));
	json_object_set_new(start, "lock_dir", json_string(c->lock_dir));
	json_object_set_new(start, "network", json_string(network_name(c->network)));
	json_object_set_new(start, "timeout_ms", json_integer(w->limit_ms));
	if (w->trace != NULL)
		json_object_set_new(start, "trace", json_true());
	if (!channel_send(w->channel, start))
		worker_reject(w, "its start does not fit a frame");
}

static void
do_hand_over(struct worker *w, json_t *frame)
{
	const char *why = "a message without sense";
	enum message_type type;

	message_type_parse(json_string_value(json_object_get(frame, "type")), &type);
	if (type == MESSAGE_LOG)
		log_line_of(w, frame);
	else if (type == MESSAGE_LOCKED)
		log_locked(w, frame);
	else if (w->job->message == NULL || !w->job->message(w->owner, w, type, frame, &why))
		worker_reject(w, why);
}

void
worker_free(struct worker *w)
{
	worker_pool_remove(w);
	channel_free(w->channel);
	event_free(w->deadline);
	json_decref(w->finished);
	trace_release_of_worker(w->trace);
	free(w);
}

static void
do_bury(struct worker *w)
{
	struct supervisor *sv = w->sv;
	struct worker_end end = {0};

	if (w->spawned_ms == 0)
		worker_pool_dequeue(w);
	worker_take_end(w, worker_program, &end);
	if (w->forked || w->why[0] != '\0')
		sv->metrics.worker_exits[end.cause]++;
	if (end.finished == NULL && end.cause != WORKER_CAUSE_STOPPED && (w->forked || w->why[0] != '\0')) {
		sv->metrics.worker_deaths++;
		log_warn("worker_died", F_STR("job", w->job->name), F_INT("worker", w->generation),
		    F_STR("escrow", escrow_of(w)), F_STR("why", end.why));
	} else {
		log_debug("worker_ended", F_STR("job", w->job->name), F_INT("worker", w->generation),
		    F_STR("escrow", escrow_of(w)),
		    F_INT("ms", w->forked ? clock_monotonic_ms() - w->spawned_ms : 0));
	}
	worker_trace_end(w);
	w->job->gone(w->owner, &end);
	worker_free(w);
	supervisor_worker_gone(sv);
}

/* To one that has ended already, while its last frames are read: nothing. */
static void
send_signal(struct worker *w, int number)
{
	if (w->child != NULL)
		child_kill(w->child, number);
}

static void
act(struct worker *w, enum worker_action action, enum worker_event event, json_t *frame)
{
	switch (action) {
	case WORKER_DO_NOTHING:
		break;
	case WORKER_DO_FORK:
		do_fork(w);
		break;
	case WORKER_DO_START:
		do_start(w);
		break;
	case WORKER_DO_HAND_OVER:
		do_hand_over(w, frame);
		break;
	case WORKER_DO_FINISH:
		w->finished = json_incref(frame);
		log_released(w, frame);
		break;
	case WORKER_DO_SEND_STOP:
		channel_send(w->channel, json_pack("{s:s}", "type", message_type_name(MESSAGE_STOP)));
		break;
	case WORKER_DO_TERMINATE:
		w->stopped = event == WORKER_EV_STOP;
		send_signal(w, SIGTERM);
		break;
	case WORKER_DO_KILL:
		send_signal(w, SIGKILL);
		break;
	case WORKER_DO_COMPLAIN:
		log_error("worker_unkillable", F_INT("worker", w->generation), F_INT("pid", child_pid(w->child)));
		break;
	case WORKER_DO_BURY:
		do_bury(w);
		break;
	case WORKER_DO_BUG:
	case WORKER_ACTION_COUNT:
		log_error("worker_bug", F_INT("worker", w->generation), F_STR("state", worker_state_name(w->state)),
		    F_STR("what", worker_event_name(event)));
		break;
	}
}

static void
set_deadline(struct worker *w)
{
	/* the worker itself ends its job at limit_ms, and says so */
	int64_t ms = w->state == WORKER_WORKING ? w->limit_ms + GRACE_MS : worker_state_limit_ms(w->state);
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (ms > 0)
		event_add(w->deadline, &tv);
	else
		event_del(w->deadline);
}

void
worker_handle(struct worker *w, enum worker_event event, json_t *frame)
{
	struct worker_pool *pool = w->sv->workers;
	enum worker_state before = w->state;
	struct worker_step step = worker_life(w->state, event);

	w->state = step.next;
	if (step.next != before) {
		if (before == WORKER_STARTING)
			worker_pool_count_starting(pool, -1);
		set_deadline(w);
	} else if (event == WORKER_EV_DEADLINE) {
		set_deadline(w);
	}
	act(w, step.action, event, frame); /* may free w */
	if (before == WORKER_STARTING)
		worker_pool_fill(pool);
}

/* --- for the jobs --------------------------------------------------------- */

struct worker *
worker_new(struct supervisor *sv, const struct worker_job *job, void *owner, const char *title,
    const char *escrow_id, int64_t limit_ms)
{
	struct worker *w = calloc(1, sizeof *w);

	if (w == NULL || (w->deadline = evtimer_new(sv->base, on_deadline, w)) == NULL) {
		free(w);
		return NULL;
	}
	w->sv = sv;
	w->job = job;
	w->owner = owner;
	w->limit_ms = limit_ms;
	snprintf(w->title, sizeof w->title, "%s", title);
	snprintf(w->escrow_id, sizeof w->escrow_id, "%s", escrow_id != NULL ? escrow_id : "");
	w->trace = trace_hold_for_worker(trace_find(sv->traces, w->escrow_id));
	worker_pool_add(w);
	return w;
}

uint64_t
worker_generation(const struct worker *w)
{
	return w->generation;
}

void
worker_ack(struct worker *w, json_int_t serial, bool session)
{
	if (!message_allowed_to_worker(MESSAGE_ACK, w->state))
		return;
	channel_send(w->channel, json_pack("{s:s, s:I, s:o*}", "type", message_type_name(MESSAGE_ACK), "serial", serial,
	    "session", session ? json_true() : NULL));
}

/* A report on its way to disk. */
struct report {
	struct supervisor *sv;
	uint64_t generation;
	json_int_t serial;
};

static void
on_durable(bool durable, void *arg)
{
	struct report *report = arg;
	struct worker *w = worker_find(report->sv->workers, report->generation);

	if (w != NULL && durable)
		worker_ack(w, report->serial, false);
	else if (w != NULL)
		worker_reject(w, "a report that could not be stored");
	free(report);
}

bool
worker_ack_when_durable(struct worker *w, json_int_t serial)
{
	struct report *report = malloc(sizeof *report);

	if (report == NULL)
		return false;
	*report = (struct report){w->sv, w->generation, serial};
	store_when_durable(w->sv->store, on_durable, report);
	return true;
}

bool
worker_is_working(const struct worker *w)
{
	return w->state == WORKER_WORKING;
}

void
worker_hand_over(struct worker *w, const struct worker_job *job, void *owner)
{
	w->job = job;
	w->owner = owner;
}

void
worker_request(struct worker *w, json_int_t request_id)
{
	if (!message_allowed_to_worker(MESSAGE_REQUEST, w->state))
		return;
	channel_send(w->channel, json_pack("{s:s, s:I}", "type", message_type_name(MESSAGE_REQUEST),
	    "request_id", request_id));
}

void
worker_reject(struct worker *w, const char *why)
{
	blame(w, WORKER_FAULT_GARBAGE);
	if (w->why[0] == '\0')
		snprintf(w->why, sizeof w->why, "it said what cannot be: %s", why);
	worker_handle(w, WORKER_EV_GARBAGE, NULL);
}

void
worker_stop(struct worker *w)
{
	worker_handle(w, WORKER_EV_STOP, NULL);
}
