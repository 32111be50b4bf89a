/* What a worker says for a trace: what a wallet-rpc may send is not all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/channel.h"
#include "worker/trace.h"

static struct job job;
static struct party *const buyer = &job.parties[0];
static int supervisor;

static void
on_frame(json_t *frame, void *arg)
{
	(void)frame, (void)arg;
}

static void
on_end(enum channel_end end, const char *why, void *arg)
{
	(void)end, (void)why, (void)arg;
}

static int
make_job(void **state)
{
	int ends[2];

	(void)state;
	memset(&job, 0, sizeof job);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		return -1;
	supervisor = ends[1];
	job.base = event_base_new();
	job.channel = channel_new(job.base, ends[0], on_frame, on_end, NULL);
	job.trace = true;
	job.party_count = 1;
	buyer->job = &job;
	strcpy(buyer->endpoint, "w1");
	strcpy(buyer->url, "http://127.0.0.1:1");
	return 0;
}

static int
end_job(void **state)
{
	(void)state;
	channel_free(job.channel);
	event_base_free(job.base);
	close(supervisor);
	return 0;
}

/* The fields of the next event, which is of that type; NULL: there is none. */
static json_t *
said(const char *type)
{
	static char text[CHANNEL_FRAME_MAX];
	uint32_t size;
	json_t *frame, *fields;

	if (recv(supervisor, &size, sizeof size, MSG_DONTWAIT) != sizeof size)
		return NULL;
	assert_int_equal(recv(supervisor, text, ntohl(size), MSG_WAITALL), ntohl(size));
	frame = json_loadb(text, ntohl(size), 0, NULL);
	assert_non_null(frame);
	assert_string_equal(json_string_value(json_object_get(frame, "event")), type);
	fields = json_incref(json_object_get(frame, "fields"));
	json_decref(frame);
	return fields;
}

/* What is told to be found in this answer. */
static void
assert_found(const char *method, const char *answer, const char *expected)
{
	const struct op op = {.method = method};
	struct rpc_result r = {.outcome = RPC_ANSWERED, .result = json_loads(answer, 0, NULL)};
	json_t *fields, *wanted = json_loads(expected, 0, NULL);

	assert_non_null(r.result);
	trace_answer(buyer, &op, &r, false);
	fields = said("RPC_CALL_END");
	assert_non_null(fields);
	assert_true(json_equal(json_object_get(fields, "found"), wanted));
	json_decref(fields);
	json_decref(wanted);
	json_decref(r.result);
}

static void
of_an_answer_it_tells_what_has_the_form_it_should(void **state)
{
	(void)state;
	assert_found("is_multisig", "{\"multisig\":true,\"ready\":false,\"threshold\":2,\"total\":3,\"more\":1}",
	    "{\"multisig\":true,\"ready\":false,\"threshold\":2,\"total\":3}");
	assert_found("is_multisig", "{\"multisig\":\"a seed\",\"ready\":{\"a\":\"seed\"},\"threshold\":[2],\"total\":null}", "{}");
	assert_found("validate_address", "{\"valid\":true,\"nettype\":\"stagenet\"}", "{\"valid\":true,\"nettype\":\"stagenet\"}");
	assert_found("validate_address", "{\"valid\":\"a seed\",\"nettype\":\"a seed\"}", "{}");
	assert_found("validate_address", "{\"valid\":true,\"nettype\":{\"a\":\"seed\"}}", "{\"valid\":true}");
}

static void
one_that_fits_no_frame_is_told_to_be_lost(void **state)
{
	char *text = malloc(CHANNEL_FRAME_MAX + 1);
	json_t *fields;

	(void)state;
	memset(text, 'x', CHANNEL_FRAME_MAX);
	text[CHANNEL_FRAME_MAX] = '\0';
	trace_restore(buyer, text);
	free(text);
	fields = said("CUSTOM");
	assert_non_null(fields);
	assert_string_equal(json_string_value(json_object_get(fields, "name")), "lost");
	assert_int_equal(json_integer_value(json_object_get(fields, "events")), 1);
	json_decref(fields);
	assert_null(said("CUSTOM"));
}

static void
the_call_of_a_snapshot_that_fails_tells_its_own_duration(void **state)
{
	static const struct op op = {.method = "get_balance", .look = true};
	const struct rpc_result r = {.outcome = RPC_ERROR, .code = -1, .why = "no"};
	json_t *fields;

	(void)state;
	buyer->called_us = -3600 * INT64_C(1000000); /* of an earlier one */
	buyer->op = &op;
	trace_call(buyer, op.method);
	assert_null(said("RPC_CALL_START"));
	trace_answer(buyer, &op, &r, true);
	fields = said("RPC_CALL_ERROR");
	assert_non_null(fields);
	assert_true(json_number_value(json_object_get(fields, "duration_ms")) < 3600 * 1000);
	json_decref(fields);
	buyer->op = NULL;
}

static int ended;

static void
on_script_end(struct party *p)
{
	assert_null(p->op);
	ended++;
}

static void
of_a_snapshot_no_call_begins_after_a_stop_or_its_time(void **state)
{
	static const struct op script[] = {{.method = "is_multisig", .look = true}, {.method = NULL}};

	(void)state;
	ended = 0;
	job.deadline_ms = buyer->look_ends_ms = INT64_MAX / 2;
	job.stopping = true;
	job_run_script(buyer, script, on_script_end); /* a call would crash: there is no endpoint */
	assert_int_equal(ended, 1);
	job.stopping = false;
	buyer->look_ends_ms = 1;
	job_run_script(buyer, script, on_script_end);
	assert_int_equal(ended, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(of_an_answer_it_tells_what_has_the_form_it_should, make_job, end_job),
		cmocka_unit_test_setup_teardown(one_that_fits_no_frame_is_told_to_be_lost, make_job, end_job),
		cmocka_unit_test_setup_teardown(the_call_of_a_snapshot_that_fails_tells_its_own_duration, make_job, end_job),
		cmocka_unit_test_setup_teardown(of_a_snapshot_no_call_begins_after_a_stop_or_its_time, make_job, end_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
