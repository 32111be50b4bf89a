/* Frames over a socketpair: whole, in pieces, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/channel.h"

static struct {
	struct event_base *base;
	struct channel *channel;
	int peer;
	int frames, ends;
	enum channel_end how;
	char last[64];
	bool free_in_callback;
} t;

static void
on_frame(json_t *frame, void *arg)
{
	const char *type = json_string_value(json_object_get(frame, "type"));

	(void)arg;
	t.frames++;
	snprintf(t.last, sizeof t.last, "%s", type != NULL ? type : "");
	if (t.free_in_callback) {
		channel_free(t.channel);
		t.channel = NULL;
	}
}

static void
on_end(enum channel_end how, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	t.ends++;
	t.how = how;
}

static int
set_up(void **state)
{
	int fds[2];

	(void)state;
	memset(&t, 0, sizeof t);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
		return -1;
	t.base = event_base_new();
	t.channel = channel_new(t.base, fds[0], on_frame, on_end, NULL);
	t.peer = fds[1];
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	channel_free(t.channel);
	event_base_free(t.base);
	close(t.peer);
	return 0;
}

static void
run(void)
{
	event_base_loop(t.base, EVLOOP_NONBLOCK);
	event_base_loop(t.base, EVLOOP_NONBLOCK);
}

static void
put(const char *text, uint32_t size)
{
	uint32_t header = htonl(size);

	assert_int_equal(write(t.peer, &header, sizeof header), sizeof header);
	assert_int_equal(write(t.peer, text, strlen(text)), strlen(text));
}

static void
frames_arrive_in_order(void **state)
{
	(void)state;
	put("{\"type\":\"a\"}", 12);
	put("{\"type\":\"b\"}", 12);
	run();
	assert_int_equal(t.frames, 2);
	assert_string_equal(t.last, "b");
	assert_int_equal(t.ends, 0);
}

static void
a_frame_in_single_bytes_is_one_frame(void **state)
{
	static const char bytes[] = "\0\0\0\x0c{\"type\":\"a\"}";

	(void)state;
	for (size_t i = 0; i < sizeof bytes - 1; i++) {
		assert_int_equal(t.frames, 0);
		assert_int_equal(write(t.peer, bytes + i, 1), 1);
		run();
	}
	assert_int_equal(t.frames, 1);
}

static void
garbage(const char *text, uint32_t size)
{
	put(text, size);
	run();
	assert_int_equal(t.frames, 0);
	assert_int_equal(t.ends, 1);
	assert_int_equal(t.how, CHANNEL_GARBAGE);
}

static void
no_json_is_garbage(void **state)
{
	(void)state;
	garbage("nonsense", 8);
}

static void
no_object_is_garbage(void **state)
{
	(void)state;
	garbage("[1,2]", 5);
}

static void
a_name_twice_is_garbage(void **state)
{
	(void)state;
	garbage("{\"a\":1,\"a\":2}", 13);
}

static void
too_long_is_garbage_before_it_arrives(void **state)
{
	(void)state;
	garbage("", CHANNEL_FRAME_MAX + 1);
}

static void
an_empty_frame_is_garbage(void **state)
{
	(void)state;
	garbage("", 0);
}

static void
the_end_between_frames_is_eof(void **state)
{
	(void)state;
	put("{\"type\":\"a\"}", 12);
	shutdown(t.peer, SHUT_WR);
	run();
	assert_int_equal(t.frames, 1);
	assert_int_equal(t.ends, 1);
	assert_int_equal(t.how, CHANNEL_EOF);
}

static void
the_end_inside_a_frame_is_garbage(void **state)
{
	(void)state;
	put("{\"typ", 12);
	shutdown(t.peer, SHUT_WR);
	run();
	assert_int_equal(t.frames, 0);
	assert_int_equal(t.how, CHANNEL_GARBAGE);
}

static void
a_callback_may_free_the_channel(void **state)
{
	(void)state;
	t.free_in_callback = true;
	put("{\"type\":\"a\"}", 12);
	put("{\"type\":\"b\"}", 12);
	run();
	assert_int_equal(t.frames, 1);
}

static void
what_is_sent_can_be_flushed(void **state)
{
	char text[64];
	uint32_t size;

	(void)state;
	assert_true(channel_send(t.channel, json_pack("{s:s}", "type", "hello")));
	assert_true(channel_flush(t.channel, 1000));
	assert_int_equal(read(t.peer, &size, sizeof size), sizeof size);
	assert_int_equal(read(t.peer, text, sizeof text), ntohl(size));
	assert_memory_equal(text, "{\"type\":\"hello\"}", 16);
}

/* What was said is there without a turn of the loop: its writer may be killed
 * before there is one. And what does not fit goes out later. */
static void
what_is_sent_can_be_pushed(void **state)
{
	char text[32] = "", *much = calloc(1, CHANNEL_FRAME_MAX - 100);
	static char sink[CHANNEL_FRAME_MAX];
	size_t all = 0, sent = 0;
	uint32_t size;

	(void)state;
	assert_true(channel_send(t.channel, json_pack("{s:s}", "type", "hello")));
	channel_push(t.channel);
	assert_int_equal(recv(t.peer, &size, sizeof size, MSG_DONTWAIT), sizeof size);
	assert_int_equal(recv(t.peer, text, sizeof text, MSG_DONTWAIT), ntohl(size));
	assert_memory_equal(text, "{\"type\":\"hello\"}", 16);
	memset(much, 'x', CHANNEL_FRAME_MAX - 101);
	for (int i = 0; i < 20; i++) {
		json_t *frame = json_pack("{s:s}", "type", much);
		sent += 4 + strlen("{\"type\":\"\"}") + strlen(much);
		assert_true(channel_send(t.channel, frame));
		channel_push(t.channel);
	}
	free(much);
	while (all < sent) {
		ssize_t n = recv(t.peer, sink, sizeof sink, MSG_DONTWAIT);
		if (n > 0)
			all += (size_t)n;
		else
			event_base_loop(t.base, EVLOOP_ONCE);
	}
	assert_int_equal(all, sent);
}

static void
a_frame_too_long_is_not_sent(void **state)
{
	char *text = malloc(CHANNEL_FRAME_MAX + 1);

	(void)state;
	memset(text, 'x', CHANNEL_FRAME_MAX);
	text[CHANNEL_FRAME_MAX] = '\0';
	assert_false(channel_send(t.channel, json_pack("{s:s}", "type", text)));
	free(text);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(frames_arrive_in_order),
		TEST(a_frame_in_single_bytes_is_one_frame),
		TEST(no_json_is_garbage),
		TEST(no_object_is_garbage),
		TEST(a_name_twice_is_garbage),
		TEST(too_long_is_garbage_before_it_arrives),
		TEST(an_empty_frame_is_garbage),
		TEST(the_end_between_frames_is_eof),
		TEST(the_end_inside_a_frame_is_garbage),
		TEST(a_callback_may_free_the_channel),
		TEST(what_is_sent_can_be_flushed),
		TEST(what_is_sent_can_be_pushed),
		TEST(a_frame_too_long_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
