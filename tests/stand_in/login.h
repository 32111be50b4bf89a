/* HTTP digest authentication as epee does it: a nonce for each connection, and
 * the count of requests made with it. */
#ifndef STAND_IN_LOGIN_H
#define STAND_IN_LOGIN_H

#include <stdbool.h>
#include <stddef.h>

enum { NONCE_SIZE = 25, CHALLENGE_MAX = 400 };

/* Of one connection; zero at first. */
struct login_state {
	char nonce[NONCE_SIZE];
	unsigned count;
};

/* header: the value of Authorization, or NULL. False: challenge is the headers of
 * the 401 to answer with, each line with its end. */
bool login_check(struct login_state *state, const char *login, const char *verb, const char *header,
    char challenge[CHALLENGE_MAX]);

#endif
