#include "supervisor/key_file.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"

static bool
make(const char *path, unsigned char key[SEAL_KEY_BYTES])
{
	randombytes_buf(key, SEAL_KEY_BYTES);
	return atomic_file_write(path, key, SEAL_KEY_BYTES, 0400, true);
}

static bool
is_private(const char *path, char *why, size_t why_size)
{
	struct stat st;

	if (stat(path, &st) == -1) {
		snprintf(why, why_size, "key-file %s: %s", path, strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, why_size, "key-file %s: it is no regular file", path);
		return false;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		snprintf(why, why_size, "key-file %s: it belongs to uid %ld, not to uid %ld: chown it", path,
		    (long)st.st_uid, (long)geteuid());
		return false;
	}
	if ((st.st_mode & 077) != 0) {
		snprintf(why, why_size, "key-file %s: others can read it (mode %04o): was it copied by anyone? if not, "
		    "chmod 0400 %s", path, (unsigned)st.st_mode & 07777, path);
		return false;
	}
	return true;
}

bool
key_file_load(const char *path, bool may_make, unsigned char key[SEAL_KEY_BYTES], char *why, size_t why_size)
{
	unsigned char *data;
	size_t size = 0;

	if (access(path, F_OK) == -1 && errno == ENOENT) {
		if (!may_make) {
			snprintf(why, why_size, "key-file %s: it is missing, and the store cannot be read without it: "
			    "put it back from where you keep a copy", path);
			return false;
		}
		if (make(path, key))
			return true;
		snprintf(why, why_size, "key-file %s: it cannot be made: %s", path, strerror(errno));
		return false;
	}
	if (!is_private(path, why, why_size))
		return false;
	data = atomic_file_read(path, SEAL_KEY_BYTES, &size);
	if (data == NULL || size != SEAL_KEY_BYTES) {
		snprintf(why, why_size, "key-file %s: %s", path, data == NULL && errno != EFBIG ? strerror(errno)
		    : "it does not hold exactly 32 bytes: it is no key of msigd");
		free(data);
		return false;
	}
	memcpy(key, data, SEAL_KEY_BYTES);
	sodium_memzero(data, size);
	free(data);
	return true;
}
