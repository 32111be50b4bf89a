/* Who gets which endpoints: those whose wallets are somewhere already, beside those
 * that any will do for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/endpoint.h"
#include "supervisor/homes.h"
#include "supervisor/scheduler.h"
#include "supervisor/session.h"
#include "supervisor/supervisor.h"
#include "supervisor/tender.h"

enum { MANY = 500 };

static struct {
	struct supervisor sv;
	struct config config;
	int granted;
	struct claim *last;
	struct endpoint *at[ROLE_COUNT];
} t;

/* --- a pool ---------------------------------------------------------------- */

static int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	t.sv.config = &t.config;
	t.sv.base = event_base_new();
	t.sv.endpoints = endpoint_pool_new();
	t.sv.scheduler = scheduler_new(&t.sv);
	t.sv.sessions = sessions_new(&t.sv);
	t.sv.tender = tender_new(&t.sv);
	return t.sv.scheduler != NULL && t.sv.sessions != NULL && t.sv.tender != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	sessions_free(t.sv.sessions);
	tender_free(t.sv.tender);
	endpoint_pool_free(t.sv.endpoints);
	scheduler_free(t.sv.scheduler);
	event_base_free(t.sv.base);
	return 0;
}

static bool
is_listed(enum endpoint_state state)
{
	return state == ENDPOINT_IDLE || state == ENDPOINT_PRIMED;
}

static struct endpoint_list *
list_of(struct endpoint *ep)
{
	return ep->state == ENDPOINT_PRIMED ? &t.sv.endpoints->primed[ep->role] : &t.sv.endpoints->idle[ep->role];
}

static void
put(struct endpoint *ep, enum endpoint_state state)
{
	if (is_listed(ep->state))
		TAILQ_REMOVE(list_of(ep), ep, free);
	t.sv.endpoints->by_state[ep->state]--;
	t.sv.endpoints->left[ep->role] += endpoint_state_is_left(state) - endpoint_state_is_left(ep->state);
	ep->state = state;
	t.sv.endpoints->by_state[ep->state]++;
	if (is_listed(ep->state))
		TAILQ_INSERT_TAIL(list_of(ep), ep, free);
	scheduler_wake(t.sv.scheduler);
}

/* folder: NULL for a guess, "" for one whose files cannot be read. */
static struct endpoint *
add(const char *name, enum role role, const char *folder, enum endpoint_state state)
{
	struct config_endpoint given = {.role = role, .wallet_dir = (char *)(folder != NULL ? folder : "/guess"),
		.wallet_dir_given = folder != NULL};
	struct endpoint *ep;

	snprintf(given.name, sizeof given.name, "%s", name);
	ep = endpoint_add_given(&t.sv, &given);
	assert_non_null(ep);
	event_del(ep->timer); /* nobody looks at it */
	put(ep, state);
	return ep;
}

static void
on_granted(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT])
{
	t.granted++;
	t.last = claim;
	for (int r = 0; r < ROLE_COUNT; r++) {
		t.at[r] = endpoints[r];
		if (endpoints[r] != NULL)
			endpoint_lease(endpoints[r], "an escrow", (enum role)r, 0);
	}
}

static struct claim
new_claim(int64_t order)
{
	return (struct claim){.needs = ROLE_ALL, .order = order, .granted = on_granted};
}

static struct claim
claim_at(int64_t order, struct endpoint *buyer, struct endpoint *vendor, struct endpoint *arbiter)
{
	struct claim c = new_claim(order);

	c.at_home = ROLE_ALL;
	c.homes[ROLE_BUYER] = buyer;
	c.homes[ROLE_VENDOR] = vendor;
	c.homes[ROLE_ARBITER] = arbiter;
	c.goes_on = true;
	return c;
}

static void
turn(void)
{
	scheduler_wake(t.sv.scheduler);
	event_base_loop(t.sv.base, EVLOOP_NONBLOCK);
}

static void
enqueue(struct claim *claim)
{
	scheduler_enqueue(t.sv.scheduler, claim);
}

static void
dequeue(struct claim *claim)
{
	scheduler_dequeue(t.sv.scheduler, claim);
}

static void
assert_at(struct endpoint *buyer, struct endpoint *vendor, struct endpoint *arbiter)
{
	assert_ptr_equal(t.at[ROLE_BUYER], buyer);
	assert_ptr_equal(t.at[ROLE_VENDOR], vendor);
	assert_ptr_equal(t.at[ROLE_ARBITER], arbiter);
}

static int
lacking(const struct claim *claim)
{
	return homes_lacking_role(t.sv.endpoints, claim, false);
}

/* --- where ------------------------------------------------------------------- */

static void
test_wallets_are_opened_at_their_homes(void **state)
{
	struct endpoint *other = add("o", ROLE_ANY, "/w", ENDPOINT_IDLE);
	struct endpoint *b = add("b", ROLE_ANY, "/w", ENDPOINT_PRIMED), *v = add("v", ROLE_ANY, "/w", ENDPOINT_IDLE);
	struct endpoint *a = add("a", ROLE_ANY, "/w", ENDPOINT_IDLE);
	struct claim c = claim_at(1, b, v, a);

	(void)state;
	enqueue(&c);
	turn();
	assert_int_equal(t.granted, 1);
	assert_at(b, v, a);
	assert_int_equal(other->state, ENDPOINT_IDLE);
}

/* The only place for one may be the home of another, who can go elsewhere. */
static void
test_all_are_placed_if_it_can_be_done_at_all(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/w", ENDPOINT_DOWN), *v = add("v", ROLE_ANY, "/w", ENDPOINT_IDLE);
	struct endpoint *a = add("a", ROLE_ANY, "/w", ENDPOINT_IDLE);
	struct endpoint *vendors = add("vendors", ROLE_VENDOR, "/w", ENDPOINT_IDLE);
	struct claim c = claim_at(1, b, v, a);

	(void)state;
	enqueue(&c);
	turn();
	assert_int_equal(t.granted, 1);
	assert_at(v, vendors, a);
}

static void
test_who_has_to_move_takes_nobodys_home(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/w", ENDPOINT_DOWN), *v = add("v", ROLE_ANY, "/w", ENDPOINT_IDLE);
	struct endpoint *a = add("a", ROLE_ANY, "/w", ENDPOINT_IDLE), *other = add("o", ROLE_ANY, "/w", ENDPOINT_IDLE);
	struct claim c = claim_at(1, b, v, a);

	(void)state;
	enqueue(&c);
	turn();
	assert_int_equal(t.granted, 1);
	assert_at(other, v, a);
}

/* Who has no wallet yet, or no longer waits for its endpoint, does not move the others. */
static void
test_roles_without_home_are_placed_and_the_others_stay(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "", ENDPOINT_IDLE), *v = add("v", ROLE_ANY, "/w", ENDPOINT_DOWN);
	struct endpoint *other = add("o", ROLE_ANY, "/w", ENDPOINT_IDLE), *bare = add("bare", ROLE_ANY, "", ENDPOINT_IDLE);
	struct claim c = claim_at(1, b, v, NULL);

	(void)state;
	c.at_home = ROLE_BIT(ROLE_BUYER) | ROLE_BIT(ROLE_VENDOR); /* the arbiter has none yet */
	assert_int_equal(lacking(&c), ROLE_COUNT);                /* at the other one, which has the vendor's files */
	other->role = ROLE_ARBITER;
	assert_int_equal(lacking(&c), ROLE_VENDOR);
	other->role = ROLE_ANY;
	c.at_home = ROLE_BIT(ROLE_BUYER);
	c.to_write = ROLE_BIT(ROLE_VENDOR);
	enqueue(&c);
	turn();
	assert_int_equal(t.granted, 1);
	assert_at(b, other, bare);
}

/* There it may be open still, and about to be closed. */
static void
test_one_that_stays_waits_for_its_home(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/w", ENDPOINT_PROBING);
	struct claim c = claim_at(1, b, NULL, NULL);

	(void)state;
	add("o", ROLE_ANY, "/w", ENDPOINT_IDLE);
	c.needs = c.at_home = ROLE_BIT(ROLE_BUYER);
	c.stays = true;
	enqueue(&c);
	turn();
	assert_int_equal(t.granted, 0);
	scheduler_dequeue(t.sv.scheduler, &c);
	c.stays = false;
	enqueue(&c);
	turn();
	assert_int_equal(t.granted, 1);
}

/* Where msigd is not told the folder, nothing is written; but the home may be back. */
static void
test_copy_is_written_only_where_the_folder_is_told(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/w", ENDPOINT_IDLE), *a = add("a", ROLE_ANY, "/w", ENDPOINT_IDLE);
	struct endpoint *v = add("v", ROLE_ANY, NULL, ENDPOINT_DOWN);
	struct claim c = claim_at(1, b, v, a);
	char text[256];

	(void)state;
	add("none", ROLE_ANY, "", ENDPOINT_IDLE);
	add("guess", ROLE_ANY, NULL, ENDPOINT_IDLE);
	c.at_home &= ~ROLE_BIT(ROLE_VENDOR);
	c.to_write = ROLE_BIT(ROLE_VENDOR);
	enqueue(&c);
	turn();
	assert_int_equal(t.granted, 0);
	assert_int_equal(lacking(&c), ROLE_VENDOR);
	scheduler_describe_wait(t.sv.scheduler, &c, text, sizeof text);
	assert_string_equal(text, "an endpoint whose wallet-dir is given, to write the vendor's wallet there (1 down, 4 idle)");
	put(v, ENDPOINT_IDLE);
	turn();
	assert_int_equal(t.granted, 1);
	assert_at(b, v, a);
}

static void
test_other_places_are_those_that_may_come_back(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/w", ENDPOINT_DOWN), *other;
	struct claim c = claim_at(1, b, NULL, NULL);

	(void)state;
	add("none", ROLE_ANY, "", ENDPOINT_IDLE);
	add("vendors", ROLE_VENDOR, "/w", ENDPOINT_IDLE);
	assert_false(homes_has_other(t.sv.endpoints, &c, ROLE_BUYER));
	other = add("o", ROLE_BUYER, "/v", ENDPOINT_OUT);
	assert_false(homes_has_other(t.sv.endpoints, &c, ROLE_BUYER));
	put(other, ENDPOINT_DOWN);
	assert_true(homes_has_other(t.sv.endpoints, &c, ROLE_BUYER));
}

/* One that hangs is down for a quarter of a second between two looks of a minute. */
static void
test_endpoint_whose_last_look_failed_is_not_there(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/1", ENDPOINT_PROBING), *v = add("v", ROLE_ANY, "/2", ENDPOINT_LEASED);
	struct endpoint *a = add("a", ROLE_ANY, "/3", ENDPOINT_LEASED);
	struct claim c = claim_at(1, b, v, a);

	(void)state;
	assert_int_equal(lacking(&c), ROLE_COUNT);
	b->failures_in_row = 1;
	assert_int_equal(lacking(&c), ROLE_BUYER);
	assert_int_equal(homes_lacking_role(t.sv.endpoints, &c, true), ROLE_COUNT);
	put(b, ENDPOINT_OUT);
	assert_int_equal(homes_lacking_role(t.sv.endpoints, &c, true), ROLE_BUYER);
	put(b, ENDPOINT_PROBING);
	b->failures_in_row = 0;
	a->removed = true;
	assert_int_equal(homes_lacking_role(t.sv.endpoints, &c, true), ROLE_ARBITER);
}

/* Only what is without a break counts. */
static void
test_time_without_a_place_is_kept(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/1", ENDPOINT_DOWN), *v = add("v", ROLE_ANY, "/2", ENDPOINT_LEASED);
	struct endpoint *a = add("a", ROLE_ANY, "/3", ENDPOINT_LEASED);
	struct claim c = claim_at(1, b, v, a);
	(void)state;
	enqueue(&c);
	turn();
	assert_in_range(c.homeless_ms, 1, clock_monotonic_ms());
	c.homeless_ms = 1; /* a while ago */
	assert_int_equal(scheduler_demand(t.sv.scheduler), 0);
	put(v, ENDPOINT_IDLE);
	turn();
	assert_int_equal(c.homeless_ms, 1);
	put(b, ENDPOINT_LEASED);
	turn();
	assert_int_equal(c.homeless_ms, 0);
	assert_int_equal(scheduler_demand(t.sv.scheduler), 1);
	assert_ptr_equal(scheduler_first_with_homes(t.sv.scheduler), &c);
	dequeue(&c);
}

/* A worker ends, and its endpoint is down at once: nobody else says so. */
static void
test_endpoint_that_goes_when_it_is_given_back_is_noticed(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/1", ENDPOINT_LEASED), *v = add("v", ROLE_ANY, "/2", ENDPOINT_LEASED);
	struct endpoint *a = add("a", ROLE_ANY, "/3", ENDPOINT_LEASED);
	struct claim c = claim_at(1, b, v, a);

	(void)state;
	enqueue(&c);
	turn();
	assert_int_equal(c.homeless_ms, 0);
	b->blames = 3;
	t.sv.stopping = true; /* nothing is announced: there is no store */
	endpoint_event(b, ENDPOINT_EV_FAILED, "jobs fail");
	t.sv.stopping = false;
	event_base_loop(t.sv.base, EVLOOP_NONBLOCK);
	assert_true(c.homeless_ms != 0);
	dequeue(&c);
}

/* --- who comes first ----------------------------------------------------------- */

static void
test_homes_are_kept_from_those_who_came_later(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/1", ENDPOINT_IDLE), *v = add("v", ROLE_ANY, "/2", ENDPOINT_IDLE);
	struct endpoint *a = add("a", ROLE_ANY, "/3", ENDPOINT_LEASED), *other = add("o", ROLE_ANY, "/4", ENDPOINT_IDLE);
	struct claim first = claim_at(1, b, v, a), second = new_claim(2);

	(void)state;
	enqueue(&second);
	enqueue(&first);
	turn();
	assert_int_equal(t.granted, 0);
	assert_false(b->reserved || v->reserved || a->reserved || other->reserved);
	put(a, ENDPOINT_DOWN); /* now it holds up nobody */
	turn();
	assert_int_equal(t.granted, 1);
	assert_ptr_equal(t.last, &second);
	dequeue(&first);
}

static void
test_who_came_earlier_is_not_held_up(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/1", ENDPOINT_IDLE), *v = add("v", ROLE_ANY, "/2", ENDPOINT_IDLE);
	struct endpoint *a = add("a", ROLE_ANY, "/3", ENDPOINT_IDLE);
	struct claim first = new_claim(1), second = claim_at(2, b, v, a), third = claim_at(3, v, b, a);

	(void)state;
	enqueue(&third);
	enqueue(&second);
	enqueue(&first);
	turn();
	assert_int_equal(t.granted, 1);
	assert_ptr_equal(t.last, &first);
	put(b, ENDPOINT_IDLE);
	put(v, ENDPOINT_IDLE);
	put(a, ENDPOINT_IDLE);
	turn();
	assert_int_equal(t.granted, 2);
	assert_ptr_equal(t.last, &second);
	dequeue(&third);
}

/* Somebody who goes in the midst of it, while others are looked at. */
static struct claim *goes;

static void
on_granted_and_other_goes(struct claim *claim, struct endpoint *endpoints[ROLE_COUNT])
{
	on_granted(claim, endpoints);
	dequeue(goes);
	memset(goes, 0xff, sizeof *goes);
}

static void
test_claim_that_goes_while_another_is_served(void **state)
{
	struct endpoint *e[6];
	struct claim first, second, third;

	(void)state;
	for (int i = 0; i < 6; i++)
		e[i] = add((char[]){'e', (char)('0' + i), '\0'}, ROLE_ANY, "", ENDPOINT_IDLE);
	first = claim_at(1, e[0], e[1], e[2]);
	second = claim_at(2, e[0], e[1], e[2]);
	third = claim_at(3, e[3], e[4], e[5]);
	first.granted = on_granted_and_other_goes;
	goes = &second;
	enqueue(&first);
	enqueue(&second);
	enqueue(&third);
	turn();
	assert_int_equal(t.granted, 2);
	assert_ptr_equal(t.last, &third);
}

/* What has begun comes to its end; what has not, is not begun. */
static void
test_drain_serves_what_has_begun(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "", ENDPOINT_IDLE), *v = add("v", ROLE_ANY, "", ENDPOINT_IDLE);
	struct endpoint *a = add("a", ROLE_ANY, "", ENDPOINT_IDLE);
	struct claim fresh = new_claim(1), session = claim_at(2, b, v, a), begun = new_claim(3);

	(void)state;
	session.goes_on = false;
	begun.goes_on = true; /* and had no wallet yet */
	t.sv.draining = true;
	enqueue(&fresh);
	enqueue(&session);
	enqueue(&begun);
	turn();
	assert_int_equal(t.granted, 1);
	assert_ptr_equal(t.last, &begun);
	put(b, ENDPOINT_IDLE);
	put(v, ENDPOINT_IDLE);
	put(a, ENDPOINT_IDLE);
	turn();
	assert_int_equal(t.granted, 1);
	dequeue(&fresh);
	dequeue(&session);
}

/* --- what is said ---------------------------------------------------------------- */

static void
test_status_names_the_endpoint_that_is_not_free(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/1", ENDPOINT_IDLE), *v = add("v", ROLE_ANY, "/2", ENDPOINT_PRIMED);
	struct endpoint *a = add("a", ROLE_ANY, "/3", ENDPOINT_LEASED);
	struct claim c = claim_at(1, b, v, a);
	char text[256];

	(void)state;
	enqueue(&c);
	turn();
	scheduler_describe_wait(t.sv.scheduler, &c, text, sizeof text);
	assert_string_equal(text, "endpoint a, where the arbiter's wallet is (leased)");
	scheduler_forget(t.sv.scheduler, a);
	scheduler_describe_wait(t.sv.scheduler, &c, text, sizeof text);
	assert_string_equal(text, "the endpoint of the arbiter's wallet, which is not in the configuration any more");
	dequeue(&c);
}

static void
test_nothing_is_left_of_an_attempt_when_another_begins(void **state)
{
	struct endpoint *b = add("b", ROLE_ANY, "/1", ENDPOINT_OUT);
	struct claim c = claim_at(1, b, NULL, NULL);

	(void)state;
	c.to_write = ROLE_BIT(ROLE_VENDOR);
	claim_begin_anew(&c);
	assert_int_equal(c.at_home | c.to_write, 0);
	assert_false(c.goes_on);
	assert_null(c.homes[ROLE_BUYER]);
	enqueue(&c);
	assert_int_equal(scheduler_queue_length(t.sv.scheduler), 1);
	dequeue(&c);
	assert_int_equal(scheduler_queue_length(t.sv.scheduler), 0);
}

/* --- many ------------------------------------------------------------------------ */

/* After a start: each turn goes through them once, and gives all that is free. */
static void
test_many_that_go_on_are_served_in_order(void **state)
{
	enum { PLACES = 10, ENDPOINTS = PLACES * ROLE_COUNT };
	static struct endpoint *e[ENDPOINTS];
	static struct claim claims[MANY];
	char name[32];

	(void)state;
	for (int i = 0; i < ENDPOINTS; i++) {
		snprintf(name, sizeof name, "e%d", i);
		e[i] = add(name, ROLE_ANY, "", ENDPOINT_IDLE);
	}
	for (int i = MANY - 1; i >= 0; i--) {
		claims[i] = claim_at(i + 1, e[i % PLACES * 3], e[i % PLACES * 3 + 1], e[i % PLACES * 3 + 2]);
		enqueue(&claims[i]);
	}
	while (t.granted < MANY) {
		int before = t.granted;
		turn();
		assert_int_equal(t.granted, before + PLACES);
		assert_ptr_equal(t.last, &claims[t.granted - 1]);
		for (int i = 0; i < ENDPOINTS; i++)
			put(e[i], ENDPOINT_IDLE);
	}
	assert_int_equal(scheduler_demand(t.sv.scheduler), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wallets_are_opened_at_their_homes),
		TEST(test_all_are_placed_if_it_can_be_done_at_all),
		TEST(test_who_has_to_move_takes_nobodys_home),
		TEST(test_roles_without_home_are_placed_and_the_others_stay),
		TEST(test_one_that_stays_waits_for_its_home),
		TEST(test_copy_is_written_only_where_the_folder_is_told),
		TEST(test_other_places_are_those_that_may_come_back),
		TEST(test_endpoint_whose_last_look_failed_is_not_there),
		TEST(test_time_without_a_place_is_kept),
		TEST(test_endpoint_that_goes_when_it_is_given_back_is_noticed),
		TEST(test_homes_are_kept_from_those_who_came_later),
		TEST(test_who_came_earlier_is_not_held_up),
		TEST(test_claim_that_goes_while_another_is_served),
		TEST(test_drain_serves_what_has_begun),
		TEST(test_status_names_the_endpoint_that_is_not_free),
		TEST(test_nothing_is_left_of_an_attempt_when_another_begins),
		TEST(test_many_that_go_on_are_served_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
