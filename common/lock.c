#include "common/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/clock.h"

static void
init(struct lock *lock)
{
	memset(lock, 0, sizeof *lock);
	lock->fd = -1;
	lock->requested_ms = clock_monotonic_ms();
}

void
lock_init_escrow(struct lock *lock, const char *escrow_id)
{
	init(lock);
	snprintf(lock->name, sizeof lock->name, "escrow-%s.lock", escrow_id);
}

void
lock_init_endpoint(struct lock *lock, const char *normalised_url)
{
	char *out, *end;

	init(lock);
	out = lock->name + snprintf(lock->name, sizeof lock->name, "endpoint-");
	end = lock->name + sizeof lock->name - sizeof "%2F.lock";
	for (const char *c = normalised_url; *c != '\0' && out < end; c++) {
		if (*c == '/' || *c == '%')
			out += sprintf(out, "%%%02X", (unsigned char)*c);
		else
			*out++ = *c;
	}
	strcpy(out, ".lock");
}

static void
read_holder(int fd, char *holder, size_t size)
{
	ssize_t n;

	if (holder == NULL || size == 0)
		return;
	n = pread(fd, holder, size - 1, 0);
	holder[n > 0 ? n : 0] = '\0';
	holder[strcspn(holder, "\n")] = '\0';
	/* it goes into logs and JSON, and anybody may have written it */
	for (char *c = holder; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	if (holder[0] == '\0')
		snprintf(holder, size, "an unknown process");
}

/* What the file says is for people only; the lock itself is the flock. Written
 * over what stood there and then cut to length: emptying it first would give the
 * file's block back and ask for a new one. */
static void
write_holder(int fd, const char *who)
{
	char line[256];
	int n = snprintf(line, sizeof line, "pid %ld, %s\n", (long)getpid(), who);

	if (pwrite(fd, line, (size_t)n, 0) == -1 || ftruncate(fd, n) == -1)
		(void)0;
}

enum lock_try
lock_try(struct lock *lock, const char *dir, const char *who, char *holder, size_t holder_size)
{
	int dir_fd, fd, saved;

	dir_fd = open(dir, O_DIRECTORY | O_PATH | O_CLOEXEC);
	if (dir_fd == -1)
		return LOCK_ERROR;
	fd = openat(dir_fd, lock->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	saved = errno;
	close(dir_fd);
	errno = saved;
	if (fd == -1)
		return LOCK_ERROR;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		enum lock_try result = errno == EWOULDBLOCK ? LOCK_BUSY : LOCK_ERROR;
		saved = errno;
		if (result == LOCK_BUSY) {
			lock->busy_tries++;
			read_holder(fd, holder, holder_size);
		}
		close(fd);
		errno = saved;
		return result;
	}
	write_holder(fd, who);
	lock->fd = fd;
	lock->acquired_ms = clock_monotonic_ms();
	return LOCK_TAKEN;
}

bool
lock_is_held(const char *dir, const char *name, char *holder, size_t holder_size)
{
	int dir_fd = open(dir, O_DIRECTORY | O_PATH | O_CLOEXEC), fd;
	bool held;

	if (dir_fd == -1)
		return false;
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	close(dir_fd);
	if (fd == -1)
		return false;
	held = flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK;
	if (held)
		read_holder(fd, holder, holder_size);
	close(fd);
	return held;
}

bool
lock_error_passes(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOLCK;
}

/* Nobody holds it, so there is nobody to name: and a file without text takes no
 * room, of which a tmpfs has little for all the escrows there ever were. */
void
lock_release(struct lock *lock)
{
	if (lock->fd == -1)
		return;
	if (ftruncate(lock->fd, 0) == -1)
		(void)0;
	close(lock->fd);
	lock->fd = -1;
}

int64_t
lock_wait_ms(const struct lock *lock)
{
	int64_t until = lock->acquired_ms != 0 ? lock->acquired_ms : clock_monotonic_ms();

	return until - lock->requested_ms;
}

int64_t
lock_hold_ms(const struct lock *lock)
{
	return lock->acquired_ms != 0 ? clock_monotonic_ms() - lock->acquired_ms : 0;
}
