/* The two total tables, cell by cell, and the table of messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "ipc/message.h"
#include "supervisor/endpoint_life.h"
#include "supervisor/worker_life.h"

/* --- workers -------------------------------------------------------------- */

static void
every_worker_cell_is_filled(void **state)
{
	(void)state;
	for (int s = 0; s < WORKER_STATE_COUNT; s++) {
		for (int e = 0; e < WORKER_EVENT_COUNT; e++) {
			struct worker_step step = worker_life((enum worker_state)s, (enum worker_event)e);
			bool empty = step.action == WORKER_DO_NOTHING && step.next == WORKER_QUEUED;
			assert_in_range(step.action, 0, WORKER_ACTION_COUNT - 1);
			assert_in_range(step.next, 0, WORKER_STATE_COUNT - 1);
			/* a forgotten cell is all zero: "do nothing, be queued" is never meant */
			assert_false(empty);
			/* what cannot be changes nothing */
			if (step.action == WORKER_DO_BUG)
				assert_int_equal(step.next, s);
			/* a worker is queued once, at the beginning */
			if (s != WORKER_QUEUED)
				assert_int_not_equal(step.next, WORKER_QUEUED);
		}
	}
}

static void
the_end_of_the_process_is_the_end_of_the_worker(void **state)
{
	(void)state;
	for (int s = WORKER_STARTING; s < WORKER_GONE; s++) {
		struct worker_step step = worker_life((enum worker_state)s, WORKER_EV_EXIT);
		assert_int_equal(step.action, WORKER_DO_BURY);
		assert_int_equal(step.next, WORKER_GONE);
	}
	/* and a worker is buried once */
	for (int e = 0; e < WORKER_EVENT_COUNT; e++)
		assert_int_equal(worker_life(WORKER_GONE, (enum worker_event)e).action, WORKER_DO_BUG);
}

static void
garbage_ends_a_worker(void **state)
{
	(void)state;
	for (int s = WORKER_STARTING; s < WORKER_GONE; s++)
		assert_int_equal(worker_life((enum worker_state)s, WORKER_EV_GARBAGE).next, WORKER_KILLED);
}

static void
every_limited_state_ends_in_sigkill(void **state)
{
	(void)state;
	for (int s = WORKER_STARTING; s < WORKER_GONE; s++) {
		enum worker_state at = (enum worker_state)s;
		if (s == WORKER_SERVING)
			continue; /* as long as it is let; its end begins with a stop */
		assert_true(s == WORKER_WORKING || worker_state_limit_ms(at) > 0);
		for (int n = 0; n < WORKER_STATE_COUNT && at != WORKER_KILLED; n++)
			at = worker_life(at, WORKER_EV_DEADLINE).next;
		assert_int_equal(at, WORKER_KILLED);
	}
	assert_int_equal(worker_state_limit_ms(WORKER_SERVING), 0);
	assert_int_equal(worker_life(WORKER_SERVING, WORKER_EV_STOP).next, WORKER_STOPPING);
	assert_int_equal(worker_life(WORKER_WORKING, WORKER_EV_DEADLINE).action, WORKER_DO_TERMINATE);
	assert_int_equal(worker_life(WORKER_KILLED, WORKER_EV_DEADLINE).action, WORKER_DO_COMPLAIN);
}

static void
what_a_killed_worker_says_does_not_count(void **state)
{
	(void)state;
	assert_int_equal(worker_life(WORKER_KILLED, WORKER_EV_MESSAGE).action, WORKER_DO_NOTHING);
	assert_int_equal(worker_life(WORKER_KILLED, WORKER_EV_FINISHED).action, WORKER_DO_NOTHING);
	assert_int_equal(worker_life(WORKER_STARTING, WORKER_EV_MESSAGE).action, WORKER_DO_KILL);
	assert_int_equal(worker_life(WORKER_ENDING, WORKER_EV_MESSAGE).action, WORKER_DO_KILL);
}

/* A job goes on as a session by its own word, once; a stop that crossed it stays one. */
static void
serving_is_said_by_one_who_works(void **state)
{
	(void)state;
	for (int s = 0; s < WORKER_STATE_COUNT; s++) {
		for (int e = 0; e < WORKER_EVENT_COUNT; e++) {
			struct worker_step step = worker_life((enum worker_state)s, (enum worker_event)e);
			if (s != WORKER_SERVING && step.next == WORKER_SERVING)
				assert_true(s == WORKER_WORKING && e == WORKER_EV_SERVING);
		}
	}
	assert_int_equal(worker_life(WORKER_SERVING, WORKER_EV_SERVING).next, WORKER_KILLED);
	assert_int_equal(worker_life(WORKER_STOPPING, WORKER_EV_SERVING).next, WORKER_STOPPING);
	assert_int_equal(worker_life(WORKER_SERVING, WORKER_EV_DEADLINE).action, WORKER_DO_BUG);
}

/* --- messages ------------------------------------------------------------- */

static void
messages_are_allowed_where_the_table_says(void **state)
{
	(void)state;
	for (int s = 0; s < WORKER_STATE_COUNT; s++) {
		enum worker_state at = (enum worker_state)s;
		bool ending = at == WORKER_STOPPING || at == WORKER_TERMINATED;
		bool running = at == WORKER_WORKING || ending, serving = at == WORKER_SERVING;
		assert_int_equal(message_allowed_from_worker(MESSAGE_HELLO, at), at == WORKER_STARTING);
		assert_int_equal(message_allowed_from_worker(MESSAGE_LOCKED, at), running);
		assert_int_equal(message_allowed_from_worker(MESSAGE_REPORT, at), running);
		assert_int_equal(message_allowed_from_worker(MESSAGE_PUBLISH, at), running);
		assert_int_equal(message_allowed_from_worker(MESSAGE_LOG, at), running || serving);
		assert_int_equal(message_allowed_from_worker(MESSAGE_NOTE, at), running);
		assert_int_equal(message_allowed_from_worker(MESSAGE_SERVING, at), running);
		assert_int_equal(message_allowed_from_worker(MESSAGE_REPLY, at), serving || ending);
		assert_int_equal(message_allowed_from_worker(MESSAGE_FINISHED, at), running || serving);
		assert_int_equal(message_allowed_to_worker(MESSAGE_START, at), at == WORKER_STARTING);
		assert_int_equal(message_allowed_to_worker(MESSAGE_STOP, at), at == WORKER_WORKING || serving);
		assert_int_equal(message_allowed_to_worker(MESSAGE_REQUEST, at), serving);
		assert_int_equal(message_allowed_to_worker(MESSAGE_ACK, at), running);
		/* nobody may say what is the other's to say */
		for (int t = 0; t < MESSAGE_TYPE_COUNT; t++)
			assert_false(message_allowed_from_worker((enum message_type)t, at) &&
			    message_allowed_to_worker((enum message_type)t, at));
	}
}

static void
message_and_cause_names_go_round(void **state)
{
	enum message_type type;
	enum failure_cause cause;

	(void)state;
	for (int t = 0; t < MESSAGE_TYPE_COUNT; t++) {
		assert_true(message_type_parse(message_type_name((enum message_type)t), &type));
		assert_int_equal(type, t);
	}
	for (int c = 0; c < CAUSE_COUNT; c++) {
		assert_true(failure_cause_parse(failure_cause_name((enum failure_cause)c), &cause));
		assert_int_equal(cause, c);
	}
	assert_false(message_type_parse("nonsense", &type));
	assert_false(failure_cause_parse("nonsense", &cause));
}

/* --- endpoints ------------------------------------------------------------ */

static void
every_endpoint_cell_is_filled(void **state)
{
	(void)state;
	for (int s = 0; s < ENDPOINT_STATE_COUNT; s++) {
		for (int e = 0; e < ENDPOINT_EVENT_COUNT; e++) {
			struct endpoint_step step = endpoint_life((enum endpoint_state)s, (enum endpoint_event)e);
			assert_in_range(step.action, 0, ENDPOINT_ACTION_COUNT - 1);
			assert_in_range(step.next, 0, ENDPOINT_STATE_COUNT - 1);
			/* a forgotten cell is all zero; "nothing, and down" is meant only in down itself */
			if (step.action == ENDPOINT_DO_NOTHING && step.next == ENDPOINT_DOWN)
				assert_true(s == ENDPOINT_DOWN && e == ENDPOINT_EV_PUT_IN);
			if (step.action == ENDPOINT_DO_BUG)
				assert_int_equal(step.next, s);
		}
	}
}

static bool
is_free(int state)
{
	return state == ENDPOINT_IDLE || state == ENDPOINT_PRIMED;
}

/* Who enters or leaves the lists of free ones says so to the scheduler. */
static void
offer_and_withdraw_go_with_free(void **state)
{
	(void)state;
	for (int s = 0; s < ENDPOINT_STATE_COUNT; s++) {
		for (int e = 0; e < ENDPOINT_EVENT_COUNT; e++) {
			struct endpoint_step step = endpoint_life((enum endpoint_state)s, (enum endpoint_event)e);
			bool enters = !is_free(s) && is_free(step.next), leaves = is_free(s) && !is_free(step.next);
			assert_int_equal(step.action == ENDPOINT_DO_OFFER, enters);
			assert_int_equal(step.action == ENDPOINT_DO_WITHDRAW || step.action == ENDPOINT_DO_TEND ||
			    step.action == ENDPOINT_DO_LOOK, leaves);
			/* never from one list to the other */
			assert_true(!is_free(s) || !is_free(step.next) || s == (int)step.next);
		}
	}
}

static void
only_free_ones_are_leased(void **state)
{
	(void)state;
	for (int s = 0; s < ENDPOINT_STATE_COUNT; s++) {
		for (int e = 0; e < ENDPOINT_EVENT_COUNT; e++) {
			struct endpoint_step step = endpoint_life((enum endpoint_state)s, (enum endpoint_event)e);
			if (step.next == ENDPOINT_LEASED && s != ENDPOINT_LEASED)
				assert_true(is_free(s) && e == ENDPOINT_EV_LEASED);
		}
	}
}

/* Only a tend job that says so makes one primed, and only idle ones are tended. */
static void
a_spare_is_there_when_its_job_says_so(void **state)
{
	(void)state;
	for (int s = 0; s < ENDPOINT_STATE_COUNT; s++) {
		for (int e = 0; e < ENDPOINT_EVENT_COUNT; e++) {
			struct endpoint_step step = endpoint_life((enum endpoint_state)s, (enum endpoint_event)e);
			if (s != ENDPOINT_PRIMED && step.next == ENDPOINT_PRIMED)
				assert_int_equal(e, ENDPOINT_EV_SPARE_READY);
			if (s != ENDPOINT_TENDING && step.next == ENDPOINT_TENDING)
				assert_true(s == ENDPOINT_IDLE && e == ENDPOINT_EV_TEND && step.action == ENDPOINT_DO_TEND);
		}
	}
	assert_int_equal(endpoint_life(ENDPOINT_TENDING, ENDPOINT_EV_TEND_FAILED).next, ENDPOINT_DIRTY);
}

static void
an_abandoned_endpoint_is_cleaned_before_it_serves(void **state)
{
	(void)state;
	assert_int_equal(endpoint_life(ENDPOINT_LEASED, ENDPOINT_EV_ABANDONED).next, ENDPOINT_DIRTY);
	assert_int_equal(endpoint_life(ENDPOINT_DIRTY, ENDPOINT_EV_UP).next, ENDPOINT_PROBING);
	assert_int_equal(endpoint_life(ENDPOINT_DIRTY, ENDPOINT_EV_UP).action, ENDPOINT_DO_PROBE);
	/* only a probe, or a job that ended in order, makes one idle */
	for (int s = 0; s < ENDPOINT_STATE_COUNT; s++) {
		for (int e = 0; e < ENDPOINT_EVENT_COUNT; e++) {
			if (s != ENDPOINT_IDLE && endpoint_life((enum endpoint_state)s, (enum endpoint_event)e).next == ENDPOINT_IDLE)
				assert_true(e == ENDPOINT_EV_PROBED || e == ENDPOINT_EV_RELEASED);
		}
	}
}

/* One that is free is looked at now and then; one where jobs fail has to wait for
 * it, and one that is at work is not disturbed. */
static void
endpoints_are_looked_at_when_nobody_uses_them(void **state)
{
	(void)state;
	for (int s = 0; s < ENDPOINT_STATE_COUNT; s++) {
		struct endpoint_step up = endpoint_life((enum endpoint_state)s, ENDPOINT_EV_UP);
		struct endpoint_step failed = endpoint_life((enum endpoint_state)s, ENDPOINT_EV_FAILED);
		bool resting = s == ENDPOINT_DOWN || s == ENDPOINT_DIRTY;
		assert_int_equal(up.action, resting ? ENDPOINT_DO_PROBE : is_free(s) ? ENDPOINT_DO_LOOK : ENDPOINT_DO_NOTHING);
		assert_int_equal(up.next, resting || is_free(s) ? (int)ENDPOINT_PROBING : s);
		assert_int_equal(failed.action, s == ENDPOINT_LEASED ? ENDPOINT_DO_PAUSE : ENDPOINT_DO_BUG);
		assert_int_equal(failed.next, s == ENDPOINT_LEASED ? (int)ENDPOINT_DOWN : s);
	}
}

static void
out_is_left_by_hand_only(void **state)
{
	(void)state;
	for (int e = 0; e < ENDPOINT_EVENT_COUNT; e++) {
		if (e != ENDPOINT_EV_PUT_IN)
			assert_int_equal(endpoint_life(ENDPOINT_OUT, (enum endpoint_event)e).next, ENDPOINT_OUT);
	}
	/* a job is never pulled away from under its worker */
	assert_int_equal(endpoint_life(ENDPOINT_LEASED, ENDPOINT_EV_TAKE_OUT).next, ENDPOINT_LEASED);
	assert_int_equal(endpoint_life(ENDPOINT_PROBING, ENDPOINT_EV_TAKE_OUT).next, ENDPOINT_PROBING);
	assert_int_equal(endpoint_life(ENDPOINT_TENDING, ENDPOINT_EV_TAKE_OUT).next, ENDPOINT_TENDING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_worker_cell_is_filled),
		cmocka_unit_test(the_end_of_the_process_is_the_end_of_the_worker),
		cmocka_unit_test(garbage_ends_a_worker),
		cmocka_unit_test(every_limited_state_ends_in_sigkill),
		cmocka_unit_test(what_a_killed_worker_says_does_not_count),
		cmocka_unit_test(serving_is_said_by_one_who_works),
		cmocka_unit_test(messages_are_allowed_where_the_table_says),
		cmocka_unit_test(message_and_cause_names_go_round),
		cmocka_unit_test(every_endpoint_cell_is_filled),
		cmocka_unit_test(offer_and_withdraw_go_with_free),
		cmocka_unit_test(only_free_ones_are_leased),
		cmocka_unit_test(a_spare_is_there_when_its_job_says_so),
		cmocka_unit_test(an_abandoned_endpoint_is_cleaned_before_it_serves),
		cmocka_unit_test(endpoints_are_looked_at_when_nobody_uses_them),
		cmocka_unit_test(out_is_left_by_hand_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
