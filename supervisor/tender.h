/*
 * Which idle endpoints get a spare wallet, and when: at once while nothing else
 * is going on, after a while also beside escrows under way, never while one
 * waits for endpoints; and no more at a time than helps, since a wallet-rpc that
 * makes a wallet keeps a core busy. `spares = false` switches it off.
 */
#ifndef SUPERVISOR_TENDER_H
#define SUPERVISOR_TENDER_H

struct supervisor;
struct tender;

/* NULL: out of memory. */
struct tender *tender_new(struct supervisor *sv);
void tender_free(struct tender *tender);

/* Something changed: looks at the end of this turn which may be tended now. */
void tender_wake(struct tender *tender);

/* msigd is to stop once nothing is under way: what is being tended is let go. */
void tender_drain(struct tender *tender);

#endif
