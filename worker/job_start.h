/* The start frame (ipc/message.h): which kind of job it is, and for which escrow
 * and wallets. */
#ifndef WORKER_JOB_START_H
#define WORKER_JOB_START_H

#include <jansson.h>
#include <stdbool.h>

struct job;

/* Takes over what the frame says, unseals the passwords in it, and lets the job's
 * time begin. job has its timers and HTTP client. False: it is not complete; what
 * was taken over is job_clear()'s to wipe. */
bool job_take_start(struct job *job, json_t *start);

#endif
