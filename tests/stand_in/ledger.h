/*
 * What was done to which wallet, in order: every call that changes a wallet or
 * opens one, and was carried out. So a test sees what no answer tells: that a
 * call was made twice on one wallet, or that a file was replaced from outside
 * while it belonged to a wallet-rpc. Kept only where wallets have files.
 */
#ifndef STAND_IN_LEDGER_H
#define STAND_IN_LEDGER_H

#include <jansson.h>

#include "tests/stand_in/methods.h"

/* error: 0, or the code of the answer. */
void ledger_add(int port, enum method method, const char *wallet, const json_t *params, int error);

/* [{port, call, wallet, error, keys, password, messages}]; keys: the inode of its
 * .keys afterwards; password and messages: SHA-256 of what was given, the first
 * null when there was none. A new reference. */
json_t *ledger_entries(void);

void ledger_free(void);

#endif
