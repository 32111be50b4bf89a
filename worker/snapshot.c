/*
 * Snapshots: how the wallet that is open stands, as it tells it itself, at the
 * points that DESIGN.md names. See trace.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "worker/steps.h"
#include "worker/trace_internal.h"

enum {
	CALLS = 4,
	LIMIT_MS = 5000 /* for all of them: they are not worth more */
};

/* Under way, by place in job->parties. */
static struct {
	enum trace_type type;
	json_t *told;
	int open_wallets;         /* -1: not known */
	int answered;             /* of the calls */
	int round;                /* DESIGN.md's, or -1 */
	int64_t began_us;
	void (*next)(struct party *party);
} taken[ROLE_COUNT];

static int
place_of(const struct party *p)
{
	return (int)(p - p->job->parties);
}

/* --- what is asked -------------------------------------------------------- */

json_t *
trace_stamp(const struct party *p, const char *value)
{
	bool spare = value != NULL && p->spare.stamp[0] != '\0' && strcmp(value, p->spare.stamp) == 0; /* not taken yet */
	bool ok = value != NULL && (spare || strcmp(value, p->stamp) == 0);
	json_t *facts = json_pack("{s:b}", "stamp_ok", ok);
	struct stamp stamp;

	stamp_read(value, &stamp);
	if (!ok && stamp.escrow_id[0] != '\0')
		json_object_set_new(facts, "found_escrow", json_string(stamp.escrow_id));
	if (spare)
		json_object_set_new(facts, "spare", json_true());
	return facts;
}

static bool
tell_multisig(struct party *p, json_t *result)
{
	json_t *told = taken[place_of(p)].told;

	taken[place_of(p)].answered++;
	taken[place_of(p)].open_wallets = 1;
	trace_set_fact(told, "is_multisig", json_object_get(result, "multisig"));
	trace_set_fact(told, "ready", json_object_get(result, "ready"));
	trace_set_fact(told, "threshold", json_object_get(result, "threshold"));
	trace_set_fact(told, "total", json_object_get(result, "total"));
	return true;
}

static bool
tell_address(struct party *p, json_t *result)
{
	const char *address = json_string_value(json_object_get(result, "address"));

	taken[place_of(p)].answered++;
	if (address != NULL)
		trace_set_address(taken[place_of(p)].told, address);
	return true;
}

static bool
tell_balance(struct party *p, json_t *result)
{
	json_t *told = taken[place_of(p)].told;

	taken[place_of(p)].answered++;
	trace_set_fact(told, "balance", json_object_get(result, "balance"));
	trace_set_fact(told, "unlocked_balance", json_object_get(result, "unlocked_balance"));
	return true;
}

static bool
tell_stamp(struct party *p, json_t *result)
{
	json_t *facts = trace_stamp(p, json_string_value(json_object_get(result, "value")));

	taken[place_of(p)].answered++;
	json_object_update(taken[place_of(p)].told, facts);
	json_decref(facts);
	return true;
}

/* That it has none tells as much. */
static bool
refused_stamp_of(struct party *p, const struct rpc_result *r)
{
	if (r->code == NO_ATTRIBUTE) {
		taken[place_of(p)].answered++;
		json_object_set_new(taken[place_of(p)].told, "stamp_ok", json_false());
	}
	return true;
}

static bool
refused(struct party *p, const struct rpc_result *r)
{
	if (r->code == NO_WALLET_OPEN)
		taken[place_of(p)].open_wallets = 0;
	return true;
}

static json_t *
params_balance(struct party *p)
{
	(void)p;
	return json_pack("{s:i}", "account_index", 0);
}

/* Once no wallet is open the others would say the same. */
static bool
is_open(struct party *p)
{
	return taken[place_of(p)].open_wallets != 0;
}

static const struct op snapshot_script[] = {
	{.method = "is_multisig", .take = tell_multisig, .refused = refused, .look = true},
	{.method = "get_address", .params = params_account, .take = tell_address, .wanted = is_open, .refused = refused, .look = true},
	{.method = "get_balance", .params = params_balance, .take = tell_balance, .wanted = is_open, .refused = refused, .look = true},
	{.method = "get_attribute", .params = params_stamp_key, .take = tell_stamp, .wanted = is_open,
	    .refused = refused_stamp_of, .look = true},
	{.method = NULL},
};

/* --- telling it ----------------------------------------------------------- */

static void
tell_file(struct party *p, json_t *told)
{
	int64_t began = clock_monotonic_us();
	char path[4096], perms[8];
	struct stat st;
	int error;

	if (p->wallet_dir[0] == '\0')
		return;
	snprintf(path, sizeof path, "%.3800s/%s.keys", p->wallet_dir, p->wallet);
	error = stat(path, &st) == 0 ? 0 : errno;
	trace_file(p, "stat", path, "keys", error == 0 ? (int64_t)st.st_size : -1, began, error);
	if (error != 0) {
		json_object_set_new(told, "file_exists", json_false());
		return;
	}
	snprintf(perms, sizeof perms, "%04o", (unsigned)st.st_mode & 07777);
	json_object_set_new(told, "file_exists", json_true());
	json_object_set_new(told, "file_perms", json_string(perms));
}

static void
on_taken(struct party *p)
{
	int place = place_of(p);
	json_t *told = taken[place].told, *fields;

	taken[place].told = NULL;
	tell_file(p, told);
	if (taken[place].open_wallets >= 0)
		json_object_set_new(told, "open_wallets_count", json_integer(taken[place].open_wallets));
	json_object_set_new(told, "collection_time_ms", json_real(trace_since_ms(taken[place].began_us)));
	fields = json_pack("{s:b, s:o}", "ok", taken[place].answered == CALLS, "snapshot", told);
	if (taken[place].round >= 0)
		json_object_set_new(fields, "round", json_integer(taken[place].round));
	trace_say(p, taken[place].type, fields);
	taken[place].next(p);
}

/* type: 0, no snapshot is to be taken. */
static void
take(struct party *p, enum trace_type type, int round, void (*next)(struct party *party))
{
	int place = place_of(p);

	if (!p->job->trace || type == 0 || p->job->stopping) {
		next(p);
		return;
	}
	taken[place].type = type;
	taken[place].round = round;
	taken[place].next = next;
	taken[place].answered = 0;
	taken[place].open_wallets = -1;
	taken[place].began_us = clock_monotonic_us();
	p->look_ends_ms = clock_monotonic_ms() + LIMIT_MS;
	taken[place].told = json_pack("{s:s, s:s, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:i, s:n}", "wallet_id", p->wallet,
	    "role", role_name(p->role), "is_multisig", "ready", "threshold", "total", "balance", "unlocked_balance", "address_hash",
	    "stamp_ok", "file_exists", "file_perms", "rpc_port", trace_port(p), "open_wallets_count");
	job_run_script(p, snapshot_script, on_taken);
}

/* --- when ----------------------------------------------------------------- */

/* By kex round; the last stands for all that follow. 0 (no snapshot is that): none. */
static const struct {
	enum trace_type before, after;
} points[] = {
	[ROUND_CREATE] = {0, 0},
	[ROUND_PREPARE] = {TRACE_SNAPSHOT_PRE_ROUND1, TRACE_SNAPSHOT_POST_PREPARE},
	[ROUND_MAKE] = {0, TRACE_SNAPSHOT_POST_MAKE_MULTISIG},
	[ROUND_EXCHANGE] = {TRACE_SNAPSHOT_PRE_ROUND2, TRACE_SNAPSHOT_POST_EXPORT_MULTISIG},
	[ROUND_EXCHANGE + 1] = {TRACE_SNAPSHOT_PRE_ROUND3, TRACE_SNAPSHOT_POST_IMPORT_MULTISIG},
};

static int
point_of(int round)
{
	return round <= ROUND_EXCHANGE ? round : ROUND_EXCHANGE + 1;
}

void
snapshot_before(struct party *p, void (*next)(struct party *party))
{
	int round = p->round + 1;

	take(p, round >= 0 ? points[point_of(round)].before : 0, trace_round(round), next);
}

void
snapshot_after(struct party *p, void (*next)(struct party *party))
{
	take(p, points[point_of(p->round)].after, trace_round(p->round), next);
}

void
snapshot_of_another(struct party *p, void (*next)(struct party *party))
{
	enum trace_type type = points[point_of(p->round)].after;

	take(p, type != 0 ? type : TRACE_SNAPSHOT_PRE_ROUND1, trace_round(p->round), next);
}

void
snapshot_final(struct party *p, void (*next)(struct party *party))
{
	take(p, TRACE_SNAPSHOT_FINAL, -1, next);
}
