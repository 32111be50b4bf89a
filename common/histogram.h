/*
 * How often something took how long: counts by upper bound, and the sum. What a
 * Prometheus histogram is made of; times are in microseconds.
 */
#ifndef COMMON_HISTOGRAM_H
#define COMMON_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BOUNDS_MAX = 14 };

/* Upper bounds, rising; what is above the last is in one more bucket. */
struct histogram_bounds {
	int count;
	int64_t us[HISTOGRAM_BOUNDS_MAX];
};

struct histogram {
	uint64_t buckets[HISTOGRAM_BOUNDS_MAX + 1]; /* each for itself, not the sum of those below it */
	uint64_t us;
};

/* One more, of so long (a clock that was set back: of no time). */
void histogram_add(struct histogram *histogram, const struct histogram_bounds *bounds, int64_t us);

/* How many there were. */
uint64_t histogram_count(const struct histogram *histogram);

#endif
