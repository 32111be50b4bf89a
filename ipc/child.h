/*
 * A child process: vfork, exec, and its end as an event (pidfd). An exec that
 * fails is told apart from a program that ends at once. Workers, managed
 * wallet-rpcs and what a worker starts are all started here.
 */
#ifndef IPC_CHILD_H
#define IPC_CHILD_H

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
	int fd3;                  /* becomes descriptor 3, or -1; no other is open but 0, 1 and 2 */
	int fd0, fd1;             /* become descriptor 0, and 1 and 2; 0: that is /dev/null */
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

/* What proc(5) says of any process. */
struct process {
	char name[17];                  /* of its program, cut; a title does not change it */
	pid_t parent;
	unsigned long long start_time;  /* clock ticks: with the pid it names a process for good */
};
/* False: there is none. */
bool process_look(pid_t pid, struct process *process);
/* Its start time, 0 when there is none. */
unsigned long long process_start_time(pid_t pid);

#endif
