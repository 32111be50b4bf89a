/*
 * Sessions: Ready escrows whose three wallets are kept open by a worker, so that
 * a request need not open them. One comes from a set-up that goes on, or is
 * opened when somebody asks; it ends when it was not used for session-ttl, by
 * hand, when it fails, or, if it was not used for longest, because there are
 * more than session-max or because with it fewer endpoints would be left than
 * the next escrow needs. Never in the midst of a request.
 *
 *   waiting  for endpoints          event \ state | waiting | opening | open | asking | closing
 *   opening  has a worker           granted       | start   | !       | !    | !      | !
 *   open     idle                   serving       | !       | ask     | !    | !      | –
 *   asking   its wallets are asked  request       | –       | –       | ask  | –      | –
 *   closing  stop was sent          reply         | !       | !       | !    | answer | answer
 *                                   close         | give up | stop    | stop | later  | –
 *                                   gone          | !       | bury    | bury | bury   | bury
 *
 * Requests that come while it asks are asked together afterwards; those that
 * come while it closes get a session of their own. One that fails when it is
 * asked after it was idle was stale: it is opened anew, once.
 */
#ifndef SUPERVISOR_SESSION_H
#define SUPERVISOR_SESSION_H

#include <jansson.h>
#include <stdbool.h>

struct endpoint;
struct escrow;
struct session;
struct sessions;
struct supervisor;

/* NULL: out of memory. */
struct sessions *sessions_new(struct supervisor *sv);
/* Nobody is told. */
void sessions_free(struct sessions *sessions);

/* Those whose wallets are open. */
int sessions_count(const struct sessions *sessions);
bool sessions_is_open(struct sessions *sessions, const char *escrow_id);
/* Also one that waits, opens or closes. */
bool sessions_has(struct sessions *sessions, const char *escrow_id);

/* An escrow's address is durable. True: its worker is to go on as its session,
 * which has taken over worker and endpoints. */
bool sessions_keep(struct sessions *sessions, struct escrow *escrow);

/* What the wallets tell (WALLET in ipc/message.h; borrowed), or NULL and why not. */
typedef void (*session_told_fn)(json_t *wallets, const char *why, void *arg);

/* Asks the wallets of an escrow; opens a session if there is none. False, and
 * fn is not called: why says what is in the way. */
bool sessions_ask(struct sessions *sessions, const char *escrow_id, session_told_fn fn, void *arg,
    char *why, size_t why_size);

/* By hand; fn is called once it is gone, unless SESSIONS_CLOSING is not what
 * comes out. That may be before this returns: one that waits has nothing to end. */
enum sessions_closed { SESSIONS_CLOSING, SESSIONS_NONE, SESSIONS_NO_MEMORY };
enum sessions_closed sessions_close(struct sessions *sessions, const char *escrow_id, void (*fn)(void *arg), void *arg);
void sessions_close_all(struct sessions *sessions);

/* A request that comes while the wallets of its escrow are repaired waits: its
 * session would hold the escrow's lock. */
bool sessions_wait_for_repair(struct sessions *sessions, const char *escrow_id);
/* They were repaired: it goes on. */
void sessions_go_on(struct sessions *sessions, const char *escrow_id);

/* The process of an endpoint has ended: what was open there is gone. */
void sessions_endpoint_died(struct sessions *sessions, const struct endpoint *endpoint);

/* Endpoints, limits or the queue changed: closes what has to make room. */
void sessions_review(struct sessions *sessions);

/* The configuration was read again: a time to live counts from the last use. */
void sessions_reload(struct sessions *sessions);

/* What get_sessions says. */
json_t *sessions_to_json(struct sessions *sessions);

#endif
