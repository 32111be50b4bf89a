/* Preloaded into msigd by the bench: every fdatasync and fsync takes
 * BENCH_FSYNC_MS longer, as on a disk that is slow to answer. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void
wait_a_little(void)
{
	const char *text = getenv("BENCH_FSYNC_MS");
	long ms = text != NULL ? strtol(text, NULL, 10) : 0;
	struct timespec t = {ms / 1000, (ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static int
call(const char *name, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

	wait_a_little();
	return real(fd);
}

int
fsync(int fd)
{
	return call("fsync", fd);
}

int
fdatasync(int fd)
{
	return call("fdatasync", fd);
}
