/*
 * Ctrl-C where something is left to say or to clean up. Elsewhere signals keep
 * their default, and end msigctl at once.
 */
#ifndef MSIGCTL_INTERRUPT_H
#define MSIGCTL_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP are only noted. */
void interrupt_catch(void);

/* Whether one came. */
bool interrupted(void);

/* 128 and the signal's number: the exit status that a shell shows. */
int interrupt_status(void);

/* Readable as soon as one came, for poll(2); -1 before interrupt_catch(). */
int interrupt_fd(void);

#endif
