/* "Did you mean": the word of a list that is nearest to what was typed. */
#ifndef COMMON_SUGGEST_H
#define COMMON_SUGGEST_H

#include <stddef.h>

/* How many letters must be put in, left out, replaced or exchanged with their
 * neighbour to make b of a, in any case of letters and with '_' as good as '-'.
 * Words longer than 32 letters are 32 apart from everything. */
int suggest_distance(const char *a, const char *b);

/* One of words, or NULL when none is near: at most a third of its letters
 * differ, or word begins it and is at least two letters long. */
const char *suggest(const char *word, const char *const *words, size_t count);

#endif
