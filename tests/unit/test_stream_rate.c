/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream fills a gigabit link that is 5 ms long, there and back. The clock is
 * the fake's, so the rate depends on windows, rings and acknowledgements alone.
 *
 * The wire gives each frame the time that it takes at 1 Gbit/s, and 2.5 ms to the
 * other end. What has not begun to leave waits in the card, whose ring is as long as
 * the e1000's: when it is full the card says so.
 */
#include "tests/unit/pair_fixture.h"

#include <lwip/priv/tcp_priv.h>

#define WIRE_NS_PER_BYTE 8 /* 1 Gbit/s */
#define WIRE_DELAY_NS (2500 * MS / 1000)
/* Preamble, FCS and the gap to the next frame. */
#define WIRE_OVERHEAD (8 + 4 + 12)
#define WIRE_FRAME_MIN 60 /* without FCS */
/* 2.5 ms of full frames are 204. */
#define WIRE_FRAMES_MAX 512
/* 256 descriptors, at most three a frame. */
#define CARD_FRAMES_MAX 85

/* Payload of TCP over IPv6 in a full frame. */
#define MTU 1500
#define SEGMENT (MTU - IP6_HLEN - TCP_HLEN)
#define FULL_FRAME (MTU + SIZEOF_ETH_HDR + WIRE_OVERHEAD)

#define WARM_UP (16 * MIB)
#define MEASURED (96 * MIB)

/* One direction. */
struct lane {
	struct fake_nic *from, *to;
	uint64_t free_ns; /* when the next frame may begin */
	struct {
		struct fake_frame *frame;
		uint64_t arrival_ns;
	} way[WIRE_FRAMES_MAX];
	unsigned first, count;
};

static struct lane lanes[2];

static uint64_t frame_ns(const struct fake_frame *frame)
{
	return WIRE_NS_PER_BYTE * (MAX(frame->size, (size_t)WIRE_FRAME_MIN) + WIRE_OVERHEAD);
}

static void lane_take(struct lane *lane, const struct fake_frame *frame)
{
	unsigned last = (lane->first + lane->count) % WIRE_FRAMES_MAX;

	assert_true(lane->count < WIRE_FRAMES_MAX);
	lane->count++;
	lane->free_ns = MAX(lane->free_ns, fake.now_ns) + frame_ns(frame);
	lane->way[last].frame = malloc(sizeof(*frame));
	*lane->way[last].frame = *frame;
	lane->way[last].arrival_ns = lane->free_ns + WIRE_DELAY_NS;
}

/* The first frames have left the card, which has room again. */
static void card_forget(struct fake_nic *card, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (card->in_flight[i].done != NULL) {
			card->in_flight[i].done(card->in_flight[i].token);
		}
	}
	card->sent_count -= count;
	card->in_flight_count -= count;
	memmove(card->sent, card->sent + count, card->sent_count * sizeof(card->sent[0]));
	memmove(card->in_flight, card->in_flight + count,
		card->in_flight_count * sizeof(card->in_flight[0]));
	card->room = CARD_FRAMES_MAX - card->sent_count;
}

/* All that begins to leave before the next turn. */
static void lane_send(struct lane *lane)
{
	unsigned count = 0;

	while (count < lane->from->sent_count && lane->free_ns < fake.now_ns + PAIR_TURN_NS) {
		lane_take(lane, &lane->from->sent[count++]);
	}
	card_forget(lane->from, count);
}

static void lane_arrive(struct lane *lane)
{
	while (lane->count > 0 && lane->way[lane->first].arrival_ns <= fake.now_ns) {
		wire_put(lane->to, lane->way[lane->first].frame);
		free(lane->way[lane->first].frame);
		lane->first = (lane->first + 1) % WIRE_FRAMES_MAX;
		lane->count--;
	}
}

static void turn(void)
{
	net_step(fake.now_ns);
	stream_step(fake.now_ns);
	lane_send(&lanes[0]);
	lane_send(&lanes[1]);
	fake.now_ns += PAIR_TURN_NS;
	lane_arrive(&lanes[0]);
	lane_arrive(&lanes[1]);
}

/* ---- The two ends --------------------------------------------------------------- */

static bool near_opened, far_opened;
static uint64_t received;

static void opened(struct stream *stream, void *context)
{
	(void)stream;
	*(bool *)context = true;
}

static bool frame(struct stream *stream, void *context, uint16_t type, const void *data,
		  size_t size)
{
	(void)stream;
	(void)context;
	(void)type;
	(void)data;
	received += size;
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
	fail_msg("the stream has ended: %s", reason);
}

static const struct stream_events events = {
	.opened = opened, .frame = frame, .writable = writable, .closed = closed};

static void *accept_far(struct stream *stream)
{
	(void)stream;
	return &far_opened;
}

/* Sends as much as is taken at each turn, until the other end has `bytes` more. */
static void send(struct stream *stream, uint64_t bytes)
{
	static uint8_t data[STREAM_FRAME_MAX];
	uint64_t end = received + bytes, limit_ns = fake.now_ns + 10000 * MS;

	while (received < end) {
		while (stream_send(stream, 7, data, sizeof(data)) == 0) {
		}
		turn();
		if (fake.now_ns > limit_ns) {
			pair_fail(__LINE__, "all is sent within 10 s");
		}
	}
}

static int setup(void **state)
{
	pair_setup(state);
	for (unsigned i = 0; i < 2; i++) {
		lanes[i] = (struct lane){.from = fake_nics[i], .to = fake_nics[1 - i]};
		fake_nics[i]->keep_sent = true;
	}
	stream_listen(STREAM_SERVICE_PROBE, &events, accept_far);
	return 0;
}

/* Streams end with their key; what is on the wire arrives. */
static int teardown(void **state)
{
	stream_init(&(struct config){0});
	while (tcp_tw_pcbs != NULL) {
		tcp_abort(tcp_tw_pcbs);
	}
	for (unsigned i = 0; i < 2000; i++) {
		turn();
	}
	return net_teardown(state);
}

/* ---- Tests ------------------------------------------------------------------------ */

static void test_gigabit_at_5_ms(void **state)
{
	const uint64_t mbit_max = 1000 * SEGMENT / FULL_FRAME;
	uint64_t start_ns, start, mbit;
	struct stream_info info;
	struct stream *stream;
	int error;

	(void)state;
	stream = stream_connect(STREAM_SERVICE_PROBE, &events, &near_opened, &error);
	assert_non_null(stream);
	for (unsigned i = 0; i < 10000 && !(near_opened && far_opened); i++) {
		turn();
	}
	assert_true(near_opened && far_opened);
	send(stream, WARM_UP);
	start_ns = fake.now_ns;
	start = received;
	send(stream, MEASURED);
	mbit = (received - start) * 8000 / (fake.now_ns - start_ns);
	print_message("%lu of %lu Mbit/s\n", mbit, mbit_max);
	assert_true(stream_info_get(0, &info));
	assert_true(info.rtt_us >= 5000);
	assert_in_range(mbit, mbit_max * 95 / 100, mbit_max);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gigabit_at_5_ms, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
