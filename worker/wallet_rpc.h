/*
 * The JSON-RPC client of monero-wallet-rpc: libcurl's multi interface on the
 * libevent loop, one keep-alive connection for each endpoint, digest login, TLS.
 * Owns the question "was the call carried out?": a request whose body went out
 * and that got no whole answer has an unknown outcome, and no byte of a body is
 * ever sent a second time but after a 401 (MONERO.md, HTTP).
 */
#ifndef WORKER_WALLET_RPC_H
#define WORKER_WALLET_RPC_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct numbers;
struct rpc_client;
struct rpc_endpoint;

enum rpc_outcome {
	RPC_ANSWERED,  /* result */
	RPC_ERROR,     /* the wallet-rpc says no: code and text */
	RPC_DOWN,      /* no connection; nothing was done */
	RPC_REFUSED,   /* login, TLS or HTTP status; nothing was done */
	RPC_UNKNOWN    /* the request went out, and no whole answer came */
};

/* Those codes of an RPC_ERROR that mean something of their own (monero's
 * wallet_rpc_server_error_codes.h). */
enum rpc_code { NO_WALLET_OPEN = -13, WALLET_EXISTS = -21, WRONG_PASSWORD = -22, ALREADY_MULTISIG = -28, NO_ATTRIBUTE = -45 };

enum { RPC_ANSWER_MAX = 1024 * 1024, RPC_WHY_MAX = 256 };

struct rpc_result {
	enum rpc_outcome outcome;
	json_t *result;          /* with RPC_ANSWERED; borrowed */
	int code;                /* with RPC_ERROR */
	char why[RPC_WHY_MAX];   /* for people, cleaned of what may be secret; "" with RPC_ANSWERED */
	int64_t duration_ms;
};

typedef void (*rpc_fn)(const struct rpc_result *result, void *arg);

/* Every call is counted in numbers, unless that is NULL. NULL: out of memory. */
struct rpc_client *rpc_client_new(struct event_base *base, struct numbers *numbers);
void rpc_client_free(struct rpc_client *client);

/* url: normalised; login "user:password" or NULL; ca_file or NULL. */
struct rpc_endpoint *rpc_endpoint_new(struct rpc_client *client, const char *url, const char *login,
    const char *ca_file);
/* A call under way is given up; fn is not called. */
void rpc_endpoint_free(struct rpc_endpoint *endpoint);

/* Calls; one at a time for each endpoint. Takes the reference to params (NULL:
 * none). fn is called later, never from here. False: out of memory. */
bool rpc_call(struct rpc_endpoint *endpoint, const char *method, json_t *params, int64_t timeout_ms,
    rpc_fn fn, void *arg);

/* Whether a call is under way that may have been carried out. */
bool rpc_was_sent(const struct rpc_endpoint *endpoint);

/* Counts a call under way that is about to be given up. */
void rpc_count_given_up(struct rpc_endpoint *endpoint);

/* Copies text that came from a wallet-rpc for people to read: control
 * characters go, and so does every long run of letters and digits, which might
 * be a message, key or seed. */
void rpc_clean_text(const char *text, char *out, size_t size);

#endif
