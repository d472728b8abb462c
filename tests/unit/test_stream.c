/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: both ends in one process over a wire with faults, and strangers.
 */
#include "tests/unit/pair_fixture.h"

#include <lwip/priv/tcp_priv.h>

#include "net/tls.h"

/* One end of a stream: what it has seen. */
struct end {
	struct stream *stream;
	bool opened;
	unsigned writable;
	char reason[128]; /* "": it lives */
	uint64_t bytes, frames;
	bool refuses; /* frames */
	uint16_t type;
	size_t size; /* of the last frame */
	uint8_t first, last; /* bytes of it */
	uint64_t wrong; /* bytes that are not as they were sent */
};

static struct end near, far;

static void opened(struct stream *stream, void *context)
{
	struct end *end = context;

	end->stream = stream;
	end->opened = true;
}

/* The n-th byte of all that is sent. */
static uint8_t content(uint64_t position)
{
	return (uint8_t)((position * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static bool frame(struct stream *stream, void *context, uint16_t type, const void *data,
		  size_t size)
{
	struct end *end = context;
	const uint8_t *bytes = data;

	assert_ptr_equal(stream, end->stream);
	if (end->refuses) {
		return false;
	}
	for (size_t i = 0; i < size; i++) {
		end->wrong += bytes[i] != content(end->bytes + i);
	}
	end->type = type;
	end->size = size;
	end->bytes += size;
	end->frames++;
	return true;
}

static void writable(struct stream *stream, void *context)
{
	struct end *end = context;

	(void)stream;
	end->writable++;
}

static void closed(struct stream *stream, void *context, const char *reason)
{
	struct end *end = context;

	(void)stream;
	snprintf(end->reason, sizeof(end->reason), "%s", reason);
	end->stream = NULL;
}

static const struct stream_events events = {
	.opened = opened, .frame = frame, .writable = writable, .closed = closed};

static void *accept_far(struct stream *stream)
{
	far.stream = stream;
	return &far;
}

static size_t heap_now(void)
{
	size_t now, most;

	tls_heap_used(&now, &most);
	return now;
}

static int setup(void **state)
{
	memset(&near, 0, sizeof(near));
	memset(&far, 0, sizeof(far));
	pair_setup(state);
	stream_listen(STREAM_SERVICE_PROBE, &events, accept_far);
	return 0;
}

static void connect(void)
{
	int error;

	near.stream = stream_connect(STREAM_SERVICE_PROBE, &events, &near, &error);
	assert_non_null(near.stream);
	assert_int_equal(error, 0);
}

static void connect_both(void)
{
	connect();
	pair_until(near.opened && far.opened, 1000);
}

static void test_open(void **state)
{
	struct stream_info info;
	size_t heap = heap_now();

	(void)state;
	connect_both();
	assert_logged("stream probe with alpha (FE80::5054:FF:FE12:3402) open: AES-128-GCM");
	assert_true(stream_info_get(0, &info));
	assert_string_equal(info.peer, "[FE80::5054:FF:FE12:3402]:8551");
	assert_string_equal(info.state, "open");
	assert_true(stream_info_get(1, &info));
	assert_false(stream_info_get(2, &info));
	stream_close(near.stream);
	pair_until(far.reason[0] != '\0' && !stream_info_get(0, &info), 1000);
	assert_string_equal(far.reason, "closed by the partner");
	assert_string_equal(near.reason, "");
	assert_int_equal(heap_now(), heap);
}

/* Sends up to `size` bytes in frames of `frame_size`, at each turn as much as is taken. */
static void send_all(uint64_t size, size_t frame_size, unsigned limit_ms)
{
	static uint8_t data[STREAM_FRAME_MAX];
	uint64_t sent = 0, limit_ns = fake.now_ns + limit_ms * MS;

	while (far.bytes < size) {
		while (sent < size) {
			size_t part = MIN(frame_size, size - sent);

			for (size_t i = 0; i < part; i++) {
				data[i] = content(sent + i);
			}
			int error = stream_send(near.stream, 7, data, part);

			if (error == -EAGAIN) {
				break;
			}
			assert_int_equal(error, 0);
			sent += part;
		}
		pair_turn();
		if (fake.now_ns > limit_ns) {
			pair_fail(__LINE__, "all is sent in time");
		}
	}
	assert_int_equal(far.bytes, size);
	assert_int_equal(far.wrong, 0);
}

static void test_content(void **state)
{
	(void)state;
	connect_both();
	send_all(3 * MIB, STREAM_FRAME_MAX, 10000);
	assert_int_equal(far.frames, 48);
	assert_int_equal(far.type, 7);
	assert_true(near.writable > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, NULL),
		cmocka_unit_test_setup_teardown(test_content, setup, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
