/* Who had which endpoint when, and which wallet was left open there: diagnose.h. */
#include <stdlib.h>
#include <string.h>

#include "msigtrace/diagnose.h"

double
absolute_ms(const struct diagnosis *d, size_t trace, const struct event *event)
{
	return (double)d->traced[trace].trace->started_at + event->t_ms;
}

bool
same_endpoint(const struct event *a, const struct event *b)
{
	if (*a->endpoint != '\0' && *b->endpoint != '\0')
		return strcmp(a->endpoint, b->endpoint) == 0;
	return a->port != 0 && a->port == b->port;
}

enum { LEASES_OF_TRACE = 256 };

/* What a good answer tells about the wallet that is open. */
static void
note_wallet(struct lease *lease, const struct event *e)
{
	if (e->type != RPC_CALL_END)
		return;
	if (strcmp(e->method, "close_wallet") == 0) {
		lease->wallet = "";
		lease->wallet_seen = NULL;
	} else if (strcmp(e->method, "get_version") != 0) {
		if (*e->wallet != '\0')
			lease->wallet = e->wallet;
		lease->wallet_seen = e;
	}
}

/* Of one trace, each role's one after the other. */
static void
find_in(struct diagnosis *d, size_t trace, size_t *room)
{
	const struct trace *t = d->traced[trace].trace;
	ptrdiff_t open[ROLE_COUNT + 1] = {-1, -1, -1, -1};
	size_t limit = d->lease_count + LEASES_OF_TRACE;

	for (const struct event *e = t->events; e < t->events + t->count; e++) {
		ptrdiff_t *mine = &open[e->role];

		if (e->type == LEASE && d->lease_count < limit) {
			if (d->lease_count == *room) {
				struct lease *more = reallocarray(d->leases, *room *= 2, sizeof *more);
				if (more == NULL) {
					d->failed = true;
					return;
				}
				d->leases = more;
			}
			*mine = (ptrdiff_t)d->lease_count++;
			d->leases[*mine] = (struct lease){.trace = trace, .lease = e, .from = absolute_ms(d, trace, e),
			    .to = absolute_ms(d, trace, e), .wallet = ""};
		}
		if (*mine < 0)
			continue;
		/* without a release it lasts until the role's last event: msigd may have died then */
		if (absolute_ms(d, trace, e) > d->leases[*mine].to)
			d->leases[*mine].to = absolute_ms(d, trace, e);
		note_wallet(&d->leases[*mine], e);
		if (e->type == RELEASE) {
			d->leases[*mine].release = e;
			d->leases[*mine].to = absolute_ms(d, trace, e);
			*mine = -1;
		}
	}
}

bool
leases_find(struct diagnosis *d)
{
	size_t room = 1;

	d->leases = calloc(room, sizeof *d->leases); /* never NULL: others walk along it */
	if (d->leases == NULL)
		return false;
	for (size_t i = 0; i < d->count; i++)
		find_in(d, i, &room);
	return !d->failed;
}

const struct lease *
lease_of(const struct diagnosis *d, size_t trace, const struct event *event)
{
	const struct lease *found = NULL;

	for (const struct lease *l = d->leases; l < d->leases + d->lease_count; l++) {
		if (l->trace == trace && l->lease->role == event->role && l->lease <= event)
			found = l;
	}
	return found;
}
