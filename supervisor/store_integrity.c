#include "supervisor/store_integrity.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	COPY = 3,            /* the descriptor */
	LIMIT_SECONDS = 600  /* then SIGALRM ends it */
};

static void
ask(sqlite3 *db, char text[STORE_INTEGRITY_TEXT])
{
	sqlite3_stmt *statement = NULL;
	size_t used = 0;
	int code;

	code = sqlite3_prepare_v2(db, "PRAGMA integrity_check(5)", -1, &statement, NULL);
	while (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW && used < STORE_INTEGRITY_TEXT - 90)
		used += (size_t)snprintf(text + used, STORE_INTEGRITY_TEXT - used, "%s%.80s", used > 0 ? "; " : "",
		    (const char *)sqlite3_column_text(statement, 0));
	if (sqlite3_finalize(statement) != SQLITE_OK || used == 0)
		snprintf(text, STORE_INTEGRITY_TEXT, "%s", sqlite3_errmsg(db));
}

/* SQLite opens no descriptor, and the file has no name: it is read where it is
 * mapped. */
int
store_integrity_main(void)
{
	char text[STORE_INTEGRITY_TEXT] = "";
	sqlite3 *db = NULL;
	struct stat st;
	void *copy;

	alarm(LIMIT_SECONDS);
	/* what has a name is not ours to write to */
	if (fstat(COPY, &st) == -1 || !S_ISREG(st.st_mode) || st.st_nlink != 0 || st.st_size == 0)
		return 1;
	copy = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, COPY, 0);
	if (copy == MAP_FAILED || sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return 1;
	if (sqlite3_deserialize(db, "main", copy, st.st_size, st.st_size, SQLITE_DESERIALIZE_READONLY) == SQLITE_OK)
		ask(db, text);
	else
		snprintf(text, sizeof text, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
	munmap(copy, (size_t)st.st_size);
	return ftruncate(COPY, 0) == 0 && pwrite(COPY, text, strlen(text), 0) == (ssize_t)strlen(text) ? 0 : 1;
}
