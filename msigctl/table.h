/*
 * Tables for people, by libsmartcols: widths, UTF-8, and what is cut when the
 * terminal is narrow. Elsewhere than on a terminal nothing is cut.
 */
#ifndef MSIGCTL_TABLE_H
#define MSIGCTL_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "msigctl/command.h"
#include "msigctl/terminal.h"

enum column_kind {
	COLUMN_WHOLE,
	COLUMN_RIGHT,
	COLUMN_CUT,  /* may be shortened */
	COLUMN_WIDE, /* left out on a terminal of less than 100 columns */
	COLUMN_WIDE_RIGHT,
	COLUMN_FILLED_RIGHT, /* left out when every cell of it is empty */
};

/* A list of these, ended by heading NULL. */
struct column {
	const char *heading;
	enum column_kind kind;
};

struct table;

/* Never NULL: ends the program when out of memory, as the others here do. columns is
 * borrowed until the table is printed. */
struct table *table_new(const struct column *columns);

/* The headings are not printed. */
void table_no_headings(struct table *table);

/* A new line; cells are set in it by table_cell(), in any order. */
void table_line(struct table *table);
void table_cell(struct table *table, size_t column, const char *text);
void table_cell_colour(struct table *table, size_t column, const char *text, enum colour colour);
void table_cell_number(struct table *table, size_t column, long long number);

/* Prints to standard output and frees it. */
void table_print(struct table *table);

/* Prints a table with a line for each thing in list; add sets its cells. */
void table_of(const struct column *columns, const json_t *list, void (*add)(struct table *table, const json_t *thing));

/* The same for what a command lists: with -q only the things' names, which are in
 * their member key; a hint when there are none. */
void table_of_named(const struct context *context, const struct column *columns, const json_t *list, const char *key,
    const char *none, void (*add)(struct table *table, const json_t *thing));

/* "name        text", the name in a column of its own: for one thing with many
 * properties. Nothing is printed when text is "". */
void print_property(const char *name, const char *text);
void print_property_colour(const char *name, const char *text, enum colour colour);

#endif
