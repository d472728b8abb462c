/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe. See probe.h.
 *
 * Frames: START (struct start), DATA in any number, until as many bytes have come
 * as START said; then RESULT (struct result) comes back.
 */
#include "net/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/arch.h"
#include "base/command.h"
#include "base/log.h"
#include "net/stream.h"

#define BLOCK_SIZE (16 * KIB) /* bytes of content in a frame */
#define PROGRESS_NS UINT64_C(5000000000)

enum frame_type { FRAME_START = 1, FRAME_DATA = 2, FRAME_RESULT = 3 };

struct start {
	uint64_t size, seed;
};

#define NOTHING_WRONG UINT64_MAX

struct result {
	uint64_t size; /* received */
	uint64_t first_wrong; /* position of the first wrong byte */
};

/* ---- The content -------------------------------------------------------------------- */

/* The n-th eight bytes of what a seed stands for: SplitMix64's n-th number. */
static uint64_t content_word(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* `position` is a multiple of 8, as is `size` but for the last frame's. */
static void content_fill(uint64_t seed, uint64_t position, uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = content_word(seed, (position + i) / sizeof(word));

		memcpy(bytes + i, &word, MIN(sizeof(word), size - i));
	}
}

/* The position of the first byte that is wrong, or NOTHING_WRONG. */
static uint64_t content_compare(uint64_t seed, uint64_t position, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = content_word(seed, (position + i) / sizeof(word));

		if (memcmp(bytes + i, &word, MIN(sizeof(word), size - i)) != 0) {
			return position + i;
		}
	}
	return NOTHING_WRONG;
}

/* ---- Figures -------------------------------------------------------------------------- */

/* "33554432 bytes in 4.2 s, 7.9 MB/s" */
static const char *figures_text(uint64_t size, uint64_t ns, char *text, size_t text_size)
{
	uint64_t tenths_s = ns / 100000000;
	uint64_t tenths_mb = size * 10000 / MAX(ns, UINT64_C(1));

	snprintf(text, text_size, "%lu bytes in %lu.%lu s, %lu.%lu MB/s", size, tenths_s / 10,
		 tenths_s % 10, tenths_mb / 10, tenths_mb % 10);
	return text;
}

/* ---- The side that sends ----------------------------------------------------------------- */

static struct {
	struct stream *stream; /* NULL: none goes on */
	struct start start;
	bool started; /* START has been sent */
	uint64_t sent;
	uint64_t start_ns, told_ns;
	uint8_t block[BLOCK_SIZE]; /* the next frame */
	size_t block_size; /* 0: to be made */
} sender;

static void sender_tell_progress(void)
{
	uint64_t now_ns = time_now_ns();

	if (now_ns - sender.told_ns >= PROGRESS_NS) {
		sender.told_ns = now_ns;
		console_print("stream test: %lu of %lu MiB\n", sender.sent / MIB,
			      sender.start.size / MIB);
	}
}

/* As much as the stream takes now. */
static void sender_go_on(struct stream *stream)
{
	if (!sender.started) {
		sender.started =
			stream_send(stream, FRAME_START, &sender.start, sizeof(sender.start)) == 0;
	}
	while (sender.started && sender.sent < sender.start.size) {
		if (sender.block_size == 0) {
			sender.block_size =
				MIN(sizeof(sender.block), sender.start.size - sender.sent);
			content_fill(sender.start.seed, sender.sent, sender.block,
				     sender.block_size);
		}
		if (stream_send(stream, FRAME_DATA, sender.block, sender.block_size) != 0) {
			break;
		}
		sender.sent += sender.block_size;
		sender.block_size = 0;
	}
	sender_tell_progress();
}

static void sender_opened(struct stream *stream, void *context)
{
	(void)context;
	sender.start_ns = sender.told_ns = time_now_ns();
	sender_go_on(stream);
}

static void sender_writable(struct stream *stream, void *context)
{
	(void)context;
	sender_go_on(stream);
}

static bool sender_frame(struct stream *stream, void *context, uint16_t type, const void *data,
			 size_t size)
{
	char text[80];
	struct result result;

	(void)context;
	if (type != FRAME_RESULT || size != sizeof(result)) {
		console_print("stream test: failed: the partner's answer makes no sense\n");
	} else {
		memcpy(&result, data, sizeof(result));
		figures_text(sender.sent, time_now_ns() - sender.start_ns, text, sizeof(text));
		if (result.first_wrong != NOTHING_WRONG) {
			console_print("stream test: %s, CONTENT WRONG from byte %lu on\n", text,
				      result.first_wrong);
		} else if (result.size != sender.start.size || sender.sent != sender.start.size) {
			console_print("stream test: failed: the partner has %lu bytes of %lu\n",
				      result.size, sender.start.size);
		} else {
			console_print("stream test: %s, content verified\n", text);
		}
	}
	sender.stream = NULL;
	stream_close(stream);
	return true;
}

static void sender_closed(struct stream *stream, void *context, const char *reason)
{
	(void)stream;
	(void)context;
	sender.stream = NULL;
	console_print("stream test: failed after %lu bytes: %s\n", sender.sent, reason);
}

static const struct stream_events sender_events = {
	.opened = sender_opened,
	.frame = sender_frame,
	.writable = sender_writable,
	.closed = sender_closed,
};

int probe_start(uint64_t size)
{
	int error;

	if (sender.stream != NULL) {
		console_print("One goes on already; `stream stop` ends it.\n");
		return -EBUSY;
	}
	memset(&sender, 0, sizeof(sender));
	sender.start = (struct start){.size = size, .seed = tsc_now()};
	sender.stream = stream_connect(STREAM_SERVICE_PROBE, &sender_events, NULL, &error);
	if (sender.stream == NULL) {
		console_print(error == -ENOENT
				      ? "There is no [partner] with an address and a key in "
					"dyad.conf, or the log says why there are no "
					"streams.\n"
				      : "All streams are in use; `stream` lists them.\n");
		return error;
	}
	return 0;
}

void probe_stop(void)
{
	if (sender.stream != NULL) {
		stream_close(sender.stream);
		sender.stream = NULL;
		console_print("stream test: ended after %lu bytes\n", sender.sent);
	}
}

/* ---- The side that receives ----------------------------------------------------------------- */

static struct receiver {
	struct stream *stream; /* NULL: free */
	struct start start;
	struct result result;
	bool answered;
	uint64_t start_ns;
} receivers[STREAM_COUNT_MAX];

static void *receiver_accept(struct stream *stream)
{
	for (unsigned i = 0; i < ARRAY_SIZE(receivers); i++) {
		if (receivers[i].stream == NULL) {
			receivers[i] = (struct receiver){
				.stream = stream,
				.result = {.first_wrong = NOTHING_WRONG},
				.start_ns = time_now_ns(),
			};
			return &receivers[i];
		}
	}
	return NULL;
}

/* When all has come. */
static void receiver_answer(struct receiver *receiver)
{
	const char *peer = stream_peer_name(receiver->stream);
	char text[80];

	if (receiver->start.size == 0 || receiver->result.size < receiver->start.size ||
	    receiver->answered) {
		return;
	}
	if (stream_send(receiver->stream, FRAME_RESULT, &receiver->result,
			sizeof(receiver->result)) != 0) {
		return; /* again when it is writable */
	}
	receiver->answered = true;
	figures_text(receiver->result.size, time_now_ns() - receiver->start_ns, text, sizeof(text));
	if (receiver->result.first_wrong == NOTHING_WRONG) {
		log_info("stream test from %s: %s, content verified", peer, text);
	} else {
		log_error("stream test from %s: %s, CONTENT WRONG from byte %lu on", peer, text,
			  receiver->result.first_wrong);
	}
}

static void receiver_take(struct receiver *receiver, const void *data, size_t size)
{
	if (receiver->result.first_wrong == NOTHING_WRONG) {
		receiver->result.first_wrong =
			content_compare(receiver->start.seed, receiver->result.size, data, size);
	}
	receiver->result.size += size;
}

static bool receiver_frame(struct stream *stream, void *context, uint16_t type, const void *data,
			   size_t size)
{
	struct receiver *receiver = context;

	if (type == FRAME_START && size == sizeof(receiver->start) && receiver->start.size == 0) {
		memcpy(&receiver->start, data, size);
	} else if (type == FRAME_DATA && receiver->result.size < receiver->start.size) {
		receiver_take(receiver, data, size);
		receiver_answer(receiver);
	} else {
		log_warn("stream test from %s: ended: its frame %u of %zu bytes makes no sense",
			 stream_peer_name(stream), type, size);
		receiver->stream = NULL;
		stream_close(stream);
	}
	return true;
}

static void receiver_opened(struct stream *stream, void *context)
{
	(void)stream;
	(void)context;
}

static void receiver_writable(struct stream *stream, void *context)
{
	(void)stream;
	receiver_answer(context);
}

static void receiver_closed(struct stream *stream, void *context, const char *reason)
{
	struct receiver *receiver = context;

	if (!receiver->answered) {
		log_warn("stream test from %s: ended after %lu bytes: %s", stream_peer_name(stream),
			 receiver->result.size, reason);
	}
	receiver->stream = NULL;
}

static const struct stream_events receiver_events = {
	.opened = receiver_opened,
	.frame = receiver_frame,
	.writable = receiver_writable,
	.closed = receiver_closed,
};

void probe_init(void)
{
	memset(receivers, 0, sizeof(receivers));
	sender.stream = NULL;
	stream_listen(STREAM_SERVICE_PROBE, &receiver_events, receiver_accept);
}
