/* A child between fork and exec: whose signals are whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/child.h"

enum { PATIENCE_S = 60 }; /* after these something hangs */

static bool signal_the_child; /* as soon as it is forked */

static void
in_child(void)
{
	if (signal_the_child)
		kill(getpid(), SIGTERM);
}

struct seen {
	struct event_base *base;
	bool ended, timed_out;
	int status, exec_errno;
	int signals;                /* that the parent's loop was told of */
};

static void
on_end(int status, int exec_errno, void *arg)
{
	struct seen *seen = arg;

	seen->ended = true;
	seen->status = status;
	seen->exec_errno = exec_errno;
	event_base_loopbreak(seen->base);
}

static void
on_patience_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(((struct seen *)arg)->base);
}

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	((struct seen *)arg)->signals++;
}

/* valgrind knows no pidfd. */
static void
skip_without_pidfd(void)
{
	int fd = pidfd_open(getpid(), 0);

	if (fd == -1 && errno == ENOSYS)
		skip();
	close(fd);
}

/* Runs a shell script as a child, to its end. */
static struct seen
run(const char *script)
{
	static const struct timeval patience = {PATIENCE_S, 0};
	char shell[] = "/bin/sh", option[] = "-c", text[512];
	char *argv[] = {shell, option, text, NULL}, *envp[] = {NULL};
	struct child_spec spec = {.program = shell, .argv = argv, .envp = envp, .fd3 = -1};
	struct seen seen = {.base = event_base_new()};
	struct event *heard = evsignal_new(seen.base, SIGTERM, on_signal, &seen);
	struct event *timer = evtimer_new(seen.base, on_patience_gone, &seen);

	strncpy(text, script, sizeof text - 1);
	text[sizeof text - 1] = '\0';
	event_add(heard, NULL);
	assert_non_null(child_spawn(seen.base, &spec, on_end, &seen));
	event_add(timer, &patience);
	event_base_dispatch(seen.base);
	/* what the child may have written to a shared socket is there by now */
	event_base_loop(seen.base, EVLOOP_NONBLOCK);
	event_free(heard);
	event_free(timer);
	event_base_free(seen.base);
	assert_true(seen.ended);
	return seen;
}

static void
a_signal_before_exec_ends_the_child_and_is_not_heard_by_the_parent(void **state)
{
	struct seen seen;

	(void)state;
	skip_without_pidfd();
	signal_the_child = true;
	seen = run("exit 3");
	signal_the_child = false;
	assert_int_equal(seen.signals, 0);
	assert_true(WIFSIGNALED(seen.status));
	assert_int_equal(WTERMSIG(seen.status), SIGTERM);
}

static void
the_child_ignores_and_blocks_nothing(void **state)
{
	sigset_t some, before;
	struct seen seen;

	(void)state;
	skip_without_pidfd();
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, &before);
	/* but 32 and 33, which are the C library's: GNU make leaves them ignored */
	seen = run("while read name value; do case $name in SigBlk:|SigIgn:) "
	    "[ $((0x$value & ~0x180000000)) = 0 ] || exit 1;; esac; done </proc/self/status");
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	assert_true(WIFEXITED(seen.status));
	assert_int_equal(WEXITSTATUS(seen.status), 0);
}

static void
the_parent_has_its_mask_back(void **state)
{
	sigset_t some, before, now;

	(void)state;
	skip_without_pidfd();
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, &before);
	run("exit 0");
	sigprocmask(SIG_SETMASK, &before, &now);
	for (int number = 1; number < SIGRTMIN; number++)
		assert_int_equal(sigismember(&now, number) == 1, number == SIGUSR1 || sigismember(&before, number) == 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_before_exec_ends_the_child_and_is_not_heard_by_the_parent),
		cmocka_unit_test(the_child_ignores_and_blocks_nothing),
		cmocka_unit_test(the_parent_has_its_mask_back),
	};

	pthread_atfork(NULL, NULL, in_child); /* the first thing that runs in the child */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
