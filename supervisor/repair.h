/*
 * `check --repair`, or a verification that failed (check_control.h): every wallet of
 * every Ready escrow, or of that one, one after the other, is opened from disk by a
 * worker, and brought back from the store if it is not there or does not open
 * (worker/repair.c). Behind all escrows, on the endpoint where its files are; on any
 * if that is not in the configuration any more, but only if that was asked for: the
 * wallet may be open there still. A session of the escrow is closed before, and
 * those who ask for one meanwhile wait.
 *
 *   idle                            event \ state | idle  | picking | closing | waiting  | working | ending
 *   picking   the next wallet       asked         | begin | busy    | busy    | busy     | busy    | busy
 *   closing   a session ends        session gone  | !     | !       | pick    | !        | !       | –
 *   waiting   for an endpoint       granted       | !     | !       | !       | work     | !       | !
 *   working   it has a worker       worker gone   | !     | !       | !       | !        | pick    | idle
 *   ending    told; it still has    stop          | –     | tell    | tell    | give up  | tell    | –
 *             a worker or session
 *
 * What the worker intends (another name, another endpoint) is on disk before it
 * writes a file. One wallet that cannot be repaired holds up no other: it is told.
 */
#ifndef SUPERVISOR_REPAIR_H
#define SUPERVISOR_REPAIR_H

#include <jansson.h>
#include <stdbool.h>

struct repairer;
struct supervisor;

struct repairer *repairer_new(struct supervisor *sv);
void repairer_free(struct repairer *repairer);

/* Both references are the callee's: what was brought back, [{escrow_id, role,
 * wallet, endpoint, from}], and what could not be, problems as `check` has them.
 * NULL, both: msigd stops. */
typedef void (*repaired_fn)(json_t *repaired, json_t *problems, void *arg);

/* One at a time: not while repair_is_under_way(). only: this escrow; NULL: every
 * Ready one. elsewhere: also wallets whose endpoint is not in the configuration. */
void repair_begin(struct repairer *repairer, const char *only, bool elsewhere, repaired_fn fn, void *arg);
bool repair_is_under_way(const struct repairer *repairer);
/* Whether the wallets of this escrow are what it is at. */
bool repair_is_at(const struct repairer *repairer, const char *escrow_id);

/* msigd stops. */
void repair_stop(struct repairer *repairer);

#endif
