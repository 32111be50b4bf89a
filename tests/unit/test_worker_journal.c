/* What the start frame brings of an attempt that goes on: what is damaged is
 * missed where it is needed, and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/seal.h"
#include "worker/job.h"

static struct job job;

static int
set_up(void **state)
{
	(void)state;
	memset(&job, 0, sizeof job);
	strcpy(job.escrow_id, "123e4567-e89b-42d3-a456-426614174000");
	job.attempt = 1;
	randombytes_buf(job.subkey, sizeof job.subkey);
	job.party_count = ROLE_COUNT;
	for (int r = 0; r < ROLE_COUNT; r++) {
		job.parties[r].job = &job;
		job.parties[r].role = (enum role)r;
		strcpy(job.parties[r].stamp, "stamp");
		strcpy(job.parties[r].password, "password");
	}
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	for (int r = 0; r < ROLE_COUNT; r++)
		journal_forget(&job.parties[r].journal);
	return 0;
}

static char *
sealed(int r, int round, enum seal_kind kind, const char *text)
{
	struct seal_place place = {job.escrow_id, job.attempt, (enum role)r, round, kind};

	return seal_base64(job.subkey, &place, text, strlen(text));
}

static json_t *
message(int r, int round)
{
	char *text = sealed(r, round, SEAL_MESSAGE, "said");
	json_t *json = json_pack("{s:i, s:s}", "round", round, "sealed", text);

	free(text);
	return json;
}

/* first and last: of the rounds whose messages are given. */
static json_t *
journal(int r, int done, int intent, int keys_round, int first, int last)
{
	char *keys = sealed(r, keys_round, SEAL_KEYS, "keys");
	json_t *json = json_pack("{s:i, s:i, s:s, s:i, s:[]}", "done", done, "intent", intent, "keys", keys, "keys_round",
	    keys_round, "messages");

	for (int round = first; round <= last; round++)
		json_array_append_new(json_object_get(json, "messages"), message(r, round));
	free(keys);
	return json;
}

static void
give(int r, json_t *json)
{
	journal_take(&job.parties[r], json);
	json_decref(json);
}

static void
give_all(int done, int keys_round)
{
	for (int r = 0; r < ROLE_COUNT; r++)
		give(r, journal(r, done, done + 1, keys_round, done < 1 ? 1 : done, done));
}

static const char *
incomplete(void)
{
	static char why[128];

	why[0] = '\0';
	return journal_incomplete(&job, why, sizeof why) != NULL ? why : NULL;
}

/* While one has no wallet yet, the others may have said what begins the next round. */
static void
a_damaged_message_is_missed_while_another_has_none(void **state)
{
	json_t *damaged = journal(1, 1, -1, 0, 1, 1);
	const char *why;

	(void)state;
	give(0, journal(0, -1, 0, -1, 1, 0));
	json_object_set_new(json_array_get(json_object_get(damaged, "messages"), 0), "sealed", json_string("AAAA"));
	give(1, damaged);
	give(2, journal(2, 1, -1, 0, 1, 1));
	why = incomplete();
	assert_non_null(why);
	assert_non_null(strstr(why, "message of round 1"));
}

static void
whole_ones_are_complete(void **state)
{
	(void)state;
	for (int done = -1; done <= 4; done++) {
		set_up(NULL);
		give_all(done, done == 1 ? 0 : done);
		assert_null(incomplete());
		assert_true(job.parties[0].journal.keys != NULL);
		tear_down(NULL);
	}
}

static void
one_round_apart_is_complete_and_two_are_not(void **state)
{
	(void)state;
	give(0, journal(0, 3, -1, 3, 2, 3));
	give(1, journal(1, 2, 3, 2, 2, 2));
	give(2, journal(2, 2, 3, 2, 2, 2));
	assert_null(incomplete());
	journal_forget(&job.parties[0].journal);
	give(0, journal(0, 4, -1, 4, 3, 4));
	assert_string_equal(incomplete(), "it is ahead of the others");
}

static void
create_and_prepare_wait_for_nobody(void **state)
{
	(void)state;
	give(0, journal(0, 1, -1, 0, 1, 1));
	give(1, journal(1, -1, 0, 0, 1, 0));
	give(2, journal(2, 0, 1, 0, 1, 0));
	assert_null(incomplete());
}

static void
a_message_that_is_needed_is_missed(void **state)
{
	(void)state;
	give_all(2, 2);
	journal_forget(&job.parties[1].journal);
	assert_string_equal(incomplete(), "its message of round 2 is missing or damaged");
	assert_ptr_equal(journal_incomplete(&job, (char[128]){0}, 128), &job.parties[1]);
}

static void
the_last_exchange_may_have_nothing_to_say(void **state)
{
	(void)state;
	for (int r = 0; r < ROLE_COUNT; r++)
		give(r, journal(r, 4, -1, 4, 1, 0));
	assert_null(incomplete());
}

static void
a_message_of_another_escrow_is_no_message(void **state)
{
	(void)state;
	for (int r = 0; r < ROLE_COUNT; r++)
		give(r, journal(r, 2, 3, 2, 2, 2));
	journal_forget(&job.parties[2].journal);
	give(2, journal(1, 2, 3, 2, 2, 2)); /* the vendor's, in the arbiter's place */
	assert_null(job.parties[2].journal.keys);
	assert_string_equal(incomplete(), "its message of round 2 is missing or damaged");
}

/* An older one would put the wallet where its peers do not expect it. */
static void
an_older_copy_of_the_keys_is_none(void **state)
{
	(void)state;
	give_all(3, 2);
	assert_null(job.parties[0].journal.keys);
	assert_null(incomplete()); /* as long as the wallets are whole, nobody needs it */
}

static void
steps_follow_one_another(void **state)
{
	(void)state;
	give_all(2, 2);
	job.parties[2].journal.intent = 4;
	assert_string_equal(incomplete(), "its steps do not follow one another");
}

static void
a_wallet_has_password_and_stamp(void **state)
{
	(void)state;
	give_all(0, 0);
	job.parties[0].password[0] = '\0';
	assert_string_equal(incomplete(), "the password of its wallet is damaged");
	strcpy(job.parties[0].password, "password");
	job.parties[0].stamp[0] = '\0';
	assert_string_equal(incomplete(), "the stamp of its wallet is damaged");
}

static void
it_is_forgotten(void **state)
{
	(void)state;
	give_all(2, 2);
	journal_forget(&job.parties[0].journal);
	assert_null(job.parties[0].journal.keys);
	assert_null(job.parties[0].journal.said[0].text);
	assert_int_equal(job.parties[0].journal.done, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whole_ones_are_complete),
		TEST(a_damaged_message_is_missed_while_another_has_none),
		TEST(one_round_apart_is_complete_and_two_are_not),
		TEST(create_and_prepare_wait_for_nobody),
		TEST(a_message_that_is_needed_is_missed),
		TEST(the_last_exchange_may_have_nothing_to_say),
		TEST(a_message_of_another_escrow_is_no_message),
		TEST(an_older_copy_of_the_keys_is_none),
		TEST(steps_follow_one_another),
		TEST(a_wallet_has_password_and_stamp),
		TEST(it_is_forgotten),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
