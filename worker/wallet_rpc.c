#include "worker/wallet_rpc.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "ipc/numbers.h"

enum {
	HTTP_OK = 200,
	HTTP_UNAUTHORIZED = 401,
	CONNECT_TIMEOUT_MS = 10000,
	TLS_TIMEOUT_MS = 60000, /* connecting and handshake, for which a wallet-rpc that is busy has no time */
	REFUSALS_MAX = 2,       /* a login refused more often with a body is not accepted later */
	ANSWER_FIRST = 4096,    /* most answers are shorter */
	SECRET_RUN = 40         /* so many letters and digits in a row are no word */
};

struct rpc_client {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct numbers *numbers; /* or NULL */
	unsigned long last_id;
};

/* One call under way. */
struct exchange {
	char *body;
	size_t size;
	bool body_out;          /* some of it went out, since the last refused login */
	int status;             /* of the last status line seen since a byte of the body went out; 0: none */
	int refusals;           /* how often a login was refused with a body */
	char *answer;
	size_t answer_size, answer_room;
	bool too_long;
	char id[24];
	int method;             /* as numbers_method() has it */
	int64_t began_us;       /* monotonic */
	rpc_fn fn;
	void *arg;
};

struct rpc_endpoint {
	struct rpc_client *client;
	CURL *easy;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	struct exchange *exchange; /* NULL: idle */
};

/* --- text for people ------------------------------------------------------ */

void
rpc_clean_text(const char *text, char *out, size_t size)
{
	size_t n = 0;

	while (*text != '\0' && n + 1 < size) {
		size_t run = 0;
		while (isalnum((unsigned char)text[run]))
			run++;
		if (run >= SECRET_RUN) {
			n += (size_t)snprintf(out + n, size - n, "(%zu characters left out)", run);
			if (n >= size)
				n = size - 1;
			text += run;
			continue;
		}
		if (run == 0)
			run = 1;
		for (; run > 0 && n + 1 < size; run--, text++)
			out[n++] = isprint((unsigned char)*text) ? *text : ' ';
	}
	out[n] = '\0';
}

/* --- what libcurl asks while a call is under way -------------------------- */

/* Nothing of the body is on its way, or all that was has been refused for its
 * login, and so was not carried out. */
static bool
nothing_can_happen(const struct exchange *x)
{
	return !x->body_out || x->status == HTTP_UNAUTHORIZED;
}

/* Told of every byte, after it went out: so it is known of each request whether
 * its body did. The first request of a login has none. */
static int
on_sent(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
	struct exchange *x = ((struct rpc_endpoint *)arg)->exchange;

	(void)easy;
	(void)data;
	if (type == CURLINFO_DATA_OUT && size > 0 && x != NULL) {
		x->body_out = true;
		x->status = 0; /* a 401 from before says nothing about this body */
	}
	return 0;
}

/* Before every request, also those that libcurl makes by itself: after a 401,
 * and once more when a kept connection turns out to be dead. The body may go
 * out again only when nothing can come of the first one. */
static int
on_request(void *arg, char *peer, char *self, int peer_port, int self_port)
{
	struct exchange *x = ((struct rpc_endpoint *)arg)->exchange;

	(void)peer, (void)self, (void)peer_port, (void)self_port;
	if (!nothing_can_happen(x) || (x->body_out && ++x->refusals > REFUSALS_MAX))
		return CURL_PREREQFUNC_ABORT;
	x->body_out = false;
	return CURL_PREREQFUNC_OK;
}

/* A second connection once the body went out would be a silent re-send. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct exchange *x = ((struct rpc_endpoint *)arg)->exchange;

	(void)purpose;
	if (x == NULL || !nothing_can_happen(x))
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t
on_header(char *line, size_t size, size_t count, void *arg)
{
	struct exchange *x = ((struct rpc_endpoint *)arg)->exchange;
	size_t n = size * count;

	if (n > 9 && memcmp(line, "HTTP/", 5) == 0) {
		const char *space = memchr(line, ' ', n);
		x->status = space != NULL ? atoi(space + 1) : 0;
		/* the answer to a refused login is not the answer */
		x->answer_size = 0;
	}
	return n;
}

/* Not by realloc, which leaves copies behind: an answer may be a seed. */
static bool
make_room(struct exchange *x, size_t needed)
{
	size_t room = x->answer_room > 0 ? x->answer_room : ANSWER_FIRST;
	char *bigger;

	if (needed <= x->answer_room)
		return true;
	while (room < needed)
		room *= 2;
	bigger = malloc(room);
	if (bigger == NULL)
		return false;
	if (x->answer != NULL) {
		memcpy(bigger, x->answer, x->answer_size);
		explicit_bzero(x->answer, x->answer_room);
		free(x->answer);
	}
	x->answer = bigger;
	x->answer_room = room;
	return true;
}

static size_t
on_receive(char *data, size_t size, size_t count, void *arg)
{
	struct exchange *x = ((struct rpc_endpoint *)arg)->exchange;
	size_t n = size * count;

	x->too_long = x->answer_size + n > RPC_ANSWER_MAX;
	if (x->too_long || !make_room(x, x->answer_size + n))
		return 0;
	memcpy(x->answer + x->answer_size, data, n);
	x->answer_size += n;
	return n;
}

/* --- the end of a call ---------------------------------------------------- */

static void
exchange_free(struct exchange *x)
{
	explicit_bzero(x->body, x->size);
	free(x->body);
	if (x->answer != NULL)
		explicit_bzero(x->answer, x->answer_room);
	free(x->answer);
	free(x);
}

static enum rpc_outcome
give_reason(struct rpc_result *r, enum rpc_outcome outcome, const char *format, const char *detail)
{
	char clean[160];

	rpc_clean_text(detail, clean, sizeof clean);
	snprintf(r->why, sizeof r->why, format, clean);
	return outcome;
}

/* Only a refusal by the server itself says that nothing was done. */
static enum rpc_outcome
judge_status(struct exchange *x, struct rpc_result *r)
{
	char status[16];

	snprintf(status, sizeof status, "%d", x->status);
	if (x->status == HTTP_UNAUTHORIZED)
		return give_reason(r, RPC_REFUSED, "the login was refused (HTTP %s): look at login-file", status);
	if (x->status >= 300 && x->status < 500)
		return give_reason(r, RPC_REFUSED, "HTTP %s: is this a monero-wallet-rpc?", status);
	return give_reason(r, RPC_UNKNOWN, "HTTP %s; its outcome is unknown", status);
}

/* No answer, or not a whole one. */
static enum rpc_outcome
judge_failure(struct rpc_endpoint *ep, struct exchange *x, CURLcode code, struct rpc_result *r)
{
	const char *detail = ep->error[0] != '\0' ? ep->error : curl_easy_strerror(code);

	if (x->too_long)
		return give_reason(r, RPC_UNKNOWN, "the answer is longer than 1 MiB%s; its outcome is unknown", "");
	if (x->body_out && x->status == HTTP_UNAUTHORIZED)
		return judge_status(x, r);
	if (x->body_out && code == CURLE_OPERATION_TIMEDOUT)
		return give_reason(r, RPC_UNKNOWN, "no answer in time%s; its outcome is unknown", "");
	/* what libcurl could not do was to send it again: on_open_socket() or on_request() forbade it */
	if (x->body_out && (code == CURLE_COULDNT_CONNECT || code == CURLE_ABORTED_BY_CALLBACK))
		return give_reason(r, RPC_UNKNOWN, "the connection was lost after the request went out%s; "
		    "its outcome is unknown", "");
	if (x->body_out)
		return give_reason(r, RPC_UNKNOWN, "the connection was lost after the request went out (%s); "
		    "its outcome is unknown", detail);
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return give_reason(r, RPC_REFUSED, "TLS: %s: look at ca-file and at the certificate", detail);
	case CURLE_LOGIN_DENIED:
		return give_reason(r, RPC_REFUSED, "login: %s: look at login-file", detail);
	default:
		return give_reason(r, RPC_DOWN, "%s", detail);
	}
}

static enum rpc_outcome
judge_error(json_t *error, struct rpc_result *r)
{
	const char *text = json_string_value(json_object_get(error, "message"));
	char clean[160];

	r->code = (int)json_integer_value(json_object_get(error, "code"));
	rpc_clean_text(text != NULL && *text != '\0' ? text : "an error without a text", clean, sizeof clean);
	snprintf(r->why, sizeof r->why, "%s (%d)", clean, r->code);
	return RPC_ERROR;
}

/* *document keeps what r->result borrows. */
static enum rpc_outcome
judge_answer(struct exchange *x, struct rpc_result *r, json_t **document)
{
	const char *id;
	json_t *error;
	bool mine;

	*document = NULL;
	if (x->status != HTTP_OK)
		return judge_status(x, r);
	*document = x->answer_size > 0 ? json_loadb(x->answer, x->answer_size, 0, NULL) : NULL;
	id = json_string_value(json_object_get(*document, "id"));
	mine = id != NULL && strcmp(id, x->id) == 0;
	error = json_object_get(*document, "error");
	r->result = json_object_get(*document, "result");
	if (*document == NULL || (r->result == NULL && error == NULL))
		return give_reason(r, RPC_UNKNOWN, "the answer is cut off or no JSON-RPC%s; its outcome is unknown", "");
	/* an error may come without an id: then it is about the request as a whole */
	if (!mine && (error == NULL || id != NULL))
		return give_reason(r, RPC_UNKNOWN, "the answer belongs to another call%s; its outcome is unknown", "");
	return error != NULL ? judge_error(error, r) : RPC_ANSWERED;
}

static void
count(struct rpc_client *client, const struct exchange *x, int64_t us, enum rpc_outcome outcome, int code)
{
	struct numbers *n = client->numbers;

	if (n == NULL)
		return;
	histogram_add(&n->calls[x->method], &numbers_call_bounds, us);
	switch (outcome) {
	case RPC_ANSWERED:
		break;
	case RPC_ERROR:
		n->errors[numbers_code(code)]++;
		break;
	case RPC_DOWN:
		n->silences[NUMBERS_DOWN]++;
		break;
	case RPC_REFUSED:
		n->silences[NUMBERS_REFUSED]++;
		break;
	case RPC_UNKNOWN:
		n->silences[NUMBERS_UNKNOWN]++;
		break;
	}
}

void
rpc_count_given_up(struct rpc_endpoint *ep)
{
	if (ep != NULL && ep->exchange != NULL)
		count(ep->client, ep->exchange, clock_monotonic_us() - ep->exchange->began_us,
		    rpc_was_sent(ep) ? RPC_UNKNOWN : RPC_DOWN, 0);
}

static void
finish(struct rpc_endpoint *ep, CURLcode code)
{
	struct exchange *x = ep->exchange;
	int64_t us = clock_monotonic_us() - x->began_us;
	struct rpc_result r = {.duration_ms = us / 1000};
	json_t *document = NULL;
	rpc_fn fn = x->fn;
	void *arg = x->arg;

	if (code == CURLE_OK)
		r.outcome = judge_answer(x, &r, &document);
	else
		r.outcome = judge_failure(ep, x, code, &r);
	count(ep->client, x, us, r.outcome, r.code);
	curl_multi_remove_handle(ep->client->multi, ep->easy);
	ep->exchange = NULL;
	exchange_free(x);
	fn(&r, arg); /* may begin the next call */
	json_decref(document);
}

/* --- the loop ------------------------------------------------------------- */

static void
look_for_ends(struct rpc_client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
		struct rpc_endpoint *ep;
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&ep);
		finish(ep, message->data.result);
	}
}

static void
on_socket_ready(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_client *client = arg;
	int bits = ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0);
	int running;

	curl_multi_socket_action(client->multi, fd, bits, &running);
	look_for_ends(client);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_client *client = arg;
	int running;

	(void)fd;
	(void)what;
	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	look_for_ends(client);
}

static int
on_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *watched)
{
	struct rpc_client *client = arg;
	struct event *event = watched;
	short bits = (short)(((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0) | EV_PERSIST);

	(void)easy;
	if (event != NULL)
		event_free(event);
	event = NULL;
	if (what != CURL_POLL_REMOVE) {
		event = event_new(client->base, fd, bits, on_socket_ready, client);
		if (event != NULL)
			event_add(event, NULL);
	}
	curl_multi_assign(client->multi, fd, event);
	return 0;
}

static int
on_set_timer(CURLM *multi, long ms, void *arg)
{
	struct rpc_client *client = arg;
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	(void)multi;
	event_del(client->timer);
	if (ms == 0)
		event_active(client->timer, EV_TIMEOUT, 0); /* in this turn of the loop: saves a look at the sockets */
	else if (ms > 0)
		event_add(client->timer, &tv);
	return 0;
}

struct rpc_client *
rpc_client_new(struct event_base *base, struct numbers *numbers)
{
	struct rpc_client *client = calloc(1, sizeof *client);

	if (client == NULL || curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
		free(client);
		return NULL;
	}
	client->base = base;
	client->numbers = numbers;
	client->multi = curl_multi_init();
	client->timer = evtimer_new(base, on_timer, client);
	if (client->multi == NULL || client->timer == NULL) {
		rpc_client_free(client);
		return NULL;
	}
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_watch);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_set_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
	return client;
}

void
rpc_client_free(struct rpc_client *client)
{
	if (client == NULL)
		return;
	if (client->multi != NULL)
		curl_multi_cleanup(client->multi);
	if (client->timer != NULL)
		event_free(client->timer);
	free(client);
	curl_global_cleanup();
}

/* --- endpoints ------------------------------------------------------------ */

static void
set_login(CURL *easy, const char *login)
{
	char *user = strdup(login), *colon = user != NULL ? strchr(user, ':') : NULL;

	if (colon != NULL) {
		*colon = '\0';
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_DIGEST);
		curl_easy_setopt(easy, CURLOPT_USERNAME, user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, colon + 1);
		explicit_bzero(colon + 1, strlen(colon + 1));
	}
	free(user);
}

static void
set_options(struct rpc_endpoint *ep, const char *url, const char *login, const char *ca_file)
{
	CURL *easy = ep->easy;
	bool https = strncmp(url, "https:", 6) == 0;
	char full[512];

	snprintf(full, sizeof full, "%s/json_rpc", url);
	curl_easy_setopt(easy, CURLOPT_URL, full);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, https ? "https" : "http");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, https ? (long)TLS_TIMEOUT_MS : (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, ep);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, ep->error);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, ep->headers);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, ep);
	curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_sent);
	curl_easy_setopt(easy, CURLOPT_DEBUGDATA, ep);
	curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L); /* or on_sent() is not called; nothing is printed */
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, ep);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, ep);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_receive);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, ep);
	if (ca_file != NULL) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* in place of the system's authorities, not beside them */
	}
	if (login != NULL)
		set_login(easy, login);
}

struct rpc_endpoint *
rpc_endpoint_new(struct rpc_client *client, const char *url, const char *login, const char *ca_file)
{
	struct rpc_endpoint *ep = calloc(1, sizeof *ep);
	struct curl_slist *more;

	if (ep == NULL)
		return NULL;
	ep->client = client;
	ep->easy = curl_easy_init();
	ep->headers = curl_slist_append(NULL, "Content-Type: application/json");
	/* the server knows no 100-continue */
	more = ep->headers != NULL ? curl_slist_append(ep->headers, "Expect:") : NULL;
	if (ep->easy == NULL || more == NULL) {
		rpc_endpoint_free(ep);
		return NULL;
	}
	ep->headers = more;
	set_options(ep, url, login, ca_file);
	return ep;
}

void
rpc_endpoint_free(struct rpc_endpoint *ep)
{
	if (ep == NULL)
		return;
	if (ep->exchange != NULL) {
		curl_multi_remove_handle(ep->client->multi, ep->easy);
		exchange_free(ep->exchange);
		ep->exchange = NULL;
	}
	curl_easy_cleanup(ep->easy);
	curl_slist_free_all(ep->headers);
	free(ep);
}

bool
rpc_was_sent(const struct rpc_endpoint *ep)
{
	return ep->exchange != NULL && !nothing_can_happen(ep->exchange);
}

bool
rpc_call(struct rpc_endpoint *ep, const char *method, json_t *params, int64_t timeout_ms, rpc_fn fn, void *arg)
{
	struct exchange *x = calloc(1, sizeof *x);
	json_t *request;

	if (params == NULL)
		params = json_object();
	if (x == NULL || ep->exchange != NULL) {
		free(x);
		json_decref(params);
		return false;
	}
	snprintf(x->id, sizeof x->id, "%lu", ++ep->client->last_id);
	request = json_pack("{s:s, s:s, s:s, s:o}", "jsonrpc", "2.0", "id", x->id, "method", method, "params", params);
	x->body = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (x->body == NULL) {
		free(x);
		return false;
	}
	x->size = strlen(x->body);
	x->fn = fn;
	x->arg = arg;
	x->method = numbers_method(method);
	x->began_us = clock_monotonic_us();
	ep->exchange = x;
	ep->error[0] = '\0';
	/* so that head and body go out at once: from a function libcurl sends them apart */
	curl_easy_setopt(ep->easy, CURLOPT_POSTFIELDS, x->body);
	curl_easy_setopt(ep->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->size);
	curl_easy_setopt(ep->easy, CURLOPT_TIMEOUT_MS, (long)(timeout_ms > 0 ? timeout_ms : 1));
	return curl_multi_add_handle(ep->client->multi, ep->easy) == CURLM_OK;
}
