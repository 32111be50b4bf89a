/*
 * Talking to msigd: HTTP on its Unix socket (libcurl), JSON-RPC 2.0 in it.
 * Whatever goes wrong is said here, once, on standard error; callers pass the
 * exit status on.
 */
#ifndef MSIGCTL_CLIENT_H
#define MSIGCTL_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>

#include "msigctl/command.h"

/* How long an answer may take. Cancelling waits for the escrow's worker, which has
 * 30 s to stop, and is then ended by force; closing a session likewise, after the
 * request under way; slow are those that look at wallets and files. */
enum { CLIENT_QUICK_MS = 30 * 1000, CLIENT_CANCEL_MS = 2 * 60 * 1000, CLIENT_SLOW_MS = 15 * 60 * 1000 };

/* Calls a method with named parameters (taken over, also on failure; NULL:
 * out of memory or no valid UTF-8, which is said). STATUS_DONE: *result is the
 * caller's. */
enum exit_status client_call(const struct context *context, const char *method, json_t *params,
    int timeout_ms, json_t **result);

/* Calls a method, as client_call(), and prints its result: with -j as it is, else
 * as show does. arg is for show. */
enum exit_status client_show(const struct context *context, const char *method, json_t *params, int timeout_ms,
    void (*show)(const struct context *context, const json_t *result, const void *arg), const void *arg);

/* While an answer is waited for, tick is called about ten times a second, from
 * now on; NULL: no more. */
void client_on_wait(void (*tick)(void *user), void *user);

/* Whether a call that failed may have reached msigd all the same: what it asked
 * for may have been done. */
bool client_may_have_been_done(void);

/* GET of a path. STATUS_DONE: *text is from malloc. */
enum exit_status client_get(const struct context *context, const char *path, char **text);

/* What the event stream (event_stream.h) needs of it: */

/* A handle set up for this path; NULL: said. */
CURL *client_handle(const struct context *context, const char *path);

/* Lets a transfer go on for at most so many milliseconds, or until something
 * came. True: it has ended, with *code. An interrupt ends the pause, not the
 * transfer. */
bool client_pump(CURLM *multi, int pause_ms, CURLcode *code);

/* Says why a transfer failed, and gives the status for it. */
enum exit_status client_failed(const struct context *context, CURLcode code, int timeout_ms);

/* Says what an answer other than 200 means: body, as long as it is, may be a
 * JSON-RPC error, an error object alone, or anything. */
enum exit_status client_refused(const struct context *context, long http_status, const char *body);

#endif
