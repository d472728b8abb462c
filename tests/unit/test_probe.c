/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe and the console's `stream`, with the console replaced by a buffer.
 */
#include "net/probe.h"
#include "tests/unit/pair_fixture.h"

static char text[16 * KIB];
static size_t text_size;

void console_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_size += (size_t)vsnprintf(text + text_size, sizeof(text) - text_size, format, args);
	va_end(args);
	assert_true(text_size < sizeof(text));
}

static int run(const char *line)
{
	char words[80], *argv[COMMAND_ARGS_MAX + 1] = {NULL};
	int argc = 0;

	strcpy(words, line);
	for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
		argv[argc++] = word;
	}
	text_size = 0;
	text[0] = '\0';
	return stream_commands[0].run(argc, argv);
}

static bool says(const char *words)
{
	return strstr(text, words) != NULL;
}

static int setup(void **state)
{
	pair_setup(state);
	probe_init();
	return 0;
}

static int teardown(void **state)
{
	struct stream_info info;

	probe_stop();
	pair_until(!stream_info_get(0, &info), 10000);
	return net_teardown(state);
}

static void test_verified(void **state)
{
	(void)state;
	assert_int_equal(run("stream test 3M"), 0);
	pair_until(says("content verified"), 10000);
	assert_true(says("stream test: 3145728 bytes in 0."));
	assert_logged("stream test from alpha: 3145728 bytes in 0.");
	assert_int_equal(run("stream test 1M"), 0);
	pair_until(says("stream test: 1048576 bytes in 0."), 10000);
}

static void test_list(void **state)
{
	(void)state;
	assert_int_equal(run("stream"), 0);
	assert_string_equal(text, "No streams.\n");
	assert_int_equal(run("stream test 16G"), 0);
	pair_run(500);
	assert_int_equal(run("stream test"), -EBUSY);
	assert_true(says("One goes on already"));
	assert_int_equal(run("stream"), 0);
	assert_true(says("[fe80::5054:ff:fe12:3402]:8551 open       probe     AES-128-GCM"));
	assert_int_equal(run("stream stop"), 0);
	assert_true(says("stream test: ended after "));
	pair_run(1000);
	assert_logged("closed by the partner");
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(run("stream test 1"), -EINVAL);
	assert_true(says("\"1\" is no size from 1M to 16G"));
	assert_int_equal(run("stream test 0M"), -EINVAL);
	assert_int_equal(run("stream test 17G"), -EINVAL);
	assert_int_equal(run("stream test 99999999999999999999G"), -EINVAL);
	assert_int_equal(run("stream test -1M"), -EINVAL);
	assert_int_equal(run("stream tset"), -EINVAL);
	assert_true(says("\"tset\" is not known"));
	net_config.partner.has_key = false;
	stream_init(&net_config);
	assert_int_equal(run("stream test"), -ENOENT);
	assert_true(says("There is no [partner]"));
}

static void test_failed(void **state)
{
	(void)state;
	assert_int_equal(run("stream test 16G"), 0);
	pair_run(500);
	wire.cut = true;
	pair_run(31000);
	assert_true(says("stream test: failed after "));
	assert_true(says("no answer for 30 s"));
	assert_logged("stream test from alpha: ended after ");
}

/* ---- A sender of our own, who sends something else -------------------------------- */

static struct stream *sender;
static uint64_t result[2]; /* size, first wrong byte */
static bool answered;

static void opened(struct stream *stream, void *context)
{
	(void)context;
	sender = stream;
}

static bool frame(struct stream *stream, void *context, uint16_t type, const void *data,
		  size_t size)
{
	(void)stream;
	(void)context;
	assert_int_equal(type, 3);
	assert_int_equal(size, sizeof(result));
	memcpy(result, data, size);
	answered = true;
	return true;
}

static void writable(struct stream *stream, void *context)
{
	(void)stream;
	(void)context;
}

static void closed(struct stream *stream, void *context, const char *reason)
{
	(void)stream;
	(void)context;
	(void)reason;
	sender = NULL;
}

static const struct stream_events events = {
	.opened = opened, .frame = frame, .writable = writable, .closed = closed};

static void sender_start(uint64_t size)
{
	const uint64_t start[2] = {size, 0};
	int error;

	sender = NULL;
	answered = false;
	assert_non_null(stream_connect(STREAM_SERVICE_PROBE, &events, NULL, &error));
	pair_until(sender != NULL, 1000);
	assert_int_equal(stream_send(sender, 1, start, sizeof(start)), 0);
}

/* SplitMix64 with seed 0 begins so. */
static void test_wrong_content(void **state)
{
	uint64_t words[3] = {UINT64_C(0xe220a8397b1dcdaf), UINT64_C(0x6e789e6aa1b965f4),
			     UINT64_C(0x06c45d188009454f)};

	(void)state;
	sender_start(sizeof(words));
	assert_int_equal(stream_send(sender, 2, words, 16), 0);
	assert_int_equal(stream_send(sender, 2, words + 2, 8), 0);
	pair_until(answered, 1000);
	assert_int_equal(result[0], sizeof(words));
	assert_true(result[1] == UINT64_MAX);
	stream_close(sender);
	sender_start(sizeof(words));
	words[2] ^= UINT64_C(1) << 63;
	assert_int_equal(stream_send(sender, 2, words, sizeof(words)), 0);
	pair_until(answered, 1000);
	assert_int_equal(result[1], 16);
	assert_logged("CONTENT WRONG from byte 16 on");
	stream_close(sender);
}

static void test_senseless(void **state)
{
	(void)state;
	sender_start(100);
	assert_int_equal(stream_send(sender, 9, "x", 1), 0);
	pair_until(sender == NULL, 1000);
	assert_logged("stream test from alpha: ended: its frame 9 of 1 bytes makes no sense");
	sender_start(8);
	assert_int_equal(stream_send(sender, 1, "x", 1), 0);
	pair_until(sender == NULL, 1000);
}

#define PROBE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROBE_TEST(test_verified),	PROBE_TEST(test_list),
		PROBE_TEST(test_refused),	PROBE_TEST(test_failed),
		PROBE_TEST(test_wrong_content), PROBE_TEST(test_senseless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
