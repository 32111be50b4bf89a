/*
 * libFuzzer on msigtrace's reader, and on what works with what it reads: calls,
 * every rule, both exports. The first byte says how many traces the rest is: several
 * are asked for each other's events. make check-fuzz
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigtrace/export.h"
#include "msigtrace/view.h"

enum { TRACES_MAX = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look_at(const struct trace *traces, size_t count)
{
	static FILE *nowhere;
	struct diagnosis d;
	char *text;
	json_t *json;

	if (nowhere == NULL)
		nowhere = fopen("/dev/null", "w");
	if (diagnose(&d, traces, count)) {
		export_html(nowhere, &d);
		json = export_chrome(&d);
		/* what cannot be written is no JSON */
		text = json_dumps(json, JSON_ENSURE_ASCII);
		if (text == NULL)
			abort();
		free(text);
		json_decref(json);
	}
	diagnosis_free(&d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace traces[TRACES_MAX];
	size_t count = 0, parts = size > 0 ? 1 + data[0] % TRACES_MAX : 1;
	char why[TRACE_WHY_MAX];

	if (size > 0) {
		data++;
		size--;
	}
	for (size_t i = 0; i < parts; i++) {
		const char *from = (const char *)data + size / parts * i;
		size_t length = i + 1 == parts ? size - size / parts * i : size / parts;
		if (trace_read(&traces[count], "fuzz", from, length, why))
			count++;
	}
	look_at(traces, count);
	for (size_t i = 0; i < count; i++)
		trace_free(&traces[i]);
	return 0;
}
