/* A folder of traces, and what is in the files of one escrow: for the tests of
 * the file and of those who hold it. */
#ifndef TESTS_UNIT_TRACE_FILES_H
#define TESTS_UNIT_TRACE_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "tests/unit/folder.h"

#define ESCROW "123e4567-e89b-42d3-a456-426614174000"

static char lines[128], whole[128];

static inline int
make_trace_folder(void **state)
{
	if (make_folder(state) == -1)
		return -1;
	snprintf(lines, sizeof lines, "%s/escrow_%s.jsonl", folder, ESCROW);
	snprintf(whole, sizeof whole, "%s/escrow_%s.json", folder, ESCROW);
	return 0;
}

/* Without its NUL behind it the text would not end. */
static inline char *
text_of(const char *path)
{
	static char text[64 * 1024];
	size_t size;
	unsigned char *data = atomic_file_read(path, sizeof text - 1, &size);

	assert_non_null(data);
	memcpy(text, data, size + 1);
	free(data);
	return text;
}

/* The names of the events, with seq 1, 2, …, comma between. */
static inline void
assert_events(const char *path, const char *names)
{
	json_error_t error;
	json_t *document = json_load_file(path, 0, &error), *events = json_object_get(document, "events"), *event;
	char found[1024] = "";
	size_t i;

	assert_non_null(document);
	assert_string_equal(json_string_value(json_object_get(document, "escrow_id")), ESCROW);
	json_array_foreach(events, i, event) {
		assert_int_equal(json_integer_value(json_object_get(event, "seq")), (int)i + 1);
		snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i > 0 ? "," : "",
		    json_string_value(json_object_get(event, "name")));
	}
	assert_string_equal(found, names);
	json_decref(document);
}

static inline bool
there(const char *path)
{
	return access(path, F_OK) == 0;
}

#endif
