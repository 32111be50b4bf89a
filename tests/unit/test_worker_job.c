/* A job before and between its calls: the order of its locks, a lock-dir
 * without room, memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/channel.h"
#include "worker/job.h"

static char folder[64];
static struct job job;
static int supervisor;
static bool no_memory;
static char said[4096]; /* the frames that the job sent, behind each other */

/* In place of the C library's. */
char *
strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = no_memory ? NULL : malloc(size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

static void
on_frame(json_t *frame, void *arg)
{
	(void)frame, (void)arg;
}

static void
on_end(enum channel_end end, const char *why, void *arg)
{
	(void)end, (void)why, (void)arg;
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

/* Three parties whose endpoints' names go down while the roles go up. */
static int
make_job(void **state)
{
	static const char *const urls[] = {"http://127.0.0.1:3", "http://127.0.0.1:2", "http://127.0.0.1:1"};
	int ends[2];

	(void)state;
	memset(&job, 0, sizeof job);
	strcpy(folder, "/tmp/msigd-unit.XXXXXX");
	if (mkdtemp(folder) == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		return -1;
	supervisor = ends[1];
	job.base = event_base_new();
	job.channel = channel_new(job.base, ends[0], on_frame, on_end, NULL);
	job.lock_retry = evtimer_new(job.base, on_retry, NULL);
	job.lock_dir = folder;
	strcpy(job.name, "setup");
	for (job.party_count = 0; job.party_count < ROLE_COUNT; job.party_count++) {
		struct party *p = &job.parties[job.party_count];
		p->job = &job;
		p->role = (enum role)job.party_count;
		strcpy(p->url, urls[job.party_count]);
	}
	return 0;
}

static int
end_job(void **state)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	(void)state;
	for (int i = 0; i < job.lock_count; i++)
		lock_release(&job.locks[i]);
	event_free(job.lock_retry);
	channel_free(job.channel);
	event_base_free(job.base);
	close(supervisor);
	while ((entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	return rmdir(folder);
}

static const char *
what_was_said(void)
{
	ssize_t n = recv(supervisor, said, sizeof said - 1, MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++) {
		if (said[i] == '\0')
			said[i] = ' '; /* of a frame's length */
	}
	said[n > 0 ? n : 0] = '\0';
	return said;
}

static bool
is_free(const char *url)
{
	struct lock lock;
	bool free;

	lock_init_endpoint(&lock, url);
	free = lock_try(&lock, folder, "test", NULL, 0) == LOCK_TAKEN;
	lock_release(&lock);
	return free;
}

static void
locks_are_taken_in_order_of_name_whatever_the_roles(void **state)
{
	struct lock middle;

	(void)state;
	lock_init_endpoint(&middle, "http://127.0.0.1:2");
	assert_int_equal(lock_try(&middle, folder, "another", NULL, 0), LOCK_TAKEN);
	job_take_locks(&job);
	assert_false(is_free("http://127.0.0.1:1"));
	assert_true(is_free("http://127.0.0.1:3"));
	assert_true(event_pending(job.lock_retry, EV_TIMEOUT, NULL));
	lock_release(&middle);
}

/* Lets the process open nothing, and takes the locks. */
static void
take_locks_without_descriptors(void)
{
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	job_take_locks(&job);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void
a_shortage_is_waited_for(void **state)
{
	(void)state;
	take_locks_without_descriptors();
	assert_false(job.ended);
	assert_true(event_pending(job.lock_retry, EV_TIMEOUT, NULL));
	assert_int_equal(job.locks[0].busy_tries, 1);
}

static void
a_folder_that_cannot_be_used_is_not_waited_for(void **state)
{
	char nowhere[] = "/nowhere";

	(void)state;
	job.lock_dir = nowhere;
	job_take_locks(&job);
	assert_true(job.ended);
	assert_non_null(strstr(what_was_said(), "No such file or directory"));
	assert_non_null(strstr(said, "\"fatal\":true"));
}

static void
memory_that_runs_out_ends_the_job(void **state)
{
	static const struct op op = {.method = "query_key"};
	char seed[200] = "";
	json_t *result;

	(void)state;
	memset(seed, 'a', sizeof seed - 1);
	result = json_pack("{s:s}", "key", seed);
	job.parties[0].op = &op;
	no_memory = true;
	assert_false(take_seed(&job.parties[0], result));
	no_memory = false;
	assert_true(job.ended);
	assert_non_null(strstr(what_was_said(), "out of memory"));
	json_decref(result);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(locks_are_taken_in_order_of_name_whatever_the_roles, make_job, end_job),
		cmocka_unit_test_setup_teardown(a_shortage_is_waited_for, make_job, end_job),
		cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_used_is_not_waited_for, make_job, end_job),
		cmocka_unit_test_setup_teardown(memory_that_runs_out_ends_the_job, make_job, end_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
