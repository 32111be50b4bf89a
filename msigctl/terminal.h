/*
 * What is known of the terminals behind standard output and standard error:
 * whether there is one, how wide, colours, glyphs. Colours only on a terminal
 * that is not "dumb", and not with NO_COLOR in the environment.
 */
#ifndef MSIGCTL_TERMINAL_H
#define MSIGCTL_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_DIM };

/* Whether the stream is a terminal. */
bool terminal_is(FILE *stream);

/* Whether a line on it can be drawn anew: a terminal, and not a dumb one. */
bool terminal_can_redraw(FILE *stream);
bool terminal_has_colour(FILE *stream);

/* Its columns now; 80 when nobody knows. */
int terminal_columns(FILE *stream);

/* A line on standard error that is drawn anew again and again, without its
 * newline; and its end, which leaves nothing of it. Only where
 * terminal_can_redraw(). */
void terminal_draw_line(const char *text);
void terminal_wipe_line(void);

/* Whether the locale's encoding is UTF-8. */
bool terminal_utf8(void);

/* Switches the colour of what follows; nothing on what has none. */
void terminal_colour(FILE *stream, enum colour colour);

/* The colour's name for libsmartcols; NULL for COLOUR_NONE. */
const char *terminal_colour_name(enum colour colour);

#endif
