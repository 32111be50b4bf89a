#include "common/trace.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "common/uuid.h"

static const struct {
	const char *name;
	bool of_worker;
} types[TRACE_TYPE_COUNT] = {
	[TRACE_RPC_CALL_START] = {"RPC_CALL_START", true},
	[TRACE_RPC_CALL_END] = {"RPC_CALL_END", true},
	[TRACE_RPC_CALL_ERROR] = {"RPC_CALL_ERROR", true},
	[TRACE_SNAPSHOT_PRE_ROUND1] = {"SNAPSHOT_PRE_ROUND1", true},
	[TRACE_SNAPSHOT_POST_PREPARE] = {"SNAPSHOT_POST_PREPARE", true},
	[TRACE_SNAPSHOT_POST_MAKE_MULTISIG] = {"SNAPSHOT_POST_MAKE_MULTISIG", true},
	[TRACE_SNAPSHOT_PRE_ROUND2] = {"SNAPSHOT_PRE_ROUND2", true},
	[TRACE_SNAPSHOT_POST_EXPORT_MULTISIG] = {"SNAPSHOT_POST_EXPORT_MULTISIG", true},
	[TRACE_SNAPSHOT_PRE_ROUND3] = {"SNAPSHOT_PRE_ROUND3", true},
	[TRACE_SNAPSHOT_POST_IMPORT_MULTISIG] = {"SNAPSHOT_POST_IMPORT_MULTISIG", true},
	[TRACE_SNAPSHOT_FINAL] = {"SNAPSHOT_FINAL", true},
	[TRACE_STATE_CHANGE] = {"STATE_CHANGE", false},
	[TRACE_FILE_OPERATION] = {"FILE_OPERATION", true},
	[TRACE_LOCK_ACQUIRED] = {"LOCK_ACQUIRED", true},
	[TRACE_LOCK_RELEASED] = {"LOCK_RELEASED", true},
	[TRACE_LEASE] = {"LEASE", false},
	[TRACE_RELEASE] = {"RELEASE", false},
	[TRACE_FAILOVER] = {"FAILOVER", false},
	[TRACE_RACE_DETECTED] = {"RACE_DETECTED", false},
	[TRACE_RETRY] = {"RETRY", false},
	[TRACE_DELAY] = {"DELAY", true},
	[TRACE_CACHE_POLLUTION_DETECTED] = {"CACHE_POLLUTION_DETECTED", false},
	[TRACE_WORKER_STARTED] = {"WORKER_STARTED", false},
	[TRACE_WORKER_EXITED] = {"WORKER_EXITED", false},
	[TRACE_ERROR_FINAL] = {"ERROR_FINAL", false},
	[TRACE_CUSTOM] = {"CUSTOM", true},
};

const char *
trace_type_name(enum trace_type type)
{
	return types[type].name;
}

bool
trace_type_parse(const char *name, enum trace_type *type)
{
	for (int i = 0; i < TRACE_TYPE_COUNT; i++) {
		if (strcmp(name, types[i].name) == 0) {
			*type = (enum trace_type)i;
			return true;
		}
	}
	return false;
}

bool
trace_type_of_worker(enum trace_type type)
{
	return types[type].of_worker;
}

bool
trace_id(const char *escrow_id, char out[TRACE_ID_TEXT])
{
	char uuid[UUID_TEXT];
	int n = 0;

	out[0] = '\0';
	if (!uuid_normalise(escrow_id, uuid))
		return false;
	for (const char *c = uuid; *c != '\0'; c++) {
		if (*c != '-')
			out[n++] = *c;
	}
	out[n] = '\0';
	return true;
}

double
trace_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec * 1000 + (double)(now.tv_nsec / 1000) / 1000;
}

double
trace_round_ms(double ms)
{
	return (double)(int64_t)(ms * 1000 + (ms < 0 ? -0.5 : 0.5)) / 1000;
}
