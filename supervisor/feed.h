/*
 * GET /events: readers of what happens. Each reader is fed from the store, from
 * where it is, as fast as it takes; so one that is slow costs no memory, and
 * one that lost its connection resumes with since. A reader that takes nothing
 * at all for 30 s while there is something for it is cut off. Readers are half
 * of the clients that there may be (client.h); more are refused.
 */
#ifndef SUPERVISOR_FEED_H
#define SUPERVISOR_FEED_H

struct evhttp_request;
struct feed;
struct supervisor;

struct feed *feed_new(struct supervisor *sv);
/* Ends every stream. */
void feed_free(struct feed *feed);

/* Answers a request with a stream. */
void feed_serve(struct feed *feed, struct evhttp_request *request);

/* There may be new events. */
void feed_wake(struct feed *feed);

#endif
