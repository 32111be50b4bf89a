/* What going on with an attempt needs of the store: the journal of each role, what
 * may be intended again, the attic; and what a repair needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/store_internal.h"

static const char id[] = "123e4567-e89b-42d3-a456-426614174000";

static struct {
	struct event_base *base;
	struct store *store;
	char path[64];
	int retired;
	char last[80];
} t;

static int
set_up(void **state)
{
	static const char *const endpoints[ROLE_COUNT] = {"a", "b", "c"}, *const wallets[ROLE_COUNT] = {"wb", "wv", "wa"};
	struct store_guard guard = {id, 1, PHASE_NOT_STARTED, 0, 0};
	char *error = NULL;
	bool same;
	int fd;

	(void)state;
	memset(&t, 0, sizeof t);
	strcpy(t.path, "/tmp/msigd-unit-recovery.XXXXXX");
	fd = mkstemp(t.path);
	if (fd == -1)
		return -1;
	close(fd);
	t.base = event_base_new();
	t.store = store_open(t.base, t.path, &error);
	free(error);
	if (t.store == NULL || store_add_escrow(t.store, &(struct store_new_escrow){.escrow_id = id, .label = "",
	    .metadata = "{}", .network = NETWORK_TESTNET, .now = 1000}, &same) != STORE_OK)
		return -1;
	return store_start_attempt(t.store, &guard, (const char **)endpoints, (const char **)wallets, 2000) == STORE_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char path[80];

	(void)state;
	store_close(t.store);
	event_base_free(t.base);
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%s%s", t.path, suffixes[i]);
		unlink(path);
	}
	return 0;
}

static const char *const calls[] = {"create_wallet", "prepare_multisig", "make_multisig", "exchange_multisig_keys",
	"exchange_multisig_keys"};

static struct store_intent
intent_of(enum role role, int round, const char *wallet)
{
	return (struct store_intent){.escrow_id = id, .attempt = 1, .role = role, .round = round, .call = calls[round],
		.wallet = wallet, .stamp = wallet != NULL ? "stamp" : NULL, .password = wallet != NULL ? "sealed" : NULL,
		.password_size = wallet != NULL ? 6 : 0, .now = 3000};
}

static void
intend(enum role role, int round)
{
	struct store_intent intent = intent_of(role, round, round == 0 ? (const char *[]){"wb", "wv", "wa"}[role] : NULL);

	assert_int_equal(store_add_intent(t.store, &intent), STORE_OK);
}

static void
answer(enum role role, int round)
{
	char sha256[65], message[16], keys[16];
	struct store_step_result result = {.escrow_id = id, .attempt = 1, .role = role, .round = round, .call = calls[round],
		.now = 4000};

	snprintf(sha256, sizeof sha256, "%064d", round * ROLE_COUNT + (int)role);
	snprintf(message, sizeof message, "said %d", round);
	snprintf(keys, sizeof keys, "keys %d", round);
	if (round != 1) {
		result.keys = keys;
		result.keys_size = strlen(keys);
		result.keys_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	}
	if (round > 0) {
		result.message = message;
		result.message_size = strlen(message);
		result.message_length = 100;
		result.message_sha256 = sha256;
	}
	assert_int_equal(store_add_result(t.store, &result), STORE_OK);
}

static void
do_rounds(enum role role, int last)
{
	for (int round = 0; round <= last; round++) {
		intend(role, round);
		answer(role, round);
	}
}

static void
note_retired(const struct store_retired *retired, void *arg)
{
	(void)arg;
	t.retired++;
	snprintf(t.last, sizeof t.last, "%s %s %s: %s", retired->wallet, role_name(retired->role), retired->endpoint, retired->reason);
}

static int
retired(void)
{
	t.retired = 0;
	assert_int_equal(store_each_retired(t.store, "", 100, note_retired, NULL), STORE_OK);
	return t.retired;
}

/* -------------------------------------------------------------------------------- */

static void
the_journal_tells_how_far_each_is(void **state)
{
	struct store_journal journals[ROLE_COUNT];

	(void)state;
	do_rounds(ROLE_BUYER, 2);
	do_rounds(ROLE_VENDOR, 1);
	intend(ROLE_VENDOR, 2);
	do_rounds(ROLE_ARBITER, 1);
	assert_int_equal(store_get_journal(t.store, id, 1, journals), STORE_OK);
	assert_int_equal(journals[ROLE_BUYER].done, 2);
	assert_int_equal(journals[ROLE_BUYER].intent, -1);
	assert_int_equal(journals[ROLE_BUYER].keys_round, 2);
	assert_memory_equal(journals[ROLE_BUYER].keys, "keys 2", 6);
	assert_int_equal(journals[ROLE_VENDOR].done, 1);
	assert_int_equal(journals[ROLE_VENDOR].intent, 2);
	assert_int_equal(journals[ROLE_VENDOR].keys_round, 0);
	/* what all have said last, and what some have said since */
	for (int r = 0; r < ROLE_COUNT; r++) {
		assert_int_equal(journals[r].messages[0].round, 1);
		assert_memory_equal(journals[r].messages[0].sealed, "said 1", 6);
	}
	assert_memory_equal(journals[ROLE_BUYER].messages[1].sealed, "said 2", 6);
	assert_null(journals[ROLE_VENDOR].messages[1].sealed);
	store_journal_clear(journals);
}

static void
the_journal_of_one_that_has_no_wallet_yet(void **state)
{
	struct store_journal journals[ROLE_COUNT];

	(void)state;
	do_rounds(ROLE_BUYER, 1);
	intend(ROLE_VENDOR, 0);
	assert_int_equal(store_get_journal(t.store, id, 1, journals), STORE_OK);
	assert_int_equal(journals[ROLE_VENDOR].done, -1);
	assert_int_equal(journals[ROLE_VENDOR].intent, 0);
	assert_int_equal(journals[ROLE_ARBITER].done, -1);
	assert_int_equal(journals[ROLE_ARBITER].intent, -1);
	assert_memory_equal(journals[ROLE_BUYER].messages[1].sealed, "said 1", 6);
	store_journal_clear(journals);
}

static void
only_what_has_no_answer_is_intended_again(void **state)
{
	struct store_intent intent = intent_of(ROLE_BUYER, 2, NULL);

	(void)state;
	do_rounds(ROLE_BUYER, 1);
	assert_int_equal(store_intend_again(t.store, &intent), STORE_CONFLICT);
	intend(ROLE_BUYER, 2);
	assert_int_equal(store_intend_again(t.store, &intent), STORE_OK);
	answer(ROLE_BUYER, 2);
	assert_int_equal(store_intend_again(t.store, &intent), STORE_CONFLICT);
}

static void
an_interrupted_creation_gets_another_wallet(void **state)
{
	struct store_intent intent = intent_of(ROLE_BUYER, 0, "wb-2");
	struct store_wallet wallets[ROLE_COUNT];

	(void)state;
	intend(ROLE_BUYER, 0);
	assert_int_equal(store_intend_again(t.store, &intent), STORE_OK);
	assert_int_equal(retired(), 1);
	assert_string_equal(t.last, "wb buyer a: its creation was interrupted");
	assert_int_equal(store_get_wallets(t.store, id, 1, wallets), STORE_OK);
	assert_string_equal(wallets[ROLE_BUYER].wallet, "wb-2");
	store_wallets_clear(wallets);
	answer(ROLE_BUYER, 0);
	intent.wallet = "wb-3";
	assert_int_equal(store_intend_again(t.store, &intent), STORE_CONFLICT);
	assert_int_equal(retired(), 1); /* all of it or nothing */
}

static void
a_restored_wallet_takes_the_place_of_the_other(void **state)
{
	struct store_intent intent = intent_of(ROLE_VENDOR, 2, "wv-2");
	struct store_wallet wallets[ROLE_COUNT];
	struct store_journal journals[ROLE_COUNT];

	(void)state;
	do_rounds(ROLE_VENDOR, 2);
	intend(ROLE_VENDOR, 3);
	assert_int_equal(store_intend_restore(t.store, &intent, "torn"), STORE_OK);
	assert_int_equal(retired(), 1);
	assert_string_equal(t.last, "wv vendor b: torn");
	assert_int_equal(store_get_wallets(t.store, id, 1, wallets), STORE_OK);
	assert_string_equal(wallets[ROLE_VENDOR].wallet, "wv-2");
	assert_memory_equal(wallets[ROLE_VENDOR].password, "sealed", 6);
	store_wallets_clear(wallets);
	assert_int_equal(store_get_journal(t.store, id, 1, journals), STORE_OK);
	assert_int_equal(journals[ROLE_VENDOR].done, 2);
	assert_int_equal(journals[ROLE_VENDOR].intent, -1);
	store_journal_clear(journals);
	intend(ROLE_VENDOR, 3); /* is new to it */
}

/* What lies in the attic lies where it was made, not where its successor is. */
static void
a_wallet_is_retired_where_it_was_made(void **state)
{
	const char *elsewhere[ROLE_COUNT] = {NULL, "x", NULL};
	struct store_intent intent = intent_of(ROLE_VENDOR, 2, "wv-2");

	(void)state;
	do_rounds(ROLE_VENDOR, 2);
	assert_int_equal(store_move(t.store, id, 1, elsewhere), STORE_OK);
	assert_int_equal(store_intend_restore(t.store, &intent, "gone"), STORE_OK);
	assert_int_equal(retired(), 1);
	assert_string_equal(t.last, "wv vendor b: gone");
	assert_int_equal(store_drop_retired(t.store, "wv"), STORE_OK);
	intent.wallet = "wv-3";
	assert_int_equal(store_intend_restore(t.store, &intent, "torn"), STORE_OK);
	assert_int_equal(retired(), 1);
	assert_string_equal(t.last, "wv-2 vendor x: torn");
}

/* The attempt was started with a spare, and msigd was killed before it was used. */
static void
a_spare_that_is_not_used_is_retired(void **state)
{
	struct store_intent intent = intent_of(ROLE_VENDOR, 0, "another");

	(void)state;
	assert_int_equal(store_add_intent(t.store, &intent), STORE_OK);
	assert_int_equal(retired(), 1);
	assert_string_equal(t.last, "wv vendor b: it was a spare wallet, and was not used");
}

static void
without_a_copy_nothing_is_restored(void **state)
{
	struct store_intent intent = intent_of(ROLE_VENDOR, 0, "wv-2");

	(void)state;
	intend(ROLE_VENDOR, 0);
	assert_int_equal(store_intend_restore(t.store, &intent, "torn"), STORE_CONFLICT);
	assert_int_equal(retired(), 0);
}

static void
it_moves_to_other_endpoints(void **state)
{
	const char *elsewhere[ROLE_COUNT] = {"x", "y", NULL}, *gone[ROLE_COUNT] = {NULL};
	struct store_wallet wallets[ROLE_COUNT];

	(void)state;
	assert_int_equal(store_move(t.store, id, 1, elsewhere), STORE_OK);
	assert_int_equal(store_move(t.store, id, 2, elsewhere), STORE_CONFLICT);
	assert_int_equal(store_move(t.store, id, 1, gone), STORE_OK);
	assert_int_equal(store_get_wallets(t.store, id, 1, wallets), STORE_OK);
	assert_string_equal(wallets[ROLE_BUYER].endpoint, "x");
	assert_string_equal(wallets[ROLE_ARBITER].endpoint, "c");
	store_wallets_clear(wallets);
}

static void
wallets_of_a_failed_attempt_go_to_the_attic(void **state)
{
	struct store_guard guard = {id, 1, PHASE_PREPARING, 0, 1};

	(void)state;
	assert_int_equal(store_fail_attempt(t.store, &guard, CAUSE_GATE, "no", true, true, 5000), STORE_OK);
	assert_int_equal(retired(), ROLE_COUNT);
	assert_int_equal(store_drop_retired(t.store, "wb"), STORE_OK);
	assert_int_equal(retired(), ROLE_COUNT - 1);
}

static int
removable(int64_t retired_by)
{
	t.retired = 0;
	assert_int_equal(store_each_removable(t.store, "", 100, retired_by, note_retired, NULL), STORE_OK);
	return t.retired;
}

static void
fail_it(enum failure_cause cause, int round, int revision)
{
	struct store_guard guard = {id, 1, round == 0 ? PHASE_PREPARING : PHASE_EXCHANGING, round, revision};

	assert_int_equal(store_fail_attempt(t.store, &guard, cause, "no", false, true, 5000), STORE_OK);
}

static void
only_what_never_had_an_address_is_removable(void **state)
{
	struct store_intent intent = intent_of(ROLE_VENDOR, 2, "wv-2");

	(void)state;
	do_rounds(ROLE_VENDOR, 2);
	assert_int_equal(store_intend_restore(t.store, &intent, "torn"), STORE_OK);
	intent.wallet = "wv-3";
	assert_int_equal(store_intend_restore(t.store, &intent, RETIRED_READY ", and more"), STORE_OK);
	assert_int_equal(retired(), 2);
	assert_int_equal(removable(INT64_MAX), 0); /* its attempt goes on, and may be Ready in the end */
	fail_it(CAUSE_GATE, 0, 1);
	assert_int_equal(retired(), 2 + ROLE_COUNT);
	assert_int_equal(removable(4999), 1); /* wv, retired before; wv-2 was ready */
	assert_string_equal(t.last, "wv vendor b: torn");
	assert_int_equal(removable(5000), 2); /* and wv-3; of the others there are no .keys on record */
}

/* The store may be older than the wallets: an exchange may have made it ready. */
static void
what_has_exchanged_keys_is_not_removable(void **state)
{
	(void)state;
	do_rounds(ROLE_VENDOR, 2);
	do_rounds(ROLE_BUYER, 3);
	fail_it(CAUSE_GATE, 0, 1);
	assert_int_equal(removable(INT64_MAX), 1);
	assert_string_equal(t.last, "wv vendor b: its attempt failed");
}

static void
what_was_found_to_differ_is_kept(void **state)
{
	(void)state;
	do_rounds(ROLE_VENDOR, 2);
	fail_it(CAUSE_CANCELLED, 0, 1);
	assert_int_equal(removable(INT64_MAX), 1);
	assert_int_equal(store_keep_retired(t.store, "wv"), STORE_OK);
	assert_int_equal(removable(INT64_MAX), 0);
	assert_int_equal(retired(), ROLE_COUNT);
}

static void
a_store_that_is_older_removes_nothing(void **state)
{
	(void)state;
	fail_it(CAUSE_STORE_OLDER, 0, 1);
	assert_int_equal(retired(), ROLE_COUNT);
	assert_int_equal(removable(INT64_MAX), 0);
}

static void
attic_is_read_in_pieces(void **state)
{
	(void)state;
	fail_it(CAUSE_GATE, 0, 1);
	t.retired = 0;
	assert_int_equal(store_each_retired(t.store, "", 2, note_retired, NULL), STORE_OK);
	assert_int_equal(t.retired, 2);
	assert_int_equal(store_each_retired(t.store, "wb", 2, note_retired, NULL), STORE_OK);
	assert_int_equal(t.retired, 3);
	assert_string_equal(t.last, "wv vendor b: its attempt failed");
}

static void
wallets_and_attempts_are_known(void **state)
{
	(void)state;
	assert_true(store_knows_wallet(t.store, "wb"));
	assert_false(store_knows_wallet(t.store, "wx"));
	assert_true(store_knows_attempt(t.store, id, 1));
	assert_false(store_knows_attempt(t.store, id, 2));
}

/* --- repair ------------------------------------------------------------------------- */

static void
publish(void)
{
	struct store_guard guard = {id, 1, PHASE_PREPARING, 0, 1};
	struct store_publication p = {.address = "9address", .now = 6000};

	for (int r = 0; r < ROLE_COUNT; r++) {
		do_rounds((enum role)r, 2);
		p.roles[r].seed = "seed";
		p.roles[r].seed_size = 4;
	}
	assert_int_equal(store_start_round(t.store, &guard, 2), STORE_OK);
	assert_int_equal(store_publish(t.store, &guard, &p), STORE_OK);
}

static void
copies_are_what_was_sealed_last(void **state)
{
	struct store_copies copies;

	(void)state;
	publish();
	assert_int_equal(store_get_copies(t.store, id, 1, ROLE_VENDOR, &copies), STORE_OK);
	assert_memory_equal(copies.keys, "keys 2", 6);
	assert_int_equal(copies.keys_round, 2);
	assert_memory_equal(copies.seed, "seed", 4);
	store_copies_clear(&copies);
	assert_int_equal(store_get_copies(t.store, id, 2, ROLE_VENDOR, &copies), STORE_NOT_FOUND);
}

static void
copies_can_be_made_anew(void **state)
{
	struct store_copies copies = {.seed = (void *)"other", .seed_size = 5, .keys_round = 7};

	(void)state;
	assert_int_equal(store_set_copies(t.store, id, 1, ROLE_VENDOR, &copies), STORE_CONFLICT); /* it is not Ready */
	publish();
	assert_int_equal(store_set_copies(t.store, id, 1, ROLE_VENDOR, &copies), STORE_OK);
	assert_int_equal(store_get_copies(t.store, id, 1, ROLE_VENDOR, &copies), STORE_OK);
	assert_memory_equal(copies.keys, "keys 2", 6); /* as they were */
	assert_int_equal(copies.keys_round, 2);
	assert_memory_equal(copies.seed, "other", 5);
	copies.keys_round = 7;
	assert_int_equal(store_set_copies(t.store, id, 1, ROLE_BUYER, &copies), STORE_OK);
	store_copies_clear(&copies);
	assert_int_equal(store_get_copies(t.store, id, 1, ROLE_BUYER, &copies), STORE_OK);
	assert_int_equal(copies.keys_round, 7);
	store_copies_clear(&copies);
}

static void
assert_verified(int64_t at, int64_t not_at)
{
	struct store_escrow e;

	assert_int_equal(store_get_escrow(t.store, id, &e), STORE_OK);
	assert_int_equal(e.verified_at, at);
	assert_int_equal(e.not_verified_at, not_at);
	store_escrow_clear(&e);
}

static void
a_repaired_wallet_has_another_name_and_endpoint(void **state)
{
	struct store_intent intent = intent_of(ROLE_VENDOR, 0, "wv-2");
	struct store_wallet wallets[ROLE_COUNT];

	(void)state;
	assert_int_equal(store_intend_repair(t.store, &intent, "x", "gone"), STORE_CONFLICT); /* it is not Ready */
	assert_int_equal(retired(), 0);
	publish();
	assert_int_equal(store_set_verified(t.store, id, 1, NULL, 7000), STORE_OK);
	assert_int_equal(store_intend_repair(t.store, &intent, "x", "gone"), STORE_OK);
	assert_verified(0, 0); /* a wallet of that name may never be written */
	assert_int_equal(retired(), 1);
	assert_string_equal(t.last, "wv vendor b: gone");
	assert_int_equal(store_intend_repair(t.store, &intent, "y", NULL), STORE_OK); /* the same name */
	assert_int_equal(retired(), 1);
	assert_int_equal(removable(INT64_MAX), 0); /* it has an address */
	assert_int_equal(store_set_not_repaired(t.store, id, 1, "nothing opens", 8000), STORE_OK);
	assert_verified(0, 8000);
	assert_int_equal(store_set_not_repaired(t.store, id, 1, "again", 8500), STORE_OK);
	assert_verified(0, 8000);
	assert_int_equal(store_set_repaired(t.store, id, 1, 9000), STORE_OK);
	assert_verified(9000, 0);
	assert_int_equal(store_set_not_repaired(t.store, id, 1, "nothing opens any more", 10000), STORE_OK);
	assert_verified(0, 10000);
	assert_int_equal(store_get_wallets(t.store, id, 1, wallets), STORE_OK);
	assert_string_equal(wallets[ROLE_VENDOR].wallet, "wv-2");
	assert_string_equal(wallets[ROLE_VENDOR].endpoint, "y");
	store_wallets_clear(wallets);
}

static void
repaired_is_verified_anew(void **state)
{
	struct store_escrow e;

	(void)state;
	assert_int_equal(store_set_repaired(t.store, id, 1, 7000), STORE_CONFLICT);
	publish();
	assert_int_equal(store_set_verified(t.store, id, 1, "they are gone", 6500), STORE_OK);
	assert_int_equal(store_set_repaired(t.store, id, 1, 7000), STORE_OK);
	assert_int_equal(store_set_repaired(t.store, id, 1, 8000), STORE_OK);
	assert_int_equal(store_get_escrow(t.store, id, &e), STORE_OK);
	assert_int_equal(e.verified_at, 8000);
	assert_int_equal(e.not_verified_at, 0);
	store_escrow_clear(&e);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_journal_tells_how_far_each_is),
		TEST(the_journal_of_one_that_has_no_wallet_yet),
		TEST(only_what_has_no_answer_is_intended_again),
		TEST(an_interrupted_creation_gets_another_wallet),
		TEST(a_restored_wallet_takes_the_place_of_the_other),
		TEST(a_wallet_is_retired_where_it_was_made),
		TEST(a_spare_that_is_not_used_is_retired),
		TEST(without_a_copy_nothing_is_restored),
		TEST(it_moves_to_other_endpoints),
		TEST(wallets_of_a_failed_attempt_go_to_the_attic),
		TEST(only_what_never_had_an_address_is_removable),
		TEST(what_has_exchanged_keys_is_not_removable),
		TEST(what_was_found_to_differ_is_kept),
		TEST(a_store_that_is_older_removes_nothing),
		TEST(attic_is_read_in_pieces),
		TEST(wallets_and_attempts_are_known),
		TEST(copies_are_what_was_sealed_last),
		TEST(copies_can_be_made_anew),
		TEST(a_repaired_wallet_has_another_name_and_endpoint),
		TEST(repaired_is_verified_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
