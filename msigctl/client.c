/* See client.h. */
#include "msigctl/client.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "msigctl/connect_error.h"
#include "msigctl/interrupt.h"
#include "msigctl/output.h"
#include "supervisor/api_error.h"

enum { ANSWER_MAX = 256 * 1024 * 1024, TICK_MS = 100 };

static bool may_have_been_done;
static struct {
	void (*tick)(void *user); /* NULL: nobody asked for it */
	void *user;
} on_wait;

struct answer {
	char *data; /* with a NUL behind it */
	size_t size;
	bool too_long;
};

static size_t
answer_append(char *data, size_t one, size_t size, void *user)
{
	struct answer *answer = user;
	char *bigger;

	(void)one; /* always 1 */
	answer->too_long = answer->size + size > ANSWER_MAX;
	if (answer->too_long)
		return 0;
	bigger = realloc(answer->data, answer->size + size + 1);
	if (bigger == NULL)
		return 0;
	memcpy(bigger + answer->size, data, size);
	answer->data = bigger;
	answer->size += size;
	answer->data[answer->size] = '\0';
	return size;
}

CURL *
client_handle(const struct context *context, const char *path)
{
	CURL *curl = curl_easy_init();
	char url[256];

	if (curl == NULL) {
		complain(context, "out of memory");
		return NULL;
	}
	snprintf(url, sizeof url, "http://localhost%s", path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, context->socket);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "msigctl/" MSIGD_VERSION);
	return curl;
}

bool
client_pump(CURLM *multi, int pause_ms, CURLcode *code)
{
	struct curl_waitfd extra = {interrupt_fd(), CURL_WAIT_POLLIN, 0};
	int running = 0, left;
	CURLMsg *message;

	/* does not wait when there is something to begin with */
	curl_multi_poll(multi, &extra, extra.fd == -1 ? 0 : 1, pause_ms, NULL);
	if (curl_multi_perform(multi, &running) != CURLM_OK) {
		*code = CURLE_FAILED_INIT;
		return true;
	}
	while ((message = curl_multi_info_read(multi, &left)) != NULL) {
		if (message->msg == CURLMSG_DONE) {
			*code = message->data.result;
			return true;
		}
	}
	return false;
}

enum exit_status
client_failed(const struct context *context, CURLcode code, int timeout_ms)
{
	char time[48];

	may_have_been_done = code != CURLE_COULDNT_CONNECT;
	if (interrupted())
		return (enum exit_status)interrupt_status();
	switch ((int)code) {
	case CURLE_COULDNT_CONNECT:
		connect_error_say(context);
		return STATUS_NO_DAEMON;
	case CURLE_OPERATION_TIMEDOUT:
		duration_format(timeout_ms, time, sizeof time);
		complain(context, "msigd took the connection but did not answer within %s", time);
		return STATUS_TIMED_OUT;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		complain(context, "msigd went away before it had answered");
		return STATUS_NO_DAEMON;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		complain(context, "what listens on %s does not speak HTTP; is it msigd?", context->socket);
		return STATUS_REFUSED;
	default:
		complain(context, "%s: %s", context->socket, curl_easy_strerror(code));
		return STATUS_REFUSED;
	}
}

bool
client_may_have_been_done(void)
{
	return may_have_been_done;
}

void
client_on_wait(void (*tick)(void *user), void *user)
{
	on_wait.tick = tick;
	on_wait.user = user;
}

/* Lets a transfer go on for a while. True: it has ended. */
static bool
pump(CURLM *multi, int64_t left_ms, CURLcode *code)
{
	if (on_wait.tick == NULL)
		return client_pump(multi, (int)left_ms, code);
	on_wait.tick(on_wait.user);
	return client_pump(multi, left_ms < TICK_MS ? (int)left_ms : TICK_MS, code);
}

/* Runs one transfer to its end. */
static enum exit_status
transfer(const struct context *context, CURL *curl, int timeout_ms, struct answer *answer, long *http_status)
{
	CURLM *multi = curl_multi_init();
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	CURLcode code = CURLE_OPERATION_TIMEDOUT;

	if (multi == NULL) {
		complain(context, "out of memory");
		return STATUS_REFUSED;
	}
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, answer_append);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_multi_add_handle(multi, curl);
	while (!interrupted() && clock_monotonic_ms() < deadline)
		if (pump(multi, deadline - clock_monotonic_ms(), &code))
			break;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, http_status);
	curl_multi_remove_handle(multi, curl);
	curl_multi_cleanup(multi);
	if (code == CURLE_OK && !interrupted())
		return STATUS_DONE;
	if (code == CURLE_WRITE_ERROR) {
		complain(context, answer->too_long ? "msigd's answer is too long" : "out of memory");
		return STATUS_REFUSED;
	}
	return client_failed(context, code, timeout_ms);
}

/* Says an error object {code, message}. */
static enum exit_status
say_error(const struct context *context, const json_t *error)
{
	const char *message = member_text(error, "message");
	int64_t code = member_int(error, "code", 0);

	if (message[0] == '\0')
		complain(context, "msigd answered with error %lld and no message", (long long)code);
	else
		complain(context, "%s", message);
	return code == API_INVALID_PARAMS ? STATUS_USAGE : STATUS_REFUSED;
}

enum exit_status
client_refused(const struct context *context, long http_status, const char *body)
{
	json_t *document = body != NULL ? json_loads(body, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const json_t *error = json_object_get(document, "error");
	enum exit_status status = STATUS_REFUSED;

	if (!json_is_object(error))
		error = document;
	if (json_is_string(json_object_get(error, "message")))
		status = say_error(context, error);
	else
		complain(context, "msigd answered HTTP %ld where a result was expected", http_status);
	json_decref(document);
	return status;
}

static enum exit_status
take_result(const struct context *context, const struct answer *answer, long http_status, json_t **result)
{
	json_t *document = answer->data != NULL ? json_loadb(answer->data, answer->size, 0, NULL) : NULL;
	const json_t *error = json_object_get(document, "error");
	enum exit_status status = STATUS_DONE;

	*result = json_incref(json_object_get(document, "result"));
	may_have_been_done = *result == NULL && !json_is_object(error);
	if (json_is_object(error))
		status = say_error(context, error);
	else if (http_status != 200)
		status = client_refused(context, http_status, answer->data);
	else if (*result == NULL) {
		complain(context, "msigd's answer is not JSON-RPC");
		status = STATUS_REFUSED;
	}
	if (status != STATUS_DONE) {
		json_decref(*result);
		*result = NULL;
	}
	json_decref(document);
	return status;
}

static enum exit_status
post(const struct context *context, const char *body, int timeout_ms, json_t **result)
{
	CURL *curl = client_handle(context, "/json_rpc");
	struct curl_slist *headers = NULL;
	struct answer answer = {0};
	enum exit_status status;
	long http_status = 0;

	if (curl == NULL)
		return STATUS_REFUSED;
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:"); /* no 100-continue */
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	status = transfer(context, curl, timeout_ms, &answer, &http_status);
	if (status == STATUS_DONE)
		status = take_result(context, &answer, http_status, result);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	free(answer.data);
	return status;
}

enum exit_status
client_call(const struct context *context, const char *method, json_t *params, int timeout_ms, json_t **result)
{
	json_t *request;
	char *body;
	enum exit_status status;

	*result = NULL;
	if (params == NULL) {
		complain(context, "an argument is not valid UTF-8");
		return STATUS_USAGE;
	}
	request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method", method, "params", params);
	body = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (body == NULL) {
		complain(context, "out of memory");
		return STATUS_REFUSED;
	}
	status = post(context, body, timeout_ms, result);
	free(body);
	return status;
}

enum exit_status
client_show(const struct context *context, const char *method, json_t *params, int timeout_ms,
    void (*show)(const struct context *context, const json_t *result, const void *arg), const void *arg)
{
	json_t *result;
	enum exit_status status = client_call(context, method, params, timeout_ms, &result);

	if (status != STATUS_DONE)
		return status;
	if (context->json)
		say_json(result);
	else
		show(context, result, arg);
	json_decref(result);
	return STATUS_DONE;
}

enum exit_status
client_get(const struct context *context, const char *path, char **text)
{
	CURL *curl = client_handle(context, path);
	struct answer answer = {0};
	enum exit_status status;
	long http_status = 0;

	if (curl == NULL)
		return STATUS_REFUSED;
	status = transfer(context, curl, CLIENT_QUICK_MS, &answer, &http_status);
	curl_easy_cleanup(curl);
	if (status == STATUS_DONE && http_status != 200)
		status = client_refused(context, http_status, answer.data);
	if (status != STATUS_DONE) {
		free(answer.data);
		return status;
	}
	*text = answer.data != NULL ? answer.data : strdup("");
	return *text != NULL ? STATUS_DONE : STATUS_REFUSED;
}
