/* snapshots: what the three wallets were at each point. */
#include "msigtrace/snapshots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigctl/text.h"
#include "msigtrace/msigtrace.h"

enum { INDENT = 12 }; /* of what is below a table */

/* --- differences --------------------------------------------------------------------- */

static const struct {
	const char *name;
	bool own; /* is another in another wallet */
} members[] = {
	{"is_multisig", false}, {"ready", false}, {"threshold", false}, {"total", false}, {"placeholder", false},
	{"stamp_ok", false}, {"file_exists", false}, {"file_perms", false}, {"open_wallets_count", false}, {"nettype", false},
	{"found_escrow", false}, {"address_hash", true}, {"balance", true}, {"unlocked_balance", true}, {"wallet_id", true},
	{"rpc_port", true},
};

/* placeholder is named only where it is so. */
static json_t *
member_of(const json_t *snapshot, const char *name)
{
	json_t *value = json_object_get(snapshot, name);

	return value == NULL && snapshot != NULL && strcmp(name, "placeholder") == 0 ? json_false() : value;
}

json_t *
snapshot_difference(const json_t *before, const json_t *after, bool foreign)
{
	json_t *difference = json_object();

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		json_t *a = member_of(before, members[i].name), *b = member_of(after, members[i].name);
		if ((foreign && members[i].own) || a == b || (a != NULL && b != NULL && json_equal(a, b)))
			continue;
		json_object_set_new(difference, members[i].name, json_pack("[O?, O?]", a, b));
	}
	return difference;
}

static void
value_text(const char *name, const json_t *value, char *out, size_t size)
{
	bool is_hash = strcmp(name, "address_hash") == 0;

	if (json_is_boolean(value))
		snprintf(out, size, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_string(value))
		snprintf(out, size, is_hash ? "%.8s" : "%.60s", json_string_value(value));
	else if (json_is_number(value))
		snprintf(out, size, "%.15g", json_number_value(value));
	else
		snprintf(out, size, "-");
}

void
snapshot_difference_text(const json_t *difference, char out[SNAPSHOT_DIFFERENCE])
{
	const char *name;
	json_t *pair;
	size_t have = 0;

	out[0] = '\0';
	json_object_foreach((json_t *)difference, name, pair) {
		char before[64], after[64];
		int n;
		value_text(name, json_array_get(pair, 0), before, sizeof before);
		value_text(name, json_array_get(pair, 1), after, sizeof after);
		n = snprintf(out + have, SNAPSHOT_DIFFERENCE - have, "%s%s %s -> %s", have > 0 ? ", " : "", name, before, after);
		if (n < 0 || (size_t)n >= SNAPSHOT_DIFFERENCE - have)
			return;
		have += (size_t)n;
	}
}

/* --- points ----------------------------------------------------------------------------- */

/* The three wallets at one point of an attempt. Roles overtake each other, so what is
 * of one point need not stand together in the trace. */
struct point {
	int64_t attempt;
	enum event_type type;
	bool again;                                  /* a role was at it before: it went on after an interruption */
	const struct event *at[ROLE_COUNT + 1];      /* NULL: no snapshot of that role */
	const struct event *before[ROLE_COUNT + 1];  /* the role's one before that in the attempt */
};

struct points {
	struct point *list; /* in the order in which a first role came there */
	size_t count;
};

static bool
points_of(const struct trace *t, struct points *points)
{
	struct point *last[EVENT_TYPE_COUNT] = {NULL};
	const struct event *before[ROLE_COUNT + 1] = {NULL};

	*points = (struct points){calloc(t->count + 1, sizeof *points->list), 0};
	if (points->list == NULL)
		return false;
	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		struct point *p = last[e->type];
		bool again;

		if (!event_is_snapshot(e))
			continue;
		again = p != NULL && p->attempt == e->attempt;
		if (!again || p->at[e->role] != NULL) {
			p = last[e->type] = &points->list[points->count++];
			*p = (struct point){.attempt = e->attempt, .type = e->type, .again = again};
		}
		p->at[e->role] = e;
		if (before[e->role] != NULL && before[e->role]->attempt == e->attempt)
			p->before[e->role] = before[e->role];
		before[e->role] = e;
	}
	return true;
}

/* What is different from the point before; NULL: there is none before it. */
static json_t *
changed(const struct point *p, int role)
{
	if (p->at[role] == NULL || p->before[role] == NULL)
		return NULL;
	return snapshot_difference(event_snapshot(p->before[role]), event_snapshot(p->at[role]), false);
}

/* --- for people ------------------------------------------------------------------------- */

static const char *
yes_no(const json_t *object, const char *name)
{
	static const char *const texts[] = {"?", "no", "yes"};

	return texts[answer_of(object, name) + 1];
}

static void
add_wallet(struct table *table, const struct event *e)
{
	const json_t *s = event_snapshot(e);
	const char *hash = text_of(s, "address_hash"), *found = text_of(s, "found_escrow"), *perms = text_of(s, "file_perms");
	char text[96];

	table_line(table);
	table_cell(table, 0, view_role(e->role));
	snprintf(text, sizeof text, "%+.1f ms", e->t_ms);
	table_cell(table, 1, text);
	snprintf(text, sizeof text, "%.6g/%.6g", number_of(s, "threshold", 0), number_of(s, "total", 0));
	table_cell(table, 2, answer_of(s, "is_multisig") == ANSWER_YES ? text : yes_no(s, "is_multisig"));
	table_cell(table, 3, yes_no(s, "ready"));
	snprintf(text, sizeof text, "%.8s%s", *hash != '\0' ? hash : "-", answer_of(s, "placeholder") == ANSWER_YES ? " (placeholder)" : "");
	table_cell(table, 4, text);
	snprintf(text, sizeof text, "%s%s%.36s", yes_no(s, "stamp_ok"), *found != '\0' ? ", of " : "", found);
	table_cell_colour(table, 5, text, answer_of(s, "stamp_ok") == ANSWER_NO ? COLOUR_RED : COLOUR_NONE);
	snprintf(text, sizeof text, "%s%s%.12s", yes_no(s, "file_exists"), *perms != '\0' ? " " : "", perms);
	table_cell(table, 6, text);
	snprintf(text, sizeof text, "%.6g", number_of(s, "rpc_port", e->port));
	table_cell(table, 7, text);
}

/* What all of them have alike is taken out of each; NULL: there are not two. */
static json_t *
take_common(json_t *differences[ROLE_COUNT + 1])
{
	json_t *common = NULL, *value;
	const char *name;
	void *next;
	int have = 0;

	for (int i = 0; i <= ROLE_COUNT; i++) {
		if (differences[i] == NULL)
			continue;
		if (have++ == 0)
			common = json_copy(differences[i]);
		json_object_foreach_safe(common, next, name, value) {
			if (!json_equal(value, json_object_get(differences[i], name)))
				json_object_del(common, name);
		}
	}
	if (have < 2) {
		json_decref(common);
		return NULL;
	}
	for (int i = 0; i <= ROLE_COUNT; i++) {
		json_object_foreach(common, name, value)
			json_object_del(differences[i], name);
	}
	return common;
}

static void
print_changed(const char *whose, const json_t *difference)
{
	char text[SNAPSHOT_DIFFERENCE], label[16];

	snapshot_difference_text(difference, text);
	snprintf(label, sizeof label, "  %s", whose);
	if (*text != '\0')
		view_wrapped(label, INDENT, text);
}

static void
print_point(const struct point *p)
{
	static const struct column columns[] = {{"ROLE", COLUMN_WHOLE}, {"AT", COLUMN_RIGHT}, {"MULTISIG", COLUMN_WHOLE},
	    {"READY", COLUMN_WHOLE}, {"ADDRESS", COLUMN_WHOLE}, {"STAMP", COLUMN_WHOLE}, {"FILE", COLUMN_WHOLE},
	    {"PORT", COLUMN_RIGHT}, {0}};
	struct table *table = table_new(columns);
	json_t *differences[ROLE_COUNT + 1], *common;
	bool compared = false, different = false;

	terminal_colour(stdout, COLOUR_BOLD);
	if (p->attempt > 1)
		say(stdout, "attempt %lld, ", (long long)p->attempt);
	say(stdout, "%s%s", event_type_names[p->type] + strlen("SNAPSHOT_"), p->again ? ", again" : "");
	terminal_colour(stdout, COLOUR_NONE);
	putchar('\n');
	for (int i = 0; i <= ROLE_COUNT; i++) {
		if (p->at[i] != NULL)
			add_wallet(table, p->at[i]);
		differences[i] = changed(p, i);
		compared |= differences[i] != NULL;
		different |= json_object_size(differences[i]) > 0;
	}
	table_print(table);
	common = take_common(differences);
	print_changed("all", common);
	for (int i = 0; i <= ROLE_COUNT; i++) {
		print_changed(i < ROLE_COUNT ? role_name((enum role)i) : "", differences[i]);
		json_decref(differences[i]);
	}
	if (compared && !different)
		puts("  unchanged");
	json_decref(common);
}

static void
print_points(const struct points *points)
{
	for (size_t i = 0; i < points->count; i++) {
		if (i > 0)
			putchar('\n');
		print_point(&points->list[i]);
	}
	if (points->count == 0)
		say(stdout, "there is no snapshot in this trace\n");
}

/* --- the command ------------------------------------------------------------------------ */

static json_t *
point_json(const struct point *p)
{
	json_t *wallets = json_array();

	for (int i = 0; i <= ROLE_COUNT; i++) {
		json_t *difference = changed(p, i);
		if (p->at[i] != NULL)
			json_array_append_new(wallets, json_pack("{s:s, s:f, s:O?, s:O?}", "role", view_role((enum role)i), "t_ms",
			    p->at[i]->t_ms, "snapshot", event_snapshot(p->at[i]), "changed", difference));
		json_decref(difference);
	}
	return json_pack("{s:I, s:s, s:b, s:o}", "attempt", (json_int_t)p->attempt, "point", event_type_names[p->type], "again",
	    p->again, "wallets", wallets);
}

static json_t *
points_json(const struct trace *t, const struct points *points)
{
	json_t *json = view_trace_json(t), *list = json_array();

	for (size_t i = 0; i < points->count; i++)
		json_array_append_new(list, point_json(&points->list[i]));
	json_object_set_new(json, "points", list);
	return json;
}

/* A wallet that is not what it should be. */
static enum exit_status
status_of(const struct trace *t)
{
	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		if (event_is_snapshot(e) && view_mark(e, false) == '!')
			return STATUS_PROBLEMS;
	}
	return STATUS_CLEAN;
}

enum exit_status
snapshots_run(const struct context *context, const struct arguments *arguments)
{
	struct traces traces;
	struct points points = {NULL, 0};
	enum exit_status status = STATUS_UNREADABLE;

	if (!traces_read(context, arguments, &traces)) {
		; /* said */
	} else if (!points_of(&traces.list[0], &points)) {
		complain(context, "out of memory");
	} else {
		status = status_of(&traces.list[0]);
		if (context->json)
			view_json(points_json(&traces.list[0], &points));
		else
			print_points(&points);
	}
	free(points.list);
	traces_free(&traces);
	return status;
}
