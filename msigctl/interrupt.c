/* See interrupt.h. The descriptor closes the gap between looking at the flag
 * and sleeping in poll. */
#include "msigctl/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static int wake = -1;

static void
note(int number)
{
	int saved = errno;
	uint64_t one = 1;

	caught = number;
	if (wake != -1 && write(wake, &one, sizeof one) == -1) {
		/* its counter is full: it is readable already */
	}
	errno = saved;
}

void
interrupt_catch(void)
{
	struct sigaction action;

	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	memset(&action, 0, sizeof action);
	action.sa_handler = note;
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

bool
interrupted(void)
{
	return caught != 0;
}

int
interrupt_status(void)
{
	return 128 + caught;
}

int
interrupt_fd(void)
{
	return wake;
}
