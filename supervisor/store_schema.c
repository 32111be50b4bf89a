/*
 * The schema of the store and its migrations, by user_version: a store of
 * version n gets migrations[n] and all after it, each in one transaction. A
 * migration that has been released is never changed again.
 */
#include <stdio.h>

#include "supervisor/store_internal.h"

static const char *const migrations[] = {
	/* 0 -> 1 */
	"CREATE TABLE master_key ("  /* the one that everything sealed in here was sealed with */
	"  one         INTEGER PRIMARY KEY CHECK (one = 1),"
	"  fingerprint TEXT NOT NULL"
	") STRICT;"

	"CREATE TABLE escrow ("
	"  seq        INTEGER PRIMARY KEY,"  /* in the order of opening; none is ever deleted */
	"  escrow_id  TEXT NOT NULL UNIQUE CHECK (length(escrow_id) = 36),"
	"  label      TEXT NOT NULL,"
	"  metadata   TEXT NOT NULL,"
	"  external   INTEGER NOT NULL CHECK (external BETWEEN 0 AND 7),"
	"  trace      INTEGER NOT NULL CHECK (trace IN (0, 1)),"
	"  network    TEXT NOT NULL CHECK (network IN ('mainnet', 'stagenet', 'testnet')),"
	"  created_at INTEGER NOT NULL,"
	"  attempt    INTEGER NOT NULL CHECK (attempt >= 1)"  /* its last */
	") STRICT;"

	"CREATE TABLE attempt ("
	"  escrow_id    TEXT NOT NULL REFERENCES escrow (escrow_id),"
	"  attempt      INTEGER NOT NULL CHECK (attempt >= 1),"
	"  phase        TEXT NOT NULL CHECK (phase IN ('NotStarted', 'Preparing', 'Exchanging', 'Ready', 'Failed')),"
	"  round        INTEGER NOT NULL,"
	"  revision     INTEGER NOT NULL,"
	"  failures     INTEGER NOT NULL,"  /* before it, since opening or the last retry */
	"  started_at   INTEGER,"
	"  address      TEXT,"
	"  finalized_at INTEGER,"
	"  verified_at  INTEGER,"
	"  not_verified_at     INTEGER,"  /* when its wallets were looked at and were not good */
	"  not_verified_reason TEXT,"
	"  cause        TEXT,"
	"  reason       TEXT,"
	"  failed_at    INTEGER,"
	"  PRIMARY KEY (escrow_id, attempt),"
	"  CHECK ((phase = 'Ready') = (address IS NOT NULL)),"
	"  CHECK ((phase = 'Ready') = (finalized_at IS NOT NULL)),"
	"  CHECK ((phase = 'Failed') = (reason IS NOT NULL)),"
	"  CHECK ((phase = 'Failed') = (failed_at IS NOT NULL)),"
	"  CHECK (phase = 'Ready' OR (verified_at IS NULL AND not_verified_at IS NULL)),"
	"  CHECK ((not_verified_at IS NULL) = (not_verified_reason IS NULL)),"
	"  CHECK (verified_at IS NULL OR not_verified_at IS NULL)"
	") STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX attempt_address ON attempt (address) WHERE address IS NOT NULL;"
	"CREATE INDEX attempt_unverified ON attempt (escrow_id) WHERE phase = 'Ready' AND verified_at IS NULL;"
	"CREATE INDEX attempt_phase ON attempt (phase, escrow_id, attempt);"

	"CREATE TABLE participant ("
	"  escrow_id TEXT NOT NULL,"
	"  attempt   INTEGER NOT NULL,"
	"  role      TEXT NOT NULL CHECK (role IN ('buyer', 'vendor', 'arbiter')),"
	"  kind      TEXT NOT NULL CHECK (kind IN ('managed', 'external')),"
	"  endpoint  TEXT,"
	"  wallet    TEXT UNIQUE,"
	"  stamp     TEXT,"
	"  password  BLOB,"   /* sealed, like seed and keys */
	"  seed      BLOB,"
	"  keys      BLOB,"   /* the wallet's .keys after the call of kex round keys_round, the last that wrote it */
	"  keys_round INTEGER,"
	"  PRIMARY KEY (escrow_id, attempt, role),"
	"  FOREIGN KEY (escrow_id, attempt) REFERENCES attempt (escrow_id, attempt)"
	") STRICT;"

	"CREATE TABLE step ("
	"  escrow_id   TEXT NOT NULL,"
	"  attempt     INTEGER NOT NULL,"
	"  role        TEXT NOT NULL CHECK (role IN ('buyer', 'vendor', 'arbiter')),"
	"  round       INTEGER NOT NULL CHECK (round >= 0),"
	"  call        TEXT NOT NULL,"
	"  intent_at   INTEGER NOT NULL,"
	"  result_at   INTEGER,"
	"  duration_ms INTEGER,"
	"  PRIMARY KEY (escrow_id, attempt, role, round),"
	"  FOREIGN KEY (escrow_id, attempt) REFERENCES attempt (escrow_id, attempt)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE message ("
	"  escrow_id TEXT NOT NULL,"
	"  attempt   INTEGER NOT NULL,"
	"  round     INTEGER NOT NULL CHECK (round >= 1),"
	"  role      TEXT NOT NULL CHECK (role IN ('buyer', 'vendor', 'arbiter')),"
	"  length    INTEGER NOT NULL CHECK (length > 0),"
	"  sha256    TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64),"
	"  sealed    BLOB NOT NULL,"
	"  PRIMARY KEY (escrow_id, attempt, round, role),"
	"  FOREIGN KEY (escrow_id, attempt) REFERENCES attempt (escrow_id, attempt)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE event ("
	"  seq       INTEGER PRIMARY KEY,"  /* the newest is never deleted, so a number is given once */
	"  escrow_id TEXT,"
	"  at        INTEGER NOT NULL,"
	"  type      TEXT NOT NULL,"
	"  data      TEXT NOT NULL"
	") STRICT;"
	"CREATE INDEX event_escrow ON event (escrow_id, seq);",

	/* 1 -> 2: spare wallets */
	"CREATE TABLE spare ("
	"  spare_id   TEXT PRIMARY KEY CHECK (length(spare_id) = 36),"
	"  endpoint   TEXT NOT NULL UNIQUE,"
	"  wallet     TEXT NOT NULL UNIQUE,"
	"  stamp      TEXT NOT NULL,"
	"  password   BLOB NOT NULL,"   /* sealed with the subkey of spare_id */
	"  address    TEXT,"            /* NULL: not finished */
	"  created_at INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;",

	/* 2 -> 3: wallets that no attempt uses any more, and whose files may be there still */
	"CREATE TABLE attic ("
	"  wallet     TEXT PRIMARY KEY,"
	"  escrow_id  TEXT NOT NULL,"
	"  attempt    INTEGER NOT NULL,"
	"  role       TEXT NOT NULL CHECK (role IN ('buyer', 'vendor', 'arbiter')),"
	"  endpoint   TEXT,"            /* where it was last */
	"  reason     TEXT NOT NULL,"
	"  retired_at INTEGER NOT NULL,"
	"  keys_sha256 TEXT,"           /* of its .keys when they were on record */
	"  kept       INTEGER NOT NULL DEFAULT 0 CHECK (kept IN (0, 1)),"  /* they were found to be others */
	"  FOREIGN KEY (escrow_id, attempt) REFERENCES attempt (escrow_id, attempt)"
	") STRICT, WITHOUT ROWID;"
	"ALTER TABLE participant ADD COLUMN keys_sha256 TEXT;"  /* of the .keys file; NULL: it may have an address */
	"ALTER TABLE participant ADD COLUMN home TEXT;"  /* the endpoint where the files of its wallet were made */
	"UPDATE participant SET home = endpoint WHERE wallet IS NOT NULL;"
	"INSERT INTO attic (wallet, escrow_id, attempt, role, endpoint, reason, retired_at)"
	"  SELECT p.wallet, p.escrow_id, p.attempt, p.role, p.endpoint, 'its attempt failed', a.failed_at"
	"  FROM participant p JOIN attempt a USING (escrow_id, attempt) WHERE a.phase = 'Failed' AND p.wallet IS NOT NULL;",
};

const int store_schema_latest = sizeof migrations / sizeof migrations[0];

static bool
apply(struct store *store, int version, char *why, size_t why_size)
{
	char set_version[64], what[32];
	bool ok;

	snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d", version + 1);
	ok = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(store->db, migrations[version], NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(store->db, set_version, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
	if (!ok) {
		snprintf(what, sizeof what, "schema %d to %d", version, version + 1);
		store_describe(store, what, why, why_size);
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	}
	return ok;
}

bool
store_migrate(struct store *store, int wanted, char *why, size_t why_size)
{
	int version = store_schema_version(store);

	if (version < 0) {
		store_describe(store, "", why, why_size);
		return false;
	}
	if (version > store_schema_latest) {
		snprintf(why, why_size, "it has schema %d and this msigd knows up to %d: "
		    "use the msigd that made it, or a newer one", version, store_schema_latest);
		return false;
	}
	for (; version < wanted; version++) {
		if (!apply(store, version, why, why_size))
			return false;
	}
	return true;
}
