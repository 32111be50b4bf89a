/* What the rules find, in traces of a few lines: each with what it looks for, and with
 * what looks alike and is good. Whole escrows: tests/system/test_msigtrace.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "msigtrace/diagnose.h"

#define A "{\"escrow_id\":\"aaaaaaaa-0000-4000-8000-000000000001\",\"started_at\":1763800000000}\n"
#define C "{\"escrow_id\":\"cccccccc-0000-4000-8000-000000000003\",\"started_at\":1763800100000}\n"
#define BUYER(seq, type, more) "{\"seq\":" #seq ",\"attempt\":1,\"t_ms\":" #seq ",\"role\":\"buyer\",\"endpoint\":\"one\"," \
	"\"port\":18082,\"wallet\":\"w\",\"type\":\"" type "\"," more "}\n"
#define START(seq, name, more) BUYER(seq, "RPC_CALL_START", "\"method\":\"" name "\"" more)
#define GOOD(seq, name, more) BUYER(seq, "RPC_CALL_END", "\"ok\":true,\"method\":\"" name "\"" more)
#define BAD(seq, name, code, more) BUYER(seq, "RPC_CALL_ERROR", "\"ok\":false,\"outcome\":\"error\",\"code\":" #code ",\"method\":\"" name \
	"\"" more)
#define FOUND(more) ",\"found\":{" more "}"
#define ROUND(n) ",\"round\":" #n

static struct trace traces[2];
static struct diagnosis d;

/* Diagnoses one or two traces, and says which causes are found, with a comma behind
 * each. */
static const char *
causes(const char *one, const char *two)
{
	static char text[512];
	char why[TRACE_WHY_MAX];
	size_t count = two != NULL ? 2 : 1;

	assert_true(trace_read(&traces[0], "one", one, strlen(one), why));
	if (two != NULL)
		assert_true(trace_read(&traces[1], "two", two, strlen(two), why));
	assert_true(diagnose(&d, traces, count));
	text[0] = '\0';
	for (size_t i = 0; i < d.finding_count; i++) {
		strcat(text, d.findings[i].rule->name);
		strcat(text, ",");
		assert_true(d.findings[i].what[0] != '\0');
		assert_true(json_array_size(d.findings[i].evidence) > 0);
	}
	return text;
}

static int
forget(void **state)
{
	(void)state;
	diagnosis_free(&d);
	trace_free(&traces[0]);
	trace_free(&traces[1]);
	return 0;
}

/* --- pollution, and two parties ------------------------------------------------------- */

static void
multisig_before_make_is_pollution(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "LEASE", "\"wait_ms\":1") GOOD(2, "is_multisig", ROUND(1) FOUND("\"multisig\":true,\"threshold\":2,\"total\":3")),
	    NULL), "pollution,");
}

static void
multisig_after_make_is_not(void **state)
{
	(void)state;
	assert_string_equal(causes(C START(1, "make_multisig", ROUND(1)) GOOD(2, "make_multisig", ROUND(1))
	    GOOD(3, "is_multisig", ROUND(1) FOUND("\"multisig\":true,\"ready\":false,\"threshold\":2,\"total\":3")), NULL), "");
}

/* A trace that begins in the midst of an escrow. */
static void
a_wallet_without_a_beginning_may_be_multisig(void **state)
{
	(void)state;
	assert_string_equal(causes(C GOOD(1, "is_multisig", FOUND("\"multisig\":true,\"ready\":true,\"threshold\":2,\"total\":3")), NULL), "");
}

static void
already_multisig_names_who_left_it_open(void **state)
{
	(void)state;
	assert_string_equal(causes(A BUYER(1, "LEASE", "\"wait_ms\":1") GOOD(2, "store", ""),
	    C BUYER(1, "LEASE", "\"wait_ms\":1") START(2, "make_multisig", ROUND(1)) BAD(3, "make_multisig", -28, ROUND(1))), "pollution,");
	assert_string_equal(d.findings[0].other, "aaaaaaaa-0000-4000-8000-000000000001");
}

static void
who_closed_the_wallet_is_not_accused(void **state)
{
	(void)state;
	assert_string_equal(causes(A BUYER(1, "LEASE", "\"wait_ms\":1") GOOD(2, "store", "") GOOD(3, "close_wallet", "")
	    BUYER(4, "RELEASE", "\"clean\":true"),
	    C BUYER(1, "LEASE", "\"wait_ms\":1") START(2, "make_multisig", ROUND(1)) BAD(3, "make_multisig", -28, ROUND(1))), "pollution,");
	assert_string_equal(d.findings[0].other, "");
}

#define AT(seq, whose, name, type, more) "{\"seq\":" #seq ",\"attempt\":1,\"t_ms\":" #seq ",\"role\":\"" whose "\",\"endpoint\":\"" name \
	"\",\"port\":18082,\"type\":\"" type "\"," more "}\n"

/* Another msigd has another name for it; but on remote machines all have the same port. */
static void
a_port_is_one_wallet_rpc_only_where_none_shares_it(void **state)
{
	(void)state;
	assert_string_equal(causes(A AT(1, "buyer", "a1", "LEASE", "\"x\":1"), C AT(1, "buyer", "c1", "LEASE", "\"x\":1")
	    AT(2, "buyer", "c1", "CACHE_POLLUTION_DETECTED", "\"x\":1")), "pollution,");
	assert_string_equal(d.findings[0].other, "aaaaaaaa-0000-4000-8000-000000000001");
	forget(NULL);
	assert_string_equal(causes(A AT(1, "buyer", "a1", "LEASE", "\"x\":1") AT(1, "vendor", "a2", "LEASE", "\"x\":1"),
	    C AT(1, "buyer", "c1", "LEASE", "\"x\":1") AT(2, "buyer", "c1", "CACHE_POLLUTION_DETECTED", "\"x\":1")), "pollution,");
	assert_string_equal(d.findings[0].other, "");
	forget(NULL);
	/* by its name it is found all the same */
	assert_string_equal(causes(A AT(1, "buyer", "a1", "LEASE", "\"x\":1") AT(1, "vendor", "a2", "LEASE", "\"x\":1"),
	    C AT(1, "buyer", "a2", "LEASE", "\"x\":1") AT(2, "buyer", "a2", "CACHE_POLLUTION_DETECTED", "\"x\":1")), "pollution,");
	assert_string_equal(d.findings[0].other, "aaaaaaaa-0000-4000-8000-000000000001");
}

static void
what_the_stamp_says_counts_more_than_who_was_there(void **state)
{
	(void)state;
	assert_string_equal(causes(A BUYER(1, "LEASE", "\"wait_ms\":1") GOOD(2, "store", ""),
	    C BUYER(1, "LEASE", "\"wait_ms\":1")
	    BUYER(2, "CACHE_POLLUTION_DETECTED", "\"found_escrow\":\"bbbbbbbb-0000-4000-8000-000000000002\"")), "pollution,");
	assert_string_equal(d.findings[0].other, "bbbbbbbb-0000-4000-8000-000000000002");
}

static void
a_stamp_that_goes_is_two_parties(void **state)
{
	(void)state;
	assert_string_equal(causes(C GOOD(1, "set_attribute", ROUND(0)) GOOD(2, "get_attribute", ROUND(1) FOUND("\"stamp_ok\":true"))
	    GOOD(3, "get_attribute", ROUND(1) FOUND("\"stamp_ok\":false")), NULL), "two_parties,pollution,");
}

static void
a_spare_that_is_stamped_is_no_pollution(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "LEASE", "\"spare\":true") GOOD(2, "get_attribute", FOUND("\"stamp_ok\":false"))
	    START(3, "set_attribute", ROUND(0)) GOOD(4, "set_attribute", ROUND(0)), NULL), "");
}

/* The engine asks for -45 where it can go on from it; of a wallet that had its stamp it
 * still says that it is another one. */
static void
a_wallet_that_lost_its_stamp_is_another(void **state)
{
	(void)state;
	assert_string_equal(causes(C GOOD(1, "set_attribute", ROUND(0)) BAD(2, "get_attribute", -45, ROUND(1) ",\"expected\":true"), NULL),
	    "two_parties,pollution,");
	forget(NULL);
	/* a restored one never had it */
	assert_string_equal(causes(C GOOD(1, "set_attribute", ROUND(0)) BUYER(2, "FILE_OPERATION", "\"op\":\"write\"") GOOD(3, "open_wallet", "")
	    BAD(4, "get_attribute", -45, ",\"expected\":true"), NULL), "");
}

/* Its cache, where the stamp is, was lost with the machine's power: it is ours still. */
static void
a_wallet_that_is_opened_without_its_cache_is_ours(void **state)
{
	(void)state;
	assert_string_equal(causes(C GOOD(1, "set_attribute", ROUND(0)) GOOD(2, "open_wallet", "")
	    BAD(3, "get_attribute", -45, ",\"expected\":true") BUYER(4, "FILE_OPERATION", "\"op\":\"write\"") GOOD(5, "open_wallet", "")
	    GOOD(6, "set_attribute", ""), NULL), "");
	forget(NULL);
	/* once it was seen to bear it, it has no reason to lose it */
	assert_string_equal(causes(C GOOD(1, "open_wallet", "") GOOD(2, "get_attribute", FOUND("\"stamp_ok\":true"))
	    BAD(3, "get_attribute", -45, ",\"expected\":true"), NULL), "two_parties,pollution,");
}

static void
the_cause_alone_says_pollution_once(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "LEASE", "\"wait_ms\":1") BUYER(2, "ERROR_FINAL", "\"cause\":\"stamp_mismatch\""), NULL), "pollution,");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "CACHE_POLLUTION_DETECTED", "\"x\":1")
	    "{\"seq\":2,\"attempt\":1,\"type\":\"ERROR_FINAL\",\"cause\":\"polluted\"}\n", NULL), "pollution,");
}

#define FAILED(seq, why) "{\"seq\":" #seq ",\"attempt\":1,\"t_ms\":" #seq ",\"type\":\"STATE_CHANGE\",\"cause\":\"" why "\",\"phase\":\"Failed\"}\n"

/* As msigd tells it: first the phase, of nobody, then whose it was. */
static void
a_failure_that_is_told_twice_is_one(void **state)
{
	(void)state;
	assert_string_equal(causes(C FAILED(1, "stamp_mismatch") BUYER(2, "ERROR_FINAL", "\"cause\":\"stamp_mismatch\""), NULL), "pollution,");
	assert_int_equal(d.findings[0].about->role, ROLE_BUYER);
	forget(NULL);
	/* the vendor's wallet-rpc, which was asked last, is on the right one */
	assert_string_equal(causes(C GOOD(1, "validate_address", FOUND("\"nettype\":\"stagenet\""))
	    "{\"seq\":2,\"attempt\":1,\"role\":\"vendor\",\"port\":18083,\"type\":\"RPC_CALL_END\",\"method\":\"validate_address\","
	    "\"found\":{\"nettype\":\"testnet\"}}\n"
	    FAILED(3, "wrong_network") "{\"seq\":4,\"attempt\":1,\"role\":\"buyer\",\"type\":\"ERROR_FINAL\",\"cause\":\"wrong_network\"}\n",
	    NULL), "wrong_network,");
	assert_int_equal(d.findings[0].about->port, 18082);
}

static void
one_after_the_other_is_not_at_the_same_time(void **state)
{
	(void)state;
	assert_string_equal(causes(A BUYER(1, "LEASE", "\"wait_ms\":1") GOOD(2, "close_wallet", "") BUYER(3, "RELEASE", "\"clean\":true"),
	    "{\"escrow_id\":\"c\",\"started_at\":1763800000000}\n" BUYER(3, "LEASE", "\"wait_ms\":1") BUYER(9, "RELEASE", "\"clean\":true")), "");
}

static void
at_the_same_time_is_two_parties(void **state)
{
	(void)state;
	assert_string_equal(causes(A BUYER(1, "LEASE", "\"wait_ms\":1") BUYER(9, "RELEASE", "\"clean\":true"),
	    "{\"escrow_id\":\"c\",\"started_at\":1763800000000}\n" BUYER(3, "LEASE", "\"wait_ms\":1") BUYER(5, "RELEASE", "\"clean\":true")),
	    "two_parties,");
	assert_int_equal(d.findings[0].trace, 1);
}

/* msigd died with A's lease; long after, when others had the endpoint, A went on. */
static void
a_lease_of_the_dead_is_over(void **state)
{
	(void)state;
	assert_string_equal(causes("{\"escrow_id\":\"a\",\"started_at\":1763800000000}\n" BUYER(1, "LEASE", "\"wait_ms\":1") GOOD(2, "store", "")
	    "{\"seq\":50,\"attempt\":1,\"t_ms\":50,\"type\":\"LEASE\",\"role\":\"vendor\",\"endpoint\":\"two\"}\n",
	    "{\"escrow_id\":\"c\",\"started_at\":1763800000000}\n" BUYER(10, "LEASE", "\"wait_ms\":1") BUYER(20, "RELEASE", "\"clean\":true")), "");
}

/* --- calls ------------------------------------------------------------------------------ */

static void
an_error_that_was_asked_for_is_none(void **state)
{
	(void)state;
	assert_string_equal(causes(C BAD(1, "close_wallet", -13, ",\"expected\":true") BAD(2, "get_attribute", -45, ",\"expected\":true"), NULL), "");
	forget(NULL);
	assert_string_equal(causes(C BAD(1, "store", -13, ""), NULL), "wallet_closed,");
}

static void
unknown_call(const char *method, const char *round, const char *after, const char *says)
{
	char text[2048];

	snprintf(text, sizeof text, C BUYER(1, "RPC_CALL_START", "\"method\":\"%s\",\"round\":%s")
	    BUYER(2, "RPC_CALL_ERROR", "\"ok\":false,\"outcome\":\"unknown\",\"method\":\"%s\",\"round\":%s") "%s",
	    method, round, method, round, after);
	causes(text, NULL);
	assert_non_null(strstr(d.findings[d.finding_count - 1].what, says));
	forget(NULL);
}

static void
unknown(const char *after, const char *says)
{
	unknown_call("make_multisig", "1", after, says);
}

/* By the address: is_multisig says the same before and after it. */
static void
the_first_exchange_is_told_by_the_address(void **state)
{
	static const char multisig[] = GOOD(3, "is_multisig", FOUND("\"multisig\":true,\"ready\":false,\"threshold\":2,\"total\":3"));
	char text[1024];

	(void)state;
	unknown_call("exchange_multisig_keys", "2", multisig, "not known");
	snprintf(text, sizeof text, "%s%s", multisig, GOOD(4, "get_address", FOUND("\"address_hash\":\"ab\"")));
	unknown_call("exchange_multisig_keys", "2", text, "it had run, by");
	snprintf(text, sizeof text, "%s%s", multisig, GOOD(4, "get_address", FOUND("\"address_hash\":\"ab\",\"placeholder\":true")));
	unknown_call("exchange_multisig_keys", "2", text, "it had not run, by");
	unknown_call("exchange_multisig_keys", "2", BUYER(3, "SNAPSHOT_PRE_ROUND2", "\"snapshot\":{\"is_multisig\":true,"
	    "\"ready\":false,\"address_hash\":\"ab\"}"), "it had run, by");
}

static void
the_next_look_tells_whether_it_had_run(void **state)
{
	(void)state;
	unknown("", "not known");
	unknown(GOOD(3, "is_multisig", FOUND("\"multisig\":true,\"threshold\":2,\"total\":3")), "it had run");
	unknown(GOOD(3, "is_multisig", FOUND("\"multisig\":false")), "it had not run");
	unknown(BAD(3, "open_wallet", -1, ""), "in part at least");
	/* another wallet tells nothing about it */
	unknown(BUYER(3, "FILE_OPERATION", "\"op\":\"write\"") GOOD(4, "is_multisig", FOUND("\"multisig\":false")), "not known");
}

static void
what_is_torn_was_interrupted(void **state)
{
	(void)state;
	assert_string_equal(causes(C START(1, "exchange_multisig_keys", ROUND(2)) GOOD(2, "exchange_multisig_keys", ROUND(2))
	    BAD(3, "open_wallet", -1, ""), NULL), "torn_wallet,");
	forget(NULL);
	assert_string_equal(causes(C START(1, "exchange_multisig_keys", ROUND(2)) GOOD(2, "exchange_multisig_keys", ROUND(2))
	    GOOD(3, "store", ROUND(2)) BAD(4, "open_wallet", -1, ""), NULL), "wallet_unopenable,");
}

/* A disk that is full is no tampering: a wallet-rpc says -1 to both. */
static void
only_an_error_that_is_of_messages_accuses_somebody(void **state)
{
	(void)state;
	assert_string_equal(causes(C BAD(1, "make_multisig", -33, ROUND(1)), NULL), "foreign_message,");
	assert_non_null(strstr(d.findings[0].what, "so it was changed"));
	forget(NULL);
	assert_string_equal(causes(C BAD(1, "make_multisig", -1, ROUND(1) ",\"error\":\"failed to save file\""), NULL), "foreign_message,");
	assert_null(strstr(d.findings[0].what, "so it was changed"));
	assert_non_null(strstr(d.findings[0].what, "could not save the wallet"));
	assert_non_null(strstr(d.findings[0].remedy, "full disk"));
}

/* --- workers, and waiting ----------------------------------------------------------------- */

static void
workers_end_well_or_not(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "WORKER_STARTED", "\"worker\":7") BUYER(2, "WORKER_EXITED", "\"worker\":7,\"exit_code\":0,\"ok\":true")
	    BUYER(3, "WORKER_STARTED", "\"worker\":8"), NULL), "");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "WORKER_STARTED", "\"worker\":7") BUYER(2, "WORKER_EXITED", "\"worker\":7,\"signal\":\"SIGSEGV\""), NULL),
	    "worker_killed,");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "WORKER_STARTED", "\"worker\":7") BUYER(2, "WORKER_STARTED", "\"worker\":8"), NULL),
	    "msigd_interrupted,");
}

/* A disk that was full, or a trace: the end may be among what was not written. */
static void
a_worker_whose_end_may_be_lost_is_no_interruption(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "WORKER_STARTED", "\"worker\":7") BUYER(2, "CUSTOM", "\"name\":\"lost\",\"events\":9")
	    BUYER(3, "WORKER_STARTED", "\"worker\":8"), NULL), "");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "WORKER_STARTED", "\"worker\":7") BUYER(2, "CUSTOM", "\"name\":\"full\"")
	    BUYER(3, "WORKER_STARTED", "\"worker\":8"), NULL), "");
	forget(NULL);
	/* one that a worker tells to be lost is none of msigd's: its own end is not */
	assert_string_equal(causes(C BUYER(1, "WORKER_STARTED", "\"worker\":7") BUYER(2, "CUSTOM", "\"name\":\"lost\",\"events\":1,\"worker\":7")
	    BUYER(3, "WORKER_STARTED", "\"worker\":8"), NULL), "msigd_interrupted,");
}

static void
whom_msigd_ended_itself_nobody_killed(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "WORKER_STARTED", "\"worker\":7")
	    BUYER(2, "WORKER_EXITED", "\"worker\":7,\"signal\":\"SIGKILL\",\"fault\":\"garbage\""), NULL), "worker_refused,");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "WORKER_STARTED", "\"worker\":7")
	    BUYER(2, "WORKER_EXITED", "\"worker\":7,\"signal\":\"SIGTERM\",\"stopped\":true"), NULL), "");
}

static void
only_a_dead_endpoint_is_down_for_a_failover(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "RETRY", "\"cause\":\"endpoint_down\"") BUYER(2, "FAILOVER", "\"from\":\"a\",\"to\":\"b\""), NULL),
	    "endpoint_down,");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "RETRY", "\"cause\":\"wallet_error\"") BUYER(2, "FAILOVER", "\"from\":\"a\",\"to\":\"b\""), NULL), "");
	forget(NULL);
	assert_string_equal(causes(C BUYER(2, "FAILOVER", "\"from\":\"a\",\"to\":\"b\""), NULL), "");
}

static void
waiting_for_endpoints_that_begin_is_no_saturation(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "CUSTOM", "\"name\":\"queue\",\"length\":0,\"wait_ms\":9000") BUYER(2, "LEASE", "\"wait_ms\":9000")
	    BUYER(1000, "STATE_CHANGE", "\"phase\":\"Ready\""), NULL), "");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "CUSTOM", "\"name\":\"queue\",\"length\":5,\"wait_ms\":9000") BUYER(2, "LEASE", "\"wait_ms\":9000")
	    BUYER(1000, "STATE_CHANGE", "\"phase\":\"Ready\""), NULL), "saturation,");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "CUSTOM", "\"name\":\"queue\",\"length\":5,\"wait_ms\":1500") BUYER(2, "LEASE", "\"wait_ms\":1500")
	    BUYER(1000, "STATE_CHANGE", "\"phase\":\"Ready\""), NULL), "");
}

static void
a_lock_that_is_had_late_or_never(void **state)
{
	(void)state;
	assert_string_equal(causes(C BUYER(1, "LOCK_ACQUIRED", "\"lock\":\"l\",\"wait_ms\":40,\"busy_tries\":2,\"ok\":true"), NULL), "");
	forget(NULL);
	assert_string_equal(causes(C BUYER(1, "LOCK_ACQUIRED", "\"lock\":\"l\",\"wait_ms\":4000,\"busy_tries\":40,\"ok\":true"), NULL),
	    "lock_contention,");
}

static void
failure(const char *why, const char *says, const char *remedy)
{
	char text[1024];

	snprintf(text, sizeof text, C FAILED(1, "%s") "{\"seq\":2,\"attempt\":1,\"role\":\"vendor\",\"type\":\"ERROR_FINAL\","
	    "\"cause\":\"%s\",\"error\":\"the reason\"}\n", why, why);
	assert_string_equal(causes(text, NULL), "failed,");
	assert_non_null(strstr(d.findings[0].what, says));
	assert_null(strstr(d.findings[0].what, "nothing in the trace"));
	assert_non_null(strstr(d.findings[0].remedy, remedy));
	assert_int_equal(d.findings[0].about->role, ROLE_VENDOR);
	if (strcmp(why, "cancelled") != 0)
		assert_non_null(strstr(d.findings[0].what, "the reason"));
	forget(NULL);
}

/* ERROR_FINAL has a cause, a sentence, and each cause a remedy of its own. */
static void
a_failure_is_told_by_its_cause(void **state)
{
	(void)state;
	failure("wallet_files", "files of a wallet", "wallet-dir");
	failure("wallet_error", "answered with an error", "logs");
	failure("gate", "do not agree", "none of this attempt's wallets");
	failure("locks", "lock-dir", "lock-dir");
	failure("not_recovered", "no copy", "begins anew");
	failure("internal", "mistake in msigd", "report");
	failure("worker_died", "cause worker_died", "");
	failure("cancelled", "it was cancelled", "Nothing");
	/* a second address would be published */
	failure("store_older", "may have an address already", "newer backup");
	assert_string_equal(causes(C FAILED(1, "store_older"), NULL), "failed,");
	assert_null(strstr(d.findings[0].remedy, "msigctl retry"));
	forget(NULL);
	assert_string_equal(causes(C "{\"seq\":1,\"type\":\"STATE_CHANGE\",\"phase\":\"Failed\"}\n", NULL), "failed,");
	assert_non_null(strstr(d.findings[0].what, "nothing in the trace"));
}

/* Enough is enough. */
static void
findings_of_a_rule_have_an_end(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	char why[TRACE_WHY_MAX];

	(void)state;
	fputs(C, out);
	for (int i = 0; i < 1000; i++)
		fputs(BUYER(2, "WORKER_EXITED", "\"worker\":7,\"signal\":\"SIGKILL\""), out);
	fclose(out);
	assert_true(trace_read(&traces[0], "one", text, size, why));
	assert_true(diagnose(&d, traces, 1));
	assert_int_equal(d.finding_count, FINDINGS_OF_RULE);
	free(text);
}

/* What a file says that lies: each event is looked at for itself. */
static void
many_events_are_done_in_little_time(void **state)
{
	static const char *const lines[] = {"{\"attempt\":1,\"type\":\"ERROR_FINAL\",\"cause\":\"wrong_network\"}\n",
	    "{\"attempt\":1,\"type\":\"FAILOVER\"}\n"};
	char *text = NULL, why[TRACE_WHY_MAX];
	size_t size = 0;
	FILE *out;
	clock_t began;

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		out = open_memstream(&text, &size);
		fputs(C, out);
		for (int n = 0; n < TRACE_EVENTS_MAX; n++)
			fputs(lines[i], out);
		fclose(out);
		assert_true(trace_read(&traces[0], "one", text, size, why));
		began = clock();
		assert_true(diagnose(&d, traces, 1));
		assert_true(clock() - began < 5 * CLOCKS_PER_SEC);
		forget(NULL);
		free(text);
	}
}

static void
every_rule_is_complete(void **state)
{
	(void)state;
	for (const struct rule *r = rules; r->name != NULL; r++) {
		assert_non_null(r->look);
		assert_true(strlen(r->looks_for) > 10 && strlen(r->remedy) > 10);
		assert_true(strlen(r->remedy) < FINDING_TEXT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(multisig_before_make_is_pollution, forget),
		cmocka_unit_test_teardown(multisig_after_make_is_not, forget),
		cmocka_unit_test_teardown(a_wallet_without_a_beginning_may_be_multisig, forget),
		cmocka_unit_test_teardown(already_multisig_names_who_left_it_open, forget),
		cmocka_unit_test_teardown(who_closed_the_wallet_is_not_accused, forget),
		cmocka_unit_test_teardown(a_port_is_one_wallet_rpc_only_where_none_shares_it, forget),
		cmocka_unit_test_teardown(what_the_stamp_says_counts_more_than_who_was_there, forget),
		cmocka_unit_test_teardown(a_stamp_that_goes_is_two_parties, forget),
		cmocka_unit_test_teardown(a_spare_that_is_stamped_is_no_pollution, forget),
		cmocka_unit_test_teardown(a_wallet_that_lost_its_stamp_is_another, forget),
		cmocka_unit_test_teardown(a_wallet_that_is_opened_without_its_cache_is_ours, forget),
		cmocka_unit_test_teardown(the_cause_alone_says_pollution_once, forget),
		cmocka_unit_test_teardown(a_failure_that_is_told_twice_is_one, forget),
		cmocka_unit_test_teardown(one_after_the_other_is_not_at_the_same_time, forget),
		cmocka_unit_test_teardown(at_the_same_time_is_two_parties, forget),
		cmocka_unit_test_teardown(a_lease_of_the_dead_is_over, forget),
		cmocka_unit_test_teardown(an_error_that_was_asked_for_is_none, forget),
		cmocka_unit_test(the_next_look_tells_whether_it_had_run),
		cmocka_unit_test(the_first_exchange_is_told_by_the_address),
		cmocka_unit_test_teardown(what_is_torn_was_interrupted, forget),
		cmocka_unit_test_teardown(only_an_error_that_is_of_messages_accuses_somebody, forget),
		cmocka_unit_test_teardown(workers_end_well_or_not, forget),
		cmocka_unit_test_teardown(a_worker_whose_end_may_be_lost_is_no_interruption, forget),
		cmocka_unit_test_teardown(whom_msigd_ended_itself_nobody_killed, forget),
		cmocka_unit_test_teardown(only_a_dead_endpoint_is_down_for_a_failover, forget),
		cmocka_unit_test_teardown(waiting_for_endpoints_that_begin_is_no_saturation, forget),
		cmocka_unit_test_teardown(a_lock_that_is_had_late_or_never, forget),
		cmocka_unit_test_teardown(a_failure_is_told_by_its_cause, forget),
		cmocka_unit_test_teardown(findings_of_a_rule_have_an_end, forget),
		cmocka_unit_test(many_events_are_done_in_little_time),
		cmocka_unit_test(every_rule_is_complete),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
