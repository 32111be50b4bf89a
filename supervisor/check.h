/*
 * `check`: looks at what is there and says what is wrong and what to do. Three
 * things, none of which holds up the loop: the database itself (a process of its
 * own, store_integrity.h, checks a copy), every escrow's rows and seals (a few
 * each turn) and those of the spare wallets, and the wallet files that must be
 * there. Changes nothing.
 */
#ifndef SUPERVISOR_CHECK_H
#define SUPERVISOR_CHECK_H

struct api_call;
struct checker;
struct supervisor;

struct checker *checker_new(struct supervisor *sv);
void checker_free(struct checker *checker);

/* Answers the call with {ok, checked, problems}. One at a time. */
void check_begin(struct checker *checker, struct api_call *call);

/* msigd stops: the one under way is answered so, and its process ended. */
void check_stop(struct checker *checker);

#endif
