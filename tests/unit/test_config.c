#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "tests/unit/folder.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static char file[sizeof folder + 16];

static int
set_up(void **state)
{
	int made = make_folder(state);

	snprintf(file, sizeof file, "%s/msigd.conf", folder);
	unsetenv("ENABLE_INSTRUMENTATION");
	return made;
}

static struct config *
load_text(const char *text, char **error)
{
	*error = NULL;
	write_file(file, text, strlen(text), 0600);
	return config_load(file, error);
}

/* Each of these has to be accepted; config_free() is the caller's. */
static struct config *
must_load(const char *text)
{
	char *error;
	struct config *config = load_text(text, &error);

	if (config == NULL)
		fail_msg("refused:\n%s\nbecause:\n%s", text, error);
	return config;
}

static size_t
count_lines(const char *text)
{
	size_t n = 0;

	for (; (text = strchr(text, '\n')) != NULL; text++)
		n++;
	return n;
}

/* Whether error has a line that begins "FILE:LINE: KEY: " and has words in it. */
static bool
has_mistake(const char *error, int line, const char *key, const char *words)
{
	char prefix[256];
	const char *at = error, *end;
	size_t length = (size_t)snprintf(prefix, sizeof prefix, "%s:%d: %s: ", file, line, key);

	for (; *at != '\0'; at = end + 1) {
		end = strchrnul(at, '\n');
		if (strncmp(at, prefix, length) == 0) {
			const char *found = strstr(at, words);
			if (found != NULL && found < end)
				return true;
		}
		if (*end == '\0')
			return false;
	}
	return false;
}

/* Refused, with this mistake and no other. */
static void
must_refuse(const char *text, int line, const char *key, const char *words)
{
	char *error;
	struct config *config = load_text(text, &error);

	if (config != NULL)
		fail_msg("accepted:\n%s", text);
	assert_non_null(error);
	if (!has_mistake(error, line, key, words) || count_lines(error) != 1)
		fail_msg("%s\nwanted: line %d, key %s, \"%s\"; there came:\n%s", text, line, key, words, error);
	free(error);
}

static void
assert_defaults(const struct config *config)
{
	assert_int_equal(config->network, CONFIG_DEFAULT_NETWORK);
	assert_string_equal(config->state_dir, "/var/lib/msigd");
	assert_string_equal(config->run_dir, "/run/msigd");
	assert_string_equal(config->lock_dir, "/run/lock/msigd");
	assert_string_equal(config->wallet_dir, "/var/lib/msigd/wallets");
	assert_string_equal(config->trace_dir, "/var/lib/msigd/traces");
	assert_string_equal(config->socket, "/run/msigd/msigd.sock");
	assert_string_equal(config->key_file, "/var/lib/msigd/key");
	assert_int_equal(config->log_level, LOG_LEVEL_INFO);
	assert_int_equal(config->log_format, LOG_FORMAT_TEXT);
	assert_false(config->instrumentation);
	assert_int_equal(config->trace_keep_ms, 7 * 86400 * 1000);
	assert_int_equal(config->setup_timeout_ms, 600 * 1000);
	assert_int_equal(config->max_attempts, 3);
	assert_int_equal(config->queue_max, 100000);
	assert_int_equal(config->stagger_delay_ms, 0);
	assert_int_equal(config->pollution_delay_ms, 10 * 1000);
	assert_int_equal(config->session_max, 10);
	assert_int_equal(config->session_ttl_ms, 2 * 3600 * 1000);
	assert_true(config->spares);
	assert_int_equal(config->gate, GATE_SEED);
	assert_null(config->metrics_file);
	assert_int_equal(config->endpoint_count, 0);
	assert_string_equal(config->managed.program, "monero-wallet-rpc");
	assert_int_equal(config->managed.count, 6);
	assert_int_equal(config->managed.port_base, 18082);
	assert_true(config->managed.offline);
	assert_null(config->managed.daemon_address);
}

static void
nothing_gives_the_defaults(void **state)
{
	static const char *const texts[] = {"", "\n\n", "# only a comment", "// one\n/* two\n */", "managed {}", "managed\n{\n}\n", "\r\n"};
	char *error = NULL;
	struct config *config = config_load(NULL, &error);

	(void)state;
	assert_non_null(config);
	assert_defaults(config);
	config_free(config);
	for (size_t i = 0; i < LENGTH(texts); i++) {
		config = must_load(texts[i]);
		assert_defaults(config);
		config_free(config);
	}
	config = config_load("/dev/null", &error);
	assert_non_null(config);
	config_free(config);
	config_free(NULL);
}

static void
takes_every_key(void **state)
{
	struct config *config = must_load(
	    "network = mainnet\nstate-dir = /a/\nrun-dir = \"/b b\"\nlock-dir = '/c'\nwallet-dir = /d\ntrace-dir = /e\n"
	    "socket = /f\nkey-file = /g\nlog-level = debug\nlog-format = json\ninstrumentation = yes\ntrace-keep = 1d\n"
	    "setup-timeout = 500ms\nmax-attempts = 100\nqueue-max = 1000000\nstagger-delay = 3\npollution-delay = 0\n"
	    "session-max = 0\nsession-ttl = 1h\nspares = off\ngate = reopen\nmetrics-file = /h.prom\n"
	    "managed { program = /opt/w count = 2 port-base = 65534 offline = false daemon-address = 127.0.0.1:28081 }\n");

	(void)state;
	assert_int_equal(config->network, NETWORK_MAINNET);
	assert_string_equal(config->state_dir, "/a");
	assert_string_equal(config->run_dir, "/b b");
	assert_string_equal(config->lock_dir, "/c");
	assert_string_equal(config->wallet_dir, "/d");
	assert_string_equal(config->trace_dir, "/e");
	assert_string_equal(config->socket, "/f");
	assert_string_equal(config->key_file, "/g");
	assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(config->log_format, LOG_FORMAT_JSON);
	assert_true(config->instrumentation);
	assert_int_equal(config->trace_keep_ms, 86400000);
	assert_int_equal(config->setup_timeout_ms, 500);
	assert_int_equal(config->max_attempts, 100);
	assert_int_equal(config->queue_max, 1000000);
	assert_int_equal(config->stagger_delay_ms, 3000);
	assert_int_equal(config->pollution_delay_ms, 0);
	assert_int_equal(config->session_max, 0);
	assert_int_equal(config->session_ttl_ms, 3600000);
	assert_false(config->spares);
	assert_int_equal(config->gate, GATE_REOPEN);
	assert_string_equal(config->metrics_file, "/h.prom");
	assert_string_equal(config->managed.program, "/opt/w");
	assert_int_equal(config->managed.count, 2);
	assert_int_equal(config->managed.port_base, 65534);
	assert_false(config->managed.offline);
	assert_string_equal(config->managed.daemon_address, "127.0.0.1:28081");
	config_free(config);
}

static void
derives_paths(void **state)
{
	struct config *config = must_load("state-dir = /s\nrun-dir = /\n");

	(void)state;
	assert_string_equal(config->wallet_dir, "/s/wallets");
	assert_string_equal(config->trace_dir, "/s/traces");
	assert_string_equal(config->key_file, "/s/key");
	assert_string_equal(config->socket, "/msigd.sock");
	config_free(config);
}

static void
takes_endpoints(void **state)
{
	struct config *config = must_load(
	    "# one\nendpoint \"a.1\" { url = HTTP://LOCALHOST:18082/ }\n\n/* two\n\n*/ endpoint b_2\n{\n"
	    "  url = https://h.example # why\n  role = arbiter\n  login-file = /l\n  ca-file = /c\n  wallet-dir = \"\"\n}\n"
	    "endpoint 'C-3' { url = http://10.0.0.1:5 insecure = true wallet-dir = /w }\nwallet-dir = /general\n");
	const struct config_endpoint *e = config->endpoints;

	(void)state;
	assert_int_equal(config->endpoint_count, 3);
	assert_int_equal(config->managed.count, 0);
	assert_string_equal(e[0].name, "a.1");
	assert_string_equal(e[0].url.text, "http://127.0.0.1:18082");
	assert_int_equal(e[0].role, ROLE_ANY);
	assert_null(e[0].login_file);
	assert_null(e[0].ca_file);
	assert_string_equal(e[0].wallet_dir, "/general");
	assert_false(e[0].wallet_dir_given);
	assert_false(e[0].insecure);
	assert_int_equal(e[0].line, 2);
	assert_string_equal(e[1].name, "b_2");
	assert_string_equal(e[1].url.text, "https://h.example:443");
	assert_int_equal(e[1].role, ROLE_ARBITER);
	assert_string_equal(e[1].login_file, "/l");
	assert_string_equal(e[1].ca_file, "/c");
	assert_string_equal(e[1].wallet_dir, "");
	assert_true(e[1].wallet_dir_given);
	assert_int_equal(e[1].line, 6);
	assert_string_equal(e[2].name, "C-3");
	assert_true(e[2].insecure);
	assert_string_equal(e[2].wallet_dir, "/w");
	assert_true(e[2].wallet_dir_given);
	assert_int_equal(e[2].line, 14);
	config_free(config);
}

static void
endpoints_and_managed_go_together(void **state)
{
	struct config *config = must_load("managed { count = 2 }\nendpoint a { url = http://127.0.0.1:18084 }\n"
	    "endpoint b { url = http://[::1]:18082 }\n");

	(void)state;
	assert_int_equal(config->managed.count, 2);
	assert_int_equal(config->endpoint_count, 2);
	config_free(config);
}

static void
takes_comments_anywhere(void **state)
{
	struct config *config = must_load("\xef\xbb\xbf/**/queue-max /* a\n# */ = /* b */ 7 // c\r\n"
	    "# { \" ' ${HOME} /*\nmax-attempts = 5 /* \" */ managed // {\n/***/{ count = 9 # }\n}#}\n/* end */");

	(void)state;
	assert_int_equal(config->queue_max, 7);
	assert_int_equal(config->max_attempts, 5);
	assert_int_equal(config->managed.count, 9);
	config_free(config);
}

static void
takes_quotes_literally(void **state)
{
	struct config *config = must_load("state-dir = '/a#b ${HOME} \\' \\\\'\nrun-dir = \"/ \\\" \\\\ \\${HOME} // {} $x\"\nlock-dir = /~x");

	(void)state;
	assert_string_equal(config->state_dir, "/a#b ${HOME} ' \\");
	assert_string_equal(config->run_dir, "/ \" \\ ${HOME} // {} $x");
	assert_string_equal(config->lock_dir, "/~x");
	config_free(config);
}

struct refusal {
	const char *text;
	int line;
	const char *key, *words;
};

static void
must_refuse_all(const struct refusal *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		must_refuse(cases[i].text, cases[i].line, cases[i].key, cases[i].words);
}

static void
refuses_bad_values(void **state)
{
	static const struct refusal cases[] = {
		{"network = testnt", 1, "network", "testnet, stagenet or mainnet"},
		{"network = Testnet", 1, "network", "testnet, stagenet or mainnet"},
		{"network = \"\"", 1, "network", "testnet, stagenet or mainnet"},
		{"\n\nlog-level = verbose", 3, "log-level", "error, warn, info or debug"},
		{"log-format = xml", 1, "log-format", "text or json"},
		{"gate = none", 1, "gate", "seed or reopen"},
		{"spares = 1", 1, "spares", "true or false"},
		{"instrumentation = ja", 1, "instrumentation", "true or false"},
		{"state-dir = var", 1, "state-dir", "absolute"},
		{"run-dir = ./x", 1, "run-dir", "absolute"},
		{"lock-dir = ~/x", 1, "lock-dir", "absolute"},
		{"wallet-dir = \"\"", 1, "wallet-dir", "absolute"},
		{"trace-dir = x", 1, "trace-dir", "absolute"},
		{"socket = x", 1, "socket", "absolute"},
		{"key-file = x", 1, "key-file", "absolute"},
		{"metrics-file = x", 1, "metrics-file", "absolute"},
		{"setup-timeout = 0", 1, "setup-timeout", "too short"},
		{"setup-timeout = -5s", 1, "setup-timeout", "a duration is"},
		{"setup-timeout = 10min", 1, "setup-timeout", "a duration is"},
		{"session-ttl = \"\"", 1, "session-ttl", "a duration is"},
		{"trace-keep = 11y", 1, "trace-keep", "a duration is"},
		{"stagger-delay = 1.5", 1, "stagger-delay", "a duration is"},
		{"pollution-delay = 4000d", 1, "pollution-delay", "10 years"},
		{"max-attempts = 0", 1, "max-attempts", "from 1 to 100"},
		{"max-attempts = 101", 1, "max-attempts", "from 1 to 100"},
		{"max-attempts = -1", 1, "max-attempts", "from 1 to 100"},
		{"max-attempts = 0x10", 1, "max-attempts", "from 1 to 100"},
		{"max-attempts = 3.0", 1, "max-attempts", "from 1 to 100"},
		{"queue-max = 0", 1, "queue-max", "from 1 to 1000000"},
		{"queue-max = 1000001", 1, "queue-max", "from 1 to 1000000"},
		{"queue-max = 18446744073709551617", 1, "queue-max", "from 1 to 1000000"},
		{"queue-max = \"\"", 1, "queue-max", "from 1 to 1000000"},
		{"session-max = -1", 1, "session-max", "from 0"},
		{"session-max = many", 1, "session-max", "from 0"},
	};

	(void)state;
	must_refuse_all(cases, LENGTH(cases));
}

static void
refuses_bad_managed(void **state)
{
	static const struct refusal cases[] = {
		{"managed {\n count = 0\n}", 2, "count", "from 1 to 1000"},
		{"managed {\n count = 1001\n}", 2, "count", "from 1 to 1000"},
		{"managed {\n port-base = 0\n}", 2, "port-base", "from 1 to 65535"},
		{"managed {\n port-base = 65536\n}", 2, "port-base", "from 1 to 65535"},
		{"managed {\n count = 2\n port-base = 65535\n}", 3, "port-base", "65536"},
		{"\nmanaged { offline = false }", 2, "offline", "daemon-address"},
		{"managed {\n daemon-address = h:1\n}", 2, "daemon-address", "offline"},
		{"managed {\n offline = false\n daemon-address = \"a b\"\n}", 3, "daemon-address", "character"},
		{"managed {\n offline = false\n daemon-address = h:x\n}", 3, "daemon-address", "port"},
		{"managed { program = bin/x }", 1, "program", "absolute"},
		{"managed { program = \"\" }", 1, "program", "absolute"},
		{"managed {}\nmanaged {}", 2, "managed", "first on line 1"},
		{"managed x {}", 1, "managed", "takes no name"},
		{"managed = 3", 1, "managed", "section"},
	};

	(void)state;
	must_refuse_all(cases, LENGTH(cases));
}

static void
refuses_bad_endpoints(void **state)
{
	static const struct refusal cases[] = {
		{"\nendpoint a { }", 2, "endpoint", "has no url"},
		{"endpoint a {\n url = ftp://h\n}", 2, "url", "http://"},
		{"endpoint a {\n url = http://127.0.0.1:1/json_rpc\n}", 2, "url", "path"},
		{"endpoint a { url = \"\" }", 1, "url", "http://"},
		{"endpoint a {\n url = https://h\n role = seller\n}", 3, "role", "any, buyer, vendor or arbiter"},
		{"endpoint a {\n url = https://h\n login-file = x\n}", 3, "login-file", "absolute"},
		{"endpoint a {\n url = https://h\n ca-file = \"\"\n}", 3, "ca-file", "absolute"},
		{"endpoint a {\n url = https://h\n wallet-dir = x\n}", 3, "wallet-dir", "absolute"},
		{"endpoint a {\n url = https://h\n insecure = 1\n}", 3, "insecure", "true or false"},
		{"endpoint a {\n role = any\n url = http://10.0.0.1:5\n}", 3, "url", "insecure = true"},
		{"endpoint a {\n url = http://example.org\n insecure = false\n}", 2, "url", "insecure = true"},
		{"endpoint \"a b\" { url = https://h }", 1, "endpoint", "letters"},
		{"endpoint \"\" { url = https://h }", 1, "endpoint", "letters"},
		{"endpoint managed-7 { url = https://h }", 1, "endpoint", "msigd's own"},
		{"endpoint a/b { url = https://h }", 1, "endpoint", "letters"},
		{"endpoint 1234567890123456789012345678901234567890123456789012345678901234 { url = https://h }", 1, "endpoint", "63"},
		{"endpoint { url = https://h }", 1, "endpoint", "needs a name"},
		{"endpoint = x", 1, "endpoint", "section"},
		{"endpoint a { url = https://h }\nendpoint a { url = https://i }", 2, "endpoint", "first on line 1"},
		{"endpoint a { url = HTTP://LOCALHOST:18082/ }\nendpoint b {\n url = http://127.0.0.1:18082 }", 3, "url", "endpoint \"a\" (line 1)"},
		{"endpoint a { url = http://h:5 insecure = on }\nendpoint b { url = https://H:5 }", 2, "url", "endpoint \"a\""},
		{"endpoint a { url = http://[::1]:5 }\nendpoint b { url = http://[0::0:1]:5 }", 2, "url", "endpoint \"a\""},
		{"endpoint a { url = http://127.0.0.1:18083 }\nmanaged { }", 1, "url", "managed"},
		{"managed { count = 3 }\nendpoint a { url = http://localhost:18084 }", 2, "url", "18082 to 18084"},
		{"managed { count = 1 }\nendpoint a { url = https://[::ffff:127.0.0.1]:18082 }", 2, "url", "managed"},
	};
	char *error;

	(void)state;
	must_refuse_all(cases, LENGTH(cases));
	/* what is no url may have a password in it */
	assert_null(load_text("endpoint a { url = http://user:hunter2@h }", &error));
	assert_null(strstr(error, "hunter2"));
	assert_non_null(strstr(error, "login-file"));
	free(error);
	/* 63 bytes are a name */
	config_free(must_load("endpoint 123456789012345678901234567890123456789012345678901234567890123 { url = https://h }"));
}

static void
refuses_unknown_and_repeated_keys(void **state)
{
	static const struct refusal cases[] = {
		{"\nsetup-timout = 5m", 2, "setup-timout", "did you mean setup-timeout?"},
		{"session_max = 5", 1, "session_max", "did you mean session-max?"},
		{"Network = testnet", 1, "Network", "did you mean network?"},
		{"wibble = 5", 1, "wibble", "unknown key"},
		{"managed {\n cuont = 5\n}", 2, "cuont", "did you mean count?"},
		{"endpoint a {\n url = https://h\n rolle = any\n}", 3, "rolle", "did you mean role?"},
		{"count = 3", 1, "count", "managed { … }"},
		{"url = https://h", 1, "url", "endpoint \"NAME\""},
		{"managed {\n network = testnet\n}", 2, "network", "top of the file"},
		{"include = /etc/passwd", 1, "include", "unknown key"},
		{"\"managed\" {}\nspare = yes", 2, "spare", "did you mean spares?"},
		{"foo { }", 1, "foo", "unknown section"},
		{"foo bar { x = 1 }", 1, "foo", "unknown section"},
		{"network { }", 1, "network", "a key, not a section"},
		{"spares = true\n\nspares = true", 3, "spares", "first on line 1"},
		{"managed { count = 3\n count = 3 }", 2, "count", "first on line 1"},
		{"endpoint a {\n url = https://h\n url = https://h\n}", 3, "url", "first on line 2"},
		{"/*\n\n*/\n# x\nwibble = 1", 5, "wibble", "unknown key"},
	};

	(void)state;
	must_refuse_all(cases, LENGTH(cases));
	/* the same key in two sections is no repetition */
	config_free(must_load("wallet-dir = /a\nendpoint a { url = https://h wallet-dir = /b }\nendpoint b { url = https://i wallet-dir = /b }"));
}

/* What gets into a config has to fit JSON later: frames, answers, log lines. */
static void
refuses_what_is_no_utf8(void **state)
{
	static const struct refusal cases[] = {
		{"\nstate-dir = \"/srv/caf\xe9\"\n", 2, "syntax", "UTF-8"},
		{"spares = true\n\n# caf\xe9", 3, "syntax", "UTF-8"},
		{"state-dir = \"/\xc3\"\n", 1, "syntax", "UTF-8"},         /* cut off */
		{"state-dir = \"/\xc0\xaf\"\n", 1, "syntax", "UTF-8"},     /* too long for what it says */
		{"state-dir = \"/\xed\xa0\x80\"\n", 1, "syntax", "UTF-8"}, /* half of a pair of UTF-16 */
		{"state-dir = \"/\xf5\x80\x80\x80\"\n", 1, "syntax", "UTF-8"},
	};
	struct config *config;

	(void)state;
	must_refuse_all(cases, LENGTH(cases));
	config = must_load("# \xe2\x82\xac\nstate-dir = \"/srv/caf\xc3\xa9\"");
	assert_string_equal(config->state_dir, "/srv/caf\xc3\xa9");
	config_free(config);
}

static void
refuses_bad_structure(void **state)
{
	static const struct refusal cases[] = {
		{"\nmanaged {\n count = 3\n", 2, "managed", "not closed"},
		{"endpoint a {\n url = https://h\n", 1, "endpoint", "not closed"},
		{"endpoint a {\n url = https://h\nendpoint b {\n url = https://i\n}\n", 3, "endpoint", "begins on line 1"},
		{"managed { count = 3 }\n}", 2, "syntax", "\"}\""},
		{"{", 1, "syntax", "a key or a section"},
		{"= 3", 1, "syntax", "a key or a section"},
		{"\"\" = 3", 1, "syntax", "a key or a section"},
		{"spares", 1, "spares", "\"=\""},
		{"spares\ngate = seed", 1, "spares", "\"=\""},
		{"spares true\ngate = seed", 1, "spares", "\"=\""},
		{"spares =\ngate = seed", 1, "spares", "no value"},
		{"spares =", 1, "spares", "no value"},
		{"spares = = true", 1, "spares", "no value"},
		{"managed { count = }", 1, "count", "no value"},
		{"setup-timeout = 5 m", 1, "setup-timeout", "stands behind its value"},
		{"setup-timeout = 5 m\nspares = on", 1, "setup-timeout", "stands behind its value"},
		{"spares = true;", 1, "spares", "\";\""},
		{"spares = true# x", 1, "spares", "a space before"},
		{"spares += true", 1, "spares", "\"+\""},
		{"network = {testnet}", 1, "network", "no value"},
		{"network = testnet,mainnet", 1, "network", "\",\""},
		{"network = test\"net\"", 1, "network", "quotes"},
		{"network = \"test\"\"net\"", 1, "network", "quotes"},
		{"network = a*b", 1, "network", "quotes"},
		{"include(\"/etc/passwd\")", 1, "include", "\"(\""},
		{"state-dir = \"/a\nrun-dir = \"/b\"", 1, "state-dir", "closing \""},
		{"state-dir = '/a\n", 1, "state-dir", "closing '"},
		{"state-dir = \"/a", 1, "state-dir", "closing \""},
		{"state-dir = \"/a\\", 1, "state-dir", "\"\\\""},
		{"state-dir = \"/a\\000b\"", 1, "state-dir", "\"\\\""},
		{"state-dir = \"/a\\x00b\"", 1, "state-dir", "\"\\\""},
		{"state-dir = \"/a\\777\"", 1, "state-dir", "\"\\\""},
		{"\n/* never\nclosed", 2, "syntax", "*/"},
		{"state-dir = ${HOME}", 1, "state-dir", "${"},
		{"state-dir = /x${HOME}", 1, "state-dir", "${"},
		{"\nstate-dir = \"/x/${HOME}\"", 2, "state-dir", "${"},
		{"network = test\x01net", 1, "syntax", "0x01"},
	};

	(void)state;
	must_refuse_all(cases, LENGTH(cases));
}

/* A mistake must leave nothing behind in libconfuse's lexer. */
static void
loads_again_after_a_mistake(void **state)
{
	static const char *const broken[] = {"state-dir = \"/a", "state-dir = '/a", "/* x", "spares =", "managed {", "a = 1\nspares = x", "}"};
	char *error;

	(void)state;
	for (size_t i = 0; i < LENGTH(broken); i++) {
		struct config *config;
		assert_null(load_text(broken[i], &error));
		free(error);
		config = must_load("");
		assert_defaults(config);
		config_free(config);
	}
}

static void
reports_all_mistakes_at_once(void **state)
{
	char *error;

	(void)state;
	assert_null(load_text(
	    "network = testnt\nsetup-timout = 5m\nmax-attempts = 0\nspares = true\nspares = false\n"
	    "managed {\n count = 0\n wibble = { }\n}\n", &error));
	/* structure ends the walk on line 8, where a list stands */
	assert_true(has_mistake(error, 2, "setup-timout", "unknown key"));
	assert_true(has_mistake(error, 5, "spares", "twice"));
	assert_true(has_mistake(error, 8, "wibble", "no value"));
	free(error);

	assert_null(load_text(
	    "network = testnt\nsetup-timout = 5m\nmax-attempts = 0\nspares = true\nspares = false\n"
	    "managed {\n count = 0\n wibble = \"x y\"\n}\nendpoint \"a b\" {\n foo = 1\n}\nendpoint c { url = x role = y }\n"
	    "run-dir = x\n", &error));
	assert_true(has_mistake(error, 1, "network", "testnt"));
	assert_true(has_mistake(error, 2, "setup-timout", "unknown key"));
	assert_true(has_mistake(error, 3, "max-attempts", "\"0\""));
	assert_true(has_mistake(error, 5, "spares", "twice"));
	assert_true(has_mistake(error, 7, "count", "\"0\""));
	assert_true(has_mistake(error, 8, "wibble", "section managed"));
	assert_true(has_mistake(error, 10, "endpoint", "letters"));
	assert_true(has_mistake(error, 10, "endpoint", "has no url"));
	assert_true(has_mistake(error, 11, "foo", "section endpoint"));
	assert_true(has_mistake(error, 13, "url", "http://"));
	assert_true(has_mistake(error, 13, "role", "buyer"));
	assert_true(has_mistake(error, 14, "run-dir", "absolute"));
	assert_int_equal(count_lines(error), 12);
	free(error);
}

static void
reports_in_the_order_of_the_file(void **state)
{
	char *error;
	int last = 0, line;

	(void)state;
	assert_null(load_text("gate = x\nwibble = 1\nmanaged { count = 0 }\nspares = x\nfoo = 2\n", &error));
	assert_int_equal(count_lines(error), 5);
	for (const char *at = error; *at != '\0'; at = strchr(at, '\n') + 1) {
		assert_int_equal(strncmp(at, file, strlen(file)), 0);
		line = atoi(at + strlen(file) + 1);
		assert_true(line > last);
		last = line;
	}
	free(error);
}

static void
refuses_unreadable_files(void **state)
{
	static const char nul[] = "network = testnet\nstate-dir = /a\0b\n";
	char *error = NULL, *big;

	(void)state;
	assert_null(config_load("/nonexistent/msigd.conf", &error));
	assert_string_equal(error, "/nonexistent/msigd.conf: cannot be read: No such file or directory\n");
	free(error);
	assert_null(config_load(folder, &error));
	assert_non_null(strstr(error, "Is a directory"));
	free(error);

	write_file(file, nul, sizeof nul - 1, 0600);
	assert_null(config_load(file, &error));
	assert_true(has_mistake(error, 2, "syntax", "0x00"));
	free(error);

	big = malloc(2 << 20);
	assert_non_null(big);
	memset(big, '\n', 2 << 20);
	write_file(file, big, 2 << 20, 0600);
	free(big);
	assert_null(config_load(file, &error));
	assert_non_null(strstr(error, "longer than"));
	free(error);

	write_file(file, "", 0, 0);
	if (geteuid() != 0) {
		assert_null(config_load(file, &error));
		assert_non_null(strstr(error, "Permission denied"));
		free(error);
	}
	unlink(file);
}

static void
says_why_a_socket_is_too_long(void **state)
{
	char text[256], *error;
	struct config *config;

	(void)state;
	snprintf(text, sizeof text, "\nsocket = /%0106d\n", 0);
	config = must_load(text);
	assert_int_equal(strlen(config->socket), 107);
	config_free(config);
	snprintf(text, sizeof text, "\nsocket = /%0107d\n", 0);
	must_refuse(text, 2, "socket", "107");
	snprintf(text, sizeof text, "\nrun-dir = /%096d\n", 0);
	must_refuse(text, 2, "run-dir", "107");
	snprintf(text, sizeof text, "run-dir = /%096d\nsocket = /s\n", 0);
	config_free(must_load(text));
	snprintf(text, sizeof text, "run-dir = x\nsocket = /s\n");
	assert_null(load_text(text, &error));
	assert_int_equal(count_lines(error), 1);
	free(error);
}

static void
the_environment_turns_instrumentation_on(void **state)
{
	static const struct {
		const char *set, *text;
		bool on;
	} cases[] = {
		{"1", "", true}, {"1", "instrumentation = false", true}, {"0", "", false}, {"", "", false}, {"true", "", false},
		{"0", "instrumentation = true", true},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct config *config;
		setenv("ENABLE_INSTRUMENTATION", cases[i].set, 1);
		config = must_load(cases[i].text);
		assert_int_equal(config->instrumentation, cases[i].on);
		config_free(config);
	}
	unsetenv("ENABLE_INSTRUMENTATION");
}

static void
takes_many_endpoints(void **state)
{
	enum { MANY = 2000 };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct config *config;

	(void)state;
	assert_non_null(out);
	for (int i = 0; i < MANY; i++)
		fprintf(out, "endpoint e%d {\n\turl = http://127.0.0.1:%d\n}\n", i, 1024 + i);
	fclose(out);
	config = must_load(text);
	free(text);
	assert_int_equal(config->endpoint_count, MANY);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(config->endpoints[i].url.port, 1024 + i);
		assert_int_equal(config->endpoints[i].line, 3 * i + 1);
	}
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_gives_the_defaults),
		cmocka_unit_test(takes_every_key),
		cmocka_unit_test(derives_paths),
		cmocka_unit_test(takes_endpoints),
		cmocka_unit_test(endpoints_and_managed_go_together),
		cmocka_unit_test(takes_comments_anywhere),
		cmocka_unit_test(takes_quotes_literally),
		cmocka_unit_test(refuses_bad_values),
		cmocka_unit_test(refuses_bad_managed),
		cmocka_unit_test(refuses_bad_endpoints),
		cmocka_unit_test(refuses_unknown_and_repeated_keys),
		cmocka_unit_test(refuses_what_is_no_utf8),
		cmocka_unit_test(refuses_bad_structure),
		cmocka_unit_test(loads_again_after_a_mistake),
		cmocka_unit_test(reports_all_mistakes_at_once),
		cmocka_unit_test(reports_in_the_order_of_the_file),
		cmocka_unit_test(refuses_unreadable_files),
		cmocka_unit_test(says_why_a_socket_is_too_long),
		cmocka_unit_test(the_environment_turns_instrumentation_on),
		cmocka_unit_test(takes_many_endpoints),
	};

	return cmocka_run_group_tests(tests, set_up, remove_folder);
}
