/* What a setup worker reports: intents and results (ipc/message.h). */
#ifndef WORKER_REPORT_H
#define WORKER_REPORT_H

#include "worker/job.h"

/* That the party is to do the step of this round; of create also its wallet,
 * password and stamp, which are made for it. */
json_t *intent_json(struct party *party, int round);

/* What the step of party->round came to: its .keys and message, sealed. A wallet
 * that is ready has its files on disk for good before. NULL: the job has ended. */
json_t *result_json(struct party *party);

#endif
