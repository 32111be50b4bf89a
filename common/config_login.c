/* The login-file of an endpoint. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"

enum { LOGIN_MAX = 512, WHY_MAX = 256 };

static bool __attribute__((format(printf, 4, 5)))
refuse_login(const char *path, char *why, size_t why_size, const char *format, ...)
{
	char reason[WHY_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(reason, sizeof reason, format, ap);
	va_end(ap);
	snprintf(why, why_size, "login-file %s: %s", path, reason);
	return false;
}

static bool
check_login_file(int fd, const char *path, char *why, size_t why_size)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return refuse_login(path, why, why_size, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse_login(path, why, why_size, "not a regular file");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_login(path, why, why_size, "belongs to user %u; it has to be msigd's user's (%u) or root's",
		    (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) != 0)
		return refuse_login(path, why, why_size, "group or others may read or write it (mode %04o); chmod 600 it",
		    (unsigned)st.st_mode & 07777);
	return true;
}

/* Up to size bytes; a login that does not fit is told by its length. */
static ssize_t
read_up_to(int fd, char *out, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, out + have, size - have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* Ends the first line with a NUL. */
static bool
cut_login(char *line, size_t size, const char *path, char *why, size_t why_size)
{
	char *end = memchr(line, '\n', size), *colon;
	size_t length = end != NULL ? (size_t)(end - line) : size;

	if (length > 0 && line[length - 1] == '\r')
		length--;
	if (length > LOGIN_MAX)
		return refuse_login(path, why, why_size, "its first line is longer than %d bytes", LOGIN_MAX);
	if (memchr(line, '\0', length) != NULL)
		return refuse_login(path, why, why_size, "there is a NUL in its first line");
	line[length] = '\0';
	colon = strchr(line, ':');
	if (colon == NULL || colon == line || colon[1] == '\0')
		return refuse_login(path, why, why_size, "its first line is not USER:PASSWORD");
	return true;
}

char *
config_read_login(const struct config_endpoint *endpoint, char *why, size_t why_size)
{
	const char *path = endpoint->login_file;
	char line[LOGIN_MAX + sizeof "\r\n"], *login = NULL;
	ssize_t n;
	int fd;

	if (path == NULL) {
		snprintf(why, why_size, "endpoint %s has no login-file", endpoint->name);
		return NULL;
	}
	/* O_NONBLOCK: open(2) of a FIFO would wait for its writer */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		refuse_login(path, why, why_size, "%s", strerror(errno));
		return NULL;
	}
	if (!check_login_file(fd, path, why, why_size))
		goto done;
	n = read_up_to(fd, line, sizeof line - 1);
	if (n == -1)
		refuse_login(path, why, why_size, "%s", strerror(errno));
	else if (cut_login(line, (size_t)n, path, why, why_size) && (login = strdup(line)) == NULL)
		refuse_login(path, why, why_size, "out of memory");
	explicit_bzero(line, sizeof line);
done:
	close(fd);
	return login;
}
