/*
 * `calibrate`: finds the least stagger-delay at which so many trial escrows, on
 * the real endpoints, show no error: 0 if that works, else by halving. One at a
 * time. A trial is a set-up by a worker (worker/trial.c) in scratch wallets that
 * ends before the gate; nothing of it is kept.
 *
 *   idle      nobody has asked        event \ state | idle  | waiting | trying   | ending
 *   waiting   for three endpoints     asked         | begin | busy    | busy     | busy
 *   trying    a trial has a worker    granted       | !     | try     | !        | !
 *   ending    told; its worker ends   trial over    | !     | !       | go on    | give back
 *                                     stop          | –     | give up | end it   | –
 *
 * Owns the call that is to be answered, the claim behind all escrows, three
 * endpoints from one trial to the next (unless somebody waits for some), and
 * the trial's worker. Only what the wallets themselves say counts as an error
 * of the stagger; an endpoint or lock that is in the way ends the calibration.
 */
#ifndef SUPERVISOR_CALIBRATE_H
#define SUPERVISOR_CALIBRATE_H

#include <stdint.h>

struct api_call;
struct calibrator;
struct supervisor;

enum {
	CALIBRATE_TRIALS = 3, CALIBRATE_TRIALS_MAX = 20,
	CALIBRATE_MS = 10000,        /* where halving begins */
	CALIBRATE_LEAST_MS = 10, CALIBRATE_MOST_MS = 600000
};

/* NULL: out of memory. */
struct calibrator *calibrator_new(struct supervisor *sv);
void calibrator_free(struct calibrator *calibrator);

/* Answers the call with {stagger_ms, trials, steps, configured_ms, left}, in the
 * end. A step is so many trials at one stagger, or fewer if one shows an error. */
void calibrate_begin(struct calibrator *calibrator, struct api_call *call, int64_t trials, int64_t max_ms);

/* msigd stops: the call is answered so, and the worker is to end. */
void calibrate_stop(struct calibrator *calibrator);

#endif
