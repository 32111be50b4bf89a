#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/url.h"

static void
normalises(void **state)
{
	static const struct {
		const char *text, *normal;
		bool https, loopback;
		int port;
	} cases[] = {
		{"http://127.0.0.1:18082", "http://127.0.0.1:18082", false, true, 18082},
		{"HTTP://LOCALHOST:18082/", "http://127.0.0.1:18082", false, true, 18082},
		{"http://localhost", "http://127.0.0.1:80", false, true, 80},
		{"https://Example.ORG", "https://example.org:443", true, false, 443},
		{"https://example.org:443/", "https://example.org:443", true, false, 443},
		{"http://example.org:443", "http://example.org:443", false, false, 443},
		{"http://127.9.8.7", "http://127.9.8.7:80", false, true, 80},
		{"http://128.0.0.1", "http://128.0.0.1:80", false, false, 80},
		{"http://h:00080", "http://h:80", false, false, 80},
		{"http://h:1", "http://h:1", false, false, 1},
		{"http://h:65535", "http://h:65535", false, false, 65535},
		{"http://[::1]:18082", "http://[::1]:18082", false, true, 18082},
		{"http://[0:0:0:0:0:0:0:1]", "http://[::1]:80", false, true, 80},
		{"https://[2001:DB8::0:1]:5/", "https://[2001:db8::1]:5", true, false, 5},
		{"http://[::ffff:127.0.0.1]:5", "http://127.0.0.1:5", false, true, 5},
		{"http://[::FFFF:10.0.0.1]:5", "http://10.0.0.1:5", false, false, 5},
		{"http://my_host-1.lan:5", "http://my_host-1.lan:5", false, false, 5},
		{"http://1.example:5", "http://1.example:5", false, false, 5},
		{"http://localhost.example:5", "http://localhost.example:5", false, false, 5},
	};
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct url url;
		if (!url_parse(cases[i].text, &url, why, sizeof why))
			fail_msg("%s: %s", cases[i].text, why);
		assert_string_equal(url.text, cases[i].normal);
		assert_int_equal(url.https, cases[i].https);
		assert_int_equal(url.loopback, cases[i].loopback);
		assert_int_equal(url.port, cases[i].port);
	}
}

static void
normal_form_is_a_fixed_point(void **state)
{
	static const char *const cases[] = {"http://LOCALHOST/", "https://[2001:DB8::1]", "http://[::ffff:127.0.0.1]:9", "https://A.b"};
	struct url once, twice;
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_true(url_parse(cases[i], &once, why, sizeof why));
		assert_true(url_parse(once.text, &twice, why, sizeof why));
		assert_memory_equal(&once, &twice, sizeof once);
	}
}

static void
refuses_with_a_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"", "begin with http://"},
		{"http", "begin with http://"},
		{"127.0.0.1:18082", "begin with http://"},
		{"ftp://h", "begin with http://"},
		{"unix:///run/x", "begin with http://"},
		{"http:/h", "begin with http://"},
		{"http://", "host is missing"},
		{"http:///x", "host is missing"},
		{"http://:80", "host is missing"},
		{"http://[]:80", "host is missing"},
		{" http://h", "character"},
		{"http://h ", "character"},
		{"http://h\n", "character"},
		{"http://h\x01", "character"},
		{"http://b\xc3\xbc""cher.de", "character"},
		{"http://user:password@h", "login-file"},
		{"http://user@h", "login-file"},
		{"http://@h", "login-file"},
		{"http://h/json_rpc", "path"},
		{"http://h//", "path"},
		{"http://h/?x", "path"},
		{"http://h?x=1", "query"},
		{"http://h#x", "fragment"},
		{"http://h:", "port"},
		{"http://h:0", "port"},
		{"http://h:65536", "port"},
		{"http://h:99999999999999999999", "port"},
		{"http://h:-1", "port"},
		{"http://h:+1", "port"},
		{"http://h:0x50", "port"},
		{"http://h:80a", "port"},
		{"http://::1", "brackets"},
		{"http://2001:db8::1:80", "brackets"},
		{"http://[::1", "\"]\""},
		{"http://[::1]80", "\"]\""},
		{"http://[::1]:", "port"},
		{"http://[1.2.3.4]", "IPv6"},
		{"http://[::g]", "IPv6"},
		{"http://[fe80::1%eth0]", "IPv6"},
		{"http://[::]:5", "[::1]"},
		{"http://0.0.0.0:5", "127.0.0.1"},
		{"http://[::ffff:0.0.0.0]:5", "127.0.0.1"},
		{"http://127.1", "four numbers"},
		{"http://2130706433", "four numbers"},
		{"http://0x7f000001", "four numbers"},
		{"http://127.0.0.0x1", "four numbers"},
		{"http://256.0.0.1", "four numbers"},
		{"http://127.0.0.01", "four numbers"},
		{"http://1.2.3.4.5", "four numbers"},
		{"http://a..b", "between the dots"},
		{"http://a.", "between the dots"},
		{"http://.a", "between the dots"},
		{"http://-a", "\"-\""},
		{"http://a-.b", "\"-\""},
		{"http://a*b", "letters"},
		{"http://a%41", "letters"},
		{"http://a\\b", "letters"},
		{"http://a,b", "letters"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct url url = {.port = 42};
		char why[256] = "";
		if (url_parse(cases[i].text, &url, why, sizeof why))
			fail_msg("\"%s\" was taken for %s", cases[i].text, url.text);
		if (strstr(why, cases[i].reason) == NULL)
			fail_msg("\"%s\": the reason given is: %s", cases[i].text, why);
		assert_int_equal(url.port, 42);
		assert_null(strstr(why, "password@"));
	}
}

/* scheme and port around a host of this many bytes, in labels of 50 */
static bool
parse_host_of(size_t length, struct url *url, char *why, size_t why_size)
{
	char text[1024] = "http://";
	size_t at = strlen(text);

	for (size_t i = 0; i < length; i++)
		text[at++] = i % 51 == 50 ? '.' : 'a';
	strcpy(text + at, ":65535");
	return url_parse(text, url, why, why_size);
}

static void
keeps_to_its_size(void **state)
{
	const size_t longest = URL_MAX - 1 - strlen("http://:65535");
	struct url url;
	char why[256], label[128];

	(void)state;
	assert_true(parse_host_of(longest, &url, why, sizeof why));
	assert_int_equal(strlen(url.text), URL_MAX - 1);
	assert_false(parse_host_of(longest + 1, &url, why, sizeof why));
	assert_non_null(strstr(why, "too long"));
	assert_false(parse_host_of(900, &url, why, sizeof why));
	assert_non_null(strstr(why, "too long"));
	snprintf(label, sizeof label, "http://%064d", 0);
	assert_false(url_parse(label, &url, why, sizeof why));
	assert_non_null(strstr(why, "between the dots"));
}

static void
keeps_to_the_room_for_why(void **state)
{
	struct url url;
	char why[6] = "#####";

	(void)state;
	assert_false(url_parse("ftp://h", &url, why, 5));
	assert_int_equal(strlen(why), 4);
	assert_int_equal(why[5], '\0');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(normalises),
		cmocka_unit_test(normal_form_is_a_fixed_point),
		cmocka_unit_test(refuses_with_a_reason),
		cmocka_unit_test(keeps_to_its_size),
		cmocka_unit_test(keeps_to_the_room_for_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
