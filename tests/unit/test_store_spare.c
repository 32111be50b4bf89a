/* Spare wallets in the store: one an endpoint, finished once, taken once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "supervisor/store_internal.h"
#include "tests/unit/store_file.h"

static const char spare_id[] = "00000000-0000-4000-8000-000000000001";
static const char next_spare_id[] = "00000000-0000-4000-8000-000000000002";

static enum store_result
add_spare(const char *endpoint, const char *its_id, const char *wallet)
{
	struct store_spare spare = {.wallet = (char *)wallet, .stamp = (char *)"stamp", .password = (char *)"sealed",
	    .password_size = 6};

	snprintf(spare.spare_id, sizeof spare.spare_id, "%s", its_id);
	return store_add_spare(t.store, endpoint, &spare, 1000);
}

/* The spare of an endpoint is this one, finished with this address or (NULL) not. */
static void
assert_spare(const char *endpoint, const char *its_id, const char *its_address)
{
	struct store_spare spare;

	assert_int_equal(store_get_spare(t.store, endpoint, &spare), STORE_OK);
	assert_string_equal(spare.spare_id, its_id);
	assert_string_equal(spare.stamp, "stamp");
	assert_int_equal(spare.password_size, 6);
	assert_memory_equal(spare.password, "sealed", 6);
	if (its_address == NULL)
		assert_null(spare.address);
	else
		assert_string_equal(spare.address, its_address);
	store_spare_clear(&spare);
}

static void
assert_no_spare(const char *endpoint)
{
	struct store_spare spare;

	assert_int_equal(store_get_spare(t.store, endpoint, &spare), STORE_NOT_FOUND);
}

static void
count_spare(const char *its_id, const char *wallet, const void *sealed, size_t size, void *arg)
{
	assert_non_null(its_id);
	assert_non_null(wallet);
	assert_memory_equal(sealed, "sealed", size);
	++*(int *)arg;
}

static int
spares(void)
{
	int count = 0;

	assert_int_equal(store_each_spare(t.store, count_spare, &count), STORE_OK);
	return count;
}

static void
a_spare_is_finished_once_and_taken_once(void **state)
{
	(void)state;
	assert_no_spare("a");
	assert_int_equal(add_spare("a", spare_id, "w1"), STORE_OK);
	assert_spare("a", spare_id, NULL);
	assert_int_equal(store_take_spare(t.store, spare_id), STORE_CONFLICT); /* never unfinished */
	assert_spare("a", spare_id, NULL);
	assert_int_equal(store_finish_spare(t.store, spare_id, address), STORE_OK);
	assert_int_equal(store_finish_spare(t.store, spare_id, "another"), STORE_CONFLICT);
	assert_spare("a", spare_id, address);
	assert_int_equal(store_take_spare(t.store, spare_id), STORE_OK);
	assert_no_spare("a");
	assert_int_equal(store_take_spare(t.store, spare_id), STORE_CONFLICT);
	assert_int_equal(store_finish_spare(t.store, spare_id, address), STORE_CONFLICT);
}

static void
an_endpoint_has_one_spare(void **state)
{
	(void)state;
	assert_int_equal(add_spare("a", spare_id, "w1"), STORE_OK);
	assert_int_equal(store_finish_spare(t.store, spare_id, address), STORE_OK);
	assert_int_equal(add_spare("a", next_spare_id, "w2"), STORE_OK);
	assert_spare("a", next_spare_id, NULL);
	assert_int_equal(spares(), 1);
	/* the one before is nobody's any more */
	assert_int_equal(store_take_spare(t.store, spare_id), STORE_CONFLICT);
	assert_int_equal(store_drop_spare(t.store, "a"), STORE_OK);
	assert_int_equal(store_drop_spare(t.store, "a"), STORE_OK); /* is gone, whoever was first */
	assert_int_equal(spares(), 0);
}

static void
a_wallet_is_one_spare(void **state)
{
	(void)state;
	assert_int_equal(add_spare("a", spare_id, "w1"), STORE_OK);
	assert_int_equal(add_spare("b", next_spare_id, "w1"), STORE_CONFLICT);
	assert_int_equal(add_spare("b", spare_id, "w2"), STORE_CONFLICT);
	/* what was refused took nothing away */
	assert_int_equal(add_spare("b", next_spare_id, "w2"), STORE_OK);
	assert_int_equal(add_spare("b", "00000000-0000-4000-8000-000000000003", "w1"), STORE_CONFLICT);
	assert_spare("a", spare_id, NULL);
	assert_spare("b", next_spare_id, NULL);
}

/* What an escrow took stays taken, also when msigd ends just then. */
static void
a_spare_that_was_taken_does_not_come_back(void **state)
{
	(void)state;
	assert_int_equal(add_spare("a", spare_id, "w1"), STORE_OK);
	assert_int_equal(store_finish_spare(t.store, spare_id, address), STORE_OK);
	turn();
	assert_int_equal(store_take_spare(t.store, spare_id), STORE_OK);
	store_close(t.store);
	t.store = open_store();
	assert_non_null(t.store);
	assert_no_spare("a");
}

/* A new file with the schema of this version, and these rows. */
static void
make_old_store(int version, const char *rows)
{
	struct store old = {0};
	char why[256] = "", *message = NULL;

	store_close(t.store);
	t.store = NULL;
	assert_int_equal(truncate(t.path, 0), 0);
	assert_int_equal(sqlite3_open(t.path, &old.db), SQLITE_OK);
	if (!store_migrate(&old, version, why, sizeof why))
		fail_msg("%s", why);
	assert_int_equal(store_schema_version(&old), version);
	if (sqlite3_exec(old.db, rows, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s", message);
	sqlite3_close(old.db);
}

static void
a_store_without_spares_gets_them(void **state)
{
	static const char rows[] =
	    "INSERT INTO escrow (escrow_id, label, metadata, external, trace, network, created_at, attempt) VALUES"
	    "  ('123e4567-e89b-42d3-a456-426614174000', 'kept', '{}', 0, 0, 'testnet', 1000, 1);"
	    "INSERT INTO attempt (escrow_id, attempt, phase, round, revision, failures, address, finalized_at) VALUES"
	    "  ('123e4567-e89b-42d3-a456-426614174000', 1, 'Ready', 0, 4, 0, 'its address', 2000);"
	    "INSERT INTO participant (escrow_id, attempt, role, kind, endpoint, wallet, stamp, password)"
	    "  SELECT '123e4567-e89b-42d3-a456-426614174000', 1, value, 'managed', 'a', 'w-' || value, 's', x'01'"
	    "  FROM json_each('[\"buyer\", \"vendor\", \"arbiter\"]');"
	    "INSERT INTO event (seq, at, type, data) VALUES (41, 1000, 'x', '{}');";
	struct store_escrow e;

	(void)state;
	make_old_store(1, rows);
	t.store = open_store();
	assert_non_null(t.store);
	assert_int_equal(store_schema_version(t.store), store_schema_latest);
	assert_int_equal(store_get_escrow(t.store, id, &e), STORE_OK);
	assert_string_equal(e.label, "kept");
	assert_string_equal(e.address, "its address");
	assert_string_equal(e.participants[ROLE_VENDOR].wallet, "w-vendor");
	store_escrow_clear(&e);
	assert_int_equal(store_last_event(t.store), 41);
	assert_int_equal(spares(), 0);
	assert_int_equal(add_spare("a", spare_id, "w1"), STORE_OK);
	assert_spare("a", spare_id, NULL);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_spare_is_finished_once_and_taken_once),
		TEST(an_endpoint_has_one_spare),
		TEST(a_wallet_is_one_spare),
		TEST(a_spare_that_was_taken_does_not_come_back),
		TEST(a_store_without_spares_gets_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
