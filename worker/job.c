#include "worker/job.h"

#include <errno.h>

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/fault.h"
#include "common/log.h"
#include "ipc/channel.h"
#include "worker/job_start.h"
#include "worker/repair.h"
#include "worker/trace.h"

enum {
	FLUSH_MS = 2000,
	LOCK_AGAIN_MS = 50,
	LOCK_PATIENCE_MS = 10000  /* after that somebody else is told to wait */
};

/* --- the end -------------------------------------------------------------- */

static json_t *
locks_json(const struct job *job, bool released)
{
	json_t *list = json_array();

	for (int i = 0; i < job->lock_count; i++) {
		const struct lock *l = &job->locks[i];
		json_t *one = json_pack("{s:s, s:b, s:I, s:i}", "name", l->name, "held", l->fd != -1,
		    "wait_ms", (json_int_t)lock_wait_ms(l), "busy_tries", (int)l->busy_tries);
		if (released)
			json_object_set_new(one, "hold_ms", json_integer(lock_hold_ms(l)));
		json_array_append_new(list, one);
	}
	return list;
}

/* Whether what was counted goes with it. Reports are left as they are: calls wait for them. */
static bool
has_numbers(enum message_type type)
{
	return type == MESSAGE_SERVING || type == MESSAGE_REPLY || type == MESSAGE_FINISHED;
}

static bool
send_frame(struct job *job, enum message_type type, json_t *frame)
{
	json_t *numbers = has_numbers(type) ? numbers_take(&job->numbers) : NULL;

	if (numbers != NULL)
		json_object_set_new(frame, "numbers", numbers);
	json_object_set_new(frame, "type", json_string(message_type_name(type)));
	json_object_set_new(frame, "generation", json_integer(job->generation));
	return channel_send(job->channel, frame);
}

bool
job_send(struct job *job, enum message_type type, json_t *frame)
{
	if (!job->ended)
		return send_frame(job, type, frame);
	json_decref(frame);
	return true;
}

void
job_end(struct job *job)
{
	json_t *frame = job->outcome_fields;

	if (job->ended)
		return;
	trace_locks_released(job);
	FAULT("finish", job->outcome, "", -1);
	job->ended = true;
	for (int i = 0; i < job->party_count; i++)
		rpc_count_given_up(job->parties[i].rpc);
	job->outcome_fields = NULL;
	json_object_set_new(frame, "outcome", json_string(job->outcome));
	json_object_set_new(frame, "locks", locks_json(job, true));
	send_frame(job, MESSAGE_FINISHED, frame);
	channel_flush(job->channel, FLUSH_MS);
	event_base_loopbreak(job->base);
}

void
job_leave(struct job *job, int exit_status)
{
	job->ended = true;
	job->exit_status = exit_status;
	event_base_loopbreak(job->base);
}

void
job_finish(struct job *job, const char *outcome, json_t *fields)
{
	if (job->ended || job->tidying) {
		json_decref(fields);
		return;
	}
	job->outcome = outcome;
	job->outcome_fields = fields != NULL ? fields : json_object();
	job->tidying = job->tidy != NULL;
	if (job->tidying)
		job->tidy(job, false);
	else
		job_end(job);
}

/* A path may hold any bytes, and a cut may fall inside a character: JSON takes
 * neither. */
static void
replace_non_ascii(char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text >= 0x80)
			*text = '?';
	}
}

void
job_fail(struct job *job, struct party *party, const char *call, enum failure_cause cause, bool fatal,
    const char *format, ...)
{
	char text[600], reason[800], who[80] = "";
	va_list values;

	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	if (party != NULL && party->role != ROLE_ANY)
		snprintf(who, sizeof who, "%s: ", role_name(party->role));
	if (party != NULL && call != NULL)
		snprintf(reason, sizeof reason, "%s%s on %.120s: %s", who, call, party->url, text);
	else
		snprintf(reason, sizeof reason, "%s%s", who, text);
	replace_non_ascii(reason);
	if (job->published || job->tidying) {
		job->unclean = true;
		log_warn(job->published ? "after_publication" : "wallet_not_closed",
		    F_STR("escrow", job->escrow_id[0] != '\0' ? job->escrow_id : NULL), F_STR("reason", reason));
		return;
	}
	job_finish(job, "failed", json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:b}", "cause", failure_cause_name(cause),
	    "reason", reason, "role", party != NULL && party->role != ROLE_ANY ? role_name(party->role) : NULL,
	    "endpoint", party != NULL ? party->endpoint : NULL, "call", call, "fatal", fatal));
}

bool
job_stop_if_idle(struct job *job)
{
	if (!job->stopping || job->unacked > 0)
		return false;
	for (int i = 0; i < job->party_count; i++) {
		if (job->parties[i].op != NULL)
			return false;
	}
	job_finish(job, "stopped", NULL);
	return true;
}

/* Names what was waited for: the first of them, for nothing counts after it. Not a
 * call of a snapshot: nothing hangs on that. */
static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct job *job = arg;
	char after[32];

	(void)fd;
	(void)what;
	if (job->tidying) {
		job->tidy(job, true);
		return;
	}
	duration_format(clock_monotonic_ms() - job->began_ms, after, sizeof after);
	for (int i = 0; i < job->party_count; i++) {
		if (job->parties[i].op != NULL)
			trace_overtime(&job->parties[i]);
	}
	for (int i = 0; i < job->party_count; i++) {
		struct party *p = &job->parties[i];
		if (p->op != NULL && !p->op->look && !job->tidying)
			job_fail(job, p, p->op->method, CAUSE_TIMEOUT, false, "no answer when the time was over after %s; %s", after,
			    rpc_was_sent(p->rpc) ? "its outcome is unknown" : "the request was not sent");
	}
	if (!job->tidying)
		job_fail(job, NULL, NULL, CAUSE_TIMEOUT, false, "the time was over after %s", after);
	if (job->published)
		job_finish(job, "done", json_pack("{s:b}", "clean", 0));
}

void
job_limit(struct job *job, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	job->began_ms = clock_monotonic_ms();
	job->deadline_ms = job->began_ms + ms;
	if (ms > 0)
		event_add(job->deadline, &tv);
	else
		event_del(job->deadline);
}

/* --- delays --------------------------------------------------------------- */

static void
set_delay(struct delay *delay, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(delay->timer, &tv);
}

/* The loop's clock is a coarse one, and may be early by some milliseconds. */
static void
on_delay(evutil_socket_t fd, short what, void *arg)
{
	struct party *p = arg;
	struct delay *delay = &p->delay;
	int64_t measured = clock_monotonic_ms() - delay->began_ms;

	(void)fd;
	(void)what;
	if (p->job->ended || p->job->tidying || p->job->stopping)
		return;
	if (measured < delay->asked_ms) {
		set_delay(delay, delay->asked_ms - measured);
		return;
	}
	trace_delay(p, delay->kind, delay->asked_ms, measured);
	job_send(p->job, MESSAGE_NOTE, json_pack("{s:s, s:s, s:s, s:I, s:I}", "what", "delay", "kind", delay->kind,
	    "role", role_name(p->role), "asked_ms", (json_int_t)delay->asked_ms, "measured_ms", (json_int_t)measured));
	delay->then(p);
}

void
job_delay(struct party *p, const char *kind, int64_t ms, void (*then)(struct party *party))
{
	struct delay *delay = &p->delay;

	if (ms == 0) {
		then(p);
		return;
	}
	if (delay->timer == NULL && (delay->timer = evtimer_new(p->job->base, on_delay, p)) == NULL) {
		job_fail(p->job, p, NULL, CAUSE_INTERNAL, false, "out of memory");
		return;
	}
	delay->kind = kind;
	delay->asked_ms = ms;
	delay->began_ms = clock_monotonic_ms();
	delay->then = then;
	set_delay(delay, ms);
}

/* --- reports -------------------------------------------------------------- */

json_int_t
job_report(struct job *job, enum message_type type, json_t *frame)
{
	if (job->ended) {
		json_decref(frame);
		return 0;
	}
	FAULT("report", message_type_name(type), "", -1);
	json_object_set_new(frame, "serial", json_integer(++job->serial));
	job->unacked++;
	if (!send_frame(job, type, frame))
		job_fail(job, NULL, NULL, CAUSE_INTERNAL, true, "a report does not fit a frame");
	channel_push(job->channel); /* at once: calls that follow may all be made, and answered, in this turn of the loop */
	return job->serial;
}

/* --- locks ---------------------------------------------------------------- */

/* Tries again in a moment, until its patience is over. */
static void
try_later(struct job *job, const struct lock *l, const char *holder, const char *why)
{
	static const struct timeval again = {0, LOCK_AGAIN_MS * 1000};

	if (lock_wait_ms(l) < LOCK_PATIENCE_MS) {
		event_add(job->lock_retry, &again);
		return;
	}
	trace_lock(job, l, holder, why);
	job_finish(job, "busy", json_pack("{s:s, s:s*, s:s*}", "lock", l->name, "holder", holder, "why", why));
}

/* A shortage passes, and is nobody's fault; anything else is for an operator. */
static void
lock_failed(struct job *job, struct lock *l, int error)
{
	char why[300];

	snprintf(why, sizeof why, "lock-dir: %.150s/%.60s: %s", job->lock_dir, l->name, strerror(error));
	replace_non_ascii(why);
	if (!lock_error_passes(error)) {
		trace_lock(job, l, NULL, strerror(error));
		job_fail(job, NULL, NULL, CAUSE_LOCKS, true, "%s", why);
		return;
	}
	l->busy_tries++;
	try_later(job, l, NULL, why);
}

/* Tries those not held yet, in order. */
static void
try_locks(struct job *job)
{
	char holder[128] = "", who[96];

	snprintf(who, sizeof who, "%s%s%s", job->name, job->escrow_id[0] != '\0' ? " of escrow " : "", job->escrow_id);
	for (int i = 0; i < job->lock_count; i++) {
		struct lock *l = &job->locks[i];
		if (l->fd != -1)
			continue;
		switch (lock_try(l, job->lock_dir, who, holder, sizeof holder)) {
		case LOCK_TAKEN:
			trace_lock(job, l, NULL, NULL);
			break;
		case LOCK_BUSY:
			try_later(job, l, holder, NULL);
			return;
		case LOCK_ERROR:
			lock_failed(job, l, errno);
			return;
		}
	}
	send_frame(job, MESSAGE_LOCKED, json_pack("{s:o}", "locks", locks_json(job, false)));
	job->begin(job);
}

static void
on_lock_retry(evutil_socket_t fd, short what, void *arg)
{
	struct job *job = arg;

	(void)fd;
	(void)what;
	if (!job->ended && !job_stop_if_idle(job))
		try_locks(job);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct lock *)a)->name, ((const struct lock *)b)->name);
}

/* In order of name, whatever the roles: two msigd that share endpoints, each
 * holding one while it waits for the other's, would have both wait in vain. */
void
job_take_locks(struct job *job)
{
	if (job->escrow_id[0] != '\0')
		lock_init_escrow(&job->locks[job->lock_count++], job->escrow_id);
	for (int i = 0; i < job->party_count; i++)
		lock_init_endpoint(&job->locks[job->lock_count++], job->parties[i].url);
	qsort(job->locks, (size_t)job->lock_count, sizeof *job->locks, compare_names);
	try_locks(job);
}

/* --- what it is made of --------------------------------------------------- */

bool
job_init(struct job *job, json_t *start, const char **why)
{
	*why = "a start frame that is not complete";
	job->generation = json_integer_value(json_object_get(start, "generation"));
	job->rpc = rpc_client_new(job->base, &job->numbers);
	job->deadline = evtimer_new(job->base, on_deadline, job);
	job->lock_retry = evtimer_new(job->base, on_lock_retry, job);
	return job->rpc != NULL && job->deadline != NULL && job->lock_retry != NULL && job_take_start(job, start);
}

void
wipe_text(char **text)
{
	if (*text != NULL)
		sodium_memzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void
job_clear(struct job *job)
{
	seed_restore_cancel(); /* whatever the end was, its folder goes */
	for (int i = 0; i < ROLE_COUNT; i++) {
		struct party *p = &job->parties[i];
		rpc_endpoint_free(p->rpc);
		wipe_text(&p->message);
		wipe_text(&p->previous);
		wipe_text(&p->seed);
		journal_forget(&p->journal);
		json_decref(p->is_multisig);
		free(p->wallet_dir);
		if (p->delay.timer != NULL)
			event_free(p->delay.timer);
		sodium_memzero(p->password, sizeof p->password);
		sodium_memzero(&p->spare, sizeof p->spare);
	}
	rpc_client_free(job->rpc);
	for (int i = 0; i < job->lock_count; i++)
		lock_release(&job->locks[i]);
	if (job->deadline != NULL)
		event_free(job->deadline);
	if (job->lock_retry != NULL)
		event_free(job->lock_retry);
	json_decref(job->outcome_fields);
	free(job->lock_dir);
	for (int i = 0; i < WALLET_CLIS; i++)
		free(job->copies.wallet_cli[i]);
	sodium_memzero(job->subkey, sizeof job->subkey);
	sodium_memzero(job->new_spare_subkey, sizeof job->new_spare_subkey);
}
