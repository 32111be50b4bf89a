/*
 * Text for people, without any terminal: what may be shown of a string that
 * came from elsewhere, its width, and times, ages and sizes in words.
 */
#ifndef MSIGCTL_TEXT_H
#define MSIGCTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_TIME = 48, TEXT_SHORT_ID = 9 };

/* in, in the locale's encoding, with everything that would move the cursor,
 * colour, or turn the direction of writing replaced: control characters as
 * \xNN (newlines too), what the locale cannot show as '?'. Always ends with a NUL; what does
 * not fit is left out. in is UTF-8. */
void text_safe(const char *in, char *out, size_t size);

/* Columns that text takes, as made by text_safe(). */
int text_width(const char *text);

/* Shortens text to at most so many columns. */
void text_cut(char *text, int columns);

/* Milliseconds since the epoch, in the local time zone: "2026-11-21 09:00:00",
 * "09:00:00.123". "-" for 0 or less. */
void text_date(int64_t ms, char *out, size_t size);
void text_clock(int64_t ms, char *out, size_t size);

/* The same in UTC, for machines: "2026-11-21T09:00:00.123Z". */
void text_iso(int64_t ms, char *out, size_t size);

/* A duration in one unit: "12 s", "16 min", "47 h", "3 d". */
void text_rough(int64_t ms, char *out, size_t size);

/* "12 s ago"; "now" for less than a second, or for what is to come;
 * "-" when ms is 0 or less. */
void text_age(int64_t ms, int64_t now_ms, char *out, size_t size);

/* For a line that is drawn anew each second: "1.8 s", from a minute on as
 * duration_format() has it. */
void text_elapsed(int64_t ms, char *out, size_t size);

/* "1.2 MiB" */
void text_size(int64_t bytes, char *out, size_t size);

/* An amount in atomic units as XMR, to the last one: "1.500000000000". "-" for
 * less than 0. */
void text_xmr(int64_t atomic, char *out, size_t size);

/* The first eight characters of an id. */
void text_short_id(const char *id, char out[TEXT_SHORT_ID]);

#endif
