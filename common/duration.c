#include "common/duration.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)
#define LONGEST_MS (10 * 365 * DAY_MS)

static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{"", 1000},
	{"ms", 1},
	{"s", 1000},
	{"m", 60 * 1000},
	{"h", 60 * 60 * 1000},
	{"d", DAY_MS},
};

bool
duration_parse(const char *text, int64_t *ms)
{
	const char *c = text;
	int64_t number = 0;

	for (; isdigit((unsigned char)*c); c++) {
		number = number * 10 + (*c - '0');
		if (number > LONGEST_MS)
			return false;
	}
	if (c == text)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(c, units[i].name) != 0)
			continue;
		if (number > LONGEST_MS / units[i].ms)
			return false;
		*ms = number * units[i].ms;
		return true;
	}
	return false;
}

/* "3 min 20 s", or "3 min" when nothing is over. */
static void
format_two(uint64_t amount, uint64_t per_big, const char *big, const char *small, char *out, size_t size)
{
	if (amount % per_big == 0)
		snprintf(out, size, "%" PRIu64 " %s", amount / per_big, big);
	else
		snprintf(out, size, "%" PRIu64 " %s %" PRIu64 " %s", amount / per_big, big, amount % per_big, small);
}

void
duration_format(int64_t ms, char *out, size_t size)
{
	uint64_t left = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
	uint64_t s = left / 1000;

	if (ms < 0 && size > 1) {
		*out++ = '-';
		size--;
	}
	if (left < 1000)
		snprintf(out, size, "%" PRIu64 " ms", left);
	else if (s < 60 && left % 1000 == 0)
		snprintf(out, size, "%" PRIu64 " s", s);
	else if (s < 60)
		snprintf(out, size, "%" PRIu64 ".%02" PRIu64 " s", s, left % 1000 / 10);
	else if (s < 60 * 60)
		format_two(s, 60, "min", "s", out, size);
	else if (s < 24 * 60 * 60)
		format_two(s / 60, 60, "h", "min", out, size);
	else
		format_two(s / 3600, 24, "d", "h", out, size);
}
