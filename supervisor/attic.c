#include "supervisor/attic.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "supervisor/endpoint.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum {
	SOON_MS = FAULT_SOONER(1000),
	INTERVAL_MS = 60 * 60 * 1000,
	AT_ONCE = 50,              /* wallets of one worker */
	LOOKED_AT = 200,           /* wallets, in a turn */
	ATTIC_LIMIT_MS = 60000
};

struct attic {
	struct supervisor *sv;
	struct event *timer;
	char after[128];           /* the wallet looked at last; "": the pass begins */
	int looked;                /* in this turn */
	const char *folder;        /* of the wallets below; borrowed, in one turn */
	json_t *frame;             /* {wallet_dir, wallets} of the worker, or NULL */
	struct worker *worker;
};

static void
look_in(struct attic *a, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_add(a->timer, &tv);
}

/* --- the worker ------------------------------------------------------------- */

static json_t *
start_frame(void *owner)
{
	struct attic *a = owner;

	return json_incref(a->frame);
}

static bool
was_sent(const struct attic *a, const char *wallet)
{
	const json_t *sent;
	size_t i;

	json_array_foreach(json_object_get(a->frame, "wallets"), i, sent) {
		if (wallet != NULL && strcmp(json_string_value(json_object_get(sent, "wallet")), wallet) == 0)
			return true;
	}
	return false;
}

static const char *
kept_for_ever(const json_t *one)
{
	return json_is_true(json_object_get(one, "differs")) ? json_string_value(json_object_get(one, "wallet")) : NULL;
}

static void
write_down(struct attic *a, const json_t *removed, const json_t *kept)
{
	struct store *store = a->sv->store;
	enum store_result result = STORE_OK;
	const json_t *one;
	size_t i;

	FAULT("attic", "drop", "", -1);
	if (!store_enter(store))
		return;
	json_array_foreach(removed, i, one) {
		if (result == STORE_OK && was_sent(a, json_string_value(one)))
			result = store_drop_retired(store, json_string_value(one));
	}
	json_array_foreach(kept, i, one) {
		if (result == STORE_OK && was_sent(a, kept_for_ever(one)))
			result = store_keep_retired(store, kept_for_ever(one));
	}
	if (store_leave(store, result) == STORE_OK && json_array_size(removed) > 0)
		log_info("attic_cleaned", F_INT("wallets", json_array_size(removed)));
}

static void
on_gone(void *owner, const struct worker_end *end)
{
	struct attic *a = owner;
	const json_t *kept = json_object_get(end->finished, "kept"), *one;
	char why[600];
	size_t i;

	a->worker = NULL;
	if (json_object_get(end->finished, "removed") == NULL) {
		worker_describe_end(end, why, sizeof why);
		log_warn("attic_not_cleaned", F_STR("reason", why));
	}
	write_down(a, json_object_get(end->finished, "removed"), kept);
	json_array_foreach(kept, i, one)
		log_warn("attic_not_cleaned", F_STR("wallet", json_string_value(json_object_get(one, "wallet"))),
		    F_STR("reason", json_string_value(json_object_get(one, "why"))));
	json_decref(a->frame);
	a->frame = NULL;
	if (!a->sv->stopping)
		look_in(a, 0);
}

static const struct worker_job attic_job = {.name = "attic", .start = start_frame, .message = NULL, .gone = on_gone};

/* --- which ones --------------------------------------------------------------- */

/* What its worker is told of one. A spare wallet became this role's by a note beside
 * it (worker/older.c). */
static json_t *
describe(const struct store_retired *r)
{
	json_t *one = json_pack("{s:s, s:s}", "wallet", r->wallet, "keys_sha256", r->keys_sha256);
	char note[128];

	if (strncmp(r->wallet, "msigd-", 6) != 0)
		return one;
	snprintf(note, sizeof note, "%s-%d-%s.spare", r->escrow_id, r->attempt, role_name(r->role));
	json_object_set_new(one, "note", json_string(note));
	return one;
}

/* Those of one folder at a time; the others have their turn after it. */
static void
collect(const struct store_retired *retired, void *arg)
{
	struct attic *a = arg;
	struct endpoint *ep = retired->endpoint != NULL ? endpoint_find(a->sv->endpoints, retired->endpoint) : NULL;
	const char *folder = ep != NULL ? endpoint_folder(ep) : NULL;
	json_t *wallets = json_object_get(a->frame, "wallets");

	a->looked++;
	if (a->frame != NULL && (folder == NULL || strcmp(folder, a->folder) != 0 || json_array_size(wallets) == AT_ONCE)) {
		a->looked = LOOKED_AT + 1; /* this one and those behind it: the next turn */
		return;
	}
	if (a->looked > LOOKED_AT)
		return;
	snprintf(a->after, sizeof a->after, "%s", retired->wallet);
	if (folder == NULL)
		return;
	if (a->frame == NULL) {
		a->folder = folder;
		a->frame = json_pack("{s:s, s:[]}", "wallet_dir", folder, "wallets");
		wallets = json_object_get(a->frame, "wallets");
	}
	json_array_append_new(wallets, describe(retired));
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct attic *a = arg;
	int64_t by = clock_wall_ms() - a->sv->config->trace_keep_ms;

	(void)fd;
	(void)what;
	if (a->worker != NULL || a->sv->stopping || a->sv->draining)
		return;
	a->looked = 0;
	if (store_each_removable(a->sv->store, a->after, LOOKED_AT, by, collect, a) != STORE_OK || a->looked == 0) {
		a->after[0] = '\0';
		look_in(a, INTERVAL_MS);
		return;
	}
	if (a->frame != NULL)
		a->worker = worker_new(a->sv, &attic_job, a, "attic", NULL, ATTIC_LIMIT_MS);
	if (a->worker == NULL) {
		json_decref(a->frame);
		a->frame = NULL;
		look_in(a, SOON_MS);
	}
}

void
attic_wake(struct attic *a)
{
	if (a->worker == NULL)
		look_in(a, SOON_MS);
}

struct attic *
attic_new(struct supervisor *sv)
{
	struct attic *a = calloc(1, sizeof *a);

	if (a == NULL || (a->timer = evtimer_new(sv->base, on_timer, a)) == NULL) {
		free(a);
		return NULL;
	}
	a->sv = sv;
	return a;
}

void
attic_free(struct attic *a)
{
	if (a == NULL)
		return;
	json_decref(a->frame);
	event_free(a->timer);
	free(a);
}
