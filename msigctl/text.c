/* See text.h. */
#include "msigctl/text.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "common/duration.h"

static const int64_t ATOMIC_OF_XMR = 1000000000000;

/* Characters that turn the direction of writing, or are invisible: a label
 * could show another address than it has. */
static bool
is_deceiving(unsigned long c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe0fff);
}

/* One character of UTF-8; returns its bytes, 0 when it is malformed. */
static size_t
decode(const unsigned char *in, unsigned long *c)
{
	size_t length = in[0] < 0x80 ? 1 : in[0] >= 0xf0 ? 4 : in[0] >= 0xe0 ? 3 : in[0] >= 0xc2 ? 2 : 0;

	if (length == 0 || in[0] > 0xf4)
		return 0;
	*c = length == 1 ? in[0] : in[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((in[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (in[i] & 0x3f);
	}
	return length;
}

/* How one character of UTF-8 is shown; returns the bytes taken from in. */
static size_t
show_one(const unsigned char *in, bool utf8, char piece[8])
{
	unsigned long c = in[0];
	size_t length = decode(in, &c);

	if (length == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
		snprintf(piece, 8, "\\x%02lx", length == 0 ? in[0] : c);
		return length == 0 ? 1 : length;
	}
	if (c < 0x80 || (utf8 && !is_deceiving(c) && wcwidth((wchar_t)c) >= 0)) {
		memcpy(piece, in, length);
		piece[length] = '\0';
	} else {
		strcpy(piece, "?");
	}
	return length;
}

void
text_safe(const char *in, char *out, size_t size)
{
	bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	size_t have = 0;
	char piece[8];

	while (*in != '\0') {
		size_t taken = show_one((const unsigned char *)in, utf8, piece);
		size_t length = strlen(piece);
		if (have + length + 1 > size)
			break;
		memcpy(out + have, piece, length);
		have += length;
		in += taken;
	}
	out[have] = '\0';
}

/* Columns of the character at text, its bytes in *length. */
static int
width_one(const char *text, size_t *length)
{
	mbstate_t state = {0};
	wchar_t c;
	size_t n = mbrtowc(&c, text, strlen(text), &state);
	int width;

	if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
		*length = 1;
		return 1;
	}
	*length = n;
	width = wcwidth(c);
	return width < 0 ? 1 : width;
}

int
text_width(const char *text)
{
	int columns = 0;
	size_t length;

	for (; *text != '\0'; text += length)
		columns += width_one(text, &length);
	return columns;
}

void
text_cut(char *text, int columns)
{
	size_t length;

	for (; *text != '\0'; text += length) {
		columns -= width_one(text, &length);
		if (columns < 0) {
			*text = '\0';
			return;
		}
	}
}

static void
format_time(int64_t ms, const char *format, char *out, size_t size)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (ms <= 0 || localtime_r(&seconds, &tm) == NULL || strftime(out, size, format, &tm) == 0)
		snprintf(out, size, "-");
}

void
text_date(int64_t ms, char *out, size_t size)
{
	format_time(ms, "%Y-%m-%d %H:%M:%S", out, size);
}

void
text_clock(int64_t ms, char *out, size_t size)
{
	char seconds[16];

	format_time(ms, "%H:%M:%S", seconds, sizeof seconds);
	snprintf(out, size, ms > 0 ? "%s.%03d" : "%s", seconds, (int)(ms % 1000));
}

void
text_iso(int64_t ms, char *out, size_t size)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char date[32];

	if (ms <= 0 || gmtime_r(&seconds, &tm) == NULL ||
	    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		snprintf(out, size, "-");
	else
		snprintf(out, size, "%s.%03dZ", date, (int)(ms % 1000));
}

void
text_rough(int64_t ms, char *out, size_t size)
{
	int64_t s = ms < 0 ? 0 : ms / 1000;

	if (s < 60)
		snprintf(out, size, "%d s", (int)s);
	else if (s < 60 * 60)
		snprintf(out, size, "%d min", (int)(s / 60));
	else if (s < 48 * 60 * 60)
		snprintf(out, size, "%d h", (int)(s / 3600));
	else
		snprintf(out, size, "%lld d", (long long)(s / 86400));
}

void
text_age(int64_t ms, int64_t now_ms, char *out, size_t size)
{
	char age[TEXT_TIME];

	if (ms <= 0 || now_ms - ms < 1000) {
		snprintf(out, size, ms <= 0 ? "-" : "now");
		return;
	}
	text_rough(now_ms - ms, age, sizeof age);
	snprintf(out, size, "%s ago", age);
}

void
text_elapsed(int64_t ms, char *out, size_t size)
{
	if (ms < 60000)
		snprintf(out, size, "%d.%d s", (int)(ms / 1000), (int)(ms % 1000 / 100));
	else
		duration_format(ms / 1000 * 1000, out, size);
}

void
text_size(int64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double amount = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(out, size, "%d bytes", (int)bytes);
		return;
	}
	while (amount >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		amount /= 1024;
		unit++;
	}
	snprintf(out, size, "%.1f %s", amount, units[unit]);
}

void
text_xmr(int64_t atomic, char *out, size_t size)
{
	if (atomic < 0)
		snprintf(out, size, "-");
	else
		snprintf(out, size, "%lld.%012lld", (long long)(atomic / ATOMIC_OF_XMR), (long long)(atomic % ATOMIC_OF_XMR));
}

void
text_short_id(const char *id, char out[TEXT_SHORT_ID])
{
	snprintf(out, TEXT_SHORT_ID, "%.8s", id);
}
