/* How a test tells the stand-in what to do: JSON-RPC by HTTP on one more port.
 * control.c has the table of its methods. */
#ifndef STAND_IN_CONTROL_H
#define STAND_IN_CONTROL_H

#include <event2/event.h>
#include <stdbool.h>

/* False with errno: it cannot listen there. delay_ms: the endpoints' settings, for
 * `delay` to change. */
bool control_start(struct event_base *base, int port, int64_t *delay_ms);
void control_stop(void);

#endif
