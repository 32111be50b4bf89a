/* See output.h. */
#include "msigctl/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "msigctl/terminal.h"
#include "msigctl/text.h"

static void
say_list(FILE *stream, const char *format, va_list list)
{
	char *text, *safe;
	size_t length = strlen(format), size;
	bool line = length > 0 && format[length - 1] == '\n';

	if (vasprintf(&text, format, list) == -1)
		return;
	length = strlen(text);
	if (line)
		text[length - 1] = '\0';
	size = 4 * length + 1; /* \xNN is the longest that a byte becomes */
	safe = malloc(size);
	if (safe != NULL) {
		text_safe(text, safe, size);
		fputs(safe, stream);
		fputs(line ? "\n" : "", stream);
	}
	free(safe);
	free(text);
}

void
say(FILE *stream, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_list(stream, format, list);
	va_end(list);
}

void
complain(const struct context *context, const char *format, ...)
{
	va_list list;

	fflush(stdout); /* so that the two come in order on a terminal */
	say(stderr, context->command != NULL ? "%s: %s: " : "%s: ", program_invocation_short_name, context->command);
	va_start(list, format);
	say_list(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

void
hint(const struct context *context, const char *format, ...)
{
	va_list list;

	if (context->quiet || context->json || !terminal_is(stderr))
		return;
	fflush(stdout);
	terminal_colour(stderr, COLOUR_DIM);
	va_start(list, format);
	say_list(stderr, format, list);
	va_end(list);
	terminal_colour(stderr, COLOUR_NONE);
	fputc('\n', stderr);
}

void
say_json(const json_t *document)
{
	json_dumpf(document, stdout, JSON_ENCODE_ANY | (terminal_is(stdout) ? JSON_INDENT(2) : 0));
	putchar('\n');
}

void
say_json_line(const json_t *document)
{
	json_dumpf(document, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
}

bool
output_finish(const struct context *context)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	complain(context, "standard output: %s", strerror(errno));
	return false;
}

const char *
member_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

int64_t
member_int(const json_t *object, const char *name, int64_t missing)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : missing;
}

bool
member_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}
