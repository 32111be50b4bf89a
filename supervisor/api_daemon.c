/* The API's methods on msigd itself. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "supervisor/api.h"
#include "supervisor/backup.h"
#include "supervisor/calibrate.h"
#include "supervisor/check.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/scheduler.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_process.h"

/* Null, or {since, error}. */
static json_t *
store_trouble_json(struct supervisor *sv)
{
	int64_t since;
	const char *error = store_trouble(sv->store, &since);

	return error != NULL ? json_pack("{s:I, s:s}", "since", (json_int_t)since, "error", error) : json_null();
}

static void
get_status(struct api_call *call)
{
	struct supervisor *sv = call->sv;
	json_t *escrows = json_object(), *endpoints = json_object();
	const struct claim *first = scheduler_first(sv->scheduler);
	char waiting[256] = "";

	for (int i = 0; i < PHASE_COUNT; i++)
		json_object_set_new(escrows, phase_name((enum phase)i), json_integer(sv->metrics.phases[i]));
	for (int i = 0; i < ENDPOINT_STATE_COUNT; i++)
		json_object_set_new(endpoints, endpoint_state_name((enum endpoint_state)i),
		    json_integer(sv->endpoints->by_state[i]));
	if (first != NULL)
		scheduler_describe_wait(sv->scheduler, first, waiting, sizeof waiting);
	api_result(call, json_pack("{s:o, s:{s:i, s:I, s:o}, s:o, s:i, s:b, s:o}", "escrows", escrows, "queue",
	    "length", escrow_waiting(sv->escrows),
	    "oldest_ms", (json_int_t)(first != NULL ? clock_monotonic_ms() - first->queued_ms : 0),
	    "waiting_for", waiting[0] != '\0' ? json_string(waiting) : json_null(),
	    "endpoints", endpoints, "workers", worker_count(sv->workers), "stopping", sv->stopping || sv->draining,
	    "store_trouble", store_trouble_json(sv)));
}

static void
get_info(struct api_call *call)
{
	struct supervisor *sv = call->sv;
	const struct config *c = sv->config;
	char store_path[4096];

	snprintf(store_path, sizeof store_path, "%s/msigd.db", c->state_dir);
	api_result(call, json_pack("{s:s, s:i, s:I, s:I, s:s, s:o, s:s, s:{s:s, s:i, s:I, s:o}, s:{s:s, s:s}, s:s, s:s, s:s, s:s}",
	    "version", MSIGD_VERSION, "pid", (int)getpid(), "started_at", (json_int_t)sv->started_at,
	    "uptime_ms", (json_int_t)(clock_wall_ms() - sv->started_at), "network", network_name(c->network),
	    "config", sv->config_path != NULL ? json_string(sv->config_path) : json_null(), "socket", c->socket,
	    "store", "path", store_path, "schema", store_schema_version(sv->store),
	    "size_bytes", (json_int_t)store_size_bytes(sv->store), "trouble", store_trouble_json(sv),
	    "key", "path", c->key_file, "fingerprint", sv->key_fingerprint,
	    "wallet_dir", c->wallet_dir, "lock_dir", c->lock_dir, "gate", c->gate == GATE_REOPEN ? "reopen" : "seed",
	    "sandbox", "none"));
}

static void
backup(struct api_call *call)
{
	int64_t id = -1, offset = 0;

	if (!api_integer(call, "backup_id", 1, INT64_MAX, &id) || !api_integer(call, "offset", 0, INT64_MAX, &offset))
		return;
	if (id != -1) {
		backup_piece(call->sv->backups, call, id, offset);
		return;
	}
	api_log(call); /* it changes nothing, but it copies every secret */
	backup_begin(call->sv->backups, call);
}

static void
check(struct api_call *call)
{
	bool repair = false, elsewhere = false;

	if (!api_bool(call, "repair", &repair) || !api_bool(call, "elsewhere", &elsewhere))
		return;
	if (elsewhere && !repair) {
		api_error(call, API_INVALID_PARAMS, "elsewhere is for a repair: it goes with repair");
		return;
	}
	if (repair)
		api_log(call);
	check_begin(call->sv->checker, call, repair, elsewhere);
}

static void
calibrate(struct api_call *call)
{
	int64_t trials = CALIBRATE_TRIALS, max_ms = CALIBRATE_MS;

	if (api_integer(call, "trials", 1, CALIBRATE_TRIALS_MAX, &trials) &&
	    api_integer(call, "max_ms", CALIBRATE_LEAST_MS, CALIBRATE_MOST_MS, &max_ms))
		calibrate_begin(call->sv->calibrator, call, trials, max_ms);
}

static void
reload(struct api_call *call)
{
	char *error = NULL;
	json_t *result = supervisor_reload(call->sv, &error);

	if (result != NULL)
		api_result(call, result);
	else
		api_error(call, API_CONFIG_REFUSED, "nothing was changed: %s", error != NULL ? error : "out of memory");
	free(error);
}

static void
stop(struct api_call *call)
{
	struct supervisor *sv = call->sv;
	bool drain = false;
	int workers = worker_count(sv->workers);

	if (!api_bool(call, "drain", &drain))
		return;
	api_result(call, json_pack("{s:b, s:i}", "stopping", true, "workers", workers));
	supervisor_stop(sv, drain);
}

const struct api_method api_daemon_methods[] = {
	{"get_status", "", API_LOOKS, get_status},
	{"get_info", "", API_LOOKS, get_info},
	{"backup", "backup_id offset", API_WORKS, backup},
	{"check", "repair elsewhere", API_WORKS, check},
	{"reload", "", API_CHANGES, reload},
	{"stop", "drain", API_CHANGES, stop},
	{"calibrate", "trials max_ms", API_CHANGES, calibrate},
	{NULL, NULL, API_LOOKS, NULL},
};
