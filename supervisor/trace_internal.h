/* Between trace.c, trace_event.c, trace_fold.c and trace_keep.c. */
#ifndef SUPERVISOR_TRACE_INTERNAL_H
#define SUPERVISOR_TRACE_INTERNAL_H

#include <bsd/sys/queue.h>
#include <dirent.h>
#include <event2/event.h>

#include "supervisor/trace.h"

RB_HEAD(trace_tree, trace);
TAILQ_HEAD(trace_queue, trace);

struct traces {
	struct supervisor *sv;
	struct trace_tree tree;     /* those that are held, or due */
	struct trace_queue due;     /* to be folded, in order */
	struct event *fold;         /* of trace_fold.c */
	bool trouble;               /* that of the folder was said */
	int64_t complained_ms;      /* of one trace, last; monotonic, 0: never */
	struct event *timer;        /* of trace_keep.c */
	DIR *folder;                /* that is being gone through, or NULL */
};

/* errno: why one of them could not be written. Said once of each, of the folder once
 * for all of them, and seldom. escrow_id: NULL for none. */
void traces_complain(struct traces *traces, const char *escrow_id, const char *what);

/* Held or not; borrowed, or NULL. */
struct trace *traces_get(struct traces *traces, const char *escrow_id);
void trace_free(struct trace *trace);

bool trace_fold_init(struct traces *traces);
/* Folds what is due. */
void trace_fold_end(struct traces *traces);
/* In a later turn; if nobody holds it then, it is freed. */
void trace_fold_later(struct trace *trace);

bool trace_keep_init(struct traces *traces);
void trace_keep_end(struct traces *traces);

#endif
