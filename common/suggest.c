/* See suggest.h. The distance is the restricted one of Damerau and Levenshtein. */
#include "common/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { LONGEST = 32 };

static int
least(int a, int b)
{
	return a < b ? a : b;
}

static int
folded(char c)
{
	return c == '_' ? '-' : tolower((unsigned char)c);
}

static bool
same(char a, char b)
{
	return folded(a) == folded(b);
}

int
suggest_distance(const char *a, const char *b)
{
	int cost[LONGEST + 1][LONGEST + 1];
	int na = (int)strnlen(a, LONGEST + 1), nb = (int)strnlen(b, LONGEST + 1);

	if (na > LONGEST || nb > LONGEST)
		return LONGEST;
	for (int i = 0; i <= na; i++)
		cost[i][0] = i;
	for (int j = 0; j <= nb; j++)
		cost[0][j] = j;
	for (int i = 1; i <= na; i++) {
		for (int j = 1; j <= nb; j++) {
			int best = cost[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
			best = least(best, cost[i - 1][j] + 1);
			best = least(best, cost[i][j - 1] + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				best = least(best, cost[i - 2][j - 2] + 1);
			cost[i][j] = best;
		}
	}
	return cost[na][nb];
}

const char *
suggest(const char *word, const char *const *words, size_t count)
{
	const char *nearest = NULL;
	int least_distance = LONGEST;

	for (size_t i = 0; i < count; i++) {
		int distance = suggest_distance(word, words[i]);
		int allowed = ((int)strlen(words[i]) + 2) / 3;
		if (strlen(word) >= 2 && strncasecmp(word, words[i], strlen(word)) == 0)
			distance = least(distance, 1);
		if (distance <= allowed && distance < least_distance) {
			nearest = words[i];
			least_distance = distance;
		}
	}
	return nearest;
}
