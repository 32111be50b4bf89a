/* All messages that wallets gave, by their hashes: see diagnose.h. */
#include <stdlib.h>
#include <string.h>

#include "msigtrace/diagnose.h"

enum { ALIKE_MAX = 64 /* more than a real trace has: a file that lies must not cost hours */ };

const char *
message_hash(const struct event *event)
{
	return event->type == RPC_CALL_END ? text_of(json_object_get(event->json, "message"), "sha256") : "";
}

/* Those of one hash as they came. */
static int
by_hash(const void *a, const void *b)
{
	const struct message *x = a, *y = b;
	int order = strcmp(x->sha256, y->sha256);

	if (order != 0)
		return order;
	if (x->trace != y->trace)
		return x->trace < y->trace ? -1 : 1;
	return x->event < y->event ? -1 : x->event > y->event;
}

bool
messages_find(struct diagnosis *d)
{
	size_t room = 1;

	for (size_t i = 0; i < d->count; i++)
		room += d->traced[i].calls.count;
	d->messages = calloc(room, sizeof *d->messages);
	if (d->messages == NULL)
		return false;
	for (size_t i = 0; i < d->count; i++) {
		for (const struct call *c = d->traced[i].calls.list; c < d->traced[i].calls.list + d->traced[i].calls.count; c++) {
			if (c->end != NULL && *message_hash(c->end) != '\0')
				d->messages[d->message_count++] = (struct message){message_hash(c->end), i, c->end};
		}
	}
	qsort(d->messages, d->message_count, sizeof *d->messages, by_hash);
	return true;
}

const struct message *
messages_alike(const struct diagnosis *d, const char *sha256, const struct message **end)
{
	const struct message *all_end = d->messages + d->message_count, *first;
	size_t low = 0, high = d->message_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(d->messages[middle].sha256, sha256) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	first = d->messages + low;
	for (*end = first; *end < all_end && *end - first < ALIKE_MAX && strcmp((*end)->sha256, sha256) == 0;)
		++*end;
	return *end > first ? first : NULL;
}
