#include "supervisor/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "supervisor/api.h"
#include "supervisor/client.h"
#include "supervisor/feed.h"
#include "supervisor/supervisor.h"

enum {
	BODY_MAX = 1024 * 1024,
	HEADERS_MAX = 16 * 1024,
	STUCK_SECONDS = 30, /* between two pieces of an answer that are taken */
	BACKLOG = 1024
};

struct control {
	struct supervisor *sv;
	struct evhttp *http;
	struct clients *clients;
};

int
control_clients_max(const struct control *control)
{
	return clients_max(control->clients);
}

void
control_peer(struct evhttp_request *request, pid_t *pid, uid_t *uid)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);
	struct ucred peer;
	socklen_t size = sizeof peer;

	*pid = -1;
	*uid = (uid_t)-1;
	if (connection == NULL || getsockopt(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)),
	    SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1)
		return;
	*pid = peer.pid;
	*uid = peer.uid;
}

/* --- requests ------------------------------------------------------------- */

static void
reply_text(struct evhttp_request *request, int code, const char *reason, const char *type, const char *text)
{
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
	evbuffer_add(body, text, strlen(text));
	evhttp_send_reply(request, code, reason, body);
	evbuffer_free(body);
}

static bool
expect_method(struct evhttp_request *request, enum evhttp_cmd_type method, const char *name)
{
	char text[96];

	if (evhttp_request_get_command(request) == method)
		return true;
	evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", name);
	snprintf(text, sizeof text, "%s takes %s\n", evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request)), name);
	reply_text(request, 405, "Method Not Allowed", "text/plain", text);
	return false;
}

static void
on_json_rpc(struct evhttp_request *request, void *arg)
{
	struct control *control = arg;

	clients_arrived(control->clients, request);
	if (expect_method(request, EVHTTP_REQ_POST, "POST"))
		api_serve(control->sv, request);
}

static void
on_events(struct evhttp_request *request, void *arg)
{
	struct control *control = arg;

	clients_arrived(control->clients, request);
	if (expect_method(request, EVHTTP_REQ_GET, "GET"))
		feed_serve(control->sv->feed, request);
}

/* Who asks for text/plain and not for OpenMetrics gets the older format. */
static enum metrics_format
wanted_format(struct evhttp_request *request)
{
	const char *accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");

	return accept != NULL && strstr(accept, "text/plain") != NULL && strstr(accept, "openmetrics-text") == NULL
	    ? METRICS_PROMETHEUS : METRICS_OPENMETRICS;
}

static void
on_metrics(struct evhttp_request *request, void *arg)
{
	struct control *control = arg;
	enum metrics_format format = wanted_format(request);
	struct evbuffer *body;

	clients_arrived(control->clients, request);
	if (!expect_method(request, EVHTTP_REQ_GET, "GET"))
		return;
	body = evbuffer_new();
	metrics_write(control->sv, format, body);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", metrics_content_type(format));
	evhttp_send_reply(request, 200, "OK", body);
	evbuffer_free(body);
}

static void
on_other(struct evhttp_request *request, void *arg)
{
	clients_arrived(((struct control *)arg)->clients, request);
	reply_text(request, 404, "Not Found", "text/plain",
	    "there are POST /json_rpc, GET /events and GET /metrics: see msigd-api(7)\n");
}

/* --- the socket ----------------------------------------------------------- */

/* A file left by a msigd that was killed would make bind(2) fail. */
static bool
clear_place(const struct sockaddr_un *address, char *why, size_t why_size)
{
	struct stat st;
	int fd;
	bool answered;

	if (lstat(address->sun_path, &st) == -1)
		return true;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, why_size, "%s is there and is no socket: move it away, or set socket", address->sun_path);
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	answered = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
	close(fd);
	if (answered) {
		snprintf(why, why_size, "%s: somebody listens there already: another msigd? set socket or run-dir",
		    address->sun_path);
		return false;
	}
	return unlink(address->sun_path) == 0;
}

static int
listen_at(const char *path, char *why, size_t why_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, failed;

	if (strlen(path) >= sizeof address.sun_path) {
		snprintf(why, why_size, "socket: %s: longer than %zu bytes", path, sizeof address.sun_path - 1);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	why[0] = '\0';
	fd = clear_place(&address, why, why_size) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	mask = umask(0117);
	failed = fd == -1 || bind(fd, (struct sockaddr *)&address, sizeof address) == -1 || listen(fd, BACKLOG) == -1;
	umask(mask);
	if (!failed)
		return fd;
	if (why[0] == '\0')
		snprintf(why, why_size, "socket %s: %s", path, strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

static bool
serve(struct control *control, int fd)
{
	control->http = evhttp_new(control->sv->base);
	control->clients = control->http != NULL ? clients_new(control->sv->base, control->http, fd) : NULL;
	if (control->clients == NULL)
		return false;
	evhttp_set_max_body_size(control->http, BODY_MAX);
	evhttp_set_max_headers_size(control->http, HEADERS_MAX);
	evhttp_set_timeout(control->http, STUCK_SECONDS);
	evhttp_set_allowed_methods(control->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
	    EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS);
	evhttp_set_cb(control->http, "/json_rpc", on_json_rpc, control);
	evhttp_set_cb(control->http, "/events", on_events, control);
	evhttp_set_cb(control->http, "/metrics", on_metrics, control);
	evhttp_set_gencb(control->http, on_other, control);
	return true;
}

struct control *
control_new(struct supervisor *sv, char *why, size_t why_size)
{
	struct control *control = calloc(1, sizeof *control);
	int fd;

	if (control == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	control->sv = sv;
	fd = listen_at(sv->config->socket, why, why_size);
	if (fd == -1) {
		free(control);
		return NULL;
	}
	if (!serve(control, fd)) {
		snprintf(why, why_size, "out of memory");
		control_free(control);
		return NULL;
	}
	return control;
}

void
control_free(struct control *control)
{
	if (control == NULL)
		return;
	api_end();
	if (control->http != NULL)
		evhttp_free(control->http);
	clients_free(control->clients);
	unlink(control->sv->config->socket);
	free(control);
}
