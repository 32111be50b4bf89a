/* How a worker ended, what that means, and what is to follow: a table of its exit
 * statuses (ipc/message.h), and one of what msigd ends workers for. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "ipc/child.h"
#include "supervisor/worker_internal.h"

struct policy {
	enum worker_cause cause;
	enum worker_again again;
	bool counts;
	const char *meaning;  /* for people; "": there is no more to say */
};

/* --- the tables ----------------------------------------------------------- */

/* What msigd found wrong with it. */
static const struct policy faults[WORKER_FAULT_COUNT] = {
	[WORKER_FAULT_NONE]           = {WORKER_CAUSE_STATUS, WORKER_AGAIN_LATER, true, ""}, /* its status tells more */
	[WORKER_FAULT_GARBAGE]        = {WORKER_CAUSE_GARBAGE, WORKER_AGAIN_LATER, true, ""},
	[WORKER_FAULT_VERSION]        = {WORKER_CAUSE_VERSION, WORKER_AGAIN_LATER, false, "restart msigd, so that both are of one version"},
	[WORKER_FAULT_DEADLINE]       = {WORKER_CAUSE_DEADLINE, WORKER_AGAIN_LATER, true, ""},
	[WORKER_FAULT_STOPPED]        = {WORKER_CAUSE_STOPPED, WORKER_AGAIN_NOW, false, ""},
	[WORKER_FAULT_NO_PROCESS]     = {WORKER_CAUSE_NO_PROCESS, WORKER_AGAIN_LATER, false, ""}, /* a shortage passes */
	[WORKER_FAULT_NOT_EXECUTABLE] = {WORKER_CAUSE_NOT_EXECUTABLE, WORKER_NEVER, true, "install msigd again"},
};

static const struct {
	int status;
	struct policy policy;
} exits[] = {
	{WORKER_EXIT_OK, {WORKER_CAUSE_STATUS, WORKER_AGAIN_LATER, true, "as if it had finished"}},
	{WORKER_EXIT_SUPERVISOR_GONE, {WORKER_CAUSE_MSIGD_GONE, WORKER_AGAIN_NOW, true, "it took msigd for gone"}},
	{WORKER_EXIT_PROTOCOL, {WORKER_CAUSE_PROTOCOL, WORKER_NEVER, true, "msigd told it what it does not understand: a mistake in msigd"}},
	{WORKER_EXIT_RESOURCES, {WORKER_CAUSE_RESOURCES, WORKER_AGAIN_LATER, false, "it had no memory or descriptors"}},
};

/* Killed by somebody, who may have had a reason, or the kernel for want of memory;
 * any other signal is a crash, and those come again. */
static const struct policy killed = {WORKER_CAUSE_SIGNAL, WORKER_AGAIN_NOW, true, ""},
    crashed = {WORKER_CAUSE_CRASH, WORKER_AGAIN_LATER, true, ""};

static const char *const cause_names[WORKER_CAUSE_COUNT] = {
	"done", "busy", "stopped", "failed", "signal", "crash", "status", "msigd_gone", "protocol", "resources", "garbage",
	"version", "deadline", "no_process", "not_executable"};

const char *
worker_cause_name(enum worker_cause cause)
{
	return cause_names[cause];
}

/* --- which of them -------------------------------------------------------- */

static const struct policy *
policy_of_status(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM ? &killed : &crashed;
	for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
		if (exits[i].status == WEXITSTATUS(status))
			return &exits[i].policy;
	}
	return &faults[WORKER_FAULT_NONE];
}

/* It did nothing yet, so there was nothing to ask it for. */
bool
worker_was_stopped(const struct worker *w)
{
	return w->stopped && w->exec_errno == 0 && w->fault == WORKER_FAULT_NONE && WIFSIGNALED(w->status) &&
	    WTERMSIG(w->status) == SIGTERM;
}

static enum worker_fault
fault_of(const struct worker *w)
{
	if (worker_was_stopped(w))
		return WORKER_FAULT_STOPPED;
	switch (w->exec_errno) {
	case 0:
		return w->forked ? w->fault : WORKER_FAULT_NO_PROCESS;
	case EAGAIN:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ETXTBSY: /* a new one is just being written there */
		return WORKER_FAULT_NO_PROCESS;
	default:
		return WORKER_FAULT_NOT_EXECUTABLE;
	}
}

static void
describe(const struct worker *w, const char *program, char *out, size_t size)
{
	char how[96] = "";

	if (w->exec_errno != 0) {
		snprintf(out, size, "%s cannot be executed: %s", program, strerror(w->exec_errno));
	} else if (!w->forked || worker_was_stopped(w)) {
		snprintf(out, size, "%s", w->why[0] != '\0' ? w->why : "it was stopped before it began");
	} else {
		child_describe_end(w->status, how, sizeof how);
		if (w->why[0] != '\0')
			snprintf(out, size, "%s; it %s", w->why, how);
		else
			snprintf(out, size, "it %s without a word", how);
	}
}

static enum worker_cause
cause_of_outcome(json_t *finished)
{
	const char *outcome = json_string_value(json_object_get(finished, "outcome"));

	for (int i = WORKER_CAUSE_DONE; outcome != NULL && i < WORKER_CAUSE_FAILED; i++) {
		if (strcmp(outcome, cause_names[i]) == 0)
			return (enum worker_cause)i;
	}
	return WORKER_CAUSE_FAILED;
}

void
worker_take_end(const struct worker *w, const char *program, struct worker_end *end)
{
	enum worker_fault fault = fault_of(w);
	const struct policy *policy = fault != WORKER_FAULT_NONE ? &faults[fault] : policy_of_status(w->status);
	size_t n;

	end->finished = w->finished;
	end->never_ran = w->exec_errno != 0 || !w->forked;
	end->cause = w->finished != NULL ? cause_of_outcome(w->finished) : policy->cause;
	if (w->finished != NULL)
		return;
	end->again = policy->again;
	end->counts = policy->counts;
	describe(w, program, end->why, sizeof end->why);
	n = strlen(end->why);
	if (policy->meaning[0] != '\0')
		snprintf(end->why + n, sizeof end->why - n, ": %s", policy->meaning);
}

/* --- for people ----------------------------------------------------------- */

void
worker_describe_end(const struct worker_end *end, char *out, size_t size)
{
	const char *outcome = json_string_value(json_object_get(end->finished, "outcome"));
	const char *reason = json_string_value(json_object_get(end->finished, "reason"));
	const char *lock = json_string_value(json_object_get(end->finished, "lock"));
	const char *holder = json_string_value(json_object_get(end->finished, "holder"));
	const char *why = json_string_value(json_object_get(end->finished, "why"));

	if (end->finished == NULL)
		snprintf(out, size, "worker: %s", end->why);
	else if (reason != NULL || why != NULL)
		snprintf(out, size, "%s", reason != NULL ? reason : why);
	else if (outcome != NULL && strcmp(outcome, "busy") == 0)
		snprintf(out, size, "%s is held by %s", lock != NULL ? lock : "a lock",
		    holder != NULL ? holder : "another process");
	else
		snprintf(out, size, "the worker was stopped");
}
