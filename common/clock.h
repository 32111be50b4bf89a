/* Time in milliseconds, and where they are too coarse in microseconds. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC: for durations. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

/* Since the epoch: for what is stored and shown. */
int64_t clock_wall_ms(void);

#endif
