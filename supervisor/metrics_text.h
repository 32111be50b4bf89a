/*
 * Metrics as text: OpenMetrics 1.0, or the older text format of Prometheus
 * (0.0.4), which is all that node_exporter and promtool read. They differ in the
 * names of counters and in UNIT. A family is begun, then its samples are put;
 * families come in any order, each once. Both texts end with "# EOF", so that a
 * reader can tell a whole one.
 */
#ifndef SUPERVISOR_METRICS_TEXT_H
#define SUPERVISOR_METRICS_TEXT_H

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/histogram.h"

enum metrics_format { METRICS_OPENMETRICS, METRICS_PROMETHEUS };
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_SUMMARY, METRIC_HISTOGRAM };

struct metrics_text {
	struct evbuffer *out;
	enum metrics_format format;
	const char *name;         /* of the family under way, a counter's without _total */
	enum metric_type type;
};

/* What a Content-Type says of it. */
const char *metrics_content_type(enum metrics_format format);

/* Begins a family. A name that ends with _seconds or _bytes has that unit. */
void metrics_family(struct metrics_text *text, const char *name, enum metric_type type, const char *help);

/* One sample of the family; label NULL: without one. The first is for counters
 * and gauges; the second for those in seconds, from microseconds; the third puts
 * sum and count of a summary. */
void metrics_put(struct metrics_text *text, const char *label, const char *value, int64_t number);
void metrics_put_seconds(struct metrics_text *text, const char *label, const char *value, uint64_t us);
void metrics_put_summary(struct metrics_text *text, const char *label, const char *value, uint64_t us, uint64_t count);
void metrics_put_histogram(struct metrics_text *text, const char *label, const char *value,
    const struct histogram_bounds *bounds, const struct histogram *histogram);

/* A family of one sample, without a label. */
void metrics_counter(struct metrics_text *text, const char *name, const char *help, uint64_t number);
void metrics_gauge(struct metrics_text *text, const char *name, const char *help, int64_t number);

/* The last line. */
void metrics_end(struct metrics_text *text);

#endif
