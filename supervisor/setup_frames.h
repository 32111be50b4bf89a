/* What a setup worker's report and publish say, as rows for the store. */
#ifndef SUPERVISOR_SETUP_FRAMES_H
#define SUPERVISOR_SETUP_FRAMES_H

#include <jansson.h>

#include "supervisor/escrow.h"

enum { SETUP_WALLET_MAX = 80 };

/* What a wallet is called that is made for this attempt: ESCROW-ATTEMPT-ROLE. */
void setup_wallet_name(const struct escrow *escrow, enum role role, char out[SETUP_WALLET_MAX]);

/* Whether it may be a primary address, by its length and letters. */
bool setup_address_valid(const char *address);

/* Whether a frame has the shape that ipc/message.h gives it; why says what has not. */
bool setup_frame_valid(const struct escrow *escrow, enum message_type type, json_t *frame, const char **why);

/* Tells and counts a note. False: it is none of this job. */
bool setup_note(struct escrow *escrow, json_t *frame);

/* Another program has been at the endpoint of a role, or at the wallet there (NULL:
 * not known whose). found: what was found, for people; found_escrow: whose wallet
 * that is, or NULL. */
void setup_tell_pollution(struct escrow *escrow, enum role role, const char *wallet, const char *found,
    const char *found_escrow);

/* The same of a delay, which a trial has too; escrow_id: NULL. */
bool setup_note_delay(struct supervisor *sv, const char *escrow_id, json_t *frame);

/* Write what a valid frame says, as one: results, then the round that begins,
 * then intents; the address with what belongs to it. */
enum store_result setup_store_report(struct escrow *escrow, json_t *frame);
enum store_result setup_store_publish(struct escrow *escrow, json_t *frame);

/* What is under way, for status: what has an answer is not, as soon as that is
 * written; what is intended is, once the report is durable. */
void setup_note_answered(struct escrow *escrow, json_t *frame);
void setup_note_open(struct escrow *escrow, json_t *frame);

#endif
