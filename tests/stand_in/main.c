/*
 * stand_in: many monero-wallet-rpcs in one process, for tests and measurements
 * that the real ones are too slow or too honest for. Each endpoint is one port,
 * one open wallet, one call at a time, and answers as MONERO.md says; the key
 * exchange is not secure (kex.h). Here are its options, and its beginning and end.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/stand_in/control.h"
#include "tests/stand_in/endpoint.h"
#include "tests/stand_in/ledger.h"

enum { FILES_FOR_AN_ENDPOINT = 4, FILES_BESIDE = 200 };

static const char usage[] =
    "usage: stand_in --port-base PORT [options]\n"
    "  --count N             endpoints, on PORT and the ports after it (1)\n"
    "  --wallet-dir DIR      folder of all wallets; without it they are kept in memory\n"
    "  --rpc-login USER:PASS digest login of every endpoint\n"
    "  --network NAME        testnet, stagenet or mainnet (testnet)\n"
    "  --delay METHOD=MS     so long a method takes; `changing` is all that change a wallet\n"
    "  --control-port PORT   where it takes orders (control.c)\n";

static struct options {
	struct settings settings;
	int port_base, count, control_port;
	const char *wallet_dir;
} options = {.settings.network = NETWORK_TESTNET, .count = 1};

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "stand_in: %s: %s\n", what, why);
	exit(1);
}

/* --- options -------------------------------------------------------------- */

static int
number(const char *name, const char *text, int most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < 1 || value > most)
		die(name, "wants a number in range");
	return (int)value;
}

static void
set_delay(char *text)
{
	char *ms = strchr(text, '=');
	enum method method;

	if (ms == NULL)
		die("--delay", "wants METHOD=MS");
	*ms++ = '\0';
	method = method_find(text);
	if (method == METHOD_COUNT && strcmp(text, "changing") != 0)
		die("--delay", "there is no such method");
	for (int i = 0; i < METHOD_COUNT; i++) {
		if (method == (enum method)i || (method == METHOD_COUNT && method_is_changing((enum method)i)))
			options.settings.delay_ms[i] = atoll(ms);
	}
}

static void
read_option(int option)
{
	switch (option) {
	case 'b':
		options.port_base = number("--port-base", optarg, UINT16_MAX);
		break;
	case 'n':
		options.count = number("--count", optarg, UINT16_MAX);
		break;
	case 'w':
		options.wallet_dir = optarg;
		break;
	case 'l':
		options.settings.login = optarg;
		break;
	case 'N':
		if (!network_parse(optarg, &options.settings.network))
			die("--network", "is testnet, stagenet or mainnet");
		break;
	case 'd':
		set_delay(optarg);
		break;
	case 'c':
		options.control_port = number("--control-port", optarg, UINT16_MAX);
		break;
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

static void
read_options(int argc, char **argv)
{
	static const struct option names[] = {
		{"port-base", required_argument, NULL, 'b'}, {"count", required_argument, NULL, 'n'},
		{"wallet-dir", required_argument, NULL, 'w'}, {"rpc-login", required_argument, NULL, 'l'},
		{"network", required_argument, NULL, 'N'}, {"delay", required_argument, NULL, 'd'},
		{"control-port", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		read_option(option);
	if (options.port_base == 0 || optind != argc || options.port_base + options.count > UINT16_MAX) {
		fputs(usage, stderr);
		exit(2);
	}
}

/* --- its life ------------------------------------------------------------- */

/* A listening socket, a few connections and a lock for each endpoint. */
static void
raise_file_limit(void)
{
	rlim_t wanted = (rlim_t)options.count * FILES_FOR_AN_ENDPOINT + FILES_BESIDE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		fprintf(stderr, "stand_in: cannot have %llu files open: %s\n", (unsigned long long)wanted, strerror(errno));
}

static void
start_listening(struct event_base *base)
{
	int busy = endpoints_start(base, &options.settings, options.port_base, options.count);

	if (busy == 0 && options.control_port > 0 && !control_start(base, options.control_port, options.settings.delay_ms))
		busy = options.control_port;
	if (busy != 0) {
		fprintf(stderr, "stand_in: cannot listen on port %d: %s\n", busy, strerror(errno));
		exit(1);
	}
}

static void
on_signal(evutil_socket_t number_of_signal, short what, void *arg)
{
	(void)number_of_signal;
	(void)what;
	event_base_loopbreak(arg);
}

int
main(int argc, char **argv)
{
	struct event_base *base;
	struct event *term, *interrupt;

	read_options(argc, argv);
	raise_file_limit();
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	if (sodium_init() == -1 || base == NULL)
		die("start", "no memory");
	files_init(options.wallet_dir);
	term = evsignal_new(base, SIGTERM, on_signal, base);
	interrupt = evsignal_new(base, SIGINT, on_signal, base);
	event_add(term, NULL);
	event_add(interrupt, NULL);
	start_listening(base);
	event_base_dispatch(base);
	control_stop();
	endpoints_stop();
	files_free();
	ledger_free();
	event_free(term);
	event_free(interrupt);
	event_base_free(base);
	return 0;
}
