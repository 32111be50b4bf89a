#include "ipc/message.h"

#include <string.h>

#define IN(state) (1u << (state))

static const char *const states[WORKER_STATE_COUNT] = {
	"queued", "starting", "working", "serving", "stopping", "ending", "terminated", "killed", "gone",
};

/* Once SIGTERM is sent a worker may still say how far it got; what it says
 * after its finished, or after SIGKILL, counts no more. */
#define RUNNING (IN(WORKER_WORKING) | IN(WORKER_STOPPING) | IN(WORKER_TERMINATED))
#define RUNNING_OR_SERVING (RUNNING | IN(WORKER_SERVING))

static const struct {
	const char *name;
	bool from_worker;
	unsigned states;
} types[MESSAGE_TYPE_COUNT] = {
	[MESSAGE_HELLO]    = {"hello", true, IN(WORKER_STARTING)},
	[MESSAGE_LOCKED]   = {"locked", true, RUNNING},
	[MESSAGE_REPORT]   = {"report", true, RUNNING},
	[MESSAGE_PUBLISH]  = {"publish", true, RUNNING},
	[MESSAGE_LOG]      = {"log", true, RUNNING_OR_SERVING},
	[MESSAGE_NOTE]     = {"note", true, RUNNING},
	[MESSAGE_TRACE]    = {"trace", true, RUNNING_OR_SERVING},
	[MESSAGE_SERVING]  = {"serving", true, RUNNING},
	[MESSAGE_REPLY]    = {"reply", true, IN(WORKER_SERVING) | IN(WORKER_STOPPING) | IN(WORKER_TERMINATED)},
	[MESSAGE_FINISHED] = {"finished", true, RUNNING_OR_SERVING},
	[MESSAGE_START]    = {"start", false, IN(WORKER_STARTING)},
	[MESSAGE_ACK]      = {"ack", false, RUNNING},
	[MESSAGE_REQUEST]  = {"request", false, IN(WORKER_SERVING)},
	[MESSAGE_STOP]     = {"stop", false, IN(WORKER_WORKING) | IN(WORKER_SERVING)},
};

static const char *const causes[CAUSE_COUNT] = {
	[CAUSE_ENDPOINT_DOWN] = "endpoint_down",
	[CAUSE_ENDPOINT_REFUSED] = "endpoint_refused",
	[CAUSE_OUTCOME_UNKNOWN] = "outcome_unknown",
	[CAUSE_WALLET_ERROR] = "wallet_error",
	[CAUSE_POLLUTED] = "polluted",
	[CAUSE_STAMP_MISMATCH] = "stamp_mismatch",
	[CAUSE_WALLET_CLOSED] = "wallet_closed",
	[CAUSE_WRONG_NETWORK] = "wrong_network",
	[CAUSE_WALLET_FILES] = "wallet_files",
	[CAUSE_GATE] = "gate",
	[CAUSE_TIMEOUT] = "timeout",
	[CAUSE_LOCKS] = "locks",
	[CAUSE_WORKER_DIED] = "worker_died",
	[CAUSE_INTERRUPTED] = "interrupted",
	[CAUSE_NOT_RECOVERED] = "not_recovered",
	[CAUSE_STORE_OLDER] = "store_older",
	[CAUSE_CANCELLED] = "cancelled",
	[CAUSE_INTERNAL] = "internal",
};

const char *
worker_state_name(enum worker_state state)
{
	return states[state];
}

const char *
message_type_name(enum message_type type)
{
	return types[type].name;
}

bool
message_type_parse(const char *name, enum message_type *type)
{
	for (int i = 0; i < MESSAGE_TYPE_COUNT; i++) {
		if (strcmp(name, types[i].name) == 0) {
			*type = (enum message_type)i;
			return true;
		}
	}
	return false;
}

bool
message_allowed_from_worker(enum message_type type, enum worker_state state)
{
	return types[type].from_worker && (types[type].states & IN(state)) != 0;
}

bool
message_allowed_to_worker(enum message_type type, enum worker_state state)
{
	return !types[type].from_worker && (types[type].states & IN(state)) != 0;
}

const char *
failure_cause_name(enum failure_cause cause)
{
	return causes[cause];
}

bool
failure_cause_parse(const char *name, enum failure_cause *cause)
{
	for (int i = 0; i < CAUSE_COUNT; i++) {
		if (strcmp(name, causes[i]) == 0) {
			*cause = (enum failure_cause)i;
			return true;
		}
	}
	return false;
}
