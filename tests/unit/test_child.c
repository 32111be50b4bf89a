/* A child between vfork and exec: whose signals are whose, what it is given, how
 * it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/child.h"

enum { PATIENCE_S = 60 }; /* after these something hangs */

static pid_t parent;
static bool signal_the_child;     /* before it has reset a single handler */
static volatile bool signalled;   /* by the child, in the parent's memory */

/* In place of the C library's: the child's first call comes from the reset of
 * the handlers that it has from its parent. */
int
sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
	static int (*next)(int, const struct sigaction *, struct sigaction *);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "sigaction");
	if (signal_the_child && !signalled && getpid() != parent) {
		signalled = true;
		kill(getpid(), SIGTERM);
	}
	return next(number, new, old);
}

struct seen {
	struct event_base *base;
	bool ended, timed_out;
	int status, exec_errno;
	int64_t cpu_us;
	int signals;                /* that the parent's loop was told of */
};

static void
on_end(int status, int exec_errno, int64_t cpu_us, void *arg)
{
	struct seen *seen = arg;

	seen->ended = true;
	seen->status = status;
	seen->exec_errno = exec_errno;
	seen->cpu_us = cpu_us;
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

/* Runs a child to its end. */
static struct seen
run_spec(const struct child_spec *spec)
{
	static const struct timeval patience = {PATIENCE_S, 0};
	struct seen seen = {.base = event_base_new()};
	struct event *heard = evsignal_new(seen.base, SIGTERM, on_signal, &seen);
	struct event *timer = evtimer_new(seen.base, on_patience_gone, &seen);

	event_add(heard, NULL);
	assert_non_null(child_spawn(seen.base, spec, on_end, &seen));
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

/* The same with a shell script. */
static struct seen
run_with(const char *script, int fd3)
{
	char shell[] = "/bin/sh", option[] = "-c", text[512];
	char *argv[] = {shell, option, text, NULL}, *envp[] = {NULL};
	struct child_spec spec = {.program = shell, .argv = argv, .envp = envp, .fd3 = fd3};

	strncpy(text, script, sizeof text - 1);
	text[sizeof text - 1] = '\0';
	return run_spec(&spec);
}

static struct seen
run(const char *script)
{
	return run_with(script, -1);
}

static void
assert_exit(const struct seen *seen, int status)
{
	assert_int_equal(seen->exec_errno, 0);
	assert_true(WIFEXITED(seen->status));
	assert_int_equal(WEXITSTATUS(seen->status), status);
}

static void
a_signal_before_exec_ends_the_child_and_is_not_heard_by_the_parent(void **state)
{
	struct seen seen;

	(void)state;
	skip_without_pidfd();
	signal_the_child = true;
	signalled = false;
	seen = run("exit 3");
	signal_the_child = false;
	assert_true(signalled);
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
	assert_exit(&seen, 0);
}

static void
the_parent_has_its_mask_back(void **state)
{
	sigset_t some, before, now;

	(void)state;
	skip_without_pidfd();
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_SETMASK, &some, &before);
	run("exit 0");
	sigprocmask(SIG_SETMASK, &before, &now);
	for (int number = 1; number < SIGRTMIN; number++)
		assert_int_equal(sigismember(&now, number) == 1, number == SIGUSR1);
}

static void
an_exec_that_fails_is_told_from_a_program_that_ends(void **state)
{
	char program[] = "/nonexistent/program", shell[] = "/bin/sh";
	char *argv[] = {program, NULL}, *envp[] = {NULL};
	struct child_spec spec = {.program = program, .argv = argv, .envp = envp, .fd3 = -1};
	struct seen seen;

	(void)state;
	skip_without_pidfd();
	seen = run_spec(&spec);
	assert_int_equal(seen.exec_errno, ENOENT);
	assert_true(WIFEXITED(seen.status));
	spec.program = "/dev/null";
	seen = run_spec(&spec);
	assert_int_equal(seen.exec_errno, EACCES);
	spec.program = shell;
	spec.directory = "/nonexistent";
	seen = run_spec(&spec);
	assert_int_equal(seen.exec_errno, ENOENT);
	seen = run("exit 127");
	assert_exit(&seen, 127);
}

/* The shell's own look at the folder is closed again when the names are tried. */
#define NO_OTHERS_THAN(open) "for f in /proc/self/fd/*; do [ ! -e $f ] || case ${f##*/} in " open ") ;; *) exit 1;; esac; done; " \
	"for f in 0 1 2; do [ /proc/self/fd/$f -ef /dev/null ] || exit 2; done; "

/* What a worker gives monero-wallet-cli: two files without a name to read, one for
 * all that it says. */
static void
it_reads_and_writes_what_it_was_given(void **state)
{
	char shell[] = "/bin/sh", option[] = "-c", script[] = "read a; read b <&3; echo \"$a $b\"; echo and more >&2";
	char *argv[] = {shell, option, script, NULL}, *envp[] = {NULL}, said[64] = "";
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC), third = memfd_create("third", MFD_CLOEXEC);
	struct child_spec spec = {.program = shell, .argv = argv, .envp = envp, .fd0 = in, .fd1 = out, .fd3 = third};
	struct seen seen;

	(void)state;
	skip_without_pidfd();
	assert_int_equal(pwrite(in, "one\n", 4, 0), 4);
	assert_int_equal(pwrite(third, "three\n", 6, 0), 6);
	seen = run_spec(&spec);
	assert_exit(&seen, 0);
	assert_true(pread(out, said, sizeof said - 1, 0) > 0);
	assert_string_equal(said, "one three\nand more\n");
	close(in);
	close(out);
	close(third);
}

static void
it_has_three_or_four_descriptors(void **state)
{
	int fds[2], last;
	char byte = 0;
	struct seen seen;

	(void)state;
	skip_without_pidfd();
	assert_int_equal(pipe(fds), 0);
	last = fcntl(fds[1], F_DUPFD, 200);
	assert_int_not_equal(last, -1);
	seen = run(NO_OTHERS_THAN("[012]"));
	assert_exit(&seen, 0);
	seen = run_with(NO_OTHERS_THAN("[0123]") "printf x >&3", last);
	assert_exit(&seen, 0);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(fds[0]);
	close(fds[1]);
	close(last);
}

static void
it_has_the_limit_that_was_set_and_the_parent_keeps_its_own(void **state)
{
	struct rlimit before, limit, after;
	struct seen seen;
	int fds[2], beyond;

	(void)state;
	skip_without_pidfd();
	assert_int_equal(pipe(fds), 0);
	beyond = fcntl(fds[1], F_DUPFD, 100); /* the parent has more open than the child may have */
	getrlimit(RLIMIT_NOFILE, &before);
	limit = (struct rlimit){64, before.rlim_max};
	child_set_files_limit(&limit);
	seen = run_with("[ $(ulimit -n) = 64 ]", beyond);
	child_set_files_limit(&before);
	assert_exit(&seen, 0);
	getrlimit(RLIMIT_NOFILE, &after);
	assert_int_equal(after.rlim_cur, before.rlim_cur);
	close(fds[0]);
	close(fds[1]);
	close(beyond);
}

/* In a process of its own: starts one that would run for long, and waits. */
static _Noreturn void
be_a_parent(int fd3, int ready)
{
	char shell[] = "/bin/sh", option[] = "-c", text[] = "exec sleep 1000";
	char *argv[] = {shell, option, text, NULL}, *envp[] = {NULL};
	struct child_spec spec = {.program = shell, .argv = argv, .envp = envp, .fd3 = fd3, .dies_with_us = true};
	struct event_base *base = event_base_new();

	if (child_spawn(base, &spec, on_end, NULL) == NULL || write(ready, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void
one_that_dies_with_its_parent_does(void **state)
{
	int alive[2], ready[2];
	struct pollfd end;
	pid_t pid;
	char byte;

	(void)state;
	skip_without_pidfd();
	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		be_a_parent(alive[1], ready[1]);
	close(alive[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	end = (struct pollfd){.fd = alive[0], .events = POLLIN};
	assert_int_equal(poll(&end, 1, 100), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(poll(&end, 1, PATIENCE_S * 1000), 1);
	assert_int_equal(read(alive[0], &byte, 1), 0);
	close(alive[0]);
	close(ready[0]);
}

static void
what_a_child_took_is_told(void **state)
{
	struct seen idle, busy;

	(void)state;
	skip_without_pidfd();
	idle = run("exit 0");
	busy = run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
	assert_exit(&idle, 0);
	assert_exit(&busy, 0);
	assert_true(idle.cpu_us > 0 && busy.cpu_us > 2 * idle.cpu_us);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_before_exec_ends_the_child_and_is_not_heard_by_the_parent),
		cmocka_unit_test(the_child_ignores_and_blocks_nothing),
		cmocka_unit_test(the_parent_has_its_mask_back),
		cmocka_unit_test(an_exec_that_fails_is_told_from_a_program_that_ends),
		cmocka_unit_test(it_reads_and_writes_what_it_was_given),
		cmocka_unit_test(it_has_three_or_four_descriptors),
		cmocka_unit_test(it_has_the_limit_that_was_set_and_the_parent_keeps_its_own),
		cmocka_unit_test(one_that_dies_with_its_parent_does),
		cmocka_unit_test(what_a_child_took_is_told),
	};

	parent = getpid();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
