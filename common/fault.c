#include "common/fault.h"

#ifdef MSIGD_FAULTS

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char variable[] = "MSIGD_FAULT_SOCKET";

void
fault_environment(char *envp[FAULT_VARIABLES + 1])
{
	static const char *const names[FAULT_VARIABLES] = {variable, "LD_PRELOAD", "FAILING_IO"};
	static char texts[FAULT_VARIABLES][256];
	int n = 0;

	for (int i = 0; i < FAULT_VARIABLES; i++) {
		const char *value = getenv(names[i]);
		if (value == NULL)
			continue;
		snprintf(texts[n], sizeof texts[n], "%s=%s", names[i], value);
		envp[n] = texts[n];
		n++;
	}
	envp[n] = NULL;
}

/* A packet is a message: what is asked, and what is to be done. */
static int
test_socket(void)
{
	static int fd = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv(variable);

	if (fd != -1 || path == NULL || strlen(path) >= sizeof address.sun_path)
		return fd;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&address, sizeof address) == -1) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void
fault_point(const char *kind, const char *name, const char *role, int round, const char *escrow, const char *url)
{
	int fd = test_socket();
	char text[512], in_round[16] = "-";

	if (fd == -1)
		return;
	if (round >= 0)
		snprintf(in_round, sizeof in_round, "%d", round);
	snprintf(text, sizeof text, "%ld %s%s%s %s %s %s %s", (long)getpid(), kind, name[0] != '\0' ? ":" : "", name,
	    role[0] != '\0' ? role : "-", in_round, escrow[0] != '\0' ? escrow : "-", url[0] != '\0' ? url : "-");
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) == -1 || recv(fd, text, sizeof text, 0) <= 0)
		return; /* the test is over */
}

#endif
