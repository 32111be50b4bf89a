#include "tests/stand_in/http.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/stand_in/login.h"

enum {
	BACKLOG = 128,
	READ_SIZE = 64 * 1024,
	REQUEST_MAX = 1024 * 1024,
	HEAD_MAX = 4096,
	ACCEPTS_A_TURN = 16,
	VERB_MAX = 8,
	PATH_MAX_LENGTH = 64
};

struct http_connection {
	LIST_ENTRY(http_connection) entry;
	struct http_server *server;     /* NULL: gone, while this was busy */
	int fd;
	struct event *readable, *writable;
	char *in, *out;                 /* what came too early, what did not go out at once; from malloc */
	size_t in_size, out_size;
	struct login_state login;
	char verb[VERB_MAX], path[PATH_MAX_LENGTH];
	bool waiting;                   /* for the answer to a request that was handed over */
	bool keep;                      /* the request under way does not end the connection */
	bool ended;                     /* is freed when what it is busy with returns */
	int busy;
};

struct http_server {
	struct event_base *base;
	struct event *acceptable;
	int fd;
	char *login;
	int connections, connections_max;
	LIST_HEAD(, http_connection) all;
	http_request_fn on_request;
	http_gone_fn on_gone;
	void *arg;
};

struct head {
	size_t size;                    /* with the empty line */
	size_t body_size;
	bool close;                     /* the client wants it closed after the answer */
	char authorization[1024];       /* "": there was none */
};

/* --- the end of a connection ---------------------------------------------- */

static void
connection_free(struct http_connection *c)
{
	if (c->server != NULL) {
		LIST_REMOVE(c, entry);
		c->server->connections--;
	}
	event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

static void
end(struct http_connection *c)
{
	c->ended = true;
	if (c->busy == 0)
		connection_free(c);
}

static void
leave(struct http_connection *c)
{
	c->busy--;
	if (c->ended && c->busy == 0)
		connection_free(c);
}

/* --- sending -------------------------------------------------------------- */

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *c = arg;
	ssize_t n = write(fd, c->out, c->out_size);

	(void)what;
	if (n > 0) {
		c->out_size -= (size_t)n;
		memmove(c->out, c->out + n, c->out_size);
	}
	if ((n == -1 && errno != EAGAIN) || (c->out_size == 0 && !c->keep))
		end(c);
	else if (c->out_size > 0)
		event_add(c->writable, NULL);
}

/* What the kernel did not take at once: seldom anything. */
static bool
keep_rest(struct http_connection *c, const struct iovec *parts, int count, size_t sent)
{
	for (int i = 0; i < count; i++) {
		size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len, rest = parts[i].iov_len - skip;
		char *more;
		sent -= skip;
		if (rest == 0)
			continue;
		more = realloc(c->out, c->out_size + rest);
		if (more == NULL)
			return false;
		memcpy(more + c->out_size, (const char *)parts[i].iov_base + skip, rest);
		c->out = more;
		c->out_size += rest;
	}
	if (c->writable == NULL)
		c->writable = event_new(c->server->base, c->fd, EV_WRITE, on_writable, c);
	return c->writable != NULL && event_add(c->writable, NULL) == 0;
}

/* False: the connection is dead. */
static bool
send_parts(struct http_connection *c, const struct iovec *parts, int count, size_t total)
{
	ssize_t n = c->out_size > 0 ? 0 : writev(c->fd, parts, count);

	if (n == -1 && errno != EAGAIN)
		return false;
	if (n == -1)
		n = 0;
	return (size_t)n == total || keep_rest(c, parts, count, (size_t)n);
}

/* Changes once a second. */
static const char *
date_now(void)
{
	static char text[40];
	static time_t of;
	time_t now = time(NULL);
	struct tm tm;

	if (now != of) {
		gmtime_r(&now, &tm);
		strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		of = now;
	}
	return text;
}

static size_t
write_head(char out[HEAD_MAX], int status, size_t size, const char *type, const char *more, bool keep)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {{200, "Ok"}, {401, "Unauthorized"}, {404, "Not found"}, {500, "Internal Server Error"}};
	const char *reason = "Whatever";

	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		if (reasons[i].status == status)
			reason = reasons[i].text;
	}
	return (size_t)snprintf(out, HEAD_MAX, "HTTP/1.1 %d %s\r\nServer: Epee-based\r\nContent-Length: %zu\r\nContent-Type: %s\r\n"
	    "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n%s%s\r\n", status, reason, size, type, date_now(), more,
	    keep ? "" : "Connection: close\r\n");
}

static void process(struct http_connection *c, const char *data, size_t size);

/* The request is over: the connection ends, or goes on with what came meanwhile. */
static void
conclude(struct http_connection *c, bool alive)
{
	c->waiting = false;
	if (!alive || (!c->keep && c->out_size == 0))
		end(c);
	else if (c->keep && c->busy == 0 && c->in_size > 0)
		process(c, NULL, 0);
}

static void
send_message(struct http_connection *c, char *head, size_t head_size, const struct http_answer *a)
{
	struct iovec parts[4] = {{head, head_size}, {(char *)a->body, a->size}, {head, head_size}, {(char *)a->body, a->size}};
	size_t total = head_size + a->size;

	if (a->cut == 0 && a->head_only == 0) {
		conclude(c, send_parts(c, parts, a->twice ? 4 : 2, a->twice ? 2 * total : total));
		return;
	}
	c->keep = false;
	total = a->head_only > 0 ? a->head_only : a->cut < total ? total - a->cut : 0;
	if (parts[0].iov_len > total)
		parts[0].iov_len = total;
	parts[1].iov_len = total - parts[0].iov_len;
	conclude(c, send_parts(c, parts, 2, total));
}

void
http_send(struct http_connection *c, const struct http_answer *answer)
{
	char head[HEAD_MAX];
	const char *type = answer->status == 200 ? "application/json" : "text/plain";

	send_message(c, head, write_head(head, answer->status, answer->size, type, "", c->keep), answer);
}

static void
send_challenge(struct http_connection *c, const char *challenge)
{
	static const char body[] =
	    "<html><head><title>Unauthorized Access</title></head><body><h1>401 Unauthorized</h1></body></html>";
	struct http_answer answer = {.status = 401, .body = body, .size = sizeof body - 1};
	char head[HEAD_MAX];

	send_message(c, head, write_head(head, 401, answer.size, "text/html", challenge, c->keep), &answer);
}

void
http_send_unauthorized(struct http_connection *c)
{
	char challenge[CHALLENGE_MAX];

	login_check(&c->login, ":", c->verb, NULL, challenge);
	send_challenge(c, challenge);
}

void
http_close(struct http_connection *c)
{
	c->waiting = false;
	end(c);
}

/* --- requests ------------------------------------------------------------- */

static void
read_header(struct head *head, const char *line, size_t length)
{
	static const char content_length[] = "Content-Length:", authorization[] = "Authorization:", connection[] = "Connection:";
	char text[sizeof head->authorization];

	snprintf(text, sizeof text, "%.*s", (int)length, line);
	if (strncasecmp(text, content_length, sizeof content_length - 1) == 0)
		head->body_size = strtoul(text + sizeof content_length - 1, NULL, 10);
	else if (strncasecmp(text, connection, sizeof connection - 1) == 0 && strcasestr(text, "close") != NULL)
		head->close = true;
	else if (strncasecmp(text, authorization, sizeof authorization - 1) == 0)
		strcpy(head->authorization, text + sizeof authorization - 1 + strspn(text + sizeof authorization - 1, " "));
}

/* 1: there is one. 0: not all of it is there. -1: it is none. */
static int
read_head(struct http_connection *c, const char *data, size_t size, struct head *head)
{
	const char *end_of_head = memmem(data, size, "\r\n\r\n", 4), *line = data, *next;
	char first[sizeof c->verb + sizeof c->path + 16];

	if (end_of_head == NULL)
		return size < HEAD_MAX ? 0 : -1;
	*head = (struct head){.size = (size_t)(end_of_head - data) + 4};
	for (bool is_first = true; line < end_of_head; line = next + 2, is_first = false) {
		next = memmem(line, (size_t)(end_of_head + 2 - line), "\r\n", 2);
		if (!is_first) {
			read_header(head, line, (size_t)(next - line));
			continue;
		}
		snprintf(first, sizeof first, "%.*s", (int)(next - line), line);
		if (sscanf(first, "%7s %63s HTTP/1.", c->verb, c->path) != 2)
			return -1;
	}
	return head->body_size <= REQUEST_MAX ? 1 : -1;
}

static void
hand_over(struct http_connection *c, const struct head *head, const char *body)
{
	const struct http_server *server = c->server;
	struct http_request request = {c, c->verb, c->path, body, head->body_size};
	char challenge[CHALLENGE_MAX];

	c->waiting = true;
	c->keep = !head->close;
	if (server->login == NULL || login_check(&c->login, server->login, c->verb,
	    head->authorization[0] != '\0' ? head->authorization : NULL, challenge))
		server->on_request(&request, server->arg);
	else
		send_challenge(c, challenge);
}

/* Whole requests from the front of data, one after the other while each is
 * answered at once. Returns the bytes used. */
static size_t
take_requests(struct http_connection *c, const char *data, size_t size)
{
	struct head head;
	size_t used = 0;

	while (!c->waiting && !c->ended && c->keep && used < size) {
		int found = read_head(c, data + used, size - used, &head);
		if (found == -1)
			end(c);
		if (found != 1 || size - used < head.size + head.body_size)
			break;
		hand_over(c, &head, data + used + head.size);
		used += head.size + head.body_size;
	}
	return used;
}

static bool
keep_input(struct http_connection *c, const char *data, size_t size)
{
	char *more = c->in_size + size <= 2 * REQUEST_MAX ? realloc(c->in, c->in_size + size) : NULL;

	if (more == NULL)
		return false;
	memcpy(more + c->in_size, data, size);
	c->in = more;
	c->in_size += size;
	return true;
}

/* Mostly a request comes whole, and is read where the kernel put it. */
static void
process(struct http_connection *c, const char *data, size_t size)
{
	size_t used;

	c->busy++;
	if (c->in_size == 0) {
		used = take_requests(c, data, size);
		if (used < size && !keep_input(c, data + used, size - used))
			end(c);
	} else if (size > 0 && !keep_input(c, data, size)) {
		end(c);
	} else if ((used = take_requests(c, c->in, c->in_size)) > 0) {
		c->in_size -= used;
		memmove(c->in, c->in + used, c->in_size);
	}
	leave(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	static char buffer[READ_SIZE];
	struct http_connection *c = arg;
	ssize_t n = read(fd, buffer, sizeof buffer);

	(void)what;
	if (n > 0) {
		process(c, buffer, (size_t)n);
		return;
	}
	if (n == -1 && errno == EAGAIN)
		return;
	if (c->waiting)
		c->server->on_gone(c, c->server->arg);
	end(c);
}

/* --- the server ----------------------------------------------------------- */

static void
connection_new(struct http_server *server, int fd)
{
	struct http_connection *c = calloc(1, sizeof *c);
	int on = 1;

	if (c != NULL)
		c->readable = event_new(server->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	if (c == NULL || c->readable == NULL || server->connections >= server->connections_max) {
		if (c != NULL && c->readable != NULL)
			event_free(c->readable);
		free(c);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	c->server = server;
	c->fd = fd;
	c->keep = true;
	server->connections++;
	LIST_INSERT_HEAD(&server->all, c, entry);
	event_add(c->readable, NULL);
}

static void
on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client == -1)
			return;
		connection_new(arg, client);
	}
}

static int
listen_on(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

struct http_server *
http_listen(struct event_base *base, int port, const char *login, int connections_max, http_request_fn on_request,
    http_gone_fn on_gone, void *arg)
{
	struct http_server *server = calloc(1, sizeof *server);

	if (server == NULL)
		return NULL;
	*server = (struct http_server){.base = base, .fd = listen_on(port), .connections_max = connections_max,
	    .on_request = on_request, .on_gone = on_gone, .arg = arg};
	LIST_INIT(&server->all);
	if (server->fd == -1) {
		free(server);
		return NULL;
	}
	server->login = login != NULL ? strdup(login) : NULL;
	server->acceptable = event_new(base, server->fd, EV_READ | EV_PERSIST, on_acceptable, server);
	event_add(server->acceptable, NULL);
	return server;
}

void
http_server_free(struct http_server *server)
{
	struct http_connection *c, *next;

	if (server == NULL)
		return;
	event_free(server->acceptable);
	close(server->fd);
	LIST_FOREACH_SAFE(c, &server->all, entry, next) {
		LIST_REMOVE(c, entry);
		c->server = NULL;
		end(c);
	}
	free(server->login);
	free(server);
}
