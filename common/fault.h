/*
 * Points at which a test may let something happen: kill this process or another,
 * let it wait, let it go on. In a build with FAULTS=1 a process that comes to a
 * point tells it to whoever listens on the socket MSIGD_FAULT_SOCKET names, and
 * waits for the answer; without that variable, and in every other build, a point
 * is nothing.
 *
 * Workers, which get nothing of msigd's environment, get in such a build what
 * tests need: the socket's name, and the library that is preloaded to let calls
 * on files fail (tests/fault/failing_io.c).
 */
#ifndef COMMON_FAULT_H
#define COMMON_FAULT_H

#ifdef MSIGD_FAULTS
/* kind and name: "call", "make_multisig"; "commit", ""; role: a name, or ""; round: -1 for none.
 * escrow, url: whose wallet on which endpoint is called; "" for none. */
void fault_point(const char *kind, const char *name, const char *role, int round, const char *escrow, const char *url);
/* Puts the assignments that a worker needs in its environment, and a NULL. They
 * stay with fault.c. */
enum { FAULT_VARIABLES = 3 };
void fault_environment(char *envp[FAULT_VARIABLES + 1]);
#define FAULT(kind, name, role, round) fault_point(kind, name, role, round, "", "")
#define FAULT_AT(kind, name, role, round, escrow, url) fault_point(kind, name, role, round, escrow, url)
/* Of waits that have no other meaning than not to be in a hurry. */
#define FAULT_SOONER(ms) ((ms) / 20)
#else
#define FAULT(kind, name, role, round) ((void)0)
#define FAULT_AT(kind, name, role, round, escrow, url) ((void)0)
#define FAULT_SOONER(ms) (ms)
#endif

/*
 * Mistakes that a build can be given, to see that the tests find them: with
 * MISTAKE=ack-before-commit, blind-repeat or restore-over in make. In every other
 * build these are 0.
 */
#ifndef MSIGD_MISTAKE_ACK_BEFORE_COMMIT  /* a report is acknowledged, and committed some time later */
#define MSIGD_MISTAKE_ACK_BEFORE_COMMIT 0
#endif
#ifndef MSIGD_MISTAKE_BLIND_REPEAT       /* a call of unknown outcome is made again on the same wallet */
#define MSIGD_MISTAKE_BLIND_REPEAT 0
#endif
#ifndef MSIGD_MISTAKE_RESTORE_OVER       /* .keys are written over those that are there */
#define MSIGD_MISTAKE_RESTORE_OVER 0
#endif

#endif
