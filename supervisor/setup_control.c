#include "supervisor/setup_control.h"

#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/text.h"
#include "supervisor/check_control.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/setup_frames.h"
#include "supervisor/setup_internal.h"
#include "supervisor/setup_recovery.h"
#include "supervisor/setup_timing.h"
#include "supervisor/setup_trace.h"
#include "supervisor/supervisor.h"
#include "supervisor/tend_control.h"
#include "supervisor/tender.h"
#include "supervisor/worker_process.h"

enum { REFUSAL_MAX = 256 };

/* --- small things --------------------------------------------------------- */

void
setup_count_phase(struct escrow *e)
{
	setup_trace_phase(e);
	if (e->counted_phase == e->guard.phase)
		return;
	metrics_phase(&e->sv->metrics, e->counted_phase, e->guard.phase);
	e->counted_phase = e->guard.phase;
}

void
setup_release_endpoints(struct escrow *e, enum endpoint_event event, const char *reason)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (e->endpoints[r] != NULL)
			endpoint_event(e->endpoints[r], event, reason);
		e->endpoints[r] = NULL;
	}
}

struct escrow_op *
setup_op_new(enum store_result (*apply)(struct escrow *, struct escrow_op *),
    void (*done)(struct escrow *, struct escrow_op *), bool (*refused)(struct escrow *, struct escrow_op *))
{
	struct escrow_op *op = calloc(1, sizeof *op);

	if (op == NULL)
		abort(); /* a few hundred bytes: nothing sensible is left to be done */
	op->apply = apply;
	op->done = done;
	op->refused = refused;
	return op;
}

/* The object has done its work. */
void
setup_finish(struct escrow *e)
{
	struct supervisor *sv = e->sv;

	escrow_free(e);
	verifier_wake(sv->verifier);
	tender_wake(sv->tender);
	supervisor_worker_gone(sv);
}

/* --- the worker's frames -------------------------------------------------- */

static json_t *
new_participants(struct escrow *e)
{
	json_t *participants = json_array();
	char wallet[SETUP_WALLET_MAX];

	for (int r = 0; r < ROLE_COUNT; r++) {
		if (e->endpoints[r] == NULL)
			continue;
		setup_wallet_name(e, (enum role)r, wallet);
		json_array_append_new(participants, json_pack("{s:s, s:s, s:o, s:O*}", "role", role_name((enum role)r),
		    "wallet", wallet, "endpoint", endpoint_describe(e->endpoints[r]), "spare", e->spares[r]));
	}
	return participants;
}

static json_t *
start_frame(void *owner)
{
	struct escrow *e = owner;
	const struct config *c = e->sv->config;
	char subkey[SEAL_KEY_TEXT];
	json_t *participants = e->resumed ? json_incref(e->journals) : new_participants(e), *start;

	if (participants == NULL)
		return NULL;
	json_decref(e->journals);
	e->journals = NULL;
	seal_subkey_base64(e->sv->master_key, e->id, subkey);
	start = json_pack("{s:s, s:i, s:s, s:s, s:I, s:I, s:o}", "escrow_id", e->id, "attempt", e->guard.attempt,
	    "subkey", subkey, "gate", c->gate == GATE_REOPEN ? "reopen" : "seed",
	    "stagger_ms", (json_int_t)c->stagger_delay_ms, "pollution_ms", (json_int_t)c->pollution_delay_ms,
	    "participants", participants);
	sodium_memzero(subkey, sizeof subkey);
	return start;
}

static void
acknowledge(struct escrow *e, struct escrow_op *op, bool session)
{
	struct worker *worker = worker_find(e->sv->workers, op->generation);

	FAULT("ack", "", "", -1);
	if (worker != NULL)
		worker_ack(worker, json_integer_value(json_object_get(op->frame, "serial")), session);
	FAULT("acked", "", "", -1);
}

/* A wallet said what another has said before: then another one is open there. */
static bool
is_foreign(struct escrow *e, json_t *result, char why[REFUSAL_MAX])
{
	const char *sha256 = json_string_value(json_object_get(json_object_get(result, "message"), "sha256"));
	const char *call = json_string_value(json_object_get(result, "call"));
	char escrow_id[UUID_TEXT];
	enum role role;
	int attempt;

	if (sha256 == NULL || call == NULL || !role_parse(json_string_value(json_object_get(result, "role")), false, &role) ||
	    e->endpoints[role] == NULL || store_find_message(e->sv->store, sha256, escrow_id, &attempt) != STORE_OK)
		return false;
	snprintf(why, REFUSAL_MAX, "%s: %.30s on %.40s gave a message that attempt %d of escrow %s has: does another program use it?",
	    role_name(role), call, e->endpoints[role]->name, attempt, escrow_id);
	return true;
}

static bool
refuse_frame(struct escrow *e, struct escrow_op *op)
{
	struct worker *worker = worker_find(e->sv->workers, op->generation);
	char why[REFUSAL_MAX] = "a report that contradicts the journal";
	json_t *result;
	size_t i;

	log_error("report_refused", F_STR("escrow", e->id), F_STR("error", store_error(e->sv->store)));
	json_array_foreach(json_object_get(op->frame, "results"), i, result) {
		if (is_foreign(e, result, why))
			break;
	}
	if (worker != NULL)
		worker_reject(worker, why);
	return true;
}

static enum store_result
apply_report(struct escrow *e, struct escrow_op *op)
{
	enum store_result result = setup_store_report(e, op->frame);

	if (result == STORE_OK)
		setup_note_answered(e, op->frame);
	return result;
}

static void
done_report(struct escrow *e, struct escrow_op *op)
{
	setup_note_open(e, op->frame);
	setup_time_report(e, op->frame);
	setup_count_phase(e);
	if (json_array_size(json_object_get(op->frame, "results")) > 0)
		setup_gets_further(e);
	if (!MSIGD_MISTAKE_ACK_BEFORE_COMMIT)
		acknowledge(e, op, false);
}

static enum store_result
apply_publish(struct escrow *e, struct escrow_op *op)
{
	return setup_store_publish(e, op->frame);
}

/* It may have died since it said publish, or been told to stop. */
static bool
may_become_session(const struct escrow *e, const struct escrow_op *op)
{
	return e->worker != NULL && worker_generation(e->worker) == op->generation && worker_is_working(e->worker) &&
	    e->activity == ESCROW_RUNNING && !e->cancelled && !escrow_has_ops(e);
}

static void
done_publish(struct escrow *e, struct escrow_op *op)
{
	int64_t took = clock_monotonic_ms() - e->leased_ms;
	bool session;

	setup_trace_ready(e, json_string_value(json_object_get(op->frame, "address")));
	setup_count_phase(e);
	e->sv->metrics.ready++;
	histogram_add(&e->sv->metrics.setups, &metrics_setup_bounds, took * 1000);
	log_info("escrow_ready", F_STR("escrow", e->id), F_INT("attempt", e->guard.attempt),
	    F_STR("address", json_string_value(json_object_get(op->frame, "address"))),
	    F_INT("setup_ms", took), F_INT("since_open_ms", clock_wall_ms() - e->opened_at));
	session = may_become_session(e, op) && sessions_keep(e->sv->sessions, e);
	acknowledge(e, op, session);
	if (session)
		setup_finish(e);
}

static bool
on_message(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why)
{
	struct escrow *e = owner;
	struct escrow_op *op;

	FAULT("frame", message_type_name(type), "", -1);
	if (type == MESSAGE_NOTE) {
		*why = "a note that is none";
		return setup_note(e, frame);
	}
	if (!setup_frame_valid(e, type, frame, why))
		return false;
	if (e->publishing) {
		*why = "a report after its publish";
		return false;
	}
	e->publishing = type == MESSAGE_PUBLISH;
	op = type == MESSAGE_PUBLISH
	    ? setup_op_new(apply_publish, done_publish, refuse_frame)
	    : setup_op_new(apply_report, done_report, refuse_frame);
	op->frame = json_incref(frame);
	op->generation = worker_generation(worker);
	if (MSIGD_MISTAKE_ACK_BEFORE_COMMIT && type == MESSAGE_REPORT)
		acknowledge(e, op, false);
	store_be_patient(e->sv->store, MSIGD_MISTAKE_ACK_BEFORE_COMMIT ||
	    (type == MESSAGE_REPORT && json_is_false(json_object_get(frame, "waits"))));
	escrow_submit(e, op);
	store_be_patient(e->sv->store, false);
	return true;
}

static const struct worker_job setup_job = {
	.name = "setup", .start = start_frame, .message = on_message, .gone = setup_on_gone,
};

/* --- the beginning -------------------------------------------------------- */

/* The spare of a primed endpoint goes to this escrow, in the same transaction
 * in which the attempt starts: it is nobody else's from then on. */
static enum store_result
take_spare(struct escrow *e, enum role role)
{
	struct store *store = e->sv->store;
	struct store_spare spare;
	enum store_result result = store_get_spare(store, e->endpoints[role]->name, &spare);

	json_decref(e->spares[role]);
	e->spares[role] = NULL;
	if (result == STORE_OK && spare.address != NULL) {
		e->spares[role] = tend_describe_spare(e->sv, &spare);
		result = e->spares[role] != NULL ? store_take_spare(store, spare.spare_id) : STORE_FAILED;
	}
	store_spare_clear(&spare);
	return result == STORE_NOT_FOUND ? STORE_OK : result;
}

static enum store_result
start_attempt(struct escrow *e)
{
	const char *endpoints[ROLE_COUNT] = {NULL}, *wallets[ROLE_COUNT] = {NULL};
	char names[ROLE_COUNT][SETUP_WALLET_MAX];
	enum store_result result = STORE_OK;

	for (int r = 0; r < ROLE_COUNT && result == STORE_OK; r++) {
		if (e->endpoints[r] == NULL)
			continue;
		if ((e->primed & ROLE_BIT(r)) != 0)
			result = take_spare(e, (enum role)r);
		endpoints[r] = e->endpoints[r]->name;
		setup_wallet_name(e, (enum role)r, names[r]);
		wallets[r] = e->spares[r] != NULL ? json_string_value(json_object_get(e->spares[r], "wallet")) : names[r];
	}
	if (result == STORE_OK)
		result = store_start_attempt(e->sv->store, &e->guard, endpoints, wallets, clock_wall_ms());
	if (result == STORE_OK)
		result = store_add_event(e->sv->store, e->id, "phase", json_pack("{s:i, s:s}",
		    "attempt", e->guard.attempt, "phase", phase_name(PHASE_PREPARING)));
	return result;
}

static enum store_result
apply_start(struct escrow *e, struct escrow_op *op)
{
	(void)op;
	if (!store_enter(e->sv->store))
		return STORE_FAILED;
	return store_leave(e->sv->store, e->resumed ? setup_store_resumption(e) : start_attempt(e));
}

static void
done_start(struct escrow *e, struct escrow_op *op)
{
	char title[64];

	(void)op;
	FAULT("started", "", "", -1);
	setup_count_phase(e);
	if (e->sv->stopping && !e->cancelled) {
		setup_release_endpoints(e, ENDPOINT_EV_RELEASED, NULL);
		escrow_set_activity(e, ESCROW_ENDING);
		return;
	}
	snprintf(title, sizeof title, "setup %s", e->id);
	json_decref(e->journals);
	e->journals = e->resumed && !e->cancelled ? setup_journals(e) : NULL;
	if (e->resumed && !e->cancelled && e->journals == NULL) {
		setup_release_endpoints(e, ENDPOINT_EV_RELEASED, NULL);
		setup_pause_for_store(e);
		return;
	}
	if (!e->cancelled)
		e->worker = worker_new(e->sv, &setup_job, e, title, e->id, e->sv->config->setup_timeout_ms);
	if (e->worker == NULL) {
		setup_release_endpoints(e, ENDPOINT_EV_RELEASED, NULL);
		setup_end_attempt(e, CAUSE_INTERNAL, "out of memory for a worker", true, true);
		return;
	}
	escrow_set_activity(e, ESCROW_RUNNING);
}

static bool
refuse_start(struct escrow *e, struct escrow_op *op)
{
	setup_release_endpoints(e, ENDPOINT_EV_RELEASED, NULL);
	return setup_refuse_end(e, op);
}

/* The scheduler has what the escrow needs. */
static void
on_granted(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT])
{
	struct escrow *e = (struct escrow *)((char *)claim - offsetof(struct escrow, claim));

	FAULT("granted", "", "", -1);
	event_del(e->pause);
	e->primed = e->polluted = 0;
	setup_trace_granted(e, endpoints);
	for (int r = 0; r < ROLE_COUNT; r++) {
		json_decref(e->spares[r]);
		e->spares[r] = NULL;
		e->endpoints[r] = endpoints[r];
		if (endpoints[r] == NULL)
			continue;
		if (endpoints[r]->state == ENDPOINT_PRIMED)
			e->primed |= ROLE_BIT(r);
		endpoint_lease(endpoints[r], e->id, (enum role)r, claim->queued_ms);
	}
	escrow_set_activity(e, ESCROW_STARTING);
	histogram_add(&e->sv->metrics.queue_waits, &metrics_wait_bounds, (clock_monotonic_ms() - claim->queued_ms) * 1000);
	setup_time_anew(e);
	e->leased_ms = clock_monotonic_ms();
	escrow_submit(e, setup_op_new(apply_start, done_start, refuse_start));
}

void
setup_enqueue(struct escrow *e)
{
	escrow_set_activity(e, ESCROW_QUEUED);
	e->claim.granted = on_granted;
	scheduler_enqueue(e->sv->scheduler, &e->claim);
}

bool
setup_cancel(struct escrow *e, void (*fn)(void *arg), void *arg)
{
	if (fn != NULL) {
		struct escrow_waiter *waiter = calloc(1, sizeof *waiter);
		if (waiter == NULL)
			return false;
		waiter->fn = fn;
		waiter->arg = arg;
		STAILQ_INSERT_TAIL(&e->waiters, waiter, next);
	}
	e->cancelled = true;
	switch (e->activity) {
	case ESCROW_PAUSED:
		event_del(e->pause);
		setup_end_attempt(e, CAUSE_CANCELLED, "cancelled", false, false);
		break;
	case ESCROW_QUEUED:
		event_del(e->pause);
		scheduler_dequeue(e->sv->scheduler, &e->claim);
		setup_end_attempt(e, CAUSE_CANCELLED, "cancelled", false, false);
		break;
	case ESCROW_RUNNING:
		worker_stop(e->worker);
		break;
	case ESCROW_STARTING: /* done_start() sees it */
	case ESCROW_ENDING:   /* done_end() sees it */
		break;
	}
	return true;
}

/* --- after a start -------------------------------------------------------- */

static void
take_up(struct supervisor *sv, const char *escrow_id, bool restart)
{
	struct store_escrow record;
	struct escrow *e;

	if (escrow_find(sv->escrows, escrow_id) != NULL)
		return;
	if (store_get_escrow(sv->store, escrow_id, &record) != STORE_OK) {
		log_error("escrow_unreadable", F_STR("escrow", escrow_id), F_STR("error", store_error(sv->store)),
		    F_STR("remedy", "stop msigd and restore the store from a backup: a start with that goes on with the escrow"));
		return;
	}
	e = escrow_add(sv, &record);
	sv->last_seq = record.seq > sv->last_seq ? record.seq : sv->last_seq;
	store_escrow_clear(&record);
	if (e == NULL) {
		log_error("escrow_not_taken_up", F_STR("escrow", escrow_id), F_STR("error", "out of memory"));
		return;
	}
	setup_trace_taken_up(e, restart);
	if (!restart || !setup_can_go_on(e))
		setup_enqueue(e);
	else
		setup_go_on(e);
}

void
setup_take_up_one(struct supervisor *sv, const char *escrow_id)
{
	take_up(sv, escrow_id, false);
}

struct id_list {
	char (*ids)[UUID_TEXT];
	size_t count, room;
	bool failed;
};

static void
collect(const char *escrow_id, void *arg)
{
	struct id_list *list = arg;

	if (list->count == list->room) {
		size_t room = list->room * 2 + 64;
		void *ids = realloc(list->ids, room * sizeof *list->ids);
		if (ids == NULL) {
			list->failed = true;
			return;
		}
		list->ids = ids;
		list->room = room;
	}
	snprintf(list->ids[list->count++], UUID_TEXT, "%s", escrow_id);
}

bool
setup_take_up(struct supervisor *sv)
{
	struct id_list list = {NULL, 0, 0, false};
	bool ok = store_each_unfinished(sv->store, collect, &list) == STORE_OK && !list.failed;

	for (size_t i = 0; ok && i < list.count; i++)
		take_up(sv, list.ids[i], true);
	if (ok && list.count > 0)
		log_info("taken_up", F_INT("escrows", list.count));
	free(list.ids);
	return ok;
}
