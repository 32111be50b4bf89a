/*
 * backup: the store's copy, in pieces from msigd, into a file of its own. It is
 * written under a temporary name beside FILE and renamed when all of it is on
 * disk; an existing FILE is never replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "msigctl/arguments.h"
#include "msigctl/client.h"
#include "msigctl/interrupt.h"
#include "msigctl/output.h"
#include "msigctl/terminal.h"
#include "msigctl/text.h"

struct backup {
	const struct context *context;
	const char *path;
	char temporary[PATH_MAX];
	int fd;
	int64_t written, size;
	json_t *id; /* msigd's name for it, whatever it is; NULL before the first piece */
	bool eof;
};

static bool
say_errno(const struct backup *backup, const char *path)
{
	complain(backup->context, "%s: %s", path, strerror(errno));
	return false;
}

static bool
target_create(struct backup *backup)
{
	struct stat st;

	if (lstat(backup->path, &st) == 0) {
		complain(backup->context, "%s is there already, and is not replaced", backup->path);
		return false;
	}
	if (snprintf(backup->temporary, sizeof backup->temporary, "%s.XXXXXX", backup->path) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		backup->temporary[0] = '\0';
		return say_errno(backup, backup->path);
	}
	backup->fd = mkostemp(backup->temporary, O_CLOEXEC); /* mode 0600 */
	if (backup->fd == -1) {
		backup->temporary[0] = '\0';
		return say_errno(backup, backup->path);
	}
	return true;
}

static bool
write_piece(struct backup *backup, const unsigned char *data, size_t size)
{
	if (!file_write_all(backup->fd, data, size))
		return say_errno(backup, backup->path);
	backup->written += (int64_t)size;
	return true;
}

static bool
take_piece(struct backup *backup, const json_t *piece)
{
	const json_t *text = json_object_get(piece, "data");
	size_t size = 0, max = json_string_length(text);
	unsigned char *data = malloc(max + 1);
	bool ok = data != NULL && json_is_string(text) &&
	    sodium_base642bin(data, max, json_string_value(text), max, NULL, &size, NULL,
	        sodium_base64_VARIANT_ORIGINAL) == 0 &&
	    member_int(piece, "offset", -1) == backup->written;

	backup->eof = member_true(piece, "eof");
	backup->size = member_int(piece, "size", 0);
	json_decref(backup->id);
	backup->id = json_incref(json_object_get(piece, "backup_id"));
	if (!ok || (size == 0 && !backup->eof) || (!backup->eof && backup->id == NULL)) {
		complain(backup->context, "msigd's answer is no piece of a backup, or not the next one");
		ok = false;
	}
	ok = ok && write_piece(backup, data, size);
	if (ok && backup->eof && backup->written != backup->size) {
		complain(backup->context, "msigd sent %lld of %lld bytes", (long long)backup->written, (long long)backup->size);
		ok = false;
	}
	free(data);
	return ok;
}

static void
draw(const struct backup *backup)
{
	char done[TEXT_TIME], all[TEXT_TIME], line[2 * TEXT_TIME + 8];

	if (backup->context->quiet || !terminal_can_redraw(stderr))
		return;
	text_size(backup->written, done, sizeof done);
	text_size(backup->size, all, sizeof all);
	snprintf(line, sizeof line, "%s of %s", done, all);
	terminal_draw_line(backup->eof ? "" : line);
}

static enum exit_status
fetch(struct backup *backup)
{
	while (!backup->eof) {
		json_t *params = json_object(), *piece;
		enum exit_status status;
		bool ok;
		if (backup->written > 0) {
			json_object_set(params, "backup_id", backup->id);
			json_object_set_new(params, "offset", json_integer(backup->written));
		}
		status = client_call(backup->context, "backup", params, CLIENT_SLOW_MS, &piece);
		if (status != STATUS_DONE)
			return status;
		ok = take_piece(backup, piece);
		json_decref(piece);
		if (!ok)
			return STATUS_REFUSED;
		draw(backup);
		if (interrupted())
			return (enum exit_status)interrupt_status();
	}
	return STATUS_DONE;
}

/* Never over an existing file. Not every file system can rename so; those
 * which cannot can link. */
static bool
give_name(struct backup *backup)
{
	if (renameat2(AT_FDCWD, backup->temporary, AT_FDCWD, backup->path, RENAME_NOREPLACE) == 0) {
		backup->temporary[0] = '\0';
		return true;
	}
	return errno == EINVAL && link(backup->temporary, backup->path) == 0;
}

static bool
finish(struct backup *backup)
{
	if (fsync(backup->fd) == -1 || !give_name(backup) || !file_sync_folder(backup->path))
		return say_errno(backup, backup->path);
	return true;
}

static void
show(const struct backup *backup)
{
	char size[TEXT_TIME];

	if (backup->context->json) {
		json_t *document = json_pack("{s:s, s:I}", "file", backup->path, "size", (json_int_t)backup->written);
		if (document != NULL)
			say_json(document);
		json_decref(document);
		return;
	}
	text_size(backup->written, size, sizeof size);
	if (!backup->context->quiet)
		say(stdout, "%s: %s\n", backup->path, size);
	hint(backup->context, "it is sealed: keep msigd's key file too, in another place");
}

enum exit_status
backup_run(const struct context *context, const struct arguments *arguments)
{
	struct backup backup = {.context = context, .path = arguments_positional(arguments, 0), .fd = -1};
	enum exit_status status;

	interrupt_catch(); /* from here on there is a file to remove */
	if (!target_create(&backup))
		return STATUS_REFUSED;
	status = fetch(&backup);
	if (status == STATUS_DONE && !finish(&backup))
		status = STATUS_REFUSED;
	json_decref(backup.id);
	close(backup.fd);
	if (backup.temporary[0] != '\0')
		unlink(backup.temporary);
	if (status == STATUS_DONE)
		show(&backup);
	else if (!context->quiet && terminal_can_redraw(stderr))
		terminal_wipe_line();
	return status;
}
