#include "worker/job.h"

#include <errno.h>

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/log.h"
#include "ipc/channel.h"

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
		json_t *one = json_pack("{s:s, s:I, s:i}", "name", l->name, "wait_ms", (json_int_t)lock_wait_ms(l),
		    "busy_tries", (int)l->busy_tries);
		if (released)
			json_object_set_new(one, "hold_ms", json_integer(lock_hold_ms(l)));
		json_array_append_new(list, one);
	}
	return list;
}

static bool
send_frame(struct job *job, enum message_type type, json_t *frame)
{
	json_object_set_new(frame, "type", json_string(message_type_name(type)));
	json_object_set_new(frame, "generation", json_integer(job->generation));
	return channel_send(job->channel, frame);
}

void
job_send(struct job *job, enum message_type type, json_t *frame)
{
	if (job->ended)
		json_decref(frame);
	else
		send_frame(job, type, frame);
}

void
job_end(struct job *job)
{
	json_t *frame = job->outcome_fields;

	if (job->ended)
		return;
	job->ended = true;
	job->outcome_fields = NULL;
	json_object_set_new(frame, "outcome", json_string(job->outcome));
	json_object_set_new(frame, "locks", locks_json(job, true));
	send_frame(job, MESSAGE_FINISHED, frame);
	channel_flush(job->channel, FLUSH_MS);
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
	char text[400], reason[600], who[80] = "";
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

/* Names what was waited for: the first of them, for nothing counts after it. */
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
		struct party *p = &job->parties[i];
		if (p->op != NULL && !job->tidying)
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
	json_object_set_new(frame, "serial", json_integer(++job->serial));
	job->unacked++;
	if (!send_frame(job, type, frame))
		job_fail(job, NULL, NULL, CAUSE_INTERNAL, true, "a report does not fit a frame");
	return job->serial;
}

/* --- locks ---------------------------------------------------------------- */

/* Tries again in a moment, until its patience is over. */
static void
try_later(struct job *job, const struct lock *l, const char *holder, const char *why)
{
	static const struct timeval again = {0, LOCK_AGAIN_MS * 1000};

	if (lock_wait_ms(l) < LOCK_PATIENCE_MS)
		event_add(job->lock_retry, &again);
	else
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

/* --- the start frame ------------------------------------------------------ */

static void
copy_text(char *out, size_t size, json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	snprintf(out, size, "%s", text != NULL ? text : "");
}

static bool
take_endpoint(struct party *p, json_t *endpoint)
{
	const char *dir = json_string_value(json_object_get(endpoint, "wallet_dir"));

	copy_text(p->endpoint, sizeof p->endpoint, endpoint, "name");
	copy_text(p->url, sizeof p->url, endpoint, "url");
	p->wallet_dir = strdup(dir != NULL ? dir : "");
	p->wallet_dir_sure = json_is_true(json_object_get(endpoint, "wallet_dir_sure"));
	p->rpc = rpc_endpoint_new(p->job->rpc, p->url, json_string_value(json_object_get(endpoint, "login")),
	    json_string_value(json_object_get(endpoint, "ca_file")));
	return p->url[0] != '\0' && p->wallet_dir != NULL && p->rpc != NULL;
}

/* The password of a wallet that exists comes sealed, from the store. */
static bool
unseal_password(const unsigned char *subkey, const struct seal_place *place, const char *sealed, char out[PASSWORD_MAX])
{
	size_t size;
	unsigned char *plain = unseal_base64(subkey, place, sealed, &size);

	if (plain == NULL)
		return false;
	snprintf(out, PASSWORD_MAX, "%s", (char *)plain);
	sodium_memzero(plain, size);
	free(plain);
	return true;
}

static bool
take_subkey(json_t *object, unsigned char subkey[SEAL_KEY_BYTES])
{
	const char *text = json_string_value(json_object_get(object, "subkey"));
	size_t size;

	return text != NULL && sodium_base642bin(subkey, SEAL_KEY_BYTES, text, strlen(text), NULL, &size, NULL,
	    sodium_base64_VARIANT_ORIGINAL) == 0 && size == SEAL_KEY_BYTES;
}

static bool
take_spare(struct party *p, json_t *json)
{
	struct spare *spare = &p->spare;
	struct seal_place place = {spare->id, 0, ROLE_ANY, 0, SEAL_PASSWORD};
	const char *password = json_string_value(json_object_get(json, "password"));

	if (json == NULL)
		return true;
	copy_text(spare->id, sizeof spare->id, json, "spare_id");
	copy_text(spare->wallet, sizeof spare->wallet, json, "wallet");
	copy_text(spare->stamp, sizeof spare->stamp, json, "stamp");
	copy_text(spare->address, sizeof spare->address, json, "address");
	if (spare->id[0] == '\0' || spare->wallet[0] == '\0' || spare->stamp[0] == '\0' || password == NULL ||
	    !take_subkey(json, spare->subkey))
		return false;
	if (!unseal_password(spare->subkey, &place, password, spare->password)) {
		log_warn("spare_not_unsealed", F_STR("endpoint", p->endpoint), F_STR("wallet", spare->wallet));
		memset(spare, 0, sizeof *spare); /* as if there were none: a new one takes its place */
	}
	return true;
}

static bool
take_party(struct job *job, json_t *participant)
{
	struct party *p = &job->parties[job->party_count];
	const char *role = json_string_value(json_object_get(participant, "role"));
	const char *password = json_string_value(json_object_get(participant, "password"));
	struct seal_place place;

	if (job->party_count == ROLE_COUNT || role == NULL || !role_parse(role, false, &p->role))
		return false;
	for (int i = 0; i < job->party_count; i++) {
		if (job->parties[i].role == p->role)
			return false;
	}
	p->job = job;
	job->party_count++;
	copy_text(p->wallet, sizeof p->wallet, participant, "wallet");
	copy_text(p->stamp, sizeof p->stamp, participant, "stamp");
	if (p->wallet[0] == '\0' || !take_endpoint(p, json_object_get(participant, "endpoint")) ||
	    !take_spare(p, json_object_get(participant, "spare")))
		return false;
	place = (struct seal_place){job->escrow_id, job->attempt, p->role, 0, SEAL_PASSWORD};
	return password == NULL || unseal_password(job->subkey, &place, password, p->password);
}

static bool
take_parties(struct job *job, json_t *start)
{
	json_t *participant;
	size_t i;

	json_array_foreach(json_object_get(start, "participants"), i, participant) {
		if (!take_party(job, participant))
			return false;
	}
	return job->party_count > 0;
}

static bool
take_escrow(struct job *job, json_t *start)
{
	const char *id = json_string_value(json_object_get(start, "escrow_id"));
	const char *gate = json_string_value(json_object_get(start, "gate"));

	if (id == NULL || !uuid_normalise(id, job->escrow_id) || !take_subkey(start, job->subkey))
		return false;
	job->attempt = (int)json_integer_value(json_object_get(start, "attempt"));
	job->reopen = gate != NULL && strcmp(gate, "reopen") == 0;
	job->stagger_ms = json_integer_value(json_object_get(start, "stagger_ms"));
	job->pollution_ms = json_integer_value(json_object_get(start, "pollution_ms"));
	copy_text(job->address, sizeof job->address, start, "address");
	return take_parties(job, start);
}

/* The round engine knows no party but its own three. */
static bool
take_setup(struct job *job, json_t *start)
{
	return take_escrow(job, start) && job->party_count == ROLE_COUNT;
}

/* What it seals is kept nowhere: nobody else has to know the key. The files of
 * its wallets are removed, so no wallet of another kind may be among them. */
static bool
take_trial(struct job *job, json_t *start)
{
	json_t *participant;
	size_t i;

	json_array_foreach(json_object_get(start, "participants"), i, participant) {
		const char *wallet = json_string_value(json_object_get(participant, "wallet"));
		if (wallet == NULL || !wallet_is_trial(wallet) || json_object_get(participant, "spare") != NULL)
			return false;
	}
	randombytes_buf(job->subkey, sizeof job->subkey);
	job->stagger_ms = json_integer_value(json_object_get(start, "stagger_ms"));
	job->pollution_ms = -1;
	return take_parties(job, start) && job->party_count == ROLE_COUNT;
}

static bool
take_tend(struct job *job, json_t *start)
{
	struct party *p = &job->parties[0];
	json_t *make = json_object_get(start, "make");

	p->job = job;
	p->role = ROLE_ANY;
	job->party_count = 1;
	copy_text(job->new_spare_id, sizeof job->new_spare_id, make, "spare_id");
	if (make != NULL && (job->new_spare_id[0] == '\0' || !take_subkey(make, job->new_spare_subkey)))
		return false;
	return take_endpoint(p, json_object_get(start, "endpoint")) && take_spare(p, json_object_get(start, "spare"));
}

static void
stop_if_idle(struct job *job)
{
	job_stop_if_idle(job);
}

/* What it has not finished is thrown away by the next one. */
static void
stop_at_once(struct job *job)
{
	job_finish(job, "stopped", NULL);
}

static const struct {
	const char *name;
	bool (*take)(struct job *job, json_t *start);
	void (*begin)(struct job *job);
	void (*acked)(struct job *job, json_int_t serial);
	void (*stop)(struct job *job);
	void (*ready)(struct job *job);
	void (*tidy)(struct job *job, bool over);
} kinds[] = {
	{"setup", take_setup, setup_begin, setup_acked, setup_stop, gate_begin, NULL},
	{"trial", take_trial, trial_begin, trial_acked, trial_stop, trial_ready, trial_tidy},
	{"session", take_escrow, session_begin, NULL, session_stop, NULL, NULL},
	{"tend", take_tend, tend_begin, tend_acked, stop_at_once, NULL, NULL},
	{"check", take_escrow, check_begin, NULL, stop_if_idle, NULL, NULL},
};

static bool
take_kind(struct job *job, json_t *start)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(job->name, kinds[i].name) != 0)
			continue;
		job->begin = kinds[i].begin;
		job->acked = kinds[i].acked;
		job->stop = kinds[i].stop;
		job->ready = kinds[i].ready;
		job->tidy = kinds[i].tidy;
		return kinds[i].take(job, start);
	}
	return false;
}

bool
job_init(struct job *job, json_t *start, const char **why)
{
	const char *network = json_string_value(json_object_get(start, "network"));
	const char *lock_dir = json_string_value(json_object_get(start, "lock_dir"));
	int64_t timeout_ms = json_integer_value(json_object_get(start, "timeout_ms"));

	*why = "a start frame that is not complete";
	job->generation = json_integer_value(json_object_get(start, "generation"));
	job->rpc = rpc_client_new(job->base);
	job->deadline = evtimer_new(job->base, on_deadline, job);
	job->lock_retry = evtimer_new(job->base, on_lock_retry, job);
	copy_text(job->name, sizeof job->name, start, "job");
	if (job->rpc == NULL || job->deadline == NULL || job->lock_retry == NULL || lock_dir == NULL || network == NULL ||
	    timeout_ms <= 0 || !network_parse(network, &job->network) || (job->lock_dir = strdup(lock_dir)) == NULL)
		return false;
	job_limit(job, timeout_ms);
	return take_kind(job, start);
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
	for (int i = 0; i < ROLE_COUNT; i++) {
		struct party *p = &job->parties[i];
		rpc_endpoint_free(p->rpc);
		wipe_text(&p->message);
		wipe_text(&p->previous);
		wipe_text(&p->seed);
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
	sodium_memzero(job->subkey, sizeof job->subkey);
	sodium_memzero(job->new_spare_subkey, sizeof job->new_spare_subkey);
}
