/* Endpoint URLs: http or https, host, port, no path, no user, no query. */
#ifndef COMMON_URL_H
#define COMMON_URL_H

#include <stdbool.h>
#include <stddef.h>

enum { URL_MAX = 200 /* bytes of a normalised one, with the NUL; it has to fit a lock's file name */ };

struct url {
	char text[URL_MAX]; /* normalised: scheme and host in lower case, numeric addresses
	                     * in their shortest form, the port always there, no slash at the
	                     * end: "http://127.0.0.1:18082". "localhost" becomes 127.0.0.1. */
	bool https;
	bool loopback;      /* 127.0.0.0/8, ::1 or localhost */
	int port;
};

/* False with the reason in why, in words that end "… url "X": WHY". */
bool url_parse(const char *text, struct url *url, char *why, size_t why_size);

#endif
