/*
 * What a worker counts of its calls and copies, and how it tells msigd (NUMBERS
 * in ipc/message.h): all together, now and then, and never a frame for a call.
 * Methods and codes come from tables, so that what a wallet-rpc says makes
 * neither a frame nor the metrics any longer.
 */
#ifndef IPC_NUMBERS_H
#define IPC_NUMBERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/histogram.h"

enum {
	NUMBERS_METHODS = 19,     /* the last is "other" */
	NUMBERS_CODES = 57        /* likewise */
};

/* What became of a call that no JSON-RPC answer came to. */
enum numbers_silence { NUMBERS_DOWN, NUMBERS_REFUSED, NUMBERS_UNKNOWN, NUMBERS_SILENCES };

/* A wallet's .keys: read for the store, or written from it. */
enum numbers_copy { NUMBERS_READ, NUMBERS_WRITTEN, NUMBERS_COPIES };

struct numbers {
	struct histogram calls[NUMBERS_METHODS];  /* with numbers_call_bounds */
	uint64_t errors[NUMBERS_CODES];
	uint64_t silences[NUMBERS_SILENCES];
	struct {
		uint64_t count, bytes, us;
	} copies[NUMBERS_COPIES];
};

extern const struct histogram_bounds numbers_call_bounds;

/* Names as in frames and metrics: "make_multisig", "-28", "unknown", "read". */
const char *numbers_method_name(int method);
void numbers_code_name(int code, char out[16]);
const char *numbers_silence_name(enum numbers_silence silence);
const char *numbers_copy_name(enum numbers_copy copy);

/* The place of a method or of an error's code in the tables. */
int numbers_method(const char *name);
int numbers_code(int64_t code);

void numbers_add_copy(struct numbers *numbers, enum numbers_copy copy, uint64_t bytes, int64_t us);

/* NUMBERS, without what is 0; NULL when nothing was counted. Everything begins
 * at 0 again. */
json_t *numbers_take(struct numbers *numbers);

/* Adds NUMBERS (or NULL: nothing). False: they are none, and nothing was added. */
bool numbers_add(struct numbers *numbers, json_t *json);

#endif
