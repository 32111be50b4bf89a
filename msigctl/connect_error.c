/* See connect_error.h. */
#include "msigctl/connect_error.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "msigctl/output.h"

bool
connect_path_fits(const char *path)
{
	struct sockaddr_un address;

	return path[0] != '\0' && strlen(path) < sizeof address.sun_path;
}

/* errno of connect(2), 0 when it worked this time. */
static int
try_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int error, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return errno;
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	error = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
	close(fd);
	return error;
}

static void
say_permission(const struct context *context)
{
	const struct group *group;
	struct stat st;

	if (stat(context->socket, &st) == -1) {
		complain(context, "%s: permission denied: you may not enter its folder; only members of"
		    " msigd's group and root may", context->socket);
		return;
	}
	group = getgrgid(st.st_gid);
	complain(context, "%s: permission denied: it belongs to group %s, mode %04o; only members of that"
	    " group and root may use msigd", context->socket,
	    group != NULL ? group->gr_name : "(unknown)", (unsigned)st.st_mode & 07777);
}

void
connect_error_say(const struct context *context)
{
	const char *path = context->socket;
	int error = try_connect(path);
	struct stat st;

	switch (error) {
	case ENOENT:
		complain(context, "no msigd: there is no socket %s; is msigd running, with this socket? (-s names another)", path);
		return;
	case ENOTDIR:
		complain(context, "no msigd: %s: a part of this path is no folder", path);
		return;
	case ECONNREFUSED:
		if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
			complain(context, "no msigd: %s is no socket", path);
		else
			complain(context, "no msigd: nobody listens on %s; it is left from one that ended", path);
		return;
	case EACCES:
	case EPERM:
		say_permission(context);
		return;
	case 0:
	case EAGAIN:
		complain(context, "%s: msigd did not take the connection; it may be too busy: try again", path);
		return;
	default:
		complain(context, "no msigd: %s: %s", path, strerror(error));
	}
}
