#include "supervisor/endpoint.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "supervisor/scheduler.h"
#include "supervisor/supervisor.h"
#include "supervisor/tend_control.h"
#include "supervisor/trace.h"

enum {
	FIRST_WAIT_MS = 250,
	LONGEST_WAIT_MS = 30000,
	BLAMES_MAX = 2,           /* in a row: it may have been bad luck, or the escrow */
	LOOK_MS = 60000,          /* one that is free so long is looked at again */
	LOOK_SPREAD_MS = 10000,
	FIRST_TEND_WAIT_MS = 1000,
	LONGEST_TEND_WAIT_MS = 300000
};

/* --- the actions of the table --------------------------------------------- */

static void
set_timer(struct endpoint *ep, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(ep->timer, &tv);
}

/* It is down until then. */
static void
try_again(struct endpoint *ep, int64_t ms)
{
	ep->again_ms = clock_monotonic_ms() + ms;
	set_timer(ep, ms);
}

/* Doubles with each failure in a row. */
static int64_t
wait_ms(unsigned failures, int64_t first, int64_t longest)
{
	int64_t ms = first << (failures > 9 ? 9 : failures);

	return ms < longest ? ms : longest;
}

static struct endpoint_list *
free_list(struct endpoint *ep, enum endpoint_state state)
{
	struct endpoint_pool *pool = ep->sv->endpoints;

	return state == ENDPOINT_PRIMED ? &pool->primed[ep->role] : &pool->idle[ep->role];
}

static void
offer(struct endpoint *ep)
{
	ep->failures_in_row = 0;
	if (ep->state == ENDPOINT_PRIMED)
		ep->tend_failures_in_row = 0;
	ep->free_since_ms = clock_monotonic_ms();
	TAILQ_INSERT_TAIL(free_list(ep, ep->state), ep, free);
	set_timer(ep, LOOK_MS + randombytes_uniform(LOOK_SPREAD_MS));
	scheduler_wake(ep->sv->scheduler);
}

static void
withdraw(struct endpoint *ep, enum endpoint_state before)
{
	TAILQ_REMOVE(free_list(ep, before), ep, free);
	event_del(ep->timer);
}

static void
count_failure(struct endpoint *ep)
{
	ep->failures++;
	ep->sv->metrics.endpoint_failures++;
}

/* It may still serve escrows, who make their own wallets. */
static void
tend_later(struct endpoint *ep)
{
	count_failure(ep);
	ep->tend_after_ms = clock_monotonic_ms() +
	    wait_ms(ep->tend_failures_in_row++, FIRST_TEND_WAIT_MS, LONGEST_TEND_WAIT_MS);
	set_timer(ep, 0);
}

static void
act(struct endpoint *ep, enum endpoint_action action, enum endpoint_event event, enum endpoint_state before)
{
	switch (action) {
	case ENDPOINT_DO_NOTHING:
		break;
	case ENDPOINT_DO_PROBE:
		event_del(ep->timer);
		tend_start(ep, false);
		break;
	case ENDPOINT_DO_PROBE_LATER:
		count_failure(ep);
		try_again(ep, wait_ms(ep->failures_in_row++, FIRST_WAIT_MS, LONGEST_WAIT_MS));
		break;
	case ENDPOINT_DO_PAUSE:
		try_again(ep, wait_ms(ep->blames - BLAMES_MAX - 1, FIRST_WAIT_MS, LONGEST_WAIT_MS));
		break;
	case ENDPOINT_DO_LOOK:
		withdraw(ep, before);
		tend_start(ep, false);
		break;
	case ENDPOINT_DO_PROBE_NOW:
		ep->failures_in_row = 0;
		set_timer(ep, 0);
		break;
	case ENDPOINT_DO_WAIT:
	case ENDPOINT_DO_REST:
		event_del(ep->timer);
		break;
	case ENDPOINT_DO_OFFER:
		offer(ep);
		break;
	case ENDPOINT_DO_WITHDRAW:
		withdraw(ep, before);
		break;
	case ENDPOINT_DO_TEND:
		withdraw(ep, before);
		tend_start(ep, true);
		break;
	case ENDPOINT_DO_TEND_LATER:
		tend_later(ep);
		break;
	case ENDPOINT_DO_TAKE_OUT_LATER:
		ep->take_out = true;
		break;
	case ENDPOINT_DO_KEEP_IN:
		ep->take_out = false;
		break;
	case ENDPOINT_DO_BUG:
	case ENDPOINT_ACTION_COUNT:
		log_error("endpoint_bug", F_STR("endpoint", ep->name), F_STR("state", endpoint_state_name(ep->state)),
		    F_STR("what", endpoint_event_name(event)));
		break;
	}
}

/* --- state ---------------------------------------------------------------- */

static void
tell(struct endpoint *ep)
{
	log_debug("endpoint", F_STR("endpoint", ep->name), F_STR("state", endpoint_state_name(ep->state)),
	    F_STR("escrow", ep->escrow_id[0] != '\0' ? ep->escrow_id : NULL),
	    F_STR("reason", ep->reason[0] != '\0' ? ep->reason : NULL));
}

static bool
has_digit(const char *word, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (word[i] >= '0' && word[i] <= '9')
			return true;
	}
	return false;
}

/* Milliseconds, pids and ids differ from look to look while the cause is the
 * same: words with a digit are taken for equal. */
static bool
same_cause(const char *a, const char *b)
{
	for (;;) {
		size_t a_length = strcspn(a, " "), b_length = strcspn(b, " ");
		if (!(has_digit(a, a_length) && has_digit(b, b_length)) &&
		    (a_length != b_length || memcmp(a, b, a_length) != 0))
			return false;
		a += a_length;
		b += b_length;
		if (*a == '\0' || *b == '\0')
			return *a == *b;
		a++;
		b++;
	}
}

/* Readers of /events and the log hear when an endpoint begins to serve, and why
 * it does not; once, and not at every vain look. */
static void
announce(struct endpoint *ep)
{
	const char *reason = ep->reason[0] != '\0' ? ep->reason : "";

	if (ep->sv->stopping)
		return; /* that msigd stops is said once */
	if (ep->state == ENDPOINT_IDLE || ep->state == ENDPOINT_PRIMED) {
		if (ep->is_up)
			return;
		ep->is_up = true;
		ep->announced[0] = '\0';
		log_info("endpoint_up", F_STR("endpoint", ep->name), F_STR("url", ep->url.text), F_INT("rtt_ms", ep->last_rtt_ms));
	} else if (ep->state == ENDPOINT_DOWN || ep->state == ENDPOINT_OUT) {
		if (!ep->is_up && same_cause(ep->announced, reason))
			return;
		ep->is_up = false;
		snprintf(ep->announced, sizeof ep->announced, "%s", reason);
		log_warn("endpoint_down", F_STR("endpoint", ep->name), F_STR("url", ep->url.text),
		    F_STR("state", endpoint_state_name(ep->state)), F_STR("reason", reason));
	} else {
		return;
	}
	store_add_event(ep->sv->store, NULL, "endpoint", json_pack("{s:s, s:s, s:s*}", "name", ep->name,
	    "state", endpoint_state_name(ep->state), "reason", *reason != '\0' ? reason : NULL));
}

bool
endpoint_state_is_left(enum endpoint_state state)
{
	switch (state) {
	case ENDPOINT_PROBING:
	case ENDPOINT_DIRTY:
	case ENDPOINT_IDLE:
	case ENDPOINT_TENDING:
	case ENDPOINT_PRIMED:
		return true;
	case ENDPOINT_DOWN:
	case ENDPOINT_LEASED:
	case ENDPOINT_OUT:
	case ENDPOINT_STATE_COUNT:
		break;
	}
	return false;
}

static void
count(struct endpoint *ep, enum endpoint_state state, int by)
{
	ep->sv->endpoints->by_state[state] += by;
	if (endpoint_state_is_left(state))
		ep->sv->endpoints->left[ep->role] += by;
}

static void
change_state(struct endpoint *ep, enum endpoint_state next)
{
	enum endpoint_state before = ep->state;

	if (next == before)
		return;
	count(ep, before, -1);
	count(ep, next, 1);
	if (endpoint_state_is_left(before) != endpoint_state_is_left(next) || before == ENDPOINT_LEASED)
		scheduler_wake(ep->sv->scheduler); /* somebody may be served, or need wait for it no more */
	ep->state = next;
	ep->since = clock_wall_ms();
	if (next != ENDPOINT_LEASED)
		ep->escrow_id[0] = '\0';
	if (next != ENDPOINT_PRIMED)
		ep->spare[0] = '\0';
	tell(ep);
	announce(ep);
}

static void
endpoint_free(struct endpoint *ep)
{
	struct endpoint_pool *pool = ep->sv->endpoints;

	if (ep->state == ENDPOINT_IDLE || ep->state == ENDPOINT_PRIMED)
		withdraw(ep, ep->state);
	count(ep, ep->state, -1);
	TAILQ_REMOVE(&pool->all, ep, all);
	scheduler_forget(ep->sv->scheduler, ep);
	event_free(ep->timer);
	if (ep->login != NULL)
		explicit_bzero(ep->login, strlen(ep->login));
	free(ep->login);
	if (ep->given != NULL) {
		free(ep->given->login_file);
		free(ep->given->ca_file);
		free(ep->given->wallet_dir);
		free(ep->given);
	}
	free(ep);
}

static bool
is_used(const struct endpoint *ep)
{
	return ep->state == ENDPOINT_LEASED || ep->state == ENDPOINT_PROBING || ep->state == ENDPOINT_TENDING;
}

void
endpoint_event(struct endpoint *ep, enum endpoint_event event, const char *reason)
{
	enum endpoint_state before = ep->state;
	struct endpoint_step step = endpoint_life(before, event);

	if (step.action == ENDPOINT_DO_OFFER)
		ep->reason[0] = '\0';
	else if (reason != NULL)
		text_copy(ep->reason, sizeof ep->reason, reason);
	if (event == ENDPOINT_EV_RELEASED || event == ENDPOINT_EV_PUT_IN)
		ep->pollutions = ep->blames = 0;
	ep->again_ms = 0;
	if (before == ENDPOINT_LEASED && step.next != before)
		trace_lease_end(ep->sv->traces, ep, event == ENDPOINT_EV_RELEASED);
	change_state(ep, step.next);
	act(ep, step.action, event, before);
	if (is_used(ep))
		return;
	if (ep->removed) {
		endpoint_free(ep);
	} else if (ep->take_out) {
		ep->take_out = false;
		endpoint_event(ep, ENDPOINT_EV_TAKE_OUT, "taken out by hand");
	}
}

void
endpoint_lease(struct endpoint *ep, const char *escrow_id, enum role role, int64_t queued_ms)
{
	bool spare = ep->state == ENDPOINT_PRIMED;

	ep->leases++;
	ep->sv->metrics.leases++;
	endpoint_event(ep, ENDPOINT_EV_LEASED, NULL);
	snprintf(ep->escrow_id, sizeof ep->escrow_id, "%s", escrow_id);
	ep->leased_role = role;
	ep->leased_ms = clock_monotonic_ms();
	trace_lease(ep->sv->traces, ep, clock_monotonic_ms() - queued_ms, spare);
}

bool
endpoint_blame(struct endpoint *ep)
{
	count_failure(ep);
	return ++ep->blames > BLAMES_MAX;
}

/* --- the pool ------------------------------------------------------------- */

struct endpoint_pool *
endpoint_pool_new(void)
{
	struct endpoint_pool *pool = calloc(1, sizeof *pool);

	if (pool == NULL)
		return NULL;
	TAILQ_INIT(&pool->all);
	for (int i = 0; i <= ROLE_COUNT; i++) {
		TAILQ_INIT(&pool->idle[i]);
		TAILQ_INIT(&pool->primed[i]);
	}
	return pool;
}

void
endpoint_pool_free(struct endpoint_pool *pool)
{
	struct endpoint *ep;

	if (pool == NULL)
		return;
	while ((ep = TAILQ_FIRST(&pool->all)) != NULL)
		endpoint_free(ep);
	free(pool);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	endpoint_event(arg, ENDPOINT_EV_UP, NULL);
}

static struct endpoint *
add(struct supervisor *sv, const char *name)
{
	struct endpoint *ep = calloc(1, sizeof *ep);

	if (ep == NULL)
		return NULL;
	ep->sv = sv;
	ep->timer = evtimer_new(sv->base, on_timer, ep);
	if (ep->timer == NULL) {
		free(ep);
		return NULL;
	}
	snprintf(ep->name, sizeof ep->name, "%s", name);
	ep->state = ENDPOINT_DOWN;
	ep->since = clock_wall_ms();
	ep->last_rtt_ms = -1;
	ep->role = ROLE_ANY;
	count(ep, ENDPOINT_DOWN, 1);
	TAILQ_INSERT_TAIL(&sv->endpoints->all, ep, all);
	return ep;
}

static char *
strdup_or_null(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

struct endpoint *
endpoint_add_given(struct supervisor *sv, const struct config_endpoint *given)
{
	struct endpoint *ep = add(sv, given->name);
	struct config_endpoint *copy = malloc(sizeof *copy);

	if (ep == NULL || copy == NULL) {
		free(copy);
		return NULL;
	}
	*copy = *given;
	copy->login_file = strdup_or_null(given->login_file);
	copy->ca_file = strdup_or_null(given->ca_file);
	copy->wallet_dir = strdup_or_null(given->wallet_dir);
	ep->given = copy;
	ep->url = given->url;
	ep->role = given->role;
	set_timer(ep, 0);
	return ep;
}

struct endpoint *
endpoint_add_managed(struct supervisor *sv, const char *name, int port)
{
	struct endpoint *ep = add(sv, name);
	char text[64], why[64];

	if (ep == NULL)
		return NULL;
	ep->managed = true;
	snprintf(text, sizeof text, "http://127.0.0.1:%d", port);
	url_parse(text, &ep->url, why, sizeof why);
	return ep;
}

void
endpoint_remove(struct endpoint *ep)
{
	ep->removed = true;
	if (!is_used(ep))
		endpoint_free(ep);
}

struct endpoint *
endpoint_find(struct endpoint_pool *pool, const char *name)
{
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &pool->all, all) {
		if (!ep->removed && strcmp(ep->name, name) == 0)
			return ep;
	}
	return NULL;
}

bool
endpoint_counts_serve(const endpoint_counts counts, int escrows)
{
	int any = counts[ROLE_ANY];

	for (int r = 0; r < ROLE_COUNT; r++)
		any -= counts[r] < escrows ? escrows - counts[r] : 0;
	return any >= 0;
}

static const char *
wallet_dir(const struct endpoint *ep)
{
	return ep->given != NULL ? ep->given->wallet_dir : ep->sv->config->wallet_dir;
}

/* A folder that was not named is a guess. */
static bool
is_wallet_dir_known(const struct endpoint *ep)
{
	return ep->given == NULL || (ep->given->wallet_dir_given && ep->given->wallet_dir[0] != '\0');
}

bool
endpoint_shares_files(const struct endpoint *ep, const struct endpoint *home)
{
	return ep == home || (is_wallet_dir_known(ep) && is_wallet_dir_known(home) &&
	    strcmp(wallet_dir(ep), wallet_dir(home)) == 0);
}

const char *
endpoint_folder(const struct endpoint *ep)
{
	return is_wallet_dir_known(ep) ? wallet_dir(ep) : NULL;
}

/* --- as others see it ----------------------------------------------------- */

json_t *
endpoint_describe(const struct endpoint *ep)
{
	return json_pack("{s:s, s:s, s:s*, s:s*, s:s, s:b}", "name", ep->name, "url", ep->url.text,
	    "login", ep->login, "ca_file", ep->given != NULL ? ep->given->ca_file : NULL,
	    "wallet_dir", wallet_dir(ep), "wallet_dir_sure", ep->given == NULL || ep->given->wallet_dir_given);
}
