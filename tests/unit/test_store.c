/* The store on a real file: guards, turns, what is refused, what is validated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "supervisor/check_control.h"
#include "supervisor/endpoint.h"
#include "supervisor/escrow.h"
#include "supervisor/repair.h"
#include "supervisor/session.h"
#include "supervisor/store.h"
#include "supervisor/store_internal.h"
#include "supervisor/supervisor.h"
#include "supervisor/tender.h"
#include "tests/unit/store_file.h"

static const char other[] = "123e4567-e89b-42d3-a456-426614174001";

static struct store_guard
guard_of(const char *escrow_id)
{
	struct store_escrow e;
	struct store_guard guard = {escrow_id, 0, PHASE_COUNT, 0, 0};

	assert_int_equal(store_get_escrow(t.store, escrow_id, &e), STORE_OK);
	guard.attempt = e.attempt;
	guard.phase = e.phase;
	guard.round = e.round;
	guard.revision = e.revision;
	store_escrow_clear(&e);
	return guard;
}

/* Brings an escrow to Exchanging, round 4. */
static struct store_guard
advance(const char *escrow_id)
{
	struct store_guard guard = guard_of(escrow_id);
	const char *endpoints[ROLE_COUNT] = {"a", "b", "c"}, *wallets[ROLE_COUNT];
	char names[ROLE_COUNT][64];

	for (int r = 0; r < ROLE_COUNT; r++) {
		snprintf(names[r], sizeof names[r], "%s-%d-%d", escrow_id, guard.attempt, r);
		wallets[r] = names[r];
	}
	assert_int_equal(store_start_attempt(t.store, &guard, endpoints, wallets, 2000), STORE_OK);
	for (int round = 2; round <= 4; round++)
		assert_int_equal(store_start_round(t.store, &guard, round), STORE_OK);
	return guard;
}

static struct store_publication
publication(const char *text)
{
	struct store_publication p = {.address = text, .now = 3000};

	for (int r = 0; r < ROLE_COUNT; r++) {
		p.roles[r].seed = "sealed seed";
		p.roles[r].seed_size = 11;
	}
	return p;
}

/* -------------------------------------------------------------------------- */

static void
the_same_options_are_the_same_escrow(void **state)
{
	struct store_new_escrow e = {.escrow_id = id, .label = "l", .metadata = "{\"a\":\"b\"}", .network = NETWORK_TESTNET};
	bool same = false;

	(void)state;
	assert_int_equal(store_add_escrow(t.store, &e, &same), STORE_OK);
	assert_int_equal(store_add_escrow(t.store, &e, &same), STORE_CONFLICT);
	assert_true(same);
	e.label = "other";
	assert_int_equal(store_add_escrow(t.store, &e, &same), STORE_CONFLICT);
	assert_false(same);
}

static void
a_stale_guard_changes_nothing(void **state)
{
	struct store_guard guard, stale;

	(void)state;
	add(id);
	guard = stale = advance(id);
	stale.revision--;
	assert_int_equal(store_start_round(t.store, &stale, 5), STORE_CONFLICT);
	stale = guard, stale.attempt = 2;
	assert_int_equal(store_start_round(t.store, &stale, 5), STORE_CONFLICT);
	stale = guard, stale.round = 3;
	assert_int_equal(store_start_round(t.store, &stale, 5), STORE_CONFLICT);
	stale = guard;
	assert_int_equal(store_start_round(t.store, &stale, 4), STORE_CONFLICT); /* never back */
	assert_int_equal(guard_of(id).revision, guard.revision);
	assert_int_equal(store_start_round(t.store, &guard, 5), STORE_OK);
}

static void
nothing_leaves_ready(void **state)
{
	struct store_guard guard;
	struct store_publication p = publication(address);
	int attempt;

	(void)state;
	add(id);
	guard = advance(id);
	assert_int_equal(store_publish(t.store, &guard, &p), STORE_OK);
	assert_int_equal(guard.phase, PHASE_READY);
	assert_int_equal(store_publish(t.store, &guard, &p), STORE_CONFLICT);
	assert_int_equal(store_fail_attempt(t.store, &guard, CAUSE_CANCELLED, "x", false, false, 1), STORE_CONFLICT);
	assert_int_equal(store_retry(t.store, id, &attempt), STORE_CONFLICT);
	assert_int_equal(guard_of(id).phase, PHASE_READY);
}

static void
no_two_escrows_have_one_address(void **state)
{
	struct store_guard first, second;
	struct store_publication p = publication(address);

	(void)state;
	add(id);
	add(other);
	first = advance(id);
	second = advance(other);
	assert_int_equal(store_publish(t.store, &first, &p), STORE_OK);
	assert_int_equal(store_publish(t.store, &second, &p), STORE_CONFLICT);
	/* nothing of it was kept, not even the seeds */
	assert_int_equal(guard_of(other).phase, PHASE_EXCHANGING);
	p.address = "another";
	assert_int_equal(store_publish(t.store, &second, &p), STORE_OK);
}

/* Once good, always good; what was not good may become so. */
static void
the_outcome_of_a_verification_is_kept(void **state)
{
	struct store_guard guard;
	struct store_publication p = publication(address);
	struct store_escrow e;

	(void)state;
	add(id);
	guard = advance(id);
	assert_int_equal(store_set_verified(t.store, id, 1, NULL, 1), STORE_CONFLICT); /* not Ready */
	assert_int_equal(store_publish(t.store, &guard, &p), STORE_OK);
	assert_int_equal(store_set_verified(t.store, id, 1, "a file is missing", 4000), STORE_OK);
	assert_int_equal(store_get_escrow(t.store, id, &e), STORE_OK);
	assert_int_equal(e.not_verified_at, 4000);
	assert_string_equal(e.not_verified_reason, "a file is missing");
	assert_int_equal(e.verified_at, 0);
	store_escrow_clear(&e);
	assert_int_equal(store_set_verified(t.store, id, 1, NULL, 5000), STORE_OK);
	assert_int_equal(store_set_verified(t.store, id, 1, "too late", 6000), STORE_CONFLICT);
	assert_int_equal(store_get_escrow(t.store, id, &e), STORE_OK);
	assert_int_equal(e.verified_at, 5000);
	assert_int_equal(e.not_verified_at, 0);
	assert_null(e.not_verified_reason);
	store_escrow_clear(&e);
}

static void
those_not_verified_come_in_order(void **state)
{
	struct store_guard guard;
	struct store_publication p = publication(address);
	char next[UUID_TEXT] = "";

	(void)state;
	add(other);
	add(id);
	guard = advance(other);
	assert_int_equal(store_publish(t.store, &guard, &p), STORE_OK);
	p.address = "another";
	guard = advance(id);
	assert_int_equal(store_publish(t.store, &guard, &p), STORE_OK);
	assert_int_equal(store_next_unverified(t.store, next), STORE_OK);
	assert_string_equal(next, id);
	assert_int_equal(store_next_unverified(t.store, next), STORE_OK);
	assert_string_equal(next, other);
	assert_int_equal(store_next_unverified(t.store, next), STORE_NOT_FOUND);
	next[0] = '\0';
	assert_int_equal(store_set_verified(t.store, id, 1, NULL, 1), STORE_OK);
	assert_int_equal(store_next_unverified(t.store, next), STORE_OK);
	assert_string_equal(next, other);
}

/* Thousands that wait for an endpoint that is gone do not hold up a turn. */
static void
verifier_looks_at_a_few_each_turn(void **state)
{
	struct config config = {.spares = false};
	struct supervisor sv = {.base = t.base, .store = t.store, .escrows = escrow_table_new(),
	    .endpoints = endpoint_pool_new(), .started_at = 1, .config = &config};
	struct verifier *verifier = verifier_new(&sv);
	int seen_before = 0, runs = 0, most = 0;

	(void)state;
	sv.sessions = sessions_new(&sv);
	sv.tender = tender_new(&sv);
	sv.repairer = repairer_new(&sv);
	for (int i = 0; i < 100; i++) {
		struct store_guard guard;
		struct store_publication p;
		char name[UUID_TEXT];
		snprintf(name, sizeof name, "123e4567-e89b-42d3-a456-4266%08d", i);
		add(name);
		guard = advance(name);
		p = publication(name);
		assert_int_equal(store_publish(t.store, &guard, &p), STORE_OK);
	}
	turn();
	verifier_wake(verifier);
	seen_before = sqlite3_stmt_status(t.store->statements[SQL_NEXT_UNVERIFIED], SQLITE_STMTSTATUS_RUN, 0);
	while (runs <= 100) {
		assert_int_equal(event_base_loop(t.base, EVLOOP_ONCE), 0);
		runs = sqlite3_stmt_status(t.store->statements[SQL_NEXT_UNVERIFIED], SQLITE_STMTSTATUS_RUN, 0);
		if (runs - seen_before > most)
			most = runs - seen_before;
		seen_before = runs;
	}
	assert_in_range(most, 1, 20);
	verifier_free(verifier);
	repairer_free(sv.repairer);
	tender_free(sv.tender);
	sessions_free(sv.sessions);
	escrow_table_free(sv.escrows);
	endpoint_pool_free(sv.endpoints);
}

static void
a_failed_attempt_is_followed_by_the_next_in_one(void **state)
{
	struct store_guard guard;
	struct store_escrow e;

	(void)state;
	add(id);
	guard = advance(id);
	assert_int_equal(store_fail_attempt(t.store, &guard, CAUSE_WALLET_ERROR, "why", true, true, 1), STORE_OK);
	assert_int_equal(guard.attempt, 2);
	assert_int_equal(store_get_escrow(t.store, id, &e), STORE_OK);
	assert_int_equal(e.attempt, 2);
	assert_int_equal(e.phase, PHASE_NOT_STARTED);
	assert_int_equal(e.failures, 1);
	store_escrow_clear(&e);
}

static void
a_step_is_intended_once_and_answered_once(void **state)
{
	struct store_intent intent = {.escrow_id = id, .attempt = 1, .role = ROLE_BUYER, .round = 2, .call = "make_multisig"};
	struct store_step_result result = {.escrow_id = id, .attempt = 1, .role = ROLE_BUYER, .round = 2,
	    .call = "make_multisig", .message = "m", .message_size = 1, .message_length = 1};
	char sha256[65];

	(void)state;
	memset(sha256, 'a', 64);
	sha256[64] = '\0';
	result.message_sha256 = sha256;
	add(id);
	advance(id);
	assert_int_equal(store_add_result(t.store, &result), STORE_CONFLICT); /* no intent */
	assert_int_equal(store_add_intent(t.store, &intent), STORE_OK);
	assert_int_equal(store_add_intent(t.store, &intent), STORE_CONFLICT);
	assert_int_equal(store_add_result(t.store, &result), STORE_OK);
	assert_int_equal(store_add_result(t.store, &result), STORE_CONFLICT);
	/* a message seen before is refused wherever it turns up (law 4) */
	intent.role = result.role = ROLE_VENDOR;
	assert_int_equal(store_add_intent(t.store, &intent), STORE_OK);
	assert_int_equal(store_add_result(t.store, &result), STORE_CONFLICT);
	sha256[0] = 'b';
	assert_int_equal(store_add_result(t.store, &result), STORE_OK);
}

static void
what_is_said_waits_for_the_disk(void **state)
{
	(void)state;
	store_when_durable(t.store, note, NULL);
	assert_int_equal(t.durable, 1); /* nothing was open */
	add(id);
	store_when_durable(t.store, note, NULL);
	add(other);
	store_when_durable(t.store, note, NULL);
	assert_int_equal(t.durable, 1);
	turn();
	assert_int_equal(t.durable, 3);
	assert_int_equal(store_commits(t.store), 1); /* one for both */
}

static void
what_nobody_waits_for_is_committed_with_what_comes_next(void **state)
{
	(void)state;
	write_patiently(id);
	turn();
	assert_int_equal(t.durable, 0);
	assert_true(store_turn_open(t.store));
	add(other);
	turn();
	assert_int_equal(t.durable, 1);
	assert_int_equal(store_commits(t.store), 1);
	assert_false(store_turn_open(t.store));
}

/* Who asks is not kept waiting by it. */
static void
what_nobody_waits_for_is_committed_when_somebody_does(void **state)
{
	(void)state;
	write_patiently(id);
	store_when_durable(t.store, note, NULL);
	turn();
	assert_int_equal(t.durable, 2);
}

static void
what_nobody_waits_for_is_committed_in_time(void **state)
{
	(void)state;
	write_patiently(id);
	event_base_loop(t.base, EVLOOP_ONCE); /* nothing else can happen in it */
	assert_int_equal(t.durable, 1);
	write_patiently(other);
	store_flush(t.store);
	assert_int_equal(t.durable, 2);
	assert_int_equal(event_base_loop(t.base, EVLOOP_NONBLOCK), 1); /* nothing is left to wait for */
}

static void
break_the_turn(void)
{
	bool same;

	sqlite3_exec(t.store->db, "PRAGMA max_page_count = 1", NULL, NULL, NULL);
	for (int i = 0; i < 2000 && !t.store->broken; i++) {
		char label[200], name[UUID_TEXT];
		memset(label, 'x', sizeof label - 1);
		label[sizeof label - 1] = '\0';
		snprintf(name, sizeof name, "123e4567-e89b-42d3-a456-4266%08d", i);
		store_add_escrow(t.store, &(struct store_new_escrow){.escrow_id = name, .label = label, .metadata = "{}"}, &same);
	}
	assert_true(t.store->broken);
	sqlite3_exec(t.store->db, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL);
}

/* A write that fails takes the whole turn back, and the next turn is a new one. */
static void
a_broken_turn_is_rolled_back_whole(void **state)
{
	struct store_escrow e;

	(void)state;
	add(id);
	store_when_durable(t.store, note, NULL);
	break_the_turn();
	turn();
	assert_int_equal(t.failed, 1);
	assert_int_equal(t.durable, 0);
	assert_int_equal(store_get_escrow(t.store, id, &e), STORE_NOT_FOUND);
	add(id);
	store_when_durable(t.store, note, NULL);
	turn();
	assert_int_equal(t.durable, 1);
}

/* With what helps; and that one small thing could be written is no end of it. */
static void
a_failure_is_told(void **state)
{
	int64_t since = 1;
	const char *told;

	(void)state;
	assert_null(store_trouble(t.store, &since));
	assert_int_equal(since, 0);
	break_the_turn();
	turn();
	told = store_trouble(t.store, &since);
	assert_non_null(told);
	assert_non_null(strstr(told, "make room"));
	assert_string_equal(told, store_error(t.store));
	assert_true(since > 0);
	assert_int_equal(store_failures(t.store), 1);
	add(id);
	turn();
	assert_non_null(store_trouble(t.store, &since));
}

/* As if nothing had failed for a while, and something was written since. */
static void
be_calm(void)
{
	t.store->trouble.failed_ms -= 60000;
	t.store->trouble.written = true;
	event_active(t.store->probe, EV_TIMEOUT, 1);
	turn();
}

static void
a_failure_passes_and_damage_does_not(void **state)
{
	int64_t since;

	(void)state;
	break_the_turn();
	turn();
	assert_non_null(store_trouble(t.store, &since));
	be_calm();
	assert_null(store_trouble(t.store, &since));
	t.store->code = SQLITE_CORRUPT;
	snprintf(t.store->error, sizeof t.store->error, "damaged");
	store_note_failure(t.store);
	be_calm();
	assert_false(store_enter(t.store)); /* nothing is written to it any more */
	assert_string_equal(store_trouble(t.store, &since), "damaged");
}

/* Nobody else writes: the store itself tries whether it can be. */
static void
a_store_that_failed_tries_by_itself(void **state)
{
	uint64_t commits = store_commits(t.store);

	(void)state;
	break_the_turn();
	for (int i = 0; i < 10 && store_commits(t.store) == commits; i++)
		turn();
	assert_int_equal(store_commits(t.store), commits + 1);
	assert_false(store_turn_open(t.store));
}

/* Nobody has to wait until a broken turn that could wait is over. */
static void
a_broken_turn_that_could_wait_ends_when_somebody_writes(void **state)
{
	(void)state;
	write_patiently(id);
	store_be_patient(t.store, true);
	break_the_turn();
	store_be_patient(t.store, false);
	turn();
	assert_int_equal(t.failed, 0);
	assert_false(store_enter(t.store));
	turn();
	assert_int_equal(t.failed, 1);
	add(id);
	store_when_durable(t.store, note, NULL);
	turn();
	assert_int_equal(t.durable, 1);
}

static void
an_impossible_row_is_not_believed(void **state)
{
	struct store_escrow e;

	(void)state;
	add(id);
	turn();
	sqlite3_exec(t.store->db, "DELETE FROM participant WHERE role = 'vendor'", NULL, NULL, NULL);
	assert_int_equal(store_get_escrow(t.store, id, &e), STORE_FAILED);
	assert_non_null(strstr(store_error(t.store), "three participants"));
}

/* A part of it does not pass for the whole. */
static void
what_cannot_be_read_is_an_error(void **state)
{
	static const char *const lost[] = {"step", "message"};
	struct store_escrow e;

	(void)state;
	add(id);
	turn();
	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
		char away[64], back[64];
		snprintf(away, sizeof away, "ALTER TABLE %s RENAME TO away", lost[i]);
		snprintf(back, sizeof back, "ALTER TABLE away RENAME TO %s", lost[i]);
		assert_int_equal(sqlite3_exec(t.store->db, away, NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(store_get_escrow(t.store, id, &e), STORE_FAILED);
		assert_non_null(strstr(store_error(t.store), lost[i]));
		assert_null(e.infos);
		assert_int_equal(sqlite3_exec(t.store->db, back, NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(store_get_escrow(t.store, id, &e), STORE_OK);
		store_escrow_clear(&e);
	}
}

static int seen;

static void
count_event(int64_t seq, const char *line, void *arg)
{
	(void)seq;
	(void)arg;
	assert_non_null(strstr(line, "\"type\":\"x\""));
	seen++;
}

static void
events_resume_where_one_stopped(void **state)
{
	(void)state;
	seen = 0;
	for (int i = 0; i < 5; i++)
		assert_int_equal(store_add_event(t.store, i % 2 ? id : NULL, "x", json_object()), STORE_OK);
	turn();
	assert_int_equal(store_each_event(t.store, 3, NULL, 100, count_event, NULL), STORE_OK);
	assert_int_equal(seen, 2);
	assert_int_equal(store_each_event(t.store, 0, id, 100, count_event, NULL), STORE_OK);
	assert_int_equal(seen, 4);
	assert_int_equal(store_last_event(t.store), 5);
}

static void
a_store_has_one_user(void **state)
{
	char *error = NULL;

	(void)state;
	assert_null(store_open(t.base, t.path, &error));
	assert_non_null(strstr(error, "another process has it open"));
	free(error);
}

static void
a_newer_schema_is_refused(void **state)
{
	char *error = NULL;

	(void)state;
	sqlite3_exec(t.store->db, "PRAGMA user_version = 1000", NULL, NULL, NULL);
	store_close(t.store);
	t.store = store_open(t.base, t.path, &error);
	assert_null(t.store);
	assert_non_null(strstr(error, "schema 1000"));
	free(error);
}

static void
what_was_committed_is_there_after_opening_again(void **state)
{
	(void)state;
	add(id);
	advance(id);
	store_close(t.store);
	t.store = open_store();
	assert_non_null(t.store);
	assert_int_equal(guard_of(id).round, 4);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_same_options_are_the_same_escrow),
		TEST(a_stale_guard_changes_nothing),
		TEST(nothing_leaves_ready),
		TEST(no_two_escrows_have_one_address),
		TEST(the_outcome_of_a_verification_is_kept),
		TEST(those_not_verified_come_in_order),
		TEST(verifier_looks_at_a_few_each_turn),
		TEST(a_failed_attempt_is_followed_by_the_next_in_one),
		TEST(a_step_is_intended_once_and_answered_once),
		TEST(what_is_said_waits_for_the_disk),
		TEST(what_nobody_waits_for_is_committed_with_what_comes_next),
		TEST(what_nobody_waits_for_is_committed_when_somebody_does),
		TEST(what_nobody_waits_for_is_committed_in_time),
		TEST(a_broken_turn_is_rolled_back_whole),
		TEST(a_failure_is_told),
		TEST(a_failure_passes_and_damage_does_not),
		TEST(a_store_that_failed_tries_by_itself),
		TEST(a_broken_turn_that_could_wait_ends_when_somebody_writes),
		TEST(an_impossible_row_is_not_believed),
		TEST(what_cannot_be_read_is_an_error),
		TEST(events_resume_where_one_stopped),
		TEST(a_store_has_one_user),
		TEST(a_newer_schema_is_refused),
		TEST(what_was_committed_is_there_after_opening_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
