/*
 * The three parties of a 2-of-3 escrow, and the networks they meet on.
 * Names as written in configuration, store, API and logs.
 */
#ifndef COMMON_ROLE_H
#define COMMON_ROLE_H

#include <stdbool.h>

enum role { ROLE_BUYER, ROLE_VENDOR, ROLE_ARBITER, ROLE_COUNT };

/* An endpoint may serve one role or, ROLE_ANY, each of them. */
#define ROLE_ANY ROLE_COUNT
#define ROLE_BIT(role) (1u << (role))
#define ROLE_ALL (ROLE_BIT(ROLE_BUYER) | ROLE_BIT(ROLE_VENDOR) | ROLE_BIT(ROLE_ARBITER))

enum { MULTISIG_THRESHOLD = 2, MULTISIG_TOTAL = 3 };

enum network { NETWORK_MAINNET, NETWORK_STAGENET, NETWORK_TESTNET, NETWORK_COUNT };

/* "buyer", "vendor", "arbiter"; "any" for ROLE_ANY. Never NULL. */
const char *role_name(enum role role);

/* False when name is none of the three (or, with allow_any, "any"). */
bool role_parse(const char *name, bool allow_any, enum role *role);

/* "mainnet", "stagenet", "testnet": as validate_address names them. */
const char *network_name(enum network network);
bool network_parse(const char *name, enum network *network);

#endif
