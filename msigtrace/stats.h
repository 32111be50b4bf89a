/* Numbers over many calls, waits and copies. */
#ifndef MSIGTRACE_STATS_H
#define MSIGTRACE_STATS_H

#include "msigtrace/calls.h"

/* Values of one kind, under a name. */
struct series {
	char name[96];
	double *values; /* ascending once series_sort() has seen them */
	size_t count, room;
	size_t seen;    /* also those without a value */
	size_t errors;
};

struct table_of_series {
	struct series *list; /* in the order in which they came up */
	size_t count, room;
	bool failed;         /* out of memory */
};

/* Adds to the series of that name; a value below 0 is none. */
void series_add(struct table_of_series *table, const char *name, double value, bool error);
/* By name, and each one's values. */
void series_sort(struct table_of_series *table);
void series_free(struct table_of_series *table);

/* The value that so many percent are not above (nearest rank); of sorted ones. -1: none. */
double series_percentile(const struct series *series, unsigned percent);

/* The ends of calls that took more than three times as long as half of those with
 * their method, and at least 100 ms; list has room for all. False: out of memory. */
bool stats_slow(const struct calls *calls, const struct event **list, size_t *count);

#endif
