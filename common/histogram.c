#include "common/histogram.h"

void
histogram_add(struct histogram *h, const struct histogram_bounds *bounds, int64_t us)
{
	int i = 0;

	if (us < 0)
		us = 0;
	while (i < bounds->count && us > bounds->us[i])
		i++;
	h->buckets[i]++;
	h->us += (uint64_t)us;
}

uint64_t
histogram_count(const struct histogram *h)
{
	uint64_t count = 0;

	for (int i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
		count += h->buckets[i];
	return count;
}
