#include "supervisor/tend_control.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/uuid.h"
#include "common/clock.h"
#include "supervisor/endpoint.h"
#include "supervisor/leftover.h"
#include "supervisor/managed.h"
#include "supervisor/setup_frames.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

enum {
	LOOK_LIMIT_MS = 60000,  /* a busy wallet-rpc answers nothing for seconds */
	MAKE_LIMIT_MS = 120000,
	STAMP_LENGTH_MAX = 255  /* the worker has no room for more */
};

/* --- the start frame ------------------------------------------------------ */

json_t *
tend_describe_spare(struct supervisor *sv, const struct store_spare *spare)
{
	char subkey[SEAL_KEY_TEXT], *password = sealed_to_base64(spare->password, spare->password_size);
	json_t *json;

	seal_subkey_base64(sv->master_key, spare->spare_id, subkey);
	json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*}", "spare_id", spare->spare_id, "subkey", subkey,
	    "wallet", spare->wallet, "stamp", spare->stamp, "password", password, "address", spare->address);
	sodium_memzero(subkey, sizeof subkey);
	free(password);
	return json;
}

/* The one on record, if it may still be used. */
static json_t *
recorded_spare(struct endpoint *ep)
{
	struct store_spare spare;
	json_t *json;

	if (!ep->sv->config->spares || store_get_spare(ep->sv->store, ep->name, &spare) != STORE_OK)
		return NULL;
	json = tend_describe_spare(ep->sv, &spare);
	store_spare_clear(&spare);
	return json;
}

static json_t *
start(void *owner)
{
	struct endpoint *ep = owner;
	json_t *frame = json_pack("{s:o, s:o*}", "endpoint", endpoint_describe(ep), "spare", recorded_spare(ep));
	char subkey[SEAL_KEY_TEXT];

	if (!ep->tend_makes)
		return frame;
	uuid_new(ep->new_spare_id);
	seal_subkey_base64(ep->sv->master_key, ep->new_spare_id, subkey);
	json_object_set_new(frame, "make", json_pack("{s:s, s:s}", "spare_id", ep->new_spare_id, "subkey", subkey));
	sodium_memzero(subkey, sizeof subkey);
	return frame;
}

/* --- a spare that is lost ------------------------------------------------- */

/* LOST in ipc/message.h, or NULL: why what was on record is not used any more. */
static const char *
reason_of(json_t *lost)
{
	return json_string_value(json_object_get(lost, "reason"));
}

static bool
is_polluted(json_t *lost)
{
	return json_is_true(json_object_get(lost, "polluted"));
}

static enum store_result
add_lost_event(struct endpoint *ep, json_t *lost)
{
	if (reason_of(lost) == NULL)
		return STORE_OK;
	return store_add_event(ep->sv->store, NULL, "spare_lost", json_pack("{s:s, s:b, s:s}", "name", ep->name,
	    "polluted", is_polluted(lost), "reason", reason_of(lost)));
}

static void
tell_lost(struct endpoint *ep, json_t *lost)
{
	if (reason_of(lost) == NULL)
		return;
	ep->sv->metrics.spares_lost++;
	ep->sv->metrics.pollutions += is_polluted(lost) ? 1 : 0;
	log_warn(is_polluted(lost) ? "spare_polluted" : "spare_lost", F_STR("endpoint", ep->name),
	    F_STR("reason", reason_of(lost)));
}

/* And nothing takes its place. */
static void
drop_lost(struct endpoint *ep, json_t *lost)
{
	struct store *store = ep->sv->store;
	enum store_result result;

	if (reason_of(lost) == NULL || !store_enter(store))
		return;
	result = store_drop_spare(store, ep->name);
	if (result == STORE_OK)
		result = add_lost_event(ep, lost);
	if (store_leave(store, result) == STORE_OK)
		tell_lost(ep, lost);
}

/* --- its reports ---------------------------------------------------------- */

/* The new one gets the name that was given with its id, and no other. */
static bool
valid_intent(const struct endpoint *ep, const struct store_spare *spare)
{
	char wallet[SPARE_WALLET_MAX];

	snprintf(wallet, sizeof wallet, "msigd-%s", ep->new_spare_id);
	return spare->password != NULL && spare->wallet != NULL && strcmp(spare->wallet, wallet) == 0 &&
	    spare->stamp != NULL && spare->stamp[0] != '\0' && strlen(spare->stamp) <= STAMP_LENGTH_MAX;
}

/* In the place of whatever is on record. */
static enum store_result
put_spare(struct endpoint *ep, const struct store_spare *spare, json_t *lost)
{
	enum store_result result;

	if (!store_enter(ep->sv->store))
		return STORE_FAILED;
	result = store_add_spare(ep->sv->store, ep->name, spare, clock_wall_ms());
	if (result == STORE_OK)
		result = add_lost_event(ep, lost);
	return store_leave(ep->sv->store, result);
}

static enum store_result
take_intent(struct endpoint *ep, json_t *frame, const char *password)
{
	json_t *report = json_object_get(frame, "spare"), *lost = json_object_get(frame, "lost");
	struct store_spare spare = {
		.wallet = (char *)json_string_value(json_object_get(report, "wallet")),
		.stamp = (char *)json_string_value(json_object_get(report, "stamp")),
	};
	enum store_result result;

	snprintf(spare.spare_id, sizeof spare.spare_id, "%s", ep->new_spare_id);
	spare.password = sealed_from_base64(password, &spare.password_size);
	result = valid_intent(ep, &spare) ? put_spare(ep, &spare, lost) : STORE_CONFLICT;
	free(spare.password);
	if (result == STORE_OK)
		tell_lost(ep, lost);
	return result;
}

static enum store_result
take_result(struct endpoint *ep, const char *address)
{
	if (!setup_address_valid(address))
		return STORE_CONFLICT;
	return store_finish_spare(ep->sv->store, ep->new_spare_id, address);
}

/* The intent has a password, the result an address. */
static bool
on_report(void *owner, struct worker *worker, enum message_type type, json_t *frame, const char **why)
{
	struct endpoint *ep = owner;
	json_t *spare = json_object_get(frame, "spare");
	const char *password = json_string_value(json_object_get(spare, "password"));
	const char *address = json_string_value(json_object_get(spare, "address"));
	enum store_result result;

	*why = "a report that is not of its spare wallet";
	if (type != MESSAGE_REPORT || !ep->tend_makes || (password == NULL) == (address == NULL))
		return false;
	result = password != NULL ? take_intent(ep, frame, password) : take_result(ep, address);
	if (result == STORE_OK && worker_ack_when_durable(worker, json_integer_value(json_object_get(frame, "serial"))))
		return true;
	if (result == STORE_OK || result == STORE_FAILED)
		*why = "a report that could not be stored";
	return false;
}

/* --- its end -------------------------------------------------------------- */

static void
fail(struct endpoint *ep, const char *reason)
{
	if (ep->tend_makes)
		log_warn("tend_failed", F_STR("endpoint", ep->name), F_STR("reason", reason));
	endpoint_event(ep, ep->tend_makes ? ENDPOINT_EV_TEND_FAILED : ENDPOINT_EV_PROBE_FAILED, reason);
}

/* The wallet that is open is the one on record, and that was finished. */
static bool
is_on_record(struct endpoint *ep, const char *wallet)
{
	struct store_spare spare;
	bool is;

	if (store_get_spare(ep->sv->store, ep->name, &spare) != STORE_OK)
		return false;
	is = spare.address != NULL && strcmp(spare.wallet, wallet) == 0;
	store_spare_clear(&spare);
	return is;
}

/* After the end of a job that did not close its wallet, one is open. Where none
 * was, only another program can have opened it. */
static void
tell_found(struct endpoint *ep, json_t *finished)
{
	const char *found = json_string_value(json_object_get(finished, "found"));
	const char *escrow = json_string_value(json_object_get(finished, "found_escrow"));

	if (found == NULL)
		return;
	if (!ep->tend_makes) {
		log_info("leftover_closed", F_STR("endpoint", ep->name), F_STR("found", found), F_STR("found_escrow", escrow));
		return;
	}
	ep->sv->metrics.pollutions++;
	log_warn("endpoint_polluted", F_STR("endpoint", ep->name), F_STR("found", found), F_STR("found_escrow", escrow));
	store_add_event(ep->sv->store, NULL, "pollution", json_pack("{s:s, s:s, s:s*}", "name", ep->name, "found", found,
	    "found_escrow", escrow));
}

static void
done(struct endpoint *ep, json_t *finished)
{
	const char *spare = json_string_value(json_object_get(finished, "spare"));

	if (spare == NULL && ep->tend_makes) {
		fail(ep, "the tend job made no spare wallet");
		return;
	}
	if (spare != NULL && !is_on_record(ep, spare)) {
		fail(ep, "the tend job names a spare wallet that is not on record");
		return;
	}
	tell_found(ep, finished);
	ep->last_rtt_ms = json_integer_value(json_object_get(finished, "rtt_ms"));
	ep->sv->metrics.spares_made += json_is_true(json_object_get(finished, "made")) ? 1 : 0;
	if (!ep->tend_makes)
		drop_lost(ep, json_object_get(finished, "lost"));
	/* before the event, which may free an endpoint that is to go */
	snprintf(ep->spare, sizeof ep->spare, "%s", spare != NULL ? spare : "");
	endpoint_event(ep, spare != NULL ? ENDPOINT_EV_SPARE_READY : ENDPOINT_EV_PROBED, NULL);
}

/* The job has tried for longer than a worker takes to end with its msigd. */
static void
end_leftover(struct endpoint *ep)
{
	const char *dir = ep->sv->config->lock_dir;
	struct leftover who;
	struct lock lock;

	lock_init_endpoint(&lock, ep->url.text);
	if (leftover_holds(&lock, dir, &who))
		leftover_kill(&lock, dir, &who);
}

static void
gone(void *owner, const struct worker_end *end)
{
	struct endpoint *ep = owner;
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const char *cause = json_string_value(json_object_get(end->finished, "cause"));
	char why[600];
	bool silent;

	ep->tend = NULL;
	worker_describe_end(end, why, sizeof why);
	if (outcome != NULL && strcmp(outcome, "busy") == 0)
		end_leftover(ep);
	silent = cause != NULL && strcmp(cause, failure_cause_name(CAUSE_TIMEOUT)) == 0;
	ep->silent_in_row = silent ? ep->silent_in_row + 1 : 0;
	/* a busy one may give none once */
	if (ep->managed && ep->silent_in_row >= 2)
		managed_restart(ep->sv->managed, ep, "it gave no answer, two times in a row");
	if (outcome != NULL && strcmp(outcome, "done") == 0)
		done(ep, end->finished);
	else if (cause != NULL && strcmp(cause, failure_cause_name(CAUSE_WRONG_NETWORK)) == 0)
		endpoint_event(ep, ENDPOINT_EV_FAULT, why);
	else
		fail(ep, why);
}

static const struct worker_job tend_job = {.name = "tend", .start = start, .message = on_report, .gone = gone};

/* --- its beginning -------------------------------------------------------- */

/* The login is read anew for each look, so that a changed file is found. */
static bool
read_login(struct endpoint *ep, char *why, size_t why_size)
{
	char *login;

	if (ep->given == NULL || ep->given->login_file == NULL)
		return true;
	login = config_read_login(ep->given, why, why_size);
	if (login == NULL)
		return false;
	if (ep->login != NULL)
		explicit_bzero(ep->login, strlen(ep->login));
	free(ep->login);
	ep->login = login;
	return true;
}

void
tend_start(struct endpoint *ep, bool makes)
{
	char title[64], why[256];

	ep->tend_makes = makes;
	if (ep->sv->stopping) {
		fail(ep, "msigd is stopping");
		return;
	}
	if (!read_login(ep, why, sizeof why)) {
		fail(ep, why);
		return;
	}
	snprintf(title, sizeof title, "tend %.50s", ep->name);
	ep->tend = worker_new(ep->sv, &tend_job, ep, title, NULL, makes ? MAKE_LIMIT_MS : LOOK_LIMIT_MS);
	if (ep->tend == NULL)
		fail(ep, "out of memory");
}
