/* See job_start.h. A frame that lacks something is refused before anything is done. */
#include "worker/job_start.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/job.h"
#include "worker/wallet_files.h"

static void
copy_text(char *out, size_t size, json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	snprintf(out, size, "%s", text != NULL ? text : "");
}

static bool
take_endpoint(struct party *p, json_t *endpoint)
{
	const char *dir = json_string_value(json_object_get(endpoint, "wallet_dir"));

	copy_text(p->endpoint, sizeof p->endpoint, endpoint, "name");
	copy_text(p->url, sizeof p->url, endpoint, "url");
	p->wallet_dir = strdup(dir != NULL ? dir : "");
	p->wallet_dir_sure = json_is_true(json_object_get(endpoint, "wallet_dir_sure"));
	p->rpc = rpc_endpoint_new(p->job->rpc, p->url, json_string_value(json_object_get(endpoint, "login")),
	    json_string_value(json_object_get(endpoint, "ca_file")));
	return p->url[0] != '\0' && p->wallet_dir != NULL && p->rpc != NULL;
}

/* The password of a wallet that exists comes sealed, from the store. */
static bool
unseal_password(const unsigned char *subkey, const struct seal_place *place, const char *sealed, char out[PASSWORD_MAX])
{
	size_t size;
	unsigned char *plain = unseal_base64(subkey, place, sealed, &size);

	if (plain == NULL)
		return false;
	snprintf(out, PASSWORD_MAX, "%s", (char *)plain);
	sodium_memzero(plain, size);
	free(plain);
	return true;
}

static bool
take_subkey(json_t *object, unsigned char subkey[SEAL_KEY_BYTES])
{
	const char *text = json_string_value(json_object_get(object, "subkey"));
	size_t size;

	return text != NULL && sodium_base642bin(subkey, SEAL_KEY_BYTES, text, strlen(text), NULL, &size, NULL,
	    sodium_base64_VARIANT_ORIGINAL) == 0 && size == SEAL_KEY_BYTES;
}

static bool
take_spare(struct party *p, json_t *json)
{
	struct spare *spare = &p->spare;
	struct seal_place place = {spare->id, 0, ROLE_ANY, 0, SEAL_PASSWORD};
	const char *password = json_string_value(json_object_get(json, "password"));

	if (json == NULL)
		return true;
	copy_text(spare->id, sizeof spare->id, json, "spare_id");
	copy_text(spare->wallet, sizeof spare->wallet, json, "wallet");
	copy_text(spare->stamp, sizeof spare->stamp, json, "stamp");
	copy_text(spare->address, sizeof spare->address, json, "address");
	if (spare->id[0] == '\0' || spare->wallet[0] == '\0' || spare->stamp[0] == '\0' || password == NULL ||
	    !take_subkey(json, spare->subkey))
		return false;
	if (!unseal_password(spare->subkey, &place, password, spare->password)) {
		log_warn("spare_not_unsealed", F_STR("endpoint", p->endpoint), F_STR("wallet", spare->wallet));
		memset(spare, 0, sizeof *spare); /* as if there were none: a new one takes its place */
	}
	return true;
}

static bool
take_party(struct job *job, json_t *participant)
{
	struct party *p = &job->parties[job->party_count];
	const char *role = json_string_value(json_object_get(participant, "role"));
	const char *password = json_string_value(json_object_get(participant, "password"));
	struct seal_place place;

	if (job->party_count == ROLE_COUNT || role == NULL || !role_parse(role, false, &p->role))
		return false;
	for (int i = 0; i < job->party_count; i++) {
		if (job->parties[i].role == p->role)
			return false;
	}
	p->job = job;
	job->party_count++;
	copy_text(p->wallet, sizeof p->wallet, participant, "wallet");
	copy_text(p->stamp, sizeof p->stamp, participant, "stamp");
	if (p->wallet[0] == '\0' || !take_endpoint(p, json_object_get(participant, "endpoint")) ||
	    !take_spare(p, json_object_get(participant, "spare")))
		return false;
	journal_take(p, json_object_get(participant, "journal"));
	place = (struct seal_place){job->escrow_id, job->attempt, p->role, 0, SEAL_PASSWORD};
	return password == NULL || unseal_password(job->subkey, &place, password, p->password) || p->journal.given;
}

static bool
take_parties(struct job *job, json_t *start)
{
	json_t *participant;
	size_t i;

	json_array_foreach(json_object_get(start, "participants"), i, participant) {
		if (!take_party(job, participant))
			return false;
	}
	return job->party_count > 0;
}

static bool
take_escrow(struct job *job, json_t *start)
{
	const char *id = json_string_value(json_object_get(start, "escrow_id"));
	const char *gate = json_string_value(json_object_get(start, "gate"));

	if (id == NULL || !uuid_normalise(id, job->escrow_id) || !take_subkey(start, job->subkey))
		return false;
	job->attempt = (int)json_integer_value(json_object_get(start, "attempt"));
	job->reopen = gate != NULL && strcmp(gate, "reopen") == 0;
	job->stagger_ms = json_integer_value(json_object_get(start, "stagger_ms"));
	job->pollution_ms = json_integer_value(json_object_get(start, "pollution_ms"));
	copy_text(job->address, sizeof job->address, start, "address");
	return take_parties(job, start);
}

/* The round engine knows no party but its own three. */
static bool
take_setup(struct job *job, json_t *start)
{
	return take_escrow(job, start) && job->party_count == ROLE_COUNT;
}

/* What it seals is kept nowhere: nobody else has to know the key. The files of
 * its wallets are removed, so no wallet of another kind may be among them. */
static bool
take_trial(struct job *job, json_t *start)
{
	json_t *participant;
	size_t i;

	json_array_foreach(json_object_get(start, "participants"), i, participant) {
		const char *wallet = json_string_value(json_object_get(participant, "wallet"));
		if (wallet == NULL || !wallet_is_trial(wallet) || json_object_get(participant, "spare") != NULL)
			return false;
	}
	randombytes_buf(job->subkey, sizeof job->subkey);
	job->stagger_ms = json_integer_value(json_object_get(start, "stagger_ms"));
	job->pollution_ms = -1;
	return take_parties(job, start) && job->party_count == ROLE_COUNT;
}

static bool
take_tend(struct job *job, json_t *start)
{
	struct party *p = &job->parties[0];
	json_t *make = json_object_get(start, "make");

	p->job = job;
	p->role = ROLE_ANY;
	job->party_count = 1;
	copy_text(job->new_spare_id, sizeof job->new_spare_id, make, "spare_id");
	if (make != NULL && (job->new_spare_id[0] == '\0' || !take_subkey(make, job->new_spare_subkey)))
		return false;
	return take_endpoint(p, json_object_get(start, "endpoint")) && take_spare(p, json_object_get(start, "spare"));
}

/* What cannot be opened is as if it were not there: there may be something else. */
static void
take_copies(struct job *job, json_t *json)
{
	struct party *p = &job->parties[0];
	struct seal_place keys_place = {job->escrow_id, job->attempt, p->role, 0, SEAL_KEYS};
	struct seal_place seed_place = {job->escrow_id, job->attempt, p->role, 0, SEAL_SEED};
	const char *keys = json_string_value(json_object_get(json, "keys"));
	const char *seed = json_string_value(json_object_get(json, "seed"));
	size_t size;

	keys_place.round = job->copies.keys_round = (int)json_integer_value(json_object_get(json, "keys_round"));
	job->copies.has_keys = keys != NULL;
	job->copies.no_keys = keys == NULL ? "there are none" : "they are damaged: their seal does not open";
	job->copies.no_seed = seed == NULL ? "there is none on record" : "it is damaged: its seal does not open";
	if (keys != NULL)
		p->journal.keys = unseal_base64(job->subkey, &keys_place, keys, &p->journal.keys_size);
	if (seed != NULL)
		p->seed = (char *)unseal_base64(job->subkey, &seed_place, seed, &size);
}

static bool
take_repair(struct job *job, json_t *start)
{
	const json_t *programs = json_object_get(start, "wallet_clis");

	if (!take_escrow(job, start) || job->party_count != 1 || job->address[0] == '\0')
		return false;
	for (size_t i = 0; i < WALLET_CLIS; i++) {
		const char *program = json_string_value(json_array_get(programs, i));
		job->copies.wallet_cli[i] = program != NULL ? strdup(program) : NULL;
	}
	take_copies(job, json_object_get(start, "copies"));
	return true;
}

static void
stop_if_idle(struct job *job)
{
	job_stop_if_idle(job);
}

/* What it has not finished is thrown away by the next one. */
static void
stop_at_once(struct job *job)
{
	job_finish(job, "stopped", NULL);
}

static const struct {
	const char *name;
	bool (*take)(struct job *job, json_t *start);
	void (*begin)(struct job *job);
	void (*acked)(struct job *job, json_int_t serial);
	void (*stop)(struct job *job);
	void (*ready)(struct job *job);
	void (*tidy)(struct job *job, bool over);
} kinds[] = {
	{"setup", take_setup, setup_begin, setup_acked, setup_stop, gate_begin, NULL},
	{"trial", take_trial, trial_begin, trial_acked, trial_stop, trial_ready, trial_tidy},
	{"session", take_escrow, session_begin, NULL, session_stop, NULL, NULL},
	{"tend", take_tend, tend_begin, tend_acked, stop_at_once, NULL, NULL},
	{"check", take_escrow, check_begin, NULL, stop_if_idle, NULL, NULL},
	{"repair", take_repair, repair_begin, repair_acked, repair_stop, NULL, NULL},
	{"attic", attic_take, attic_begin, NULL, stop_at_once, NULL, NULL},
};

static bool
take_kind(struct job *job, json_t *start)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(job->name, kinds[i].name) != 0)
			continue;
		job->begin = kinds[i].begin;
		job->acked = kinds[i].acked;
		job->stop = kinds[i].stop;
		job->ready = kinds[i].ready;
		job->tidy = kinds[i].tidy;
		return kinds[i].take(job, start);
	}
	return false;
}

bool
job_take_start(struct job *job, json_t *start)
{
	const char *network = json_string_value(json_object_get(start, "network"));
	const char *lock_dir = json_string_value(json_object_get(start, "lock_dir"));
	int64_t timeout_ms = json_integer_value(json_object_get(start, "timeout_ms"));

	copy_text(job->name, sizeof job->name, start, "job");
	job->trace = json_is_true(json_object_get(start, "trace"));
	if (lock_dir == NULL || network == NULL || timeout_ms <= 0 || !network_parse(network, &job->network) ||
	    (job->lock_dir = strdup(lock_dir)) == NULL)
		return false;
	job_limit(job, timeout_ms);
	return take_kind(job, start);
}
