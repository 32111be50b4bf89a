/* Whom a lock that is held belongs to, and when that may be ended; and what
 * follows from the end of a worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/leftover.h"
#include "supervisor/worker_internal.h"
#include "tests/unit/folder.h"

#define ESCROW "123e4567-e89b-42d3-a456-426614174000"

/* A process of this name that holds the lock, until it is killed. Of what it
 * writes over the file's text, NULL leaves what lock_try() has written. */
static pid_t
hold(const char *name, const char *text)
{
	struct lock lock;
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, name);
		lock_init_escrow(&lock, ESCROW);
		if (lock_try(&lock, folder, "setup of escrow X", NULL, 0) != LOCK_TAKEN ||
		    (text != NULL && pwrite(lock.fd, text, strlen(text), 0) == -1) || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void
end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
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

static void
nobody_holds_a_lock_that_is_free(void **state)
{
	struct leftover who;
	struct lock lock;

	(void)state;
	lock_init_escrow(&lock, ESCROW);
	assert_false(leftover_holds(&lock, folder, &who));
	assert_false(leftover_holds(&lock, folder, &who)); /* and it was given back */
	assert_false(leftover_holds(&lock, "/nowhere", &who));
}

static void
a_worker_without_msigd_is_found_and_ended(void **state)
{
	struct leftover who;
	struct lock lock;
	pid_t pid;
	int status;

	(void)state;
	skip_without_pidfd();
	pid = hold("msigd-worker", NULL);
	lock_init_escrow(&lock, ESCROW);
	assert_true(leftover_holds(&lock, folder, &who));
	assert_int_equal(who.pid, pid);
	assert_non_null(strstr(who.holder, "setup of escrow X"));
	assert_true(leftover_kill(&lock, folder, &who));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_false(leftover_kill(&lock, folder, &who)); /* there is none any more */
	assert_false(leftover_holds(&lock, folder, &who));
}

static void
a_worker_of_a_running_msigd_is_left_alone(void **state)
{
	char name[17];
	pid_t pid = hold("msigd-worker", NULL);
	struct leftover who, proven;
	struct lock lock;

	(void)state;
	lock_init_escrow(&lock, ESCROW);
	assert_true(leftover_holds(&lock, folder, &proven));
	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, "msigd");
	assert_true(leftover_holds(&lock, folder, &who));
	assert_int_equal(who.pid, 0);
	assert_false(leftover_kill(&lock, folder, &who));
	assert_false(leftover_kill(&lock, folder, &proven)); /* what was true before is looked at again */
	prctl(PR_SET_NAME, name);
	assert_int_equal(kill(pid, 0), 0);
	end(pid);
}

static void
another_program_is_left_alone(void **state)
{
	pid_t pid = hold("something-else", NULL);
	struct leftover who;
	struct lock lock;

	(void)state;
	lock_init_escrow(&lock, ESCROW);
	assert_true(leftover_holds(&lock, folder, &who));
	assert_int_equal(who.pid, 0);
	end(pid);
}

/* The file says who it is, but the kernel knows better. */
static void
a_worker_that_does_not_hold_it_is_left_alone(void **state)
{
	char text[64], other_folder[64];
	struct leftover who;
	struct lock lock;
	pid_t worker, pid;

	(void)state;
	strcpy(other_folder, folder);
	make_folder(NULL);
	worker = hold("msigd-worker", NULL); /* a lock of the same name elsewhere */
	snprintf(text, sizeof text, "pid %ld, setup of escrow X\n", (long)worker);
	remove_folder(NULL);
	strcpy(folder, other_folder);
	pid = hold("something-else", text);
	lock_init_escrow(&lock, ESCROW);
	assert_true(leftover_holds(&lock, folder, &who));
	assert_non_null(strstr(who.holder, "setup of escrow X"));
	assert_int_equal(who.pid, 0);
	end(worker);
	end(pid);
}

/* --- what follows ------------------------------------------------------------- */

enum { EXITED = 0x100 /* times the status, as of waitpid(2) */ };

static const struct {
	const char *what;
	enum worker_fault fault;
	int exec_errno, status;
	enum worker_again again;
	bool counts;
	const char *why;
} ends[] = {
	{"no last word", WORKER_FAULT_NONE, 0, 0, WORKER_AGAIN_LATER, true, "as if it had finished"},
	{"msigd gone", WORKER_FAULT_NONE, 0, WORKER_EXIT_SUPERVISOR_GONE * EXITED, WORKER_AGAIN_NOW, true, "for gone"},
	{"not understood", WORKER_FAULT_NONE, 0, WORKER_EXIT_PROTOCOL * EXITED, WORKER_NEVER, true, "a mistake in msigd"},
	{"no memory", WORKER_FAULT_NONE, 0, WORKER_EXIT_RESOURCES * EXITED, WORKER_AGAIN_LATER, false, "no memory"},
	{"unknown", WORKER_FAULT_NONE, 0, 7 * EXITED, WORKER_AGAIN_LATER, true, "exited with status 7 without a word"},
	{"killed", WORKER_FAULT_NONE, 0, SIGKILL, WORKER_AGAIN_NOW, true, "killed by signal 9"},
	{"crashed", WORKER_FAULT_NONE, 0, SIGSEGV, WORKER_AGAIN_LATER, true, "killed by signal 11"},
	{"garbage", WORKER_FAULT_GARBAGE, 0, SIGKILL, WORKER_AGAIN_LATER, true, "killed by signal 9"},
	{"other version", WORKER_FAULT_VERSION, 0, SIGKILL, WORKER_AGAIN_LATER, false, "restart msigd"},
	{"deadline", WORKER_FAULT_DEADLINE, 0, SIGKILL, WORKER_AGAIN_LATER, true, "killed by signal 9"},
	{"broken", WORKER_FAULT_NONE, EACCES, 127 * EXITED, WORKER_NEVER, true, "Permission denied: install msigd again"},
	{"being replaced", WORKER_FAULT_NONE, ETXTBSY, 127 * EXITED, WORKER_AGAIN_LATER, false, "cannot be executed"},
};

static void
every_end_has_a_policy(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		struct worker w = {.forked = true, .fault = ends[i].fault, .exec_errno = ends[i].exec_errno, .status = ends[i].status};
		struct worker_end found = {0};
		worker_take_end(&w, "/the/program", &found);
		if (found.again != ends[i].again || found.counts != ends[i].counts || strstr(found.why, ends[i].why) == NULL)
			fail_msg("%s: %d %d %s", ends[i].what, found.again, found.counts, found.why);
		assert_int_equal(found.never_ran, ends[i].exec_errno != 0);
	}
}

static void
want_of_a_process_passes(void **state)
{
	struct worker w = {.why = "no process: Resource temporarily unavailable"};
	struct worker_end found = {0};

	(void)state;
	worker_take_end(&w, "/the/program", &found);
	assert_true(found.never_ran && found.again == WORKER_AGAIN_LATER && !found.counts);
	assert_string_equal(found.why, w.why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_holds_a_lock_that_is_free, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_worker_without_msigd_is_found_and_ended, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_worker_of_a_running_msigd_is_left_alone, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(another_program_is_left_alone, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_worker_that_does_not_hold_it_is_left_alone, make_folder, remove_folder),
		cmocka_unit_test(every_end_has_a_policy),
		cmocka_unit_test(want_of_a_process_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
