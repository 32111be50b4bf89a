#include "supervisor/metrics_text.h"

#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {"counter", "gauge", "summary", "histogram"};

const char *
metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	    : "text/plain; version=0.0.4; charset=utf-8";
}

/* --- families ------------------------------------------------------------- */

/* As both formats write it in a label's value; in HELP the older one leaves a
 * quote as it is. */
static void
put_escaped(struct metrics_text *t, const char *text, bool quotes)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			evbuffer_add(t->out, "\\n", 2);
		else if (*text == '\\' || (*text == '"' && quotes))
			evbuffer_add_printf(t->out, "\\%c", *text);
		else
			evbuffer_add(t->out, text, 1);
	}
}

/* OpenMetrics names a family of counters without what their samples end with. */
static const char *
family_suffix(const struct metrics_text *t)
{
	return t->type == METRIC_COUNTER && t->format == METRICS_PROMETHEUS ? "_total" : "";
}

static const char *
unit_of(const char *name)
{
	static const char *const units[] = {"seconds", "bytes"};
	const char *last = strrchr(name, '_');

	for (size_t i = 0; last != NULL && i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(last + 1, units[i]) == 0)
			return units[i];
	}
	return NULL;
}

void
metrics_family(struct metrics_text *t, const char *name, enum metric_type type, const char *help)
{
	const char *unit = unit_of(name);

	t->name = name;
	t->type = type;
	evbuffer_add_printf(t->out, "# TYPE %s%s %s\n", name, family_suffix(t), type_names[type]);
	if (unit != NULL && t->format == METRICS_OPENMETRICS)
		evbuffer_add_printf(t->out, "# UNIT %s %s\n", name, unit);
	evbuffer_add_printf(t->out, "# HELP %s%s ", name, family_suffix(t));
	put_escaped(t, help, t->format == METRICS_OPENMETRICS);
	evbuffer_add(t->out, "\n", 1);
}

/* --- samples -------------------------------------------------------------- */

/* Everything before the number; le: a bucket's bound, or NULL. */
static void
put_name(struct metrics_text *t, const char *suffix, const char *label, const char *value, const char *le)
{
	evbuffer_add_printf(t->out, "%s%s", t->name, suffix);
	if (label != NULL) {
		evbuffer_add_printf(t->out, "{%s=\"", label);
		put_escaped(t, value, true);
		evbuffer_add(t->out, "\"", 1);
	}
	if (le != NULL)
		evbuffer_add_printf(t->out, "%sle=\"%s\"", label != NULL ? "," : "{", le);
	evbuffer_add_printf(t->out, "%s ", label != NULL || le != NULL ? "}" : "");
}

static void
put_us(struct metrics_text *t, uint64_t us)
{
	evbuffer_add_printf(t->out, "%llu.%06llu\n", (unsigned long long)us / 1000000, (unsigned long long)us % 1000000);
}

static const char *
total_suffix(const struct metrics_text *t)
{
	return t->type == METRIC_COUNTER ? "_total" : "";
}

void
metrics_put(struct metrics_text *t, const char *label, const char *value, int64_t number)
{
	put_name(t, total_suffix(t), label, value, NULL);
	evbuffer_add_printf(t->out, "%lld\n", (long long)number);
}

void
metrics_put_seconds(struct metrics_text *t, const char *label, const char *value, uint64_t us)
{
	put_name(t, total_suffix(t), label, value, NULL);
	put_us(t, us);
}

void
metrics_put_summary(struct metrics_text *t, const char *label, const char *value, uint64_t us, uint64_t count)
{
	put_name(t, "_sum", label, value, NULL);
	put_us(t, us);
	put_name(t, "_count", label, value, NULL);
	evbuffer_add_printf(t->out, "%llu\n", (unsigned long long)count);
}

/* A bound in seconds, as OpenMetrics wants it: "0.005", "1.0". */
static void
bound_text(int64_t us, char *out, size_t size)
{
	int length = snprintf(out, size, "%lld.%06lld", (long long)(us / 1000000), (long long)(us % 1000000));

	while (length > 2 && out[length - 1] == '0' && out[length - 2] != '.')
		out[--length] = '\0';
}

void
metrics_put_histogram(struct metrics_text *t, const char *label, const char *value,
    const struct histogram_bounds *bounds, const struct histogram *h)
{
	unsigned long long below = 0;
	char le[32];

	for (int i = 0; i < bounds->count; i++) {
		below += h->buckets[i];
		bound_text(bounds->us[i], le, sizeof le);
		put_name(t, "_bucket", label, value, le);
		evbuffer_add_printf(t->out, "%llu\n", below);
	}
	put_name(t, "_bucket", label, value, "+Inf");
	evbuffer_add_printf(t->out, "%llu\n", below + h->buckets[bounds->count]);
	metrics_put_summary(t, label, value, h->us, below + h->buckets[bounds->count]);
}

/* --- short for ------------------------------------------------------------ */

void
metrics_counter(struct metrics_text *t, const char *name, const char *help, uint64_t number)
{
	metrics_family(t, name, METRIC_COUNTER, help);
	metrics_put(t, NULL, NULL, (int64_t)number);
}

void
metrics_gauge(struct metrics_text *t, const char *name, const char *help, int64_t number)
{
	metrics_family(t, name, METRIC_GAUGE, help);
	metrics_put(t, NULL, NULL, number);
}

void
metrics_end(struct metrics_text *t)
{
	evbuffer_add_printf(t->out, "# EOF\n");
}
