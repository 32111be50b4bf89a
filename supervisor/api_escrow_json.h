/* An escrow as the API shows it: what its rows say, and what it waits for now. */
#ifndef SUPERVISOR_API_ESCROW_JSON_H
#define SUPERVISOR_API_ESCROW_JSON_H

#include <jansson.h>

struct api_call;
struct store_escrow;
struct supervisor;

/* A new object, the caller's. */
json_t *api_escrow_json(struct supervisor *sv, const struct store_escrow *e);

/* Answers with the escrow as it is now, or that there is none. */
void api_answer_escrow(struct api_call *call, const char *escrow_id);

#endif
