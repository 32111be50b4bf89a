/* Durations as people write them: "500ms", "10s", "10m", "2h", "7d"; a bare
 * number is seconds. */
#ifndef COMMON_DURATION_H
#define COMMON_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DURATION_RULE "a duration is a whole number with ms, s, m, h or d behind it, as 500ms, 10s or 2h; a bare number is seconds"

/* Milliseconds. False, and *ms untouched, when text is no duration or longer
 * than 10 years. */
bool duration_parse(const char *text, int64_t *ms);

/* For people: "870 ms", "1.24 s", "3 min 20 s", "2 h 5 min". */
void duration_format(int64_t ms, char *out, size_t size);

#endif
