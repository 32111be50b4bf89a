/*
 * A child process: vfork, exec, and its end as an event (pidfd). An exec that
 * fails is told apart from a program that ends at once. Workers and managed
 * wallet-rpcs are both started here.
 */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct child;

struct child_spec {
	const char *program;      /* an absolute path */
	char *const *argv;
	char *const *envp;        /* the whole environment */
	const char *directory;    /* working directory, or NULL for / */
	int fd3;                  /* becomes descriptor 3, or -1; 0, 1 and 2 are /dev/null, no other is open */
	bool dies_with_us;        /* PR_SET_PDEATHSIG: SIGKILL, see prctl(2) */
};

/* exec_errno: 0, or why the program could not be executed. status: as of
 * waitpid(2). cpu_us: all the CPU time it took, microseconds. Called once, and
 * the child is freed after it. */
typedef void (*child_end_fn)(int status, int exec_errno, int64_t cpu_us, void *arg);

/* RLIMIT_NOFILE of all children from now on; before, they have msigd's. */
void child_set_files_limit(const struct rlimit *limit);

/* NULL with errno when there is no process. fd3 stays the caller's. */
struct child *child_spawn(struct event_base *base, const struct child_spec *spec, child_end_fn fn, void *arg);

pid_t child_pid(const struct child *child);
void child_kill(struct child *child, int signal);

/* Waits for its end, blocking, and frees it without calling fn: only while
 * msigd itself ends, after child_kill(SIGKILL). */
void child_reap(struct child *child);

/* "exited with status 3", "was killed by signal 9 (Killed)". */
void child_describe_end(int status, char *out, size_t size);

/* The start time of a process in clock ticks (proc(5), field 22), 0 when there
 * is none: with the pid it names a process for good. */
unsigned long long process_start_time(pid_t pid);

#endif
