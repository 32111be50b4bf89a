/* What the store has of a role, as the start frame of a set-up that goes on brings
 * it. What is damaged is as if it were not there: it is missed only where it is
 * needed, and then said. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/job_start.h"
#include "worker/steps.h"

/* prepare_multisig writes nothing: the .keys after it are those of create_wallet. */
static int
last_written(int done)
{
	return done == ROUND_PREPARE ? ROUND_CREATE : done;
}

static void
take_said(struct party *p, json_t *messages)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, 0, SEAL_MESSAGE};
	struct journal *j = &p->journal;
	json_t *message;
	size_t i, size;

	json_array_foreach(messages, i, message) {
		const char *sealed = json_string_value(json_object_get(message, "sealed"));
		if (i == sizeof j->said / sizeof j->said[0])
			return;
		place.round = j->said[i].round = (int)json_integer_value(json_object_get(message, "round"));
		j->said[i].text = sealed != NULL ? (char *)unseal_base64(p->job->subkey, &place, sealed, &size) : NULL;
		if (j->said[i].text == NULL)
			log_warn("message_not_unsealed", F_STR("escrow", p->job->escrow_id), F_STR("role", role_name(p->role)),
			    F_INT("round", place.round));
	}
}

/* A copy that is older than the last call that changed the wallet brings it back
 * to where its peers do not expect it. */
static void
take_keys(struct party *p, json_t *json)
{
	struct seal_place place = {p->job->escrow_id, p->job->attempt, p->role, 0, SEAL_KEYS};
	const char *keys = json_string_value(json_object_get(json, "keys"));
	struct journal *j = &p->journal;

	place.round = (int)json_integer_value(json_object_get(json, "keys_round"));
	if (keys == NULL || place.round != last_written(j->done))
		return;
	j->keys = unseal_base64(p->job->subkey, &place, keys, &j->keys_size);
	if (j->keys == NULL)
		log_warn("keys_not_unsealed", F_STR("escrow", p->job->escrow_id), F_STR("role", role_name(p->role)));
}

void
journal_take(struct party *p, json_t *json)
{
	struct journal *j = &p->journal;

	if (json == NULL)
		return;
	j->given = true;
	j->done = (int)json_integer_value(json_object_get(json, "done"));
	j->intent = (int)json_integer_value(json_object_get(json, "intent"));
	take_keys(p, json);
	take_said(p, json_object_get(json, "messages"));
}

void
journal_forget(struct journal *j)
{
	if (j->keys != NULL)
		sodium_memzero(j->keys, j->keys_size);
	free(j->keys);
	j->keys = NULL;
	j->keys_size = 0;
	for (size_t i = 0; i < sizeof j->said / sizeof j->said[0]; i++) {
		if (j->said[i].text != NULL)
			sodium_memzero(j->said[i].text, strlen(j->said[i].text));
		free(j->said[i].text);
		j->said[i].text = NULL;
	}
}

/* --- is it complete? ------------------------------------------------------------ */

static bool
has_said(const struct journal *j, int round)
{
	for (size_t i = 0; i < sizeof j->said / sizeof j->said[0]; i++) {
		if (j->said[i].text != NULL && j->said[i].round == round)
			return true;
	}
	return false;
}

/* Of the round that all have done and of the next; after the last exchange a
 * wallet may have nothing more to say. */
static int
missing_message(const struct journal *j, int lowest)
{
	int first = lowest < ROUND_PREPARE ? ROUND_PREPARE : lowest, last = lowest < ROUND_PREPARE ? ROUND_PREPARE : lowest + 1;

	for (int round = first; round <= last && round <= j->done; round++) {
		if (round <= ROUND_EXCHANGE && !has_said(j, round))
			return round;
	}
	return -1;
}

static bool
party_is_complete(const struct party *p, int lowest, char *why, size_t size)
{
	const struct journal *j = &p->journal;
	int round = missing_message(j, lowest);

	if (!j->given || j->done < -1 || (j->intent != -1 && j->intent != j->done + 1))
		snprintf(why, size, "its steps do not follow one another");
	else if (j->done - lowest > 1 && (lowest >= ROUND_PREPARE || j->done > ROUND_PREPARE))
		snprintf(why, size, "it is ahead of the others");
	else if (j->done >= ROUND_CREATE && (p->stamp[0] == '\0' || p->password[0] == '\0'))
		snprintf(why, size, "the %s of its wallet is damaged", p->stamp[0] == '\0' ? "stamp" : "password");
	else if (round != -1)
		snprintf(why, size, "its message of round %d is missing or damaged", round);
	else
		return true;
	return false;
}

struct party *
journal_incomplete(struct job *job, char *why, size_t size)
{
	int lowest = job->parties[0].journal.done;

	for (int i = 1; i < job->party_count; i++)
		lowest = job->parties[i].journal.done < lowest ? job->parties[i].journal.done : lowest;
	for (int i = 0; i < job->party_count; i++) {
		if (!party_is_complete(&job->parties[i], lowest, why, size))
			return &job->parties[i];
	}
	return NULL;
}
