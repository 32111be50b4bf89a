#include "common/log_journal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "common/clock.h"

enum {
	NAME_MAX_LENGTH = 64,   /* what journald takes */
	PATIENCE_MS = 200,      /* the loop waits so long for a journal that is slow, … */
	SLOW_MS = 20,           /* … which is one that takes so long for a line, … */
	AGAIN_MS = 60000        /* … and then not before this is over */
};

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int journal = -1;
static unsigned lost;           /* lines, since the last that was sent */
static int64_t impatient_until; /* monotonic, ms */

/* --- where to ------------------------------------------------------------- */

static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && (uintmax_t)st.st_dev == device && (uintmax_t)st.st_ino == inode;
}

bool
log_journal_take(const char *path)
{
	static const struct timeval patience = {0, PATIENCE_MS * 1000};
	struct stat st;

	if (!stderr_is_journal() || strlen(path) >= sizeof address.sun_path || stat(path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (journal == -1)
		journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return journal != -1 && setsockopt(journal, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0;
}

/* --- a line --------------------------------------------------------------- */

/* "escrow" is MSIGD_ESCROW: the journal's own fields cannot be meant. */
static void
journal_name(const char *name, char out[NAME_MAX_LENGTH + 1])
{
	size_t n = (size_t)snprintf(out, NAME_MAX_LENGTH + 1, "MSIGD_");

	for (; *name != '\0' && n < NAME_MAX_LENGTH; name++)
		out[n++] = isalnum((unsigned char)*name) ? (char)toupper((unsigned char)*name) : '_';
	out[n] = '\0';
}

/* A value with a newline has its length before it instead. */
static void
put(FILE *f, const char *name, const char *value)
{
	size_t length = strlen(value);

	fputs(name, f);
	if (strchr(value, '\n') == NULL) {
		fputc('=', f);
	} else {
		fputc('\n', f);
		for (int i = 0; i < 8; i++)
			fputc((int)(((uint64_t)length >> (8 * i)) & 0xff), f);
	}
	fwrite(value, 1, length, f);
	fputc('\n', f);
}

/* Two names that differ here may be one there. */
static bool
is_put_already(const struct log_field *fields, const struct log_field *field, const char *name)
{
	char earlier[NAME_MAX_LENGTH + 1];

	for (; fields < field; fields++) {
		journal_name(fields->name, earlier);
		if (log_field_counts(fields, fields) && strcmp(earlier, name) == 0)
			return true;
	}
	return strcmp(name, "MSIGD_EVENT") == 0;
}

static void
put_field(FILE *f, const struct log_field *fields, const struct log_field *field)
{
	char name[NAME_MAX_LENGTH + 1], number[32];

	journal_name(field->name, name);
	if (!log_field_counts(fields, field) || is_put_already(fields, field, name))
		return;
	snprintf(number, sizeof number, "%lld", (long long)field->number);
	put(f, name, field->is_string ? field->string : number);
}

/* Once it has shown to be slow, it is not waited for for a while. */
static bool
send_line(const char *data, size_t size)
{
	int64_t began = clock_monotonic_ms();
	bool sent = sendto(journal, data, size, MSG_NOSIGNAL | (began < impatient_until ? MSG_DONTWAIT : 0),
	    (const struct sockaddr *)&address, sizeof address) != -1;

	if (clock_monotonic_ms() - began >= SLOW_MS)
		impatient_until = began + AGAIN_MS;
	return sent;
}

static bool
send_fields(const char *program, int priority, const char *message, const char *event, const struct log_field *fields)
{
	char *data = NULL, digit[4], trace[TRACE_ID_TEXT];
	size_t size = 0;
	FILE *f = open_memstream(&data, &size);
	bool sent;

	if (f == NULL)
		return false;
	snprintf(digit, sizeof digit, "%d", priority & 7);
	put(f, "MESSAGE", message);
	put(f, "PRIORITY", digit);
	put(f, "SYSLOG_IDENTIFIER", program);
	put(f, "MSIGD_EVENT", event);
	for (const struct log_field *field = fields; field->name != NULL; field++)
		put_field(f, fields, field);
	if (log_trace(fields, trace))
		put(f, "MSIGD_TRACE", trace);
	sent = fclose(f) == 0 && send_line(data, size);
	free(data);
	return sent;
}

static void
tell_lost(const char *program)
{
	const struct log_field fields[] = {F_INT("lines", lost), {0, 0, 0, false}};
	char message[64];

	snprintf(message, sizeof message, "level=warn event=log_lines_lost lines=%u", lost);
	if (send_fields(program, LOG_WARNING, message, "log_lines_lost", fields))
		lost = 0; /* else the next line that is taken is followed by it */
}

void
log_journal_send(const char *program, int priority, const char *message, const char *event,
    const struct log_field *fields)
{
	if (!send_fields(program, priority, message, event, fields))
		lost++;
	else if (lost > 0)
		tell_lost(program);
}
