#include "ipc/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	pid_t pid;
	int pidfd;
	int exec_errno;       /* 0, or why it could not be executed */
	struct event *event;
	child_end_fn fn;
	void *arg;
};

/* What the child is to know. */
struct order {
	const struct child_spec *spec;
	pid_t parent;
	volatile int exec_errno;  /* the child's answer */
};

static struct rlimit files_limit; /* what children get; rlim_max 0: what msigd has */

/* --- in the child, between vfork and exec --------------------------------- */

/* It runs in the memory of the parent, which waits meanwhile: fork would copy
 * the page tables of all that msigd has, for an exec that drops them. So only
 * system calls here, nothing is written but the child's own stack and
 * order->exec_errno (the parent saves errno), and the only ways out are exec
 * and _exit. Descriptors, signal handlers and the mask are the child's own. */

/* Descriptors 0-2 /dev/null or what is asked for, likewise 3, no more. All are
 * first moved out of each other's way. */
static bool
arrange_descriptors(const struct child_spec *spec)
{
	int from[4] = {spec->fd0, spec->fd1, spec->fd1, spec->fd3};
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd < 4; fd++) {
		if (fd == 3 && from[fd] == -1)
			continue;
		from[fd] = fcntl(fd < 3 && from[fd] == 0 ? null : from[fd], F_DUPFD, 16);
		if (from[fd] == -1)
			return false;
	}
	for (int fd = 0; fd < 4; fd++) {
		if (from[fd] != -1 && dup2(from[fd], fd) == -1)
			return false;
	}
	return close_range(from[3] != -1 ? 4 : 3, ~0U, 0) == 0;
}

static void
reset_signals(void)
{
	static const struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &by_default, NULL); /* refused for a few, which have no handler either */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void
run_child(struct order *order)
{
	static const struct rlimit no_core = {0, 0};
	const struct child_spec *spec = order->spec;

	reset_signals();
	setsid(); /* a Ctrl-C at msigd's terminal is msigd's to deal with */
	umask(077);
	setrlimit(RLIMIT_CORE, &no_core);
	if (spec->dies_with_us) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* the parent may have died before the prctl */
		if (getppid() != order->parent)
			_exit(127);
	}
	if (chdir(spec->directory != NULL ? spec->directory : "/") == 0 && arrange_descriptors(spec)) {
		if (files_limit.rlim_max > 0)
			setrlimit(RLIMIT_NOFILE, &files_limit); /* not before: msigd may have more open */
		execve(spec->program, spec->argv, spec->envp);
	}
	order->exec_errno = errno;
	_exit(127);
}

/* --- in the parent -------------------------------------------------------- */

/* libevent's signal handlers write to a socket that the child shares, and run in
 * memory that it shares: a SIGTERM meant for the child would stop msigd. So none
 * gets there before they are off. */
static pid_t
vfork_without_handlers(struct order *order)
{
	sigset_t all, before;
	pid_t pid;
	int saved;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = vfork();
	if (pid == 0)
		run_child(order);
	saved = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return pid;
}

static void
child_free(struct child *child)
{
	if (child->event != NULL)
		event_free(child->event);
	if (child->pidfd != -1)
		close(child->pidfd);
	free(child);
}

static int64_t
cpu_us(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * (int64_t)1000000 + usage->ru_utime.tv_usec +
	    usage->ru_stime.tv_usec;
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
	struct child *child = arg;
	child_end_fn fn = child->fn;
	void *fn_arg = child->arg;
	int status = 0, exec_errno = child->exec_errno;
	struct rusage usage;

	(void)fd;
	(void)what;
	if (wait4(child->pid, &status, WNOHANG, &usage) != child->pid) {
		event_add(child->event, NULL);
		return;
	}
	child_free(child);
	fn(status, exec_errno, cpu_us(&usage), fn_arg);
}

static bool
watch(struct child *child, struct event_base *base)
{
	child->pidfd = pidfd_open(child->pid, 0);
	if (child->pidfd == -1)
		return false;
	child->event = event_new(base, child->pidfd, EV_READ, on_end, child);
	return child->event != NULL && event_add(child->event, NULL) == 0;
}

void
child_set_files_limit(const struct rlimit *limit)
{
	files_limit = *limit;
}

struct child *
child_spawn(struct event_base *base, const struct child_spec *spec, child_end_fn fn, void *arg)
{
	struct child *child = calloc(1, sizeof *child);
	struct order order = {.spec = spec, .parent = getpid()};
	int saved;

	if (child == NULL)
		return NULL;
	child->pidfd = -1;
	child->fn = fn;
	child->arg = arg;
	child->pid = vfork_without_handlers(&order);
	if (child->pid == -1)
		goto fail;
	child->exec_errno = order.exec_errno;
	if (!watch(child, base)) {
		saved = errno;
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
		errno = saved;
		goto fail;
	}
	return child;
fail:
	saved = errno;
	child_free(child);
	errno = saved;
	return NULL;
}

pid_t
child_pid(const struct child *child)
{
	return child->pid;
}

void
child_kill(struct child *child, int signal)
{
	pidfd_send_signal(child->pidfd, signal, NULL, 0);
}

void
child_reap(struct child *child)
{
	waitpid(child->pid, NULL, 0);
	child_free(child);
}

void
child_describe_end(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, size, "exited with status %d", WEXITSTATUS(status));
}

bool
process_look(pid_t pid, struct process *process)
{
	char path[64], text[1024], *name, *rest;
	long parent = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* the name, field 2, may hold anything, also ')' */
	name = strchr(text, '(');
	rest = strrchr(text, ')');
	if (name == NULL || rest == NULL || sscanf(rest + 1, " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
	    "%*d %*d %*d %llu", &parent, &process->start_time) != 2)
		return false;
	snprintf(process->name, sizeof process->name, "%.*s", (int)(rest - name - 1), name + 1);
	process->parent = (pid_t)parent;
	return true;
}

unsigned long long
process_start_time(pid_t pid)
{
	struct process process;

	return process_look(pid, &process) ? process.start_time : 0;
}
