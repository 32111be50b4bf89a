/*
 * JSON-RPC 2.0 over POST /json_rpc: envelope, batches, dispatch. The methods
 * are in api_escrow.c, api_pool.c and api_daemon.c; msigd-api(7) describes them.
 *
 * A method answers each call exactly once, now or later, with api_result() or
 * api_error(). An answer goes out when everything that was written in its turn
 * is durable; if that fails it becomes API_STORE_FAILED, so that nobody is told
 * of a change that did not last. A client that goes away meanwhile costs
 * nothing: its answer is dropped.
 *
 * What may be long (a batch, a list) is done in slices of a few milliseconds,
 * one in a turn of the loop: see api_slice().
 */
#ifndef SUPERVISOR_API_H
#define SUPERVISOR_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/uuid.h"
#include "supervisor/api_error.h"

struct evhttp_request;
struct supervisor;
struct api_exchange;

struct api_call {
	struct supervisor *sv;
	struct api_exchange *exchange;
	json_t *id;               /* NULL: a notification */
	const char *method;
	json_t *params;           /* an object, never NULL */
	pid_t peer_pid;
	uid_t peer_uid;
	size_t place;             /* in a batch */
	json_t *reply;
	void (*look_again)(struct api_call *call); /* of one that only looks; or NULL */
};

void api_serve(struct supervisor *sv, struct evhttp_request *request);

/* Takes the reference to result. The call is freed. */
void api_result(struct api_call *call, json_t *result);
void api_error(struct api_call *call, enum api_error code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* No slice is done any more: the parts of msigd are about to go. */
void api_end(void);

/* --- for the methods ------------------------------------------------------ */

enum api_kind {
	API_LOOKS,   /* changes nothing: it may be done again, if what it saw was undone */
	API_WORKS,   /* likewise, but it begins something */
	API_CHANGES  /* said in the log with the peer's uid and pid */
};

struct api_method {
	const char *name;
	const char *params;       /* the names it takes, space between; "" for none */
	enum api_kind kind;
	void (*serve)(struct api_call *call);
};
extern const struct api_method api_escrow_methods[], api_pool_methods[], api_daemon_methods[];

/* "It is not part of this version." */
void api_not_available(struct api_call *call);

/* get_trace (api_trace.c). */
void api_get_trace(struct api_call *call);

/* Says in the log who asked for it. */
void api_log(const struct api_call *call);

/* Work in slices: step is called again and again, in later turns, until it says
 * API_SLICE_DONE. Works come one after the other, in the order they were given.
 * A slice begins when nothing is written that is not durable; a step that only
 * reads says API_SLICE_WAIT if one before it in the slice wrote. False: out of
 * memory. */
enum api_slice { API_SLICE_MORE, API_SLICE_WAIT, API_SLICE_DONE };
bool api_slice(struct supervisor *sv, enum api_slice (*step)(void *arg), void *arg);

/* Parameters. False: the call was answered with API_INVALID_PARAMS. A missing
 * optional one leaves *value as it is. */
bool api_text(struct api_call *call, const char *name, bool required, size_t max, const char **value);
bool api_integer(struct api_call *call, const char *name, int64_t min, int64_t max, int64_t *value);
bool api_bool(struct api_call *call, const char *name, bool *value);
bool api_uuid(struct api_call *call, const char *name, bool required, char value[UUID_TEXT]);

#endif
