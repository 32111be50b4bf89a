/* The progress line, from events in good and bad order, and events in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "msigctl/event_text.h"
#include "msigctl/progress.h"
#include "msigctl/text.h"

#define ID "3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11"

static json_t *
parse(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static void
event(struct progress *progress, const char *text)
{
	json_t *value = parse(text);

	progress_event(progress, value);
	json_decref(value);
}

static void
escrow(struct progress *progress, const char *text)
{
	json_t *value = parse(text);

	progress_escrow(progress, value);
	json_decref(value);
}

static void
assert_line(const struct progress *progress, int columns, const char *expected)
{
	char line[PROGRESS_LINE];

	progress_line(progress, 1849, false, columns, line, sizeof line);
	assert_string_equal(line, expected);
}

static void
follows_the_events(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, ID);
	assert_line(&p, 79, "3f2a81c0  NotStarted  1.8 s");
	event(&p, "{\"type\": \"phase\", \"attempt\": 1, \"phase\": \"Preparing\"}");
	event(&p, "{\"type\": \"step\", \"attempt\": 1, \"role\": \"buyer\", \"call\": \"create_wallet\", \"round\": 0}");
	assert_line(&p, 79, "3f2a81c0  Preparing  buyer + vendor - arbiter -  1.8 s");
	event(&p, "{\"type\": \"step\", \"attempt\": 1, \"role\": \"arbiter\", \"call\": \"prepare_multisig\", \"round\": 1}");
	assert_line(&p, 79, "3f2a81c0  Preparing  buyer - vendor - arbiter +  1.8 s");
	event(&p, "{\"type\": \"phase\", \"attempt\": 1, \"phase\": \"Exchanging\", \"round\": 3}");
	assert_line(&p, 79, "3f2a81c0  Exchanging, round 3  buyer - vendor - arbiter -  1.8 s");
	event(&p, "{\"type\": \"step\", \"attempt\": 1, \"role\": \"vendor\", \"round\": 3}");
	event(&p, "{\"type\": \"step\", \"attempt\": 1, \"role\": \"buyer\", \"round\": 3}");
	event(&p, "{\"type\": \"step\", \"attempt\": 1, \"role\": \"arbiter\", \"round\": 3}");
	assert_line(&p, 79, "3f2a81c0  Exchanging, round 3  buyer + vendor + arbiter +  1.8 s");
	event(&p, "{\"type\": \"phase\", \"attempt\": 1, \"phase\": \"Ready\", \"address\": \"9w\"}");
	assert_line(&p, 79, "3f2a81c0  Ready  1.8 s");
}

static void
takes_nothing_from_the_past(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, ID);
	escrow(&p, "{\"attempt\": 2, \"phase\": \"Exchanging\", \"status\": \"exchanging\", \"multisig_state\": {\"round\": 2},"
	    "\"participants\": [{\"role\": \"buyer\", \"completed\": [\"create\", \"prepare\", \"make\"]},"
	    "{\"role\": \"vendor\", \"completed\": [\"create\", \"prepare\"]}]}");
	assert_line(&p, 79, "3f2a81c0  attempt 2  Exchanging, round 2  buyer + vendor - arbiter -  1.8 s");
	/* what was replayed by since=0 */
	event(&p, "{\"type\": \"phase\", \"attempt\": 1, \"phase\": \"Failed\"}");
	event(&p, "{\"type\": \"phase\", \"attempt\": 2, \"phase\": \"Preparing\"}");
	event(&p, "{\"type\": \"step\", \"attempt\": 2, \"role\": \"arbiter\", \"round\": 1}");
	assert_line(&p, 79, "3f2a81c0  attempt 2  Exchanging, round 2  buyer + vendor - arbiter -  1.8 s");
	event(&p, "{\"type\": \"attempt\", \"attempt\": 3, \"cause\": \"timeout\"}");
	assert_line(&p, 79, "3f2a81c0  attempt 3  NotStarted  1.8 s");
}

static void
says_what_it_waits_for(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, ID);
	escrow(&p, "{\"attempt\": 1, \"phase\": \"NotStarted\", \"status\": \"waits for a vendor\\u001b[2J endpoint\"}");
	assert_line(&p, 79, "3f2a81c0  NotStarted  1.8 s  waits for a vendor\\x1b[2J endpoint");
	assert_line(&p, 40, "3f2a81c0  NotStarted  1.8 s  waits for a");
	escrow(&p, "{\"attempt\": 1, \"phase\": \"Preparing\", \"status\": \"preparing\"}");
	assert_line(&p, 79, "3f2a81c0  Preparing  buyer - vendor - arbiter -  1.8 s");
}

static void
fits_every_width(void **state)
{
	struct progress p;
	char line[PROGRESS_LINE];

	(void)state;
	progress_init(&p, ID);
	event(&p, "{\"type\": \"phase\", \"attempt\": 2, \"phase\": \"Exchanging\", \"round\": 3}");
	assert_line(&p, 60, "3f2a81c0  attempt 2  Exchanging, round 3  b- v- a-  1.8 s");
	assert_line(&p, 40, "3f2a81c0  Exchanging, round 3  1.8 s");
	assert_line(&p, 20, "3f2a81c0  Exchanging");
	for (int columns = 0; columns < 120; columns++) {
		progress_line(&p, INT64_C(123456789), true, columns, line, sizeof line);
		assert_true(text_width(line) <= columns);
	}
	progress_line(&p, 1849, true, 100, line, sizeof line);
	assert_string_equal(line, "3f2a81c0  attempt 2  Exchanging, round 3  buyer \u00b7 vendor \u00b7 arbiter \u00b7  1.8 s");
}

static void
takes_garbage_quietly(void **state)
{
	static const char *const garbage[] = {
		"{}", "{\"type\": 7}", "{\"type\": \"step\"}", "{\"type\": \"step\", \"role\": \"seller\", \"round\": 9}",
		"{\"type\": \"phase\", \"phase\": \"Paid\"}", "{\"type\": \"phase\", \"phase\": null, \"round\": \"x\"}",
	};
	struct progress p;

	(void)state;
	progress_init(&p, ID);
	for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++)
		event(&p, garbage[i]);
	escrow(&p, "{\"participants\": [1, {}, {\"role\": \"buyer\", \"completed\": {}}]}");
	assert_line(&p, 79, "3f2a81c0  NotStarted  1.8 s");
}

static void
says_every_event_in_words(void **state)
{
	static const struct {
		const char *event, *text;
	} cases[] = {
		{"{\"type\": \"escrow_opened\", \"label\": \"order 17\"}", "opened: order 17"},
		{"{\"type\": \"escrow_opened\"}", "opened"},
		{"{\"type\": \"phase\", \"phase\": \"Exchanging\", \"round\": 3}", "Exchanging, round 3"},
		{"{\"type\": \"phase\", \"phase\": \"Ready\", \"address\": \"9w\"}", "Ready: 9w"},
		{"{\"type\": \"phase\", \"phase\": \"Failed\", \"reason\": \"cancelled\"}", "Failed: cancelled"},
		{"{\"type\": \"step\", \"role\": \"buyer\", \"call\": \"make_multisig\", \"round\": 2, \"duration_ms\": 310}",
		 "buyer: make_multisig, round 2, 310 ms"},
		{"{\"type\": \"step\", \"role\": \"buyer\", \"call\": \"create_wallet\", \"round\": 0, \"duration_ms\": 1240}",
		 "buyer: create_wallet, 1.24 s"},
		{"{\"type\": \"attempt\", \"attempt\": 2, \"cause\": \"endpoint_down\", \"reason\": \"no answer\"}",
		 "attempt 2 begins: no answer"},
		{"{\"type\": \"attempt\", \"attempt\": 2, \"cause\": \"timeout\"}", "attempt 2 begins: timeout"},
		{"{\"type\": \"verified\"}", "verified: its wallets open from disk"},
		{"{\"type\": \"endpoint\", \"name\": \"wallet-1\", \"state\": \"down\", \"reason\": \"refused\"}",
		 "endpoint wallet-1: down: refused"},
		{"{\"type\": \"endpoint\", \"name\": \"wallet-1\", \"state\": \"idle\"}", "endpoint wallet-1: idle"},
		{"{\"type\": \"spare_lost\", \"name\": \"wallet-1\", \"polluted\": false, \"reason\": \"no wallet is open\"}",
		 "endpoint wallet-1: its spare wallet is thrown away: no wallet is open"},
		{"{\"type\": \"spare_lost\", \"name\": \"wallet-1\", \"polluted\": true, \"reason\": \"it is multisig\"}",
		 "endpoint wallet-1: its spare wallet is POLLUTED: it is multisig"},
		{"{\"type\": \"pollution\", \"name\": \"wallet-1\", \"role\": \"buyer\", \"found\": \"a wallet without a stamp\"}",
		 "buyer: endpoint wallet-1 is POLLUTED: a wallet without a stamp"},
		{"{\"type\": \"pollution\", \"name\": \"wallet-1\", \"found\": \"a wallet without a stamp\"}",
		 "endpoint wallet-1 is POLLUTED: a wallet without a stamp"},
		{"{\"type\": \"interrupted\", \"attempt\": 1, \"cause\": \"timeout\", \"reason\": \"no answer\"}",
		 "attempt 1 is interrupted: no answer"},
		{"{\"type\": \"resume\", \"attempt\": 1}", "attempt 1 goes on"},
		{"{\"type\": \"restore\", \"role\": \"buyer\", \"round\": 2, \"reason\": \"it is torn\"}",
		 "buyer: its wallet is written from the store: it is torn"},
		{"{\"type\": \"stopping\"}", "msigd is stopping"},
		{"{\"type\": \"of later\", \"x\": 1}", "{\"type\":\"of later\",\"x\":1}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[EVENT_TEXT];
		json_t *value = parse(cases[i].event);
		event_text(value, text, sizeof text);
		json_decref(value);
		assert_string_equal(text, cases[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_events),
		cmocka_unit_test(takes_nothing_from_the_past),
		cmocka_unit_test(says_what_it_waits_for),
		cmocka_unit_test(fits_every_width),
		cmocka_unit_test(takes_garbage_quietly),
		cmocka_unit_test(says_every_event_in_words),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
