/*
 * Commands about escrows: open, status, list, retry, cancel. What is wrong
 * with an argument is said here where that is clearer; msigd checks all of it
 * again.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/phase.h"
#include "common/role.h"
#include "common/uuid.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/escrow_view.h"
#include "msigctl/output.h"
#include "msigctl/refresh.h"
#include "msigctl/status_view.h"
#include "common/suggest.h"
#include "msigctl/wait.h"

static void
show_escrow(const struct context *context, const json_t *escrow)
{
	if (context->json)
		say_json(escrow);
	else
		escrow_view(escrow);
}

/* K=V of all --meta; NULL: said. */
static json_t *
collect_metadata(const struct context *context, const struct arguments *arguments)
{
	json_t *metadata = json_object();

	for (size_t i = 0; i < arguments->given_count; i++) {
		const char *text = arguments->given[i].value, *equals;
		char *key;
		bool taken;
		if (strcmp(arguments->given[i].spec->name, "meta") != 0)
			continue;
		equals = strchr(text, '=');
		if (equals == NULL || equals == text) {
			complain(context, "--meta \"%s\": not of the form KEY=VALUE", text);
			goto fail;
		}
		key = strndup(text, (size_t)(equals - text));
		if (json_object_get(metadata, key) != NULL) {
			complain(context, "--meta \"%s\": the key %s is given twice", text, key);
			free(key);
			goto fail;
		}
		taken = json_object_set_new(metadata, key, json_string(equals + 1)) == 0;
		free(key);
		if (!taken) {
			complain(context, "--meta \"%s\": not valid UTF-8", text);
			goto fail;
		}
	}
	return metadata;
fail:
	json_decref(metadata);
	return NULL;
}

/* All --external; NULL: said. */
static json_t *
collect_external(const struct context *context, const struct arguments *arguments)
{
	static const char *const roles[] = {"buyer", "vendor", "arbiter"};
	json_t *external = json_array();
	unsigned seen = 0;

	for (size_t i = 0; i < arguments->given_count; i++) {
		const char *text = arguments->given[i].value, *meant;
		enum role role;
		if (strcmp(arguments->given[i].spec->name, "external") != 0)
			continue;
		if (!role_parse(text, false, &role)) {
			meant = suggest(text, roles, ROLE_COUNT);
			complain(context, "--external \"%s\": no role; roles are buyer, vendor and arbiter%s%s%s", text,
			    meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "", meant != NULL ? "?" : "");
			goto fail;
		}
		if (seen & ROLE_BIT(role)) {
			complain(context, "--external %s is given twice", text);
			goto fail;
		}
		seen |= ROLE_BIT(role);
		json_array_append_new(external, json_string(role_name(role)));
	}
	return external;
fail:
	json_decref(external);
	return NULL;
}

/* Named parameters of open_escrow. The id is always ours, so that a command
 * whose answer is lost can be repeated. NULL: said. */
static json_t *
open_params(const struct context *context, const struct arguments *arguments, char id[UUID_TEXT])
{
	const char *given = arguments_value(arguments, "id"), *label = arguments_value(arguments, "label");
	json_t *params, *metadata, *external = NULL;

	if (given == NULL)
		uuid_new(id);
	else if (!arguments_uuid(context, "--id", given, id))
		return NULL;
	metadata = collect_metadata(context, arguments);
	if (metadata != NULL)
		external = collect_external(context, arguments);
	if (external == NULL) {
		json_decref(metadata);
		return NULL;
	}
	params = json_pack("{s:s}", "escrow_id", id);
	if (label != NULL && json_object_set_new(params, "label", json_string(label)) == -1) {
		complain(context, "--label \"%s\": not valid UTF-8", label);
		json_decref(params);
		params = NULL;
	} else if (arguments_has(arguments, "trace")) {
		json_object_set_new(params, "trace", json_true());
	}
	if (json_object_size(metadata) > 0)
		json_object_set(params, "metadata", metadata);
	if (json_array_size(external) > 0)
		json_object_set(params, "external", external);
	json_decref(metadata);
	json_decref(external);
	return params;
}

static enum exit_status
open_show(const struct context *context, const json_t *escrow, bool waited)
{
	const char *id = member_text(escrow, "escrow_id");

	if (!context->quiet || context->json)
		show_escrow(context, escrow);
	else
		say(stdout, "%s\n", waited ? member_text(escrow, "address") : id);
	if (!waited)
		hint(context, "follow it with: msigctl watch %s", id);
	return STATUS_DONE;
}

/* The escrow is Failed. The reason is said once. */
static enum exit_status
open_failed(const struct context *context, const char *id, const json_t *escrow)
{
	if (context->json || !context->quiet)
		show_escrow(context, escrow);
	if (context->json || context->quiet || !terminal_is(stdout))
		complain(context, "escrow %s failed: %s", id, member_text(escrow, "reason"));
	hint(context, "another attempt: msigctl retry %s", id);
	return STATUS_REFUSED;
}

/* Waits, then shows how it ended. */
static enum exit_status
open_wait(const struct context *context, const char *id, json_t **escrow, int64_t deadline_ms, const char *timeout)
{
	enum exit_status status = wait_for_escrow(context, id, escrow, deadline_ms);

	if (status == STATUS_DONE && strcmp(member_text(*escrow, "phase"), phase_name(PHASE_FAILED)) == 0)
		return open_failed(context, id, *escrow);
	if (status == STATUS_DONE)
		return open_show(context, *escrow, true);
	if (context->json) /* there is a document whenever there is an escrow */
		say_json(*escrow);
	if (status == STATUS_TIMED_OUT && timeout != NULL)
		complain(context, "not ready within %s; the escrow goes on; follow it with: msigctl watch %s", timeout, id);
	else
		complain(context, "the escrow goes on%s; follow it with: msigctl watch %s",
		    status == STATUS_NO_DAEMON ? " when msigd runs again" : "", id);
	return status;
}

enum exit_status
open_run(const struct context *context, const struct arguments *arguments)
{
	const char *timeout = arguments_value(arguments, "timeout");
	bool wait = arguments_has(arguments, "wait");
	int64_t timeout_ms = 0;
	char id[UUID_TEXT];
	json_t *params, *escrow;
	enum exit_status status;

	if (timeout != NULL && !duration_parse(timeout, &timeout_ms)) {
		complain(context, "--timeout \"%s\": " DURATION_RULE, timeout);
		return STATUS_USAGE;
	}
	if (timeout != NULL && !wait)
		complain(context, "--timeout has no effect without --wait");
	params = open_params(context, arguments, id);
	if (params == NULL)
		return STATUS_USAGE;
	if (timeout != NULL)
		timeout_ms += clock_monotonic_ms();
	status = client_call(context, "open_escrow", params, CLIENT_QUICK_MS, &escrow);
	if (status != STATUS_DONE && client_may_have_been_done())
		complain(context, "whether the escrow was opened is not known; the same with --id %s never opens a second one", id);
	if (status != STATUS_DONE)
		return status;
	if (wait)
		status = open_wait(context, id, &escrow, timeout_ms, timeout);
	else
		status = open_show(context, escrow, false);
	json_decref(escrow);
	return status;
}

enum exit_status
status_run(const struct context *context, const struct arguments *arguments)
{
	const char *text = arguments_positional(arguments, 0);
	bool refresh = arguments_has(arguments, "refresh");
	char id[UUID_TEXT];
	json_t *escrow;
	enum exit_status status;

	if (text == NULL && refresh) {
		complain(context, "--refresh needs an escrow's ID");
		return STATUS_USAGE;
	}
	if (text == NULL)
		return status_overview(context);
	if (!arguments_uuid(context, "ID", text, id))
		return STATUS_USAGE;
	status = refresh ? refresh_escrow(context, id, &escrow)
	    : client_call(context, "get_escrow", json_pack("{s:s}", "escrow_id", id), CLIENT_QUICK_MS, &escrow);
	if (status != STATUS_DONE)
		return status;
	if (context->quiet && !context->json)
		say(stdout, "%s\n", member_text(escrow, "phase"));
	else
		show_escrow(context, escrow);
	json_decref(escrow);
	return STATUS_DONE;
}

/* The phase's proper name, typed in any case; NULL: said. */
static const char *
phase_argument(const struct context *context, const char *text)
{
	const char *names[PHASE_COUNT], *meant;

	for (int i = 0; i < PHASE_COUNT; i++) {
		names[i] = phase_name((enum phase)i);
		if (strcasecmp(text, names[i]) == 0)
			return names[i];
	}
	meant = suggest(text, names, PHASE_COUNT);
	complain(context, "--phase \"%s\": no phase; phases are NotStarted, Preparing, Exchanging, Ready and Failed%s%s%s",
	    text, meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "", meant != NULL ? "?" : "");
	return NULL;
}

/* NULL: said. */
static json_t *
list_params(const struct context *context, const struct arguments *arguments)
{
	const char *phase = arguments_value(arguments, "phase"), *after = arguments_value(arguments, "after");
	int64_t limit = 0;
	char id[UUID_TEXT];
	json_t *params;

	if (phase != NULL && (phase = phase_argument(context, phase)) == NULL)
		return NULL;
	if (!arguments_number(context, arguments, "limit", 1, &limit))
		return NULL;
	if (after != NULL && !arguments_uuid(context, "--after", after, id))
		return NULL;
	params = json_object();
	if (phase != NULL)
		json_object_set_new(params, "phase", json_string(phase));
	if (limit > 0)
		json_object_set_new(params, "limit", json_integer(limit));
	if (after != NULL)
		json_object_set_new(params, "after", json_string(id));
	return params;
}

static void
list_show(const struct context *context, const json_t *result, const void *arg)
{
	const char *phase = arg, *next = member_text(result, "next");

	escrow_view_list(context, json_object_get(result, "escrows"));
	if (next[0] != '\0')
		hint(context, "there are more: msigctl list%s%s --after %s", phase != NULL ? " --phase " : "",
		    phase != NULL ? phase : "", next);
}

enum exit_status
list_run(const struct context *context, const struct arguments *arguments)
{
	json_t *params = list_params(context, arguments);

	if (params == NULL)
		return STATUS_USAGE;
	return client_show(context, "list_escrows", params, CLIENT_QUICK_MS, list_show, arguments_value(arguments, "phase"));
}

static void
change_show(const struct context *context, const json_t *escrow, const void *arg)
{
	(void)arg;
	if (!context->quiet)
		escrow_view(escrow);
}

/* retry and cancel: a method that takes an id and answers with the escrow. */
static enum exit_status
change_escrow(const struct context *context, const struct arguments *arguments, const char *method, int timeout_ms)
{
	char id[UUID_TEXT];

	if (!arguments_uuid(context, "ID", arguments_positional(arguments, 0), id))
		return STATUS_USAGE;
	return client_show(context, method, json_pack("{s:s}", "escrow_id", id), timeout_ms, change_show, NULL);
}

enum exit_status
retry_run(const struct context *context, const struct arguments *arguments)
{
	return change_escrow(context, arguments, "retry_escrow", CLIENT_QUICK_MS);
}

enum exit_status
cancel_run(const struct context *context, const struct arguments *arguments)
{
	return change_escrow(context, arguments, "cancel_escrow", CLIENT_CANCEL_MS);
}
