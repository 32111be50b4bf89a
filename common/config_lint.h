/*
 * What libconfuse takes silently and we do not: a section that is not closed
 * at the end of the file, a key or section given twice, a string that runs
 * over its line, ${VAR} replaced from the environment. And what it does not
 * keep: on which line a key stands. For config.c only.
 *
 * A walk over the text that knows words, braces, '=' and lines; what a key
 * means is config.c's business, and values are libconfuse's.
 */
#ifndef COMMON_CONFIG_LINT_H
#define COMMON_CONFIG_LINT_H

#include <stdbool.h>
#include <stddef.h>

/* The mistakes found in one file. */
struct config_errors {
	struct config_mistake {
		int line;      /* 0: about the file as a whole */
		size_t number; /* in the order they were found */
		char *text;    /* "KEY: what is wrong", from malloc */
	} *list;
	size_t count;
	bool out_of_memory;
};

void config_errors_add(struct config_errors *errors, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* All of them, ordered by line, each "FILE:LINE: KEY: …\n", from malloc. */
char *config_errors_text(struct config_errors *errors, const char *file);
void config_errors_free(struct config_errors *errors);

enum { LINT_TOP = 0 /* the section that is the file itself */ };

struct lint {
	struct lint_section {
		char *name;  /* as "endpoint"; "" for LINT_TOP */
		char *title; /* or NULL */
		int line;
	} *sections;
	size_t section_count;
	struct lint_key {
		char *name;
		size_t section;
		int line;
	} *keys;
	size_t key_count;
};

/* Walks size bytes of text, which has a NUL behind them, and puts spaces in
 * place of comments: libconfuse miscounts lines after them, and takes them for
 * a token in places. False when the text is so broken that libconfuse must not
 * see it: an unclosed quotation mark leaves its lexer in that state for the
 * next file. Mistakes are in errors either way; lint is to be freed. */
bool lint_walk(char *text, size_t size, struct lint *lint, struct config_errors *errors);
void lint_free(struct lint *lint);

/* Where a key stands in a section; the section's own line when it does not. */
int lint_line(const struct lint *lint, size_t section, const char *key);

/* The first section of this name and title; LINT_TOP when there is none. */
size_t lint_find(const struct lint *lint, const char *name, const char *title);

#endif
