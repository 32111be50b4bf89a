#include "supervisor/calibrate.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/uuid.h"
#include "supervisor/api.h"
#include "supervisor/endpoint.h"
#include "supervisor/scheduler.h"
#include "supervisor/setup_frames.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum {
	LOOK_MS = 1000,            /* how often to look whether there are endpoints to wait for */
	PATIENCE_MS = 5000,        /* for there to be some */
	WAIT_LIMIT_MS = 120000,    /* for them to be free */
	TRIAL_LIMIT_MS = 120000    /* beside the stagger */
};

enum state { STATE_IDLE, STATE_WAITING, STATE_TRYING, STATE_ENDING };

struct calibrator {
	struct supervisor *sv;
	enum state state;
	struct api_call *call;        /* NULL: it has been answered */
	struct claim claim;           /* while WAITING */
	struct event *look;
	int64_t servable_ms;          /* monotonic: when there were endpoints to wait for last */
	struct endpoint *endpoints[ROLE_COUNT];
	bool clean;                   /* no wallet is open there */
	struct worker *worker;
	char trial_id[UUID_TEXT];
	int64_t trials, max_ms;       /* as asked */
	int64_t least_ms;             /* that showed no error, or -1 */
	int64_t stagger_ms;           /* of the step under way */
	int trial;                    /* of it, from 1 */
	int64_t setup_ms[CALIBRATE_TRIALS_MAX]; /* of its good trials */
	int good;
	json_t *reasons;              /* of those that were not */
	json_t *steps, *left;
};

static void try_next(struct calibrator *c);

/* --- its end -------------------------------------------------------------- */

static void
give_back(struct calibrator *c)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (c->endpoints[r] != NULL)
			endpoint_event(c->endpoints[r], c->clean ? ENDPOINT_EV_RELEASED : ENDPOINT_EV_ABANDONED, NULL);
		c->endpoints[r] = NULL;
	}
}

static void
forget(struct calibrator *c)
{
	c->state = STATE_IDLE;
	event_del(c->look);
	json_decref(c->reasons);
	json_decref(c->steps);
	json_decref(c->left);
	c->reasons = c->steps = c->left = NULL;
}

static void
answer(struct calibrator *c)
{
	struct api_call *call = c->call;

	c->call = NULL;
	log_info("calibrated", F_INT("stagger_ms", c->least_ms), F_INT("steps", json_array_size(c->steps)));
	api_result(call, json_pack("{s:o, s:I, s:O, s:I, s:O}",
	    "stagger_ms", c->least_ms >= 0 ? json_integer(c->least_ms) : json_null(), "trials", (json_int_t)c->trials,
	    "steps", c->steps, "configured_ms", (json_int_t)c->sv->config->stagger_delay_ms, "left", c->left));
	give_back(c);
	forget(c);
}

/* What lies about is told also by an error. */
static void
answer_error(struct calibrator *c, enum api_error code, const char *why)
{
	struct api_call *call = c->call;
	json_t *wallet;
	char left[400] = "";
	size_t i, n = 0;

	c->call = NULL;
	json_array_foreach(c->left, i, wallet) {
		if (n < sizeof left)
			n += (size_t)snprintf(left + n, sizeof left - n, "%s%s", i == 0 ? "; wallets that may be left: " : ", ",
			    json_string_value(wallet));
	}
	log_warn("calibration_ended", F_STR("reason", why));
	api_error(call, code, "%s%s", why, left);
}

static void
give_up(struct calibrator *c, enum api_error code, const char *why)
{
	answer_error(c, code, why);
	give_back(c);
	forget(c);
}

/* --- a step --------------------------------------------------------------- */

static int
compare_ms(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static json_t *
median(int64_t *values, int count)
{
	if (count == 0)
		return json_null();
	qsort(values, (size_t)count, sizeof *values, compare_ms);
	return json_integer((values[(count - 1) / 2] + values[count / 2]) / 2);
}

static void
begin_step(struct calibrator *c, int64_t stagger_ms)
{
	c->stagger_ms = stagger_ms;
	c->trial = 0;
	c->good = 0;
	json_decref(c->reasons);
	c->reasons = json_array();
	try_next(c);
}

/* 0 works, or: half of what worked, as long as it does. */
static void
end_step(struct calibrator *c)
{
	bool works = json_array_size(c->reasons) == 0;

	json_array_append_new(c->steps, json_pack("{s:I, s:i, s:i, s:O, s:o}", "stagger_ms", (json_int_t)c->stagger_ms,
	    "trials", c->trial, "failed", (int)json_array_size(c->reasons), "reasons", c->reasons,
	    "setup_ms", median(c->setup_ms, c->good)));
	if (works)
		c->least_ms = c->stagger_ms;
	if (c->stagger_ms == 0 && !works)
		begin_step(c, c->max_ms);
	else if (works && c->stagger_ms / 2 >= CALIBRATE_LEAST_MS)
		begin_step(c, c->stagger_ms / 2);
	else
		answer(c);
}

/* reason: NULL when it showed no error. */
static void
end_trial(struct calibrator *c, const char *reason, json_t *finished)
{
	json_t *setup_ms = json_object_get(finished, "setup_ms"), *make_ms = json_object_get(finished, "make_ms");

	store_add_event(c->sv->store, NULL, "calibrate", json_pack("{s:I, s:i, s:I, s:b, s:s*, s:O*, s:O*}",
	    "stagger_ms", (json_int_t)c->stagger_ms, "trial", c->trial, "trials", (json_int_t)c->trials,
	    "ok", reason == NULL, "reason", reason, "setup_ms", setup_ms, "make_ms", make_ms));
	if (reason != NULL)
		json_array_append_new(c->reasons, json_string(reason));
	else
		c->setup_ms[c->good++] = json_integer_value(setup_ms);
	if (reason == NULL && c->trial < c->trials)
		try_next(c);
	else
		end_step(c);
}

/* --- a trial -------------------------------------------------------------- */

static void
wallet_name(const struct calibrator *c, int role, char out[SETUP_WALLET_MAX])
{
	snprintf(out, SETUP_WALLET_MAX, "trial-%s-%s", c->trial_id, role_name((enum role)role));
}

static json_t *
start_frame(void *owner)
{
	struct calibrator *c = owner;
	json_t *participants = json_array();
	char wallet[SETUP_WALLET_MAX];

	for (int r = 0; r < ROLE_COUNT; r++) {
		wallet_name(c, r, wallet);
		json_array_append_new(participants, json_pack("{s:s, s:s, s:o}", "role", role_name((enum role)r),
		    "wallet", wallet, "endpoint", endpoint_describe(c->endpoints[r])));
	}
	return json_pack("{s:I, s:o}", "stagger_ms", (json_int_t)c->stagger_ms, "participants", participants);
}

/* Nothing of a trial is stored: there is nothing to wait for. */
static bool
on_message(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why)
{
	struct calibrator *c = owner;

	*why = "a message that is none of a trial's";
	if (type == MESSAGE_NOTE)
		return setup_note_delay(c->sv, NULL, frame);
	if (type != MESSAGE_REPORT || !json_is_integer(json_object_get(frame, "serial")))
		return false;
	worker_ack(worker, json_integer_value(json_object_get(frame, "serial")), false);
	return true;
}

/* One that ended without a word removed nothing. */
static void
take_left(struct calibrator *c, const struct worker_end *end)
{
	char wallet[SETUP_WALLET_MAX];

	c->clean = end->never_ran || json_is_true(json_object_get(end->finished, "clean"));
	if (end->finished != NULL)
		json_array_extend(c->left, json_object_get(end->finished, "left"));
	for (int r = 0; end->finished == NULL && !end->never_ran && r < ROLE_COUNT; r++) {
		wallet_name(c, r, wallet);
		json_array_append_new(c->left, json_string(wallet));
	}
}

/* Whether it tells something of the stagger. */
static bool
is_about_wallets(const json_t *finished)
{
	const char *text = json_string_value(json_object_get(finished, "cause"));
	enum failure_cause cause;

	if (text == NULL || !failure_cause_parse(text, &cause))
		return false;
	return cause == CAUSE_WALLET_ERROR || cause == CAUSE_POLLUTED || cause == CAUSE_STAMP_MISMATCH ||
	    cause == CAUSE_WALLET_CLOSED || cause == CAUSE_GATE;
}

static void
on_gone(void *owner, const struct worker_end *end)
{
	struct calibrator *c = owner;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	char what[600], reason[STORE_REASON_MAX], why[800];

	c->worker = NULL;
	take_left(c, end);
	if (c->state == STATE_ENDING) {
		give_back(c);
		forget(c);
		return;
	}
	worker_describe_end(end, what, sizeof what);
	text_copy(reason, sizeof reason, what);
	if (outcome != NULL && strcmp(outcome, "done") == 0) {
		end_trial(c, NULL, end->finished);
	} else if (is_about_wallets(end->finished)) {
		end_trial(c, reason, end->finished);
	} else {
		snprintf(why, sizeof why, "the calibration ended in trial %d with a stagger of %lld ms, for a cause that is none "
		    "of the stagger's: %s", c->trial, (long long)c->stagger_ms, reason);
		give_up(c, API_NOT_CALIBRATED, why);
	}
}

static const struct worker_job trial_job = {.name = "trial", .start = start_frame, .message = on_message, .gone = on_gone};

static void
try_now(struct calibrator *c)
{
	char title[64];

	c->trial++;
	uuid_new(c->trial_id);
	snprintf(title, sizeof title, "trial %s", c->trial_id);
	c->state = STATE_TRYING;
	c->worker = worker_new(c->sv, &trial_job, c, title, NULL, TRIAL_LIMIT_MS + ROLE_COUNT * c->stagger_ms);
	if (c->worker == NULL)
		give_up(c, API_INTERNAL_ERROR, "out of memory for a worker");
}

/* --- endpoints ------------------------------------------------------------ */

static void
on_granted(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT])
{
	struct calibrator *c = (struct calibrator *)((char *)claim - offsetof(struct calibrator, claim));

	event_del(c->look);
	c->clean = true;
	for (int r = 0; r < ROLE_COUNT; r++) {
		c->endpoints[r] = endpoints[r];
		endpoint_lease(endpoints[r], "", (enum role)r, claim->queued_ms);
	}
	try_now(c);
}

/* Whether it could be served once nobody else is. */
static bool
is_servable(struct endpoint_pool *pool)
{
	endpoint_counts counts = {0};
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &pool->all, all) {
		if (ep->state != ENDPOINT_DOWN && ep->state != ENDPOINT_OUT && !ep->take_out && !ep->removed)
			counts[ep->role]++;
	}
	return endpoint_counts_serve(counts, 1);
}

/* "; w3 is down: REASON", of the first that is. */
static void
describe_missing(struct endpoint_pool *pool, char *out, size_t size)
{
	struct endpoint *ep;

	out[0] = '\0';
	TAILQ_FOREACH(ep, &pool->all, all) {
		if (ep->state != ENDPOINT_DOWN && ep->state != ENDPOINT_OUT)
			continue;
		snprintf(out, size, "; %s is %s%s%s", ep->name, endpoint_state_name(ep->state), ep->reason[0] != '\0' ? ": " : "",
		    ep->reason);
		return;
	}
}

static void
look_again(struct calibrator *c)
{
	static const struct timeval again = {LOOK_MS / 1000, (LOOK_MS % 1000) * 1000};

	event_add(c->look, &again);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct calibrator *c = arg;
	char waiting[200], missing[400], why[700];

	(void)fd;
	(void)what;
	if (is_servable(c->sv->endpoints))
		c->servable_ms = clock_monotonic_ms();
	if (clock_monotonic_ms() - c->servable_ms < PATIENCE_MS &&
	    clock_monotonic_ms() - c->claim.queued_ms < WAIT_LIMIT_MS) {
		look_again(c);
		return;
	}
	scheduler_describe_wait(c->sv->scheduler, &c->claim, waiting, sizeof waiting);
	describe_missing(c->sv->endpoints, missing, sizeof missing);
	scheduler_dequeue(c->sv->scheduler, &c->claim);
	snprintf(why, sizeof why, "a calibration needs %s%s", waiting, missing);
	give_up(c, API_NOT_CALIBRATED, why);
}

/* Behind every escrow that is there by then. */
static void
wait_for_endpoints(struct calibrator *c)
{
	c->claim = (struct claim){
		.needs = ROLE_ALL, .order = scheduler_order_behind(c->sv->scheduler, c->sv->last_seq), .granted = on_granted,
	};
	c->state = STATE_WAITING;
	c->servable_ms = clock_monotonic_ms();
	look_again(c);
	scheduler_enqueue(c->sv->scheduler, &c->claim);
}

/* Somebody waits for endpoints, or one of them is to go. */
static bool
has_to_give_back(const struct calibrator *c)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (c->endpoints[r]->take_out || c->endpoints[r]->removed)
			return true;
	}
	return !c->clean || scheduler_demand(c->sv->scheduler) > 0;
}

static void
try_next(struct calibrator *c)
{
	if (c->endpoints[0] != NULL && !has_to_give_back(c)) {
		try_now(c);
		return;
	}
	give_back(c);
	wait_for_endpoints(c);
}

/* --- for others ----------------------------------------------------------- */

void
calibrate_begin(struct calibrator *c, struct api_call *call, int64_t trials, int64_t max_ms)
{
	if (c->sv->stopping || c->sv->draining) {
		api_error(call, API_STOPPING, "msigd is stopping: calibrate after the next start");
		return;
	}
	if (c->state != STATE_IDLE) {
		api_error(call, API_BUSY, "a calibration is under way: wait for it to end");
		return;
	}
	c->call = call;
	c->trials = trials;
	c->max_ms = max_ms;
	c->least_ms = -1;
	c->steps = json_array();
	c->left = json_array();
	begin_step(c, 0);
}

void
calibrate_stop(struct calibrator *c)
{
	static const char why[] = "msigd is stopping: the calibration was not finished";

	switch (c->state) {
	case STATE_IDLE:
	case STATE_ENDING:
		break;
	case STATE_WAITING:
		scheduler_dequeue(c->sv->scheduler, &c->claim);
		give_up(c, API_STOPPING, why);
		break;
	case STATE_TRYING:
		answer_error(c, API_STOPPING, why);
		c->state = STATE_ENDING;
		worker_stop(c->worker); /* may bury it at once */
		break;
	}
}

struct calibrator *
calibrator_new(struct supervisor *sv)
{
	struct calibrator *c = calloc(1, sizeof *c);

	if (c == NULL || (c->look = evtimer_new(sv->base, on_look, c)) == NULL) {
		free(c);
		return NULL;
	}
	c->sv = sv;
	return c;
}

void
calibrator_free(struct calibrator *c)
{
	if (c == NULL)
		return;
	forget(c);
	event_free(c->look);
	free(c);
}
