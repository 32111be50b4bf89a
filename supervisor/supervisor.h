/*
 * The supervisor: one process, one libevent loop, and who is in it. Each part
 * has a header of its own that says what it owns; this one only lets them find
 * each other.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/seal.h"
#include "supervisor/metrics.h"
#include "supervisor/store.h"

struct supervisor {
	struct event_base *base;
	struct config *config;
	const char *config_path;        /* NULL: the defaults */
	bool verbose;                   /* -v: debug, whatever the configuration says */
	struct store *store;
	unsigned char master_key[SEAL_KEY_BYTES];
	char key_fingerprint[SEAL_FINGERPRINT_TEXT];
	struct worker_pool *workers;    /* worker_process.h */
	struct endpoint_pool *endpoints;/* endpoint.h */
	struct managed_pool *managed;   /* managed.h */
	struct escrow_table *escrows;   /* escrow.h */
	struct scheduler *scheduler;    /* scheduler.h */
	struct tender *tender;          /* tender.h */
	struct sessions *sessions;      /* session.h */
	struct verifier *verifier;      /* check_control.h */
	struct checker *checker;        /* check.h */
	struct repairer *repairer;      /* repair.h */
	struct attic *attic;            /* attic.h */
	struct calibrator *calibrator;  /* calibrate.h */
	struct control *control;        /* control.h */
	struct feed *feed;              /* feed.h */
	struct traces *traces;          /* trace.h */
	struct backups *backups;        /* backup.h */
	struct metrics metrics;
	struct metrics_file *metrics_file; /* metrics_file.h; or NULL */
	int64_t started_at;             /* wall, ms */
	int64_t last_seq;               /* of the escrows taken up, the highest store_escrow.seq */
	bool stopping;                  /* no new worker is started */
	bool draining;                  /* no attempt is begun; stop once those that have begun are at their end */
};

/* Takes everything up, in the order that needs nothing that comes later.
 * config is taken over. False: the reason was printed to standard error. */
bool supervisor_init(struct supervisor *sv, struct config *config, const char *config_path, bool verbose);

/* Runs the loop until a stop. */
void supervisor_run(struct supervisor *sv);

/* Ends everything that was taken up. */
void supervisor_end(struct supervisor *sv);

/* Workers are told to end at the next step, then the loop ends. With drain,
 * attempts that have begun are let go on first, and none new is begun. */
void supervisor_stop(struct supervisor *sv, bool drain);

/* Called whenever a worker has gone: the last one lets the loop end. */
void supervisor_worker_gone(struct supervisor *sv);

/* Reads the configuration again. NULL, and *error (from malloc), when it has a
 * mistake: nothing is changed then. Else {changed: […], restart_needed: […]}. */
json_t *supervisor_reload(struct supervisor *sv, char **error);

#endif
