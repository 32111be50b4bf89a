/*
 * What msigctl says: results on standard output, messages and hints on
 * standard error. Everything but JSON goes through text_safe(), so nothing
 * that came from msigd can command the terminal.
 */
#ifndef MSIGCTL_OUTPUT_H
#define MSIGCTL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "msigctl/command.h"

/* Prints, as printf(3), at most one line: a newline is one only at the end of
 * format. */
void say(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "msigctl: open: MESSAGE" and a newline to standard error. */
void complain(const struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A remark for the person at the terminal: nothing with -q or -j, or when
 * standard error is no terminal. */
void hint(const struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One JSON document and a newline to standard output: indented on a terminal,
 * on one line elsewhere. */
void say_json(const json_t *document);

/* JSON on one line, whatever standard output is; flushed. */
void say_json_line(const json_t *document);

/* Flushes standard output. False: it could not be written, which has been said. */
bool output_finish(const struct context *context);

/* Members of an object that came from msigd: "" or the value given for what is
 * missing, null or of another type. */
const char *member_text(const json_t *object, const char *name);
int64_t member_int(const json_t *object, const char *name, int64_t missing);
bool member_true(const json_t *object, const char *name);

#endif
