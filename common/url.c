#include "common/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LABEL_MAX = 63 /* RFC 1035 */, PORT_MAX = 65535 };

/* The pieces of one; they point into its text. */
struct parts {
	bool https;
	const char *host;
	size_t host_length;
	bool bracketed;
	const char *port; /* NULL: none given */
	size_t port_length;
};

static bool __attribute__((format(printf, 3, 4)))
refuse(char *why, size_t size, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, size, format, ap);
	va_end(ap);
	return false;
}

static bool
split_scheme(const char *text, const char **rest, bool *https, char *why, size_t size)
{
	for (const char *c = text; *c != '\0'; c++) {
		if (*c <= ' ' || *c > '~')
			return refuse(why, size, "it has a character that no url can have (byte %d)", (int)(c - text) + 1);
	}
	*https = strncasecmp(text, "https://", 8) == 0;
	if (!*https && strncasecmp(text, "http://", 7) != 0)
		return refuse(why, size, "it has to begin with http:// or https://");
	*rest = text + (*https ? 8 : 7);
	return true;
}

static bool
check_tail(const char *tail, char *why, size_t size)
{
	switch (*tail) {
	case '/':
		return tail[1] == '\0' || refuse(why, size, "a path is not allowed (only http://HOST:PORT; /json_rpc is added by msigd)");
	case '?':
		return refuse(why, size, "a query (\"?\") is not allowed");
	case '#':
		return refuse(why, size, "a fragment (\"#\") is not allowed");
	}
	return true;
}

/* Splits "host:port", "[v6]:port", either without the port. */
static bool
split_authority(const char *text, size_t length, struct parts *parts, char *why, size_t size)
{
	const char *end = text + length, *host_end;

	if (memchr(text, '@', length) != NULL)
		return refuse(why, size, "user and password are not allowed in it: write them to a login-file");
	parts->bracketed = *text == '[';
	parts->host = parts->bracketed ? text + 1 : text;
	host_end = memchr(parts->host, parts->bracketed ? ']' : ':', (size_t)(end - parts->host));
	if (host_end == NULL && parts->bracketed)
		return refuse(why, size, "the \"]\" after the IPv6 address is missing");
	if (host_end == NULL)
		host_end = end;
	if (!parts->bracketed && host_end < end && memchr(host_end + 1, ':', (size_t)(end - host_end) - 1) != NULL)
		return refuse(why, size, "there is more than one \":\"; an IPv6 address is written in brackets, as [::1]");
	parts->host_length = (size_t)(host_end - parts->host);
	if (parts->host_length == 0)
		return refuse(why, size, "the host is missing");
	if (parts->bracketed)
		host_end++;
	if (host_end == end) {
		parts->port = NULL;
		return true;
	}
	if (*host_end != ':')
		return refuse(why, size, "after \"]\" there may be only \":\" and a port");
	parts->port = host_end + 1;
	parts->port_length = (size_t)(end - parts->port);
	return true;
}

static bool
parse_port(const struct parts *parts, int *port, char *why, size_t size)
{
	int number = 0;

	if (parts->port == NULL) {
		*port = parts->https ? 443 : 80;
		return true;
	}
	for (size_t i = 0; i < parts->port_length && number <= PORT_MAX; i++) {
		if (!isdigit((unsigned char)parts->port[i]))
			return refuse(why, size, "the port has to be a number from 1 to 65535");
		number = number * 10 + (parts->port[i] - '0');
	}
	if (number < 1 || number > PORT_MAX)
		return refuse(why, size, "the port has to be a number from 1 to 65535");
	*port = number;
	return true;
}

static bool
normalise_ipv4(const struct in_addr *address, char *out, size_t out_size, bool *loopback, char *why, size_t size)
{
	if (address->s_addr == INADDR_ANY)
		return refuse(why, size, "0.0.0.0 is no address to connect to; did you mean 127.0.0.1?");
	*loopback = ntohl(address->s_addr) >> 24 == IN_LOOPBACKNET;
	inet_ntop(AF_INET, address, out, (socklen_t)out_size);
	return true;
}

static bool
normalise_ipv6(const char *host, char *out, size_t out_size, bool *loopback, char *why, size_t size)
{
	struct in6_addr address;
	struct in_addr mapped;

	if (inet_pton(AF_INET6, host, &address) != 1)
		return refuse(why, size, "what stands in the brackets is no IPv6 address");
	if (IN6_IS_ADDR_UNSPECIFIED(&address))
		return refuse(why, size, "[::] is no address to connect to; did you mean [::1]?");
	/* ::ffff:127.0.0.1 is the same socket as 127.0.0.1: one lock for both */
	if (IN6_IS_ADDR_V4MAPPED(&address)) {
		memcpy(&mapped, address.s6_addr + 12, sizeof mapped);
		return normalise_ipv4(&mapped, out, out_size, loopback, why, size);
	}
	*loopback = IN6_IS_ADDR_LOOPBACK(&address);
	out[0] = '[';
	inet_ntop(AF_INET6, &address, out + 1, (socklen_t)(out_size - 2));
	strcat(out, "]");
	return true;
}

/* Resolvers take "127.1" and "0x7f000001" for addresses (inet_aton(3)): the
 * same endpoint would then have many names, so these are refused. */
static bool
looks_numeric(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *label = dot != NULL ? dot + 1 : host;

	if (label[0] == '0' && label[1] == 'x')
		label += 2 + strspn(label + 2, "0123456789abcdef");
	else
		label += strspn(label, "0123456789");
	return *label == '\0';
}

static bool
check_host_name(const char *host, char *why, size_t size)
{
	const char *label = host;

	for (;;) {
		size_t length = strcspn(label, ".");
		if (length == 0 || length > LABEL_MAX)
			return refuse(why, size, "in a host name there are 1 to %d characters between the dots", (int)LABEL_MAX);
		if (strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") < length)
			return refuse(why, size, "a host name has only letters, digits, \"-\", \"_\" and dots");
		if (label[0] == '-' || label[length - 1] == '-')
			return refuse(why, size, "a part of a host name may not begin or end with \"-\"");
		if (label[length] == '\0')
			return true;
		label += length + 1;
	}
}

static bool
normalise_host(const struct parts *parts, char *out, size_t out_size, bool *loopback, char *why, size_t size)
{
	char host[URL_MAX];
	struct in_addr address;

	if (parts->host_length >= sizeof host)
		return refuse(why, size, "it is too long (%d bytes at most)", (int)URL_MAX - 1);
	for (size_t i = 0; i < parts->host_length; i++)
		host[i] = (char)tolower((unsigned char)parts->host[i]);
	host[parts->host_length] = '\0';
	if (parts->bracketed)
		return normalise_ipv6(host, out, out_size, loopback, why, size);
	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address) == 1)
		return normalise_ipv4(&address, out, out_size, loopback, why, size);
	if (!check_host_name(host, why, size))
		return false;
	if (looks_numeric(host))
		return refuse(why, size, "an IPv4 address is written as four numbers from 0 to 255, as 127.0.0.1");
	*loopback = false;
	snprintf(out, out_size, "%s", host);
	return true;
}

bool
url_parse(const char *text, struct url *url, char *why, size_t why_size)
{
	struct parts parts = {0};
	struct url result = {0};
	const char *authority = text;
	char host[URL_MAX];
	size_t length;
	int n;

	if (!split_scheme(text, &authority, &parts.https, why, why_size))
		return false;
	length = strcspn(authority, "/?#");
	if (!split_authority(authority, length, &parts, why, why_size) ||
	    !check_tail(authority + length, why, why_size) ||
	    !parse_port(&parts, &result.port, why, why_size) ||
	    !normalise_host(&parts, host, sizeof host, &result.loopback, why, why_size))
		return false;
	result.https = parts.https;
	n = snprintf(result.text, sizeof result.text, "%s://%s:%d", parts.https ? "https" : "http", host, result.port);
	if (n >= (int)sizeof result.text)
		return refuse(why, why_size, "it is too long (%d bytes at most)", (int)URL_MAX - 1);
	*url = result;
	return true;
}
