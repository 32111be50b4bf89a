/* See table.h. */
#include "msigctl/table.h"

#include <err.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "msigctl/output.h"
#include "msigctl/text.h"

enum { PROPERTY_NAME_WIDTH = 12, WIDE_TERMINAL = 100 };

struct table {
	const struct column *columns;
	struct libscols_table *table;
	struct libscols_line *line;
};

static void *
must(void *memory)
{
	if (memory == NULL)
		errx(STATUS_REFUSED, "out of memory");
	return memory;
}

struct table *
table_new(const struct column *columns)
{
	int hidden = terminal_is(stdout) && terminal_columns(stdout) < WIDE_TERMINAL ? SCOLS_FL_HIDDEN : 0;
	const int flags[] = {
		[COLUMN_WHOLE] = 0, [COLUMN_RIGHT] = SCOLS_FL_RIGHT, [COLUMN_CUT] = SCOLS_FL_TRUNC,
		[COLUMN_WIDE] = hidden, [COLUMN_WIDE_RIGHT] = hidden | SCOLS_FL_RIGHT,
		[COLUMN_FILLED_RIGHT] = SCOLS_FL_RIGHT,
	};
	struct table *table = must(calloc(1, sizeof *table));

	table->columns = columns;
	table->table = must(scols_new_table());
	scols_table_enable_colors(table->table, terminal_has_colour(stdout));
	scols_table_enable_ascii(table->table, !terminal_utf8());
	scols_table_set_column_separator(table->table, "  ");
	/* text_safe() is stricter than the library about what may be shown */
	scols_table_enable_noencoding(table->table, 1);
	for (; columns->heading != NULL; columns++)
		must(scols_table_new_column(table->table, columns->heading, 0, flags[columns->kind]));
	return table;
}

void
table_no_headings(struct table *table)
{
	scols_table_enable_noheadings(table->table, 1);
}

void
table_line(struct table *table)
{
	table->line = must(scols_table_new_line(table->table, NULL));
}

void
table_cell(struct table *table, size_t column, const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	char *safe = must(malloc(size));

	text_safe(text, safe, size);
	if (scols_line_refer_data(table->line, column, safe) != 0)
		free(safe);
}

void
table_cell_colour(struct table *table, size_t column, const char *text, enum colour colour)
{
	table_cell(table, column, text);
	scols_cell_set_color(scols_line_get_cell(table->line, column), terminal_colour_name(colour));
}

void
table_cell_number(struct table *table, size_t column, long long number)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", number);
	table_cell(table, column, text);
}

static bool
is_empty(const struct table *table, size_t column)
{
	struct libscols_line *line;

	for (size_t i = 0; (line = scols_table_get_line(table->table, i)) != NULL; i++) {
		const char *text = scols_cell_get_data(scols_line_get_cell(line, column));
		if (text != NULL && *text != '\0')
			return false;
	}
	return true;
}

void
table_print(struct table *table)
{
	for (size_t i = 0; table->columns[i].heading != NULL; i++) {
		if (table->columns[i].kind == COLUMN_FILLED_RIGHT && is_empty(table, i))
			scols_column_set_flags(scols_table_get_column(table->table, i), SCOLS_FL_HIDDEN);
	}
	scols_print_table(table->table);
	scols_unref_table(table->table);
	free(table);
}

void
table_of(const struct column *columns, const json_t *list, void (*add)(struct table *table, const json_t *thing))
{
	struct table *table = table_new(columns);
	const json_t *thing;
	size_t i;

	json_array_foreach(list, i, thing) {
		table_line(table);
		add(table, thing);
	}
	table_print(table);
}

void
table_of_named(const struct context *context, const struct column *columns, const json_t *list, const char *key,
    const char *none, void (*add)(struct table *table, const json_t *thing))
{
	const json_t *thing;
	size_t i;

	if (json_array_size(list) == 0) {
		hint(context, "%s", none);
	} else if (context->quiet) {
		json_array_foreach(list, i, thing)
			say(stdout, "%s\n", member_text(thing, key));
	} else {
		table_of(columns, list, add);
	}
}

void
print_property_colour(const char *name, const char *text, enum colour colour)
{
	if (text[0] == '\0')
		return;
	say(stdout, "%-*s", PROPERTY_NAME_WIDTH, name);
	if (text_width(name) >= PROPERTY_NAME_WIDTH)
		putchar(' ');
	if (colour != COLOUR_NONE)
		terminal_colour(stdout, colour);
	say(stdout, "%s", text);
	if (colour != COLOUR_NONE)
		terminal_colour(stdout, COLOUR_NONE);
	putchar('\n');
}

void
print_property(const char *name, const char *text)
{
	print_property_colour(name, text, COLOUR_NONE);
}
