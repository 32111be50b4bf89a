/* A store on a file of the test's own, with turns of its event loop. Give set_up()
 * and tear_down() to cmocka. */
#ifndef TESTS_UNIT_STORE_FILE_H
#define TESTS_UNIT_STORE_FILE_H

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/store.h"

static const char id[] = "123e4567-e89b-42d3-a456-426614174000";
static const char address[] __attribute__((unused)) = "9uM1DTsp4U22mh2Vgn7dF7hRu4up1qgSJAw8x512wHSUM8DPLdh6cQAAmT2gbCpnU2Df5HfjkMKAEhVps25gYSmf6zyX98j";

static struct {
	struct event_base *base;
	struct store *store;
	char path[64];
	int durable, failed;
} t;

static inline void
note(bool durable, void *arg)
{
	(void)arg;
	if (durable)
		t.durable++;
	else
		t.failed++;
}

static inline void
turn(void)
{
	event_base_loop(t.base, EVLOOP_NONBLOCK);
}

static inline struct store *
open_store(void)
{
	char *error = NULL;
	struct store *store = store_open(t.base, t.path, &error);

	if (store == NULL)
		fprintf(stderr, "%s\n", error);
	free(error);
	return store;
}

static inline int
set_up(void **state)
{
	int fd;

	(void)state;
	memset(&t, 0, sizeof t);
	strcpy(t.path, "/tmp/msigd-unit-store.XXXXXX");
	fd = mkstemp(t.path);
	if (fd == -1)
		return -1;
	close(fd);
	t.base = event_base_new();
	t.store = open_store();
	return t.store != NULL ? 0 : -1;
}

static inline int
tear_down(void **state)
{
	char side[80];

	(void)state;
	store_close(t.store);
	event_base_free(t.base);
	unlink(t.path);
	snprintf(side, sizeof side, "%s-wal", t.path);
	unlink(side);
	snprintf(side, sizeof side, "%s-shm", t.path);
	unlink(side);
	return 0;
}

static inline void
add(const char *escrow_id)
{
	bool same;

	assert_int_equal(store_add_escrow(t.store, &(struct store_new_escrow){.escrow_id = escrow_id, .label = "",
	    .metadata = "{}", .network = NETWORK_TESTNET, .now = 1000}, &same), STORE_OK);
}

static inline void
write_patiently(const char *escrow_id)
{
	store_be_patient(t.store, true);
	add(escrow_id);
	store_when_durable(t.store, note, NULL);
	store_be_patient(t.store, false);
}

#endif
