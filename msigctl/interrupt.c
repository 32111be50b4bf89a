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

static void
catch_one(int number)
{
	struct sigaction action, before;

	memset(&action, 0, sizeof action);
	action.sa_handler = note;
	sigemptyset(&action.sa_mask);
	/* who started us with it ignored (nohup, a job in the background) means that */
	if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

void
interrupt_catch(void)
{
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	catch_one(SIGINT);
	catch_one(SIGTERM);
	catch_one(SIGHUP);
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
