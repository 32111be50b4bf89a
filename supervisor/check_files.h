/*
 * The part of `check` that goes through folders, a little each turn: what is in
 * the attic and how much room it takes, what else lies in the wallet folders that
 * msigd can read, and who holds which lock. Changes nothing.
 *
 * A wallet folder may be shared with another msigd: a wallet of an escrow that
 * the store does not know is told, and no problem. One of an escrow that it knows
 * is one: only a store that is older than the wallets does not know it.
 */
#ifndef SUPERVISOR_CHECK_FILES_H
#define SUPERVISOR_CHECK_FILES_H

#include <jansson.h>
#include <stdbool.h>

struct check_files;
struct supervisor;

/* {escrow_id?, role?, kind, what, remedy}; takes the reference. */
typedef void (*check_problem_fn)(json_t *problem, void *arg);

/* NULL: out of memory. */
struct check_files *check_files_new(struct supervisor *sv, check_problem_fn fn, void *arg);
void check_files_free(struct check_files *files);

/* False: it is done. */
bool check_files_step(struct check_files *files);

/* Puts attic, leftovers and locks into the answer. */
void check_files_answer(const struct check_files *files, json_t *answer);

#endif
