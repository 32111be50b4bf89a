/*
 * Copies of the store for `backup`, handed out in pieces. A copy is a file
 * without a name (store_copy()); it is gone when the last piece was taken, could
 * not be read, or nobody asked for a minute.
 */
#ifndef SUPERVISOR_BACKUP_H
#define SUPERVISOR_BACKUP_H

#include <stdint.h>

struct api_call;
struct backups;
struct supervisor;

enum { BACKUP_PIECE = 48 * 1024 /* bytes, before base64 */ };

struct backups *backups_new(struct supervisor *sv);
void backups_free(struct backups *backups);

/* Makes a copy and answers with its first piece. */
void backup_begin(struct backups *backups, struct api_call *call);
/* Answers with the piece at offset. */
void backup_piece(struct backups *backups, struct api_call *call, int64_t backup_id, int64_t offset);

#endif
