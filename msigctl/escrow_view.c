/* See escrow_view.h. */
#include "msigctl/escrow_view.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/phase.h"
#include "msigctl/output.h"
#include "msigctl/table.h"
#include "msigctl/text.h"

enum colour
phase_colour(const char *phase)
{
	if (strcmp(phase, phase_name(PHASE_READY)) == 0)
		return COLOUR_GREEN;
	return strcmp(phase, phase_name(PHASE_FAILED)) == 0 ? COLOUR_RED : COLOUR_NONE;
}

static void
print_phase(const json_t *escrow)
{
	const char *phase = member_text(escrow, "phase");
	int64_t round = member_int(json_object_get(escrow, "multisig_state"), "round", 0);
	int64_t attempt = member_int(escrow, "attempt", 1);
	char text[128], of_attempt[32] = "", of_round[32] = "";

	if (attempt > 1)
		snprintf(of_attempt, sizeof of_attempt, ", attempt %lld", (long long)attempt);
	if (round > 0 && strcmp(phase, phase_name(PHASE_EXCHANGING)) == 0)
		snprintf(of_round, sizeof of_round, ", round %lld", (long long)round);
	snprintf(text, sizeof text, "%s%s%s", phase, of_round, of_attempt);
	print_property_colour("phase", text, phase_colour(phase));
}

static void
print_metadata(const json_t *escrow)
{
	const char *name = "metadata", *key;
	json_t *value;

	json_object_foreach(json_object_get(escrow, "metadata"), key, value) {
		char line[1024];
		snprintf(line, sizeof line, "%s=%s", key, json_is_string(value) ? json_string_value(value) : "?");
		print_property(name, line);
		name = "";
	}
}

static void
print_times(const json_t *escrow)
{
	int64_t created = member_int(escrow, "created_at", 0), finalized = member_int(escrow, "finalized_at", 0);
	int64_t verified = member_int(escrow, "verified_at", 0);
	char date[TEXT_TIME], age[TEXT_TIME], took[TEXT_TIME], line[2 * TEXT_TIME + 8];

	text_date(created, date, sizeof date);
	text_age(created, clock_wall_ms(), age, sizeof age);
	snprintf(line, sizeof line, "%s (%s)", date, age);
	print_property("opened", created > 0 ? line : "");
	if (finalized > 0) {
		text_date(finalized, date, sizeof date);
		duration_format(member_int(escrow, "elapsed_ms", 0), took, sizeof took);
		snprintf(line, sizeof line, "%s, after %s", date, took);
		print_property("ready", line);
	}
	if (verified > 0)
		text_date(verified, date, sizeof date);
	if (finalized > 0)
		print_property("verified", verified > 0 ? date
		    : json_is_object(json_object_get(escrow, "not_verified")) ? "no: the wallet files are not good" : "not yet");
}

/* Why earlier attempts failed; the last one's reason stands above. */
static void
print_failed_attempts(const json_t *escrow)
{
	int64_t last = member_int(escrow, "attempt", 1);
	const json_t *failed;
	size_t i;

	json_array_foreach(json_object_get(escrow, "failed_attempts"), i, failed) {
		int64_t attempt = member_int(failed, "attempt", 0);
		char name[32];
		if (attempt == last)
			continue;
		snprintf(name, sizeof name, "attempt %lld", (long long)attempt);
		print_property(name, member_text(failed, "reason"));
	}
}

/* "create prepare make exchange x2" */
static void
completed_text(const json_t *completed, char *out, size_t size)
{
	size_t i, have = 0, count = json_array_size(completed);

	out[0] = '\0';
	for (i = 0; i < count && have < size;) {
		const char *step = json_string_value(json_array_get(completed, i));
		size_t times = 1;
		if (step == NULL)
			return;
		while (i + times < count && json_equal(json_array_get(completed, i), json_array_get(completed, i + times)))
			times++;
		have += (size_t)snprintf(out + have, size - have, times > 1 ? "%s%s x%zu" : "%s%s",
		    have > 0 ? ", " : "", step, times);
		i += times;
	}
}

/* Whether there is more to say of them than their roles: before endpoints are
 * leased there is not. */
static bool
are_assigned(const json_t *participants)
{
	const json_t *party;
	size_t i;

	json_array_foreach(participants, i, party)
		if (member_text(party, "endpoint")[0] != '\0' || strcmp(member_text(party, "kind"), "managed") != 0)
			return true;
	return false;
}

static void
add_participant(struct table *table, const json_t *party)
{
	char completed[256];

	completed_text(json_object_get(party, "completed"), completed, sizeof completed);
	table_cell(table, 0, member_text(party, "role"));
	table_cell(table, 1, member_text(party, "kind"));
	table_cell(table, 2, member_text(party, "endpoint"));
	table_cell(table, 3, member_text(party, "wallet"));
	table_cell(table, 4, completed);
}

static void
print_participants(const json_t *participants)
{
	static const struct column columns[] = {
		{"ROLE", COLUMN_WHOLE}, {"KIND", COLUMN_WIDE}, {"ENDPOINT", COLUMN_WHOLE},
		{"WALLET", COLUMN_CUT}, {"DONE", COLUMN_WHOLE}, {0},
	};

	if (!are_assigned(participants))
		return;
	putchar('\n');
	table_of(columns, participants, add_participant);
}

static void
print_wallets(const json_t *wallets, const char *address)
{
	static const struct column columns[] = {
		{"ROLE", COLUMN_WHOLE}, {"READY", COLUMN_WHOLE}, {"MULTISIG", COLUMN_WHOLE}, {"BALANCE", COLUMN_RIGHT},
		{"UNLOCKED", COLUMN_RIGHT}, {"HEIGHT", COLUMN_RIGHT}, {"ADDRESS", COLUMN_WHOLE}, {0},
	};
	struct table *table = table_new(columns);
	const json_t *wallet;
	size_t i;

	json_array_foreach(wallets, i, wallet) {
		bool ready = member_true(wallet, "ready"), same = strcmp(member_text(wallet, "address"), address) == 0;
		char text[TEXT_TIME];
		table_line(table);
		table_cell(table, 0, member_text(wallet, "role"));
		table_cell_colour(table, 1, ready ? "yes" : "NO", ready ? COLOUR_NONE : COLOUR_RED);
		snprintf(text, sizeof text, "%lld/%lld", (long long)member_int(wallet, "threshold", 0),
		    (long long)member_int(wallet, "total", 0));
		table_cell(table, 2, text);
		text_xmr(member_int(wallet, "balance", -1), text, sizeof text);
		table_cell(table, 3, text);
		text_xmr(member_int(wallet, "unlocked_balance", -1), text, sizeof text);
		table_cell(table, 4, text);
		table_cell_number(table, 5, member_int(wallet, "height", 0));
		table_cell_colour(table, 6, same ? "equal" : "DIFFERENT", same ? COLOUR_NONE : COLOUR_RED);
	}
	putchar('\n');
	table_print(table);
}

void
escrow_view(const json_t *escrow)
{
	char text[64];

	print_property("escrow", member_text(escrow, "escrow_id"));
	print_property_colour("address", member_text(escrow, "address"), COLOUR_BOLD);
	print_phase(escrow);
	/* of one that failed, the status says no more than the reason */
	if (member_text(escrow, "reason")[0] == '\0')
		print_property("status", member_text(escrow, "status"));
	print_property_colour("reason", member_text(escrow, "reason"), COLOUR_RED);
	print_failed_attempts(escrow);
	print_property("label", member_text(escrow, "label"));
	print_metadata(escrow);
	snprintf(text, sizeof text, "%s, %lld of %lld", member_text(escrow, "network"),
	    (long long)member_int(escrow, "threshold", 2), (long long)member_int(escrow, "total", 3));
	print_property("network", text);
	print_times(escrow);
	print_participants(json_object_get(escrow, "participants"));
	if (json_object_get(escrow, "wallets") != NULL)
		print_wallets(json_object_get(escrow, "wallets"), member_text(escrow, "address"));
}

static void
add_escrow(struct table *table, const json_t *escrow)
{
	const char *phase = member_text(escrow, "phase"), *reason = member_text(escrow, "reason");
	char age[TEXT_TIME], took[TEXT_TIME] = "";

	text_age(member_int(escrow, "created_at", 0), clock_wall_ms(), age, sizeof age);
	if (member_int(escrow, "finalized_at", 0) > 0)
		duration_format(member_int(escrow, "elapsed_ms", 0), took, sizeof took);
	table_cell(table, 0, member_text(escrow, "escrow_id"));
	table_cell_colour(table, 1, phase, phase_colour(phase));
	table_cell(table, 2, age);
	table_cell(table, 3, took);
	table_cell(table, 4, member_text(escrow, "label"));
	table_cell(table, 5, reason[0] != '\0' ? reason : member_text(escrow, "status"));
}

void
escrow_view_list(const struct context *context, const json_t *escrows)
{
	static const struct column columns[] = {
		{"ESCROW", COLUMN_WHOLE}, {"PHASE", COLUMN_WHOLE}, {"OPENED", COLUMN_WHOLE}, {"TOOK", COLUMN_WIDE_RIGHT},
		{"LABEL", COLUMN_CUT}, {"STATUS", COLUMN_CUT}, {0},
	};

	table_of_named(context, columns, escrows, "escrow_id", "there are none", add_escrow);
}
