/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any datagrams, in any order and at any time, at a host that also hears a real
 * partner: nothing counts twice, or without the key, or for another session; the
 * partner's heartbeats get through whatever else comes.
 *
 * The input is a list of steps: a byte that says what is done, and what it needs.
 */
#include <string.h>

#include "base/check.h"
#include "net/beat_core.h"
#include "net/slip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OWN_SESSION 1
#define PARTNER_SESSION 2
#define MS UINT64_C(1000000)

enum step {
	STEP_RAW, /* path, size, bytes: a stranger's */
	STEP_SIGNED, /* path, size, bytes: with the right frame and MAC */
	STEP_WAIT, /* milliseconds */
	STEP_LINE, /* size, bytes: on the serial line */
	STEP_PARTNER, /* path: a heartbeat of the partner's, which hears ours */
	STEP_RECORDED, /* path: the last one that was heard, again */
	STEP_RESTART, /* the partner's */
	STEP_RESET, /* counters and timing */
	STEP_COUNT
};

struct input {
	const uint8_t *data;
	size_t size;
};

static const uint8_t secret[HMAC_SIZE] = "the key";
static struct beat_core own, partner;
static struct slip_decoder decoder;
static uint64_t now_ns, partner_session;
static uint64_t answer_count[BEAT_PATH_MAX];
static uint8_t recorded[BEAT_DATAGRAM_MAX];
static size_t recorded_size;

static unsigned take(struct input *input)
{
	if (input->size == 0) {
		return 0;
	}
	input->size--;
	return *input->data++;
}

static size_t take_bytes(struct input *input, uint8_t *bytes, size_t max)
{
	/* Up to 510, in one byte. */
	size_t wanted = 2 * (size_t)take(input), count = MIN(MIN(wanted, max), input->size);

	memcpy(bytes, input->data, count);
	input->data += count;
	input->size -= count;
	return count;
}

static uint64_t word_at(const uint8_t *datagram, size_t offset)
{
	uint64_t word;

	memcpy(&word, datagram + offset, sizeof(word));
	return word;
}

static void check_path(unsigned path)
{
	struct beat_path info;

	beat_core_get(&own, path, now_ns, &info);
	CHECK(info.loss_permille <= 1000);
	CHECK(info.up == (info.last_heard_ns != 0 && now_ns - info.last_heard_ns <= BEAT_UP_NS));
	CHECK(info.last_heard_ns <= now_ns);
	CHECK(info.rtt_ns == 0 || (info.rtt_min_ns >= 1 && info.rtt_min_ns <= info.rtt_ns &&
				   info.rtt_ns <= info.rtt_max_ns));
	CHECK(memchr(info.name, '\0', sizeof(info.name)) != NULL);
}

static enum beat_verdict hear_once(unsigned path, const uint8_t *datagram, size_t size)
{
	const uint8_t *payload = NULL;
	size_t payload_size = 0;
	enum beat_verdict verdict =
		beat_core_hear(&own, path, now_ns, datagram, size, &payload, &payload_size);

	if (verdict == BEAT_HEARD) {
		CHECK(word_at(datagram, 16) == OWN_SESSION);
		CHECK(word_at(datagram, 8) == own.peer_session);
		CHECK(payload == datagram + BEAT_HEADER_SIZE);
		CHECK(payload_size == size - BEAT_HEADER_SIZE - BEAT_MAC_SIZE);
	}
	check_path(path);
	return verdict;
}

static void answer(unsigned path)
{
	uint8_t datagram[BEAT_DATAGRAM_MAX];
	const uint8_t *payload;
	size_t size = beat_core_make(&own, path, true, now_ns, datagram);

	/* One at the start, and one each period. */
	answer_count[path]++;
	CHECK(answer_count[path] <= (now_ns - 1000 * MS) / BEAT_ANSWER_NS + 1);
	(void)beat_core_hear(&partner, path, now_ns, datagram, size, &payload, &size);
}

static enum beat_verdict hear(unsigned path, const uint8_t *datagram, size_t size)
{
	enum beat_verdict verdict = hear_once(path, datagram, size);

	if (verdict == BEAT_ANSWER) {
		answer(path);
	} else if (verdict == BEAT_HEARD) {
		memcpy(recorded, datagram, size);
		recorded_size = size;
		CHECK(hear_once(path, datagram, size) == BEAT_REFUSED);
	}
	return verdict;
}

static void hear_raw(struct input *input)
{
	uint8_t datagram[BEAT_DATAGRAM_MAX + 8];
	unsigned path = take(input) % BEAT_PATH_MAX;
	size_t size = take_bytes(input, datagram, sizeof(datagram));

	enum beat_verdict verdict = hear(path, datagram, size);

	CHECK(verdict == BEAT_BAD_MAC || verdict == BEAT_REFUSED);
}

/* Nonsense by somebody who has the key. */
static void hear_signed(struct input *input)
{
	uint8_t datagram[BEAT_DATAGRAM_MAX + HMAC_SIZE] = "DYHB\1";
	unsigned path = take(input) % BEAT_PATH_MAX;
	size_t size = BEAT_HEADER_SIZE - 8 + take_bytes(input, datagram + 8, BEAT_HEADER_SIZE - 8);
	uint16_t payload_size;

	datagram[5] = (uint8_t)(take(input) % (BEAT_PATH_MAX + 1));
	payload_size = (uint16_t)(take(input) % (BEAT_PAYLOAD_MAX + 1));
	memcpy(datagram + 6, &payload_size, sizeof(payload_size));
	size = BEAT_HEADER_SIZE + payload_size;
	hmac(&own.key, datagram, size, datagram + size);
	CHECK(hear(path, datagram, size + BEAT_MAC_SIZE) != BEAT_BAD_MAC);
}

static void hear_line(struct input *input)
{
	uint8_t bytes[510];
	size_t count = take_bytes(input, bytes, sizeof(bytes));

	for (size_t i = 0; i < count; i++) {
		size_t size = slip_decode(&decoder, bytes[i]);

		CHECK(size <= SLIP_FRAME_MAX && decoder.size <= SLIP_FRAME_MAX);
		if (size > 0) {
			(void)hear(BEAT_PATH_MAX - 1, decoder.frame, size);
		}
	}
}

/* The partner's next one over the line, whole, and then ours to it. */
static enum beat_verdict exchange(unsigned path)
{
	uint8_t datagram[BEAT_DATAGRAM_MAX], line[SLIP_ENCODED_MAX(BEAT_DATAGRAM_MAX)];
	const uint8_t *payload;
	size_t size = beat_core_make(&partner, path, false, now_ns, datagram);
	size_t count = slip_encode(datagram, size, line), ended = 0;
	enum beat_verdict verdict;

	for (size_t i = 0; i < count; i++) {
		ended = slip_decode(&decoder, line[i]);
	}
	CHECK(ended == size && memcmp(decoder.frame, datagram, size) == 0);
	verdict = hear(path, datagram, size);
	size = beat_core_make(&own, path, false, now_ns, datagram);
	if (beat_core_hear(&partner, path, now_ns, datagram, size, &payload, &size) ==
	    BEAT_ANSWER) {
		size = beat_core_make(&partner, path, true, now_ns, datagram);
		(void)hear(path, datagram, size);
	}
	return verdict;
}

static void start(struct beat_core *core, uint64_t session)
{
	beat_core_init(core, secret, session, now_ns);
	for (unsigned i = 0; i < BEAT_PATH_MAX; i++) {
		beat_core_add_path(core, "path");
	}
}

static void step(struct input *input)
{
	switch ((enum step)(take(input) % STEP_COUNT)) {
	case STEP_RAW:
		hear_raw(input);
		break;
	case STEP_SIGNED:
		hear_signed(input);
		break;
	case STEP_WAIT:
		now_ns += take(input) * MS;
		(void)beat_core_is_due(&own, now_ns);
		CHECK(own.due_ns > now_ns && own.due_ns <= now_ns + BEAT_PERIOD_NS);
		break;
	case STEP_LINE:
		hear_line(input);
		break;
	case STEP_PARTNER:
		(void)exchange(take(input) % BEAT_PATH_MAX);
		break;
	case STEP_RECORDED:
		CHECK(hear_once(take(input) % BEAT_PATH_MAX, recorded, recorded_size) !=
		      BEAT_HEARD);
		break;
	case STEP_RESTART:
		start(&partner, ++partner_session);
		break;
	default:
		beat_core_reset_counters(&own);
		beat_core_reset_timing(&own);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};

	now_ns = 1000 * MS;
	partner_session = PARTNER_SESSION;
	recorded_size = 0;
	decoder = (struct slip_decoder){0};
	memset(answer_count, 0, sizeof(answer_count));
	start(&own, OWN_SESSION);
	start(&partner, PARTNER_SESSION);
	while (input.size > 0) {
		step(&input);
	}
	/* When what was there is silent, a partner that is started is heard. */
	now_ns += BEAT_UP_NS + 1;
	start(&partner, MAX(own.peer_session, OWN_SESSION) + 1);
	for (unsigned i = 0; i < 3; i++) {
		(void)exchange(0);
		now_ns += BEAT_PERIOD_NS;
	}
	CHECK(exchange(0) == BEAT_HEARD);
	return 0;
}
