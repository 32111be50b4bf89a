/* See terminal.h. */
#include "msigctl/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const sequences[] = {
	[COLOUR_NONE] = "\033[0m",   [COLOUR_BOLD] = "\033[1m",    [COLOUR_RED] = "\033[31m",
	[COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m", [COLOUR_DIM] = "\033[2m",
};

/* As libsmartcols wants them: escape sequences too. */
const char *
terminal_colour_name(enum colour colour)
{
	return colour == COLOUR_NONE ? NULL : sequences[colour];
}

bool
terminal_is(FILE *stream)
{
	return isatty(fileno(stream)) == 1;
}

bool
terminal_can_redraw(FILE *stream)
{
	const char *term = getenv("TERM");

	return terminal_is(stream) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

bool
terminal_has_colour(FILE *stream)
{
	const char *no_color = getenv("NO_COLOR");

	return terminal_can_redraw(stream) && (no_color == NULL || no_color[0] == '\0');
}

int
terminal_columns(FILE *stream)
{
	struct winsize size;

	if (ioctl(fileno(stream), TIOCGWINSZ, &size) == -1 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

void
terminal_draw_line(const char *text)
{
	fprintf(stderr, "\r%s\033[K", text);
	fflush(stderr);
}

void
terminal_wipe_line(void)
{
	terminal_draw_line("");
}

bool
terminal_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void
terminal_colour(FILE *stream, enum colour colour)
{
	if (terminal_has_colour(stream))
		fputs(sequences[colour], stream);
}
