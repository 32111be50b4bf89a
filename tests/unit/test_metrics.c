/* Metrics as text, in both formats; and what workers count, from one side to the
 * other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ipc/numbers.h"
#include "supervisor/metrics.h"
#include "supervisor/metrics_text.h"

static struct metrics_text text;
static char written[64 * 1024];

static int
begin(void **state)
{
	(void)state;
	text = (struct metrics_text){.out = evbuffer_new(), .format = METRICS_OPENMETRICS};
	return text.out != NULL ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	evbuffer_free(text.out);
	return 0;
}

static const char *
all(void)
{
	size_t n = evbuffer_get_length(text.out);

	assert_true(n < sizeof written);
	evbuffer_copyout(text.out, written, n);
	written[n] = '\0';
	return written;
}

/* --- text ----------------------------------------------------------------- */

static void
a_counters_family_is_named_without_total(void **state)
{
	(void)state;
	metrics_counter(&text, "a_done", "What was done.", 3);
	metrics_end(&text);
	assert_string_equal(all(), "# TYPE a_done counter\n# HELP a_done What was done.\na_done_total 3\n# EOF\n");
}

static void
in_the_older_format_it_is_named_as_its_samples(void **state)
{
	(void)state;
	text.format = METRICS_PROMETHEUS;
	metrics_family(&text, "a_cpu_seconds", METRIC_COUNTER, "Time.");
	metrics_put_seconds(&text, "job", "x", 1500000);
	metrics_end(&text);
	assert_string_equal(all(), "# TYPE a_cpu_seconds_total counter\n# HELP a_cpu_seconds_total Time.\n"
	    "a_cpu_seconds_total{job=\"x\"} 1.500000\n# EOF\n");
}

static void
a_unit_is_said_where_the_name_ends_with_one(void **state)
{
	(void)state;
	metrics_family(&text, "a_bytes", METRIC_COUNTER, "B.");
	metrics_family(&text, "a_second", METRIC_GAUGE, "No unit.");
	assert_string_equal(all(), "# TYPE a_bytes counter\n# UNIT a_bytes bytes\n# HELP a_bytes B.\n"
	    "# TYPE a_second gauge\n# HELP a_second No unit.\n");
}

static void
what_would_break_a_line_or_value_is_escaped(void **state)
{
	(void)state;
	metrics_family(&text, "a", METRIC_GAUGE, "a \"b\" \\ c\nd");
	metrics_put(&text, "label", "x\"} 1\n\\", -1);
	assert_string_equal(all(), "# TYPE a gauge\n# HELP a a \\\"b\\\" \\\\ c\\nd\na{label=\"x\\\"} 1\\n\\\\\"} -1\n");
	evbuffer_drain(text.out, evbuffer_get_length(text.out));
	text.format = METRICS_PROMETHEUS;
	metrics_family(&text, "a", METRIC_GAUGE, "a \"b\" \\ c\nd");
	assert_string_equal(all(), "# TYPE a gauge\n# HELP a a \"b\" \\\\ c\\nd\n");
}

/* A bound belongs to its bucket (Prometheus: le), and each bucket has those below it. */
static void
buckets_are_cumulative_and_end_with_all(void **state)
{
	static const struct histogram_bounds bounds = {3, {2500, 1000000, 60000000}};
	struct histogram h = {0};

	(void)state;
	histogram_add(&h, &bounds, 0);
	histogram_add(&h, &bounds, 2500);
	histogram_add(&h, &bounds, 2501);
	histogram_add(&h, &bounds, 60000001);
	histogram_add(&h, &bounds, -5);
	metrics_family(&text, "a_seconds", METRIC_HISTOGRAM, "Time.");
	metrics_put_histogram(&text, "kind", "x", &bounds, &h);
	assert_string_equal(all(), "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP a_seconds Time.\n"
	    "a_seconds_bucket{kind=\"x\",le=\"0.0025\"} 3\na_seconds_bucket{kind=\"x\",le=\"1.0\"} 4\n"
	    "a_seconds_bucket{kind=\"x\",le=\"60.0\"} 4\na_seconds_bucket{kind=\"x\",le=\"+Inf\"} 5\n"
	    "a_seconds_sum{kind=\"x\"} 60.005002\na_seconds_count{kind=\"x\"} 5\n");
	assert_int_equal(histogram_count(&h), 5);
}

static void
an_empty_histogram_has_all_its_buckets(void **state)
{
	static const struct histogram_bounds bounds = {1, {100}};
	struct histogram h = {0};

	(void)state;
	metrics_family(&text, "a", METRIC_HISTOGRAM, "A.");
	metrics_put_histogram(&text, NULL, NULL, &bounds, &h);
	assert_string_equal(all(), "# TYPE a histogram\n# HELP a A.\na_bucket{le=\"0.0001\"} 0\na_bucket{le=\"+Inf\"} 0\n"
	    "a_sum 0.000000\na_count 0\n");
}

/* --- what is counted ------------------------------------------------------ */

static void
a_lock_that_was_busy_counts_once_and_its_tries_too(void **state)
{
	struct metrics m = {0};

	(void)state;
	metrics_lock(&m, "escrow-1.lock", true, 20, 30, 4);
	metrics_lock(&m, "endpoint-x.lock", true, 0, 5, 0);
	assert_int_equal(m.locks[LOCK_KIND_ESCROW].contended, 1);
	assert_int_equal(m.locks[LOCK_KIND_ESCROW].busy_tries, 4);
	assert_int_equal(m.locks[LOCK_KIND_ENDPOINT].contended, 0);
	assert_int_equal(m.locks[LOCK_KIND_ENDPOINT].count, 1);
}

static void
a_lock_that_was_not_had_has_no_wait(void **state)
{
	struct metrics m = {0};

	(void)state;
	metrics_lock(&m, "escrow-1.lock", false, 10000, 0, 200);
	assert_int_equal(m.locks[LOCK_KIND_ESCROW].contended, 1);
	assert_int_equal(m.locks[LOCK_KIND_ESCROW].busy_tries, 200);
	assert_int_equal(m.locks[LOCK_KIND_ESCROW].count, 0);
	assert_int_equal(m.locks[LOCK_KIND_ESCROW].wait_ms, 0);
}

/* --- numbers -------------------------------------------------------------- */

/* Every place of every table, each with another value. */
static void
fill(struct numbers *n)
{
	int value = 1;

	for (int i = 0; i < NUMBERS_METHODS; i++) {
		for (int b = 0; b <= numbers_call_bounds.count; b++)
			n->calls[i].buckets[b] = (uint64_t)value++;
		n->calls[i].us = (uint64_t)value++;
	}
	for (int i = 0; i < NUMBERS_CODES; i++)
		n->errors[i] = (uint64_t)value++;
	for (int i = 0; i < NUMBERS_SILENCES; i++)
		n->silences[i] = (uint64_t)value++;
	for (int i = 0; i < NUMBERS_COPIES; i++, value += 2)
		numbers_add_copy(n, (enum numbers_copy)i, (uint64_t)value, value + 1);
}

static void
all_numbers_arrive_once(void **state)
{
	struct numbers worker = {0}, copy, supervisor = {0}, zero = {0};
	json_t *json;
	char *frame;

	(void)state;
	fill(&worker);
	copy = worker;
	json = numbers_take(&worker);
	assert_memory_equal(&worker, &zero, sizeof zero);
	assert_null(numbers_take(&worker));
	frame = json_dumps(json, JSON_COMPACT);
	assert_true(strlen(frame) < 8192); /* of 64 KiB */
	free(frame);
	assert_true(numbers_add(&supervisor, json));
	assert_memory_equal(&supervisor, &copy, sizeof copy);
	assert_true(numbers_add(&supervisor, NULL));
	assert_true(numbers_add(&supervisor, json));
	assert_int_equal(supervisor.errors[0], 2 * copy.errors[0]);
	json_decref(json);
}

static void
what_a_wallet_rpc_may_say_has_a_place(void **state)
{
	char name[16];

	(void)state;
	assert_string_equal(numbers_method_name(numbers_method("make_multisig")), "make_multisig");
	assert_string_equal(numbers_method_name(numbers_method("fancy")), "other");
	for (int64_t code = -70000; code <= 70000; code++)
		assert_in_range(numbers_code(code), 0, NUMBERS_CODES - 1);
	numbers_code_name(numbers_code(-28), name);
	assert_string_equal(name, "-28");
	numbers_code_name(numbers_code(-32601), name);
	assert_string_equal(name, "-32601");
	numbers_code_name(numbers_code(28), name);
	assert_string_equal(name, "other");
	numbers_code_name(numbers_code(0), name);
	assert_string_equal(name, "0");
}

static void
numbers_that_cannot_be_add_nothing(void **state)
{
	static const char *const bad[] = {
		"[]", "{\"calls\": {\"fancy\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}}", "{\"calls\": {\"store\": [1,1]}}",
		"{\"calls\": {\"store\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,-1]}}", "{\"errors\": {\"-28\": 1, \"-1000\": 1}}",
		"{\"errors\": {\"-28\": -1}}", "{\"errors\": {\"-28\": \"1\"}}", "{\"errors\": {\"-28\": 9223372036854775807}}",
		"{\"silences\": {\"mute\": 1}}", "{\"copies\": {\"read\": [1, 2]}}", "{\"copies\": {\"read\": [1, 2, 3.5]}}"};
	struct numbers n = {0}, before;

	(void)state;
	fill(&n);
	before = n;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		json_t *json = json_loads(bad[i], 0, NULL);
		assert_non_null(json);
		assert_false(numbers_add(&n, json));
		assert_memory_equal(&n, &before, sizeof n);
		json_decref(json);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_counters_family_is_named_without_total, begin, end),
		cmocka_unit_test_setup_teardown(in_the_older_format_it_is_named_as_its_samples, begin, end),
		cmocka_unit_test_setup_teardown(a_unit_is_said_where_the_name_ends_with_one, begin, end),
		cmocka_unit_test_setup_teardown(what_would_break_a_line_or_value_is_escaped, begin, end),
		cmocka_unit_test_setup_teardown(buckets_are_cumulative_and_end_with_all, begin, end),
		cmocka_unit_test_setup_teardown(an_empty_histogram_has_all_its_buckets, begin, end),
		cmocka_unit_test(a_lock_that_was_busy_counts_once_and_its_tries_too),
		cmocka_unit_test(a_lock_that_was_not_had_has_no_wait),
		cmocka_unit_test(all_numbers_arrive_once),
		cmocka_unit_test(what_a_wallet_rpc_may_say_has_a_place),
		cmocka_unit_test(numbers_that_cannot_be_add_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
