/* A job before and between its calls: what it is told at its start, the order
 * of its locks, a lock-dir without room, memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/channel.h"
#include "worker/job.h"
#include "tests/unit/folder.h"

static struct job job;
static int supervisor;
static bool no_memory;
static char said[4096]; /* the frames that the job sent, behind each other */

/* In place of the C library's. */
char *
strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = no_memory ? NULL : malloc(size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

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

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

/* Three parties whose endpoints' names go down while the roles go up. */
static int
make_job(void **state)
{
	static const char *const urls[] = {"http://127.0.0.1:3", "http://127.0.0.1:2", "http://127.0.0.1:1"};
	int ends[2];

	(void)state;
	memset(&job, 0, sizeof job);
	if (make_folder(NULL) == -1 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		return -1;
	supervisor = ends[1];
	job.base = event_base_new();
	job.channel = channel_new(job.base, ends[0], on_frame, on_end, NULL);
	job.lock_retry = evtimer_new(job.base, on_retry, NULL);
	job.lock_dir = folder;
	strcpy(job.name, "setup");
	for (job.party_count = 0; job.party_count < ROLE_COUNT; job.party_count++) {
		struct party *p = &job.parties[job.party_count];
		p->job = &job;
		p->role = (enum role)job.party_count;
		strcpy(p->url, urls[job.party_count]);
	}
	return 0;
}

static int
end_job(void **state)
{
	for (int i = 0; i < job.lock_count; i++)
		lock_release(&job.locks[i]);
	event_free(job.lock_retry);
	channel_free(job.channel);
	event_base_free(job.base);
	close(supervisor);
	return remove_folder(state);
}

static const char *
what_was_said(void)
{
	ssize_t n = recv(supervisor, said, sizeof said - 1, MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++) {
		if (said[i] == '\0')
			said[i] = ' '; /* of a frame's length */
	}
	said[n > 0 ? n : 0] = '\0';
	return said;
}

static bool
is_free(const char *url)
{
	struct lock lock;
	bool free;

	lock_init_endpoint(&lock, url);
	free = lock_try(&lock, folder, "test", NULL, 0) == LOCK_TAKEN;
	lock_release(&lock);
	return free;
}

static void
locks_are_taken_in_order_of_name_whatever_the_roles(void **state)
{
	struct lock middle;

	(void)state;
	lock_init_endpoint(&middle, "http://127.0.0.1:2");
	assert_int_equal(lock_try(&middle, folder, "another", NULL, 0), LOCK_TAKEN);
	job_take_locks(&job);
	assert_false(is_free("http://127.0.0.1:1"));
	assert_true(is_free("http://127.0.0.1:3"));
	assert_true(event_pending(job.lock_retry, EV_TIMEOUT, NULL));
	lock_release(&middle);
}

/* Lets the process open nothing, and takes the locks. */
static void
take_locks_without_descriptors(void)
{
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	job_take_locks(&job);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void
a_shortage_is_waited_for(void **state)
{
	(void)state;
	take_locks_without_descriptors();
	assert_false(job.ended);
	assert_true(event_pending(job.lock_retry, EV_TIMEOUT, NULL));
	assert_int_equal(job.locks[0].busy_tries, 1);
}

static void
a_folder_that_cannot_be_used_is_not_waited_for(void **state)
{
	char nowhere[] = "/nowhere";

	(void)state;
	job.lock_dir = nowhere;
	job_take_locks(&job);
	assert_true(job.ended);
	assert_non_null(strstr(what_was_said(), "No such file or directory"));
	assert_non_null(strstr(said, "\"fatal\":true"));
}

static void
memory_that_runs_out_ends_the_job(void **state)
{
	static const struct op op = {.method = "query_key"};
	char seed[200] = "";
	json_t *result;

	(void)state;
	memset(seed, 'a', sizeof seed - 1);
	result = json_pack("{s:s}", "key", seed);
	job.parties[0].op = &op;
	no_memory = true;
	assert_false(take_seed(&job.parties[0], result));
	no_memory = false;
	assert_true(job.ended);
	assert_non_null(strstr(what_was_said(), "out of memory"));
	json_decref(result);
}

/* --- start frames ---------------------------------------------------------- */

#define SPARE_ID "00000000-0000-4000-8000-00000000000a"
#define NEW_ID "00000000-0000-4000-8000-00000000000b"
#define ESCROW_ID "123e4567-e89b-42d3-a456-426614174000"

static const unsigned char master[SEAL_KEY_BYTES] = {42};
static struct job started;

static int
clear_started(void **state)
{
	(void)state;
	job_clear(&started);
	if (started.base != NULL)
		event_base_free(started.base);
	memset(&started, 0, sizeof started);
	return 0;
}

static char *
subkey_of(const char *id)
{
	static char text[SEAL_KEY_TEXT];

	seal_subkey_base64(master, id, text);
	return text;
}

/* As the supervisor makes one, its password sealed for this place. */
static json_t *
spare_sealed_for(const struct seal_place *place)
{
	unsigned char subkey[SEAL_KEY_BYTES];
	char *password;
	json_t *spare;

	seal_subkey(master, SPARE_ID, subkey);
	password = seal_base64(subkey, place, "secret", 6);
	spare = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "spare_id", SPARE_ID, "subkey", subkey_of(SPARE_ID),
	    "wallet", "msigd-" SPARE_ID, "stamp", "its stamp", "password", password, "address", "its address");
	free(password);
	return spare;
}

static json_t *
good_spare(void)
{
	return spare_sealed_for(&(struct seal_place){SPARE_ID, 0, ROLE_ANY, 0, SEAL_PASSWORD});
}

static json_t *
endpoint_named(const char *name, int port)
{
	char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
	return json_pack("{s:s, s:s, s:s, s:b}", "name", name, "url", url, "wallet_dir", "", "wallet_dir_sure", 1);
}

static json_t *
tend_frame(json_t *spare, json_t *make)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:i, s:o, s:o*, s:o*}", "generation", 7, "job", "tend", "lock_dir", "/nowhere",
	    "network", "testnet", "timeout_ms", 60000, "endpoint", endpoint_named("a", 1), "spare", spare, "make", make);
}

/* The frame is taken over. */
static bool
starts(json_t *frame)
{
	const char *why = NULL;
	bool ok;

	clear_started(NULL);
	assert_non_null(frame);
	started.base = event_base_new();
	ok = job_init(&started, frame, &why);
	json_decref(frame);
	assert_non_null(why);
	return ok;
}

static json_t *
make_told(void)
{
	return json_pack("{s:s, s:s}", "spare_id", NEW_ID, "subkey", subkey_of(NEW_ID));
}

static void
a_tend_job_knows_its_spare_and_the_new_one(void **state)
{
	unsigned char subkey[SEAL_KEY_BYTES];

	(void)state;
	assert_true(starts(tend_frame(NULL, NULL)));
	assert_string_equal(started.parties[0].spare.id, "");
	assert_string_equal(started.new_spare_id, "");
	assert_true(starts(tend_frame(good_spare(), make_told())));
	assert_int_equal(started.party_count, 1);
	assert_string_equal(started.parties[0].spare.id, SPARE_ID);
	assert_string_equal(started.parties[0].spare.wallet, "msigd-" SPARE_ID);
	assert_string_equal(started.parties[0].spare.stamp, "its stamp");
	assert_string_equal(started.parties[0].spare.address, "its address");
	assert_string_equal(started.parties[0].spare.password, "secret");
	assert_string_equal(started.new_spare_id, NEW_ID);
	seal_subkey(master, NEW_ID, subkey);
	assert_memory_equal(started.new_spare_subkey, subkey, sizeof subkey);
}

static json_t *
without(json_t *object, const char *key)
{
	json_object_del(object, key);
	return object;
}

/* One that lacks something is no start; only the address may be missing. */
static void
a_spare_that_is_not_whole_is_refused(void **state)
{
	static const char *const needed[] = {"spare_id", "subkey", "wallet", "stamp", "password"};

	(void)state;
	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
		assert_false(starts(tend_frame(without(good_spare(), needed[i]), NULL)));
	assert_true(starts(tend_frame(without(good_spare(), "address"), NULL)));
	assert_string_equal(started.parties[0].spare.address, "");
	assert_false(starts(tend_frame(NULL, without(make_told(), "spare_id"))));
	assert_false(starts(tend_frame(NULL, without(make_told(), "subkey"))));
}

/* A password opens only in the place that it was sealed for (law 4). */
static void
is_forgotten(const struct seal_place *place)
{
	assert_true(starts(tend_frame(spare_sealed_for(place), NULL)));
	assert_string_equal(started.parties[0].spare.id, "");
	assert_string_equal(started.parties[0].spare.password, "");
	assert_string_equal(started.parties[0].spare.address, "");
	clear_started(NULL);
}

/* It is as if there were none, and does not keep its endpoint from serving. */
static void
a_spare_whose_password_is_of_another_place_is_forgotten(void **state)
{
	(void)state;
	is_forgotten(&(struct seal_place){NEW_ID, 0, ROLE_ANY, 0, SEAL_PASSWORD});
	is_forgotten(&(struct seal_place){SPARE_ID, 1, ROLE_ANY, 0, SEAL_PASSWORD});
	is_forgotten(&(struct seal_place){SPARE_ID, 0, ROLE_BUYER, 0, SEAL_PASSWORD});
	is_forgotten(&(struct seal_place){SPARE_ID, 0, ROLE_ANY, 0, SEAL_SEED});
}

/* Each role may have one, or none. */
static void
a_setup_job_knows_the_spare_of_each_role(void **state)
{
	json_t *participants = json_array();

	(void)state;
	for (int r = 0; r < ROLE_COUNT; r++) {
		char wallet[32];
		json_t *one;
		snprintf(wallet, sizeof wallet, "wallet-%d", r);
		one = json_pack("{s:s, s:s, s:o}", "role", role_name((enum role)r), "wallet", wallet,
		    "endpoint", endpoint_named("a", r + 1));
		if (r == ROLE_VENDOR)
			json_object_set_new(one, "spare", good_spare());
		json_array_append_new(participants, one);
	}
	assert_true(starts(json_pack("{s:i, s:s, s:s, s:s, s:i, s:s, s:i, s:s, s:o}", "generation", 7, "job", "setup",
	    "lock_dir", "/nowhere", "network", "testnet", "timeout_ms", 60000, "escrow_id", ESCROW_ID, "attempt", 2,
	    "subkey", subkey_of(ESCROW_ID), "participants", participants)));
	assert_string_equal(started.parties[ROLE_BUYER].spare.id, "");
	assert_string_equal(started.parties[ROLE_VENDOR].spare.id, SPARE_ID);
	assert_string_equal(started.parties[ROLE_VENDOR].spare.password, "secret");
	assert_string_equal(started.parties[ROLE_ARBITER].spare.id, "");
	/* the wallet's own password is made later, and is not the spare's */
	assert_string_equal(started.parties[ROLE_VENDOR].password, "");
}

/* --- a trial: the files of its wallets are removed ------------------------- */

#define TRIAL "trial-" NEW_ID "-"

/* NULL: no wallet is named. */
static json_t *
trial_frame(const char *vendor_wallet, json_t *vendor_spare)
{
	static const char *const wallets[] = {TRIAL "buyer", NULL, TRIAL "arbiter"};
	json_t *participants = json_array();

	for (int r = 0; r < ROLE_COUNT; r++)
		json_array_append_new(participants, json_pack("{s:s, s:s*, s:o, s:o*}", "role", role_name((enum role)r),
		    "wallet", r == ROLE_VENDOR ? vendor_wallet : wallets[r], "endpoint", endpoint_named("a", r + 1),
		    "spare", r == ROLE_VENDOR ? vendor_spare : NULL));
	return json_pack("{s:i, s:s, s:s, s:s, s:i, s:i, s:o}", "generation", 7, "job", "trial", "lock_dir", "/nowhere",
	    "network", "testnet", "timeout_ms", 60000, "stagger_ms", 20, "participants", participants);
}

static void
a_trial_takes_no_wallet_but_its_own(void **state)
{
	static const char *const others[] = {
		NULL, "", "msigd-" SPARE_ID, ESCROW_ID "-1-vendor", "trial-vendor", "trial-" NEW_ID, TRIAL "nobody",
		TRIAL "vendor.keys", "../" TRIAL "vendor",
	};

	(void)state;
	assert_true(starts(trial_frame(TRIAL "vendor", NULL)));
	assert_int_equal(started.stagger_ms, 20);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_false(starts(trial_frame(others[i], NULL)));
	assert_false(starts(trial_frame(TRIAL "vendor", good_spare())));
	/* which would be as if there were none */
	assert_false(starts(trial_frame(TRIAL "vendor",
	    spare_sealed_for(&(struct seal_place){NEW_ID, 0, ROLE_ANY, 0, SEAL_PASSWORD}))));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(locks_are_taken_in_order_of_name_whatever_the_roles, make_job, end_job),
		cmocka_unit_test_setup_teardown(a_shortage_is_waited_for, make_job, end_job),
		cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_used_is_not_waited_for, make_job, end_job),
		cmocka_unit_test_setup_teardown(memory_that_runs_out_ends_the_job, make_job, end_job),
		cmocka_unit_test_teardown(a_tend_job_knows_its_spare_and_the_new_one, clear_started),
		cmocka_unit_test_teardown(a_spare_that_is_not_whole_is_refused, clear_started),
		cmocka_unit_test(a_spare_whose_password_is_of_another_place_is_forgotten),
		cmocka_unit_test_teardown(a_setup_job_knows_the_spare_of_each_role, clear_started),
		cmocka_unit_test_teardown(a_trial_takes_no_wallet_but_its_own, clear_started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
