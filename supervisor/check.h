/*
 * `check`: looks at what is there and says what is wrong and what to do. Four
 * things, none of which holds up the loop: the database itself (a process of its
 * own, store_integrity.h, checks a copy), every escrow's rows and seals (a few
 * each turn) and those of the spare wallets, the wallet files that must be
 * there, and what else lies in the folders (check_files.h). Changes nothing.
 */
#ifndef SUPERVISOR_CHECK_H
#define SUPERVISOR_CHECK_H

#include <stdbool.h>

struct api_call;
struct checker;
struct supervisor;

struct checker *checker_new(struct supervisor *sv);
void checker_free(struct checker *checker);

/* Answers the call, as msigd-api(7) says. One at a time. With repair_first what
 * can be brought back is (repair.h), and then it looks; elsewhere: also on other
 * endpoints than those where it was. */
void check_begin(struct checker *checker, struct api_call *call, bool repair_first, bool elsewhere);

/* msigd stops: the one under way is answered so, and its process ended. */
void check_stop(struct checker *checker);

#endif
