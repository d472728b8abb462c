/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: both ends in one process over a wire with faults, and strangers, who
 * have a connection and perhaps a key, and write what they like.
 */
#include "tests/unit/pair_fixture.h"

#include <lwip/priv/tcp_priv.h>
#include <lwip/stats.h>

#include "net/tls.h"

/* One end of a stream: what it has seen. */
struct end {
	struct stream *stream;
	bool opened;
	unsigned writable;
	char reason[128]; /* "": it lives */
	uint64_t bytes, frames;
	bool refuses; /* frames */
	unsigned refused;
	uint16_t type;
	size_t size; /* of the last frame */
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
		end->refused++;
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

/* ---- What must be as before ------------------------------------------------------- */

struct memory {
	size_t tls, lwip;
	unsigned buffers, pcbs, segments, pbufs;
};

static struct memory memory_now(void)
{
	struct memory memory = {
		.lwip = lwip_stats.mem.used,
		.buffers = fake_buffer_count,
		.pcbs = lwip_stats.memp[MEMP_TCP_PCB]->used,
		.segments = lwip_stats.memp[MEMP_TCP_SEG]->used,
		.pbufs = lwip_stats.memp[MEMP_PBUF]->used,
	};
	size_t most;

	tls_heap_used(&memory.tls, &most);
	return memory;
}

static struct memory memory_before;

static void assert_memory_as_before(void)
{
	struct memory now = memory_now();

	assert_int_equal(now.tls, memory_before.tls);
	assert_int_equal(now.lwip, memory_before.lwip);
	assert_int_equal(now.buffers, memory_before.buffers);
	assert_int_equal(now.pcbs, memory_before.pcbs);
	assert_int_equal(now.segments, memory_before.segments);
	assert_int_equal(now.pbufs, memory_before.pbufs);
}

/* ---- Strangers ------------------------------------------------------------------------ */

#define STRANGER_MAX 6

static struct stranger {
	struct connection connection;
	uint8_t ring[256 * 1024];
	struct tls tls;
	bool has_tls;
} strangers[STRANGER_MAX];

static struct tls_identity right, wrong; /* keys */

static struct stranger *stranger_start(unsigned index, const char *to)
{
	struct stranger *stranger = &strangers[index];
	ip_addr_t address;

	memset(stranger, 0, sizeof(*stranger));
	connection_set_ring(&stranger->connection, stranger->ring, sizeof(stranger->ring));
	assert_int_equal(interface_parse_address(to, &address), 0);
	assert_int_equal(connection_open(&stranger->connection, &address, STREAM_PORT), 0);
	return stranger;
}

static struct stranger *stranger_connect(unsigned index)
{
	struct stranger *stranger = stranger_start(index, PAIR_FAR);

	pair_until(stranger->connection.state == CONNECTION_OPEN, 1000);
	return stranger;
}

static void stranger_write(struct stranger *stranger, const void *bytes, size_t size)
{
	assert_int_equal(connection_write(&stranger->connection, bytes, size), size);
	connection_flush(&stranger->connection);
}

static void stranger_drop(struct stranger *stranger)
{
	if (stranger->has_tls) {
		tls_end(&stranger->tls);
		stranger->has_tls = false;
	}
	connection_reset(&stranger->connection);
}

/* The handshake to its end, either way. */
static int stranger_handshake(struct stranger *stranger, const struct tls_identity *identity,
			      bool client)
{
	int error;

	assert_int_equal(tls_start(&stranger->tls, identity, client, &stranger->connection), 0);
	stranger->has_tls = true;
	for (unsigned i = 0; i < 10000; i++) {
		error = tls_handshake(&stranger->tls);
		connection_flush(&stranger->connection);
		if (error != -EAGAIN) {
			return error;
		}
		pair_turn();
	}
	fail_msg("the handshake does not end");
	return 0;
}

struct wire_header {
	uint32_t size;
	uint16_t type, reserved;
};

struct wire_greeting {
	uint16_t version, word;
	char name[32];
};

static void stranger_send(struct stranger *stranger, struct wire_header header, const void *bytes,
			  size_t size)
{
	tls_write(&stranger->tls, &header, sizeof(header));
	if (size > 0) {
		tls_write(&stranger->tls, bytes, size);
	}
	connection_flush(&stranger->connection);
}

/* What the host answers within a second: the frame's content, or tls_read's error. */
static int stranger_receive(struct stranger *stranger, void *bytes, size_t size)
{
	struct wire_header header;
	int result = -EAGAIN;

	for (unsigned i = 0; i < 20000 && result == -EAGAIN; i++) {
		pair_turn();
		result = tls_read(&stranger->tls, &header, sizeof(header));
	}
	return result < 0 ? result : tls_read(&stranger->tls, bytes, size);
}

static const struct wire_greeting hello = {
	.version = 1, .word = STREAM_SERVICE_PROBE, .name = "eve"};

/* One who has the key, and is let in. */
static struct stranger *stranger_open(unsigned index)
{
	struct stranger *stranger = stranger_connect(index);
	struct wire_greeting answer;

	assert_int_equal(stranger_handshake(stranger, &right, true), 0);
	stranger_send(stranger, (struct wire_header){sizeof(hello), 1, 0}, &hello, sizeof(hello));
	assert_int_equal(stranger_receive(stranger, &answer, sizeof(answer)), sizeof(answer));
	assert_int_equal(answer.word, 0);
	assert_string_equal(answer.name, "alpha");
	assert_true(far.opened);
	return stranger;
}

static unsigned stream_count(void)
{
	struct stream_info info;
	unsigned count = 0;

	while (stream_info_get(count, &info)) {
		count++;
	}
	return count;
}

static unsigned lines_with(const char *words)
{
	uint64_t sequence = net_log_start;
	struct log_line line;
	unsigned count = 0;

	while (log_read(&sequence, &line)) {
		count += strstr(line.text, words) != NULL;
	}
	return count;
}

/* ---- Set-up ------------------------------------------------------------------------------ */

/* Anew after each stream_init, which empties their heap. */
static void make_keys(void)
{
	uint8_t key[KEY_SIZE];

	key_derive(net_config.partner.key, KEY_PURPOSE_STREAM, key);
	assert_int_equal(tls_identity_init(&right, key), 0);
	key[KEY_SIZE - 1] ^= 1;
	assert_int_equal(tls_identity_init(&wrong, key), 0);
	memory_before = memory_now();
}

static int setup(void **state)
{
	memset(&near, 0, sizeof(near));
	memset(&far, 0, sizeof(far));
	pair_setup(state);
	stream_listen(STREAM_SERVICE_PROBE, &events, accept_far);
	make_keys();
	return 0;
}

/* Other addresses of the partner; the key stays. */
static void set_addresses(unsigned count, const char *const *addresses)
{
	net_config.partner.address_count = count;
	for (unsigned i = 0; i < count; i++) {
		strcpy(net_config.partner.addresses[i], addresses[i]);
	}
	stream_init(&net_config);
	make_keys();
}

/* All streams and strangers are gone, and all memory is back. */
static int teardown(void **state)
{
	wire.cut = false;
	wire.loss = wire.late = wire.doubled = 0;
	for (unsigned i = 0; i < STRANGER_MAX; i++) {
		stranger_drop(&strangers[i]);
	}
	if (near.stream != NULL) {
		stream_close(near.stream);
	}
	if (far.stream != NULL) {
		stream_close(far.stream);
	}
	pair_until(stream_count() == 0, 30000);
	pair_until(tcp_active_pcbs == NULL, 30000);
	while (tcp_tw_pcbs != NULL) {
		tcp_abort(tcp_tw_pcbs);
	}
	/* What waits for a neighbour that there is not is given up after seconds. */
	pair_until(memory_now().lwip == memory_before.lwip, 10000);
	assert_memory_as_before();
	connection_stop_listening();
	return net_teardown(state);
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

/* Sends `size` bytes in frames of `frame_size`, at each turn as much as is taken. */
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
		if (fake.now_ns > limit_ns || near.reason[0] != '\0') {
			pair_fail(__LINE__, "all is sent in time");
		}
	}
	assert_int_equal(far.bytes, size);
	assert_int_equal(far.wrong, 0);
}

/* Sends while it is taken, for so many turns; returns how many bytes. */
static uint64_t send_while_taken(unsigned turns)
{
	static uint8_t data[STREAM_FRAME_MAX];
	uint64_t sent = 0;

	for (unsigned i = 0; i < turns; i++) {
		while (stream_send(near.stream, 7, data, sizeof(data)) == 0) {
			sent += sizeof(data);
		}
		pair_turn();
	}
	return sent;
}

/* ---- Tests: two who know each other ---------------------------------------------------- */

static void test_open(void **state)
{
	struct stream_info info;

	(void)state;
	connect_both();
	assert_logged("stream probe with alpha (fe80::5054:ff:fe12:3402) open: AES-128-GCM");
	assert_true(stream_info_get(0, &info));
	assert_string_equal(info.peer, "[fe80::5054:ff:fe12:3402]:8551");
	assert_string_equal(info.state, "open");
	assert_string_equal(info.cipher, "AES-128-GCM");
	assert_string_equal(info.service_name, "probe");
	assert_int_equal(stream_count(), 2);
	assert_true(info.rtt_us > 0);
	stream_close(near.stream);
	near.stream = NULL;
	pair_until(far.reason[0] != '\0' && stream_count() == 0, 1000);
	assert_string_equal(far.reason, "closed by the partner");
	assert_string_equal(near.reason, "");
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

/* Frames of every size near a limit: of records, and of the header in them. */
static void test_sizes(void **state)
{
	static uint8_t data[STREAM_FRAME_MAX + 1];
	const size_t sizes[] = {0, 1, 7, 8, 16375, 16376, 16377, 32759, 32760, 32761, 65535, 65536};

	(void)state;
	connect_both();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		far.bytes = 0;
		for (size_t k = 0; k < sizes[i]; k++) {
			data[k] = content(k);
		}
		pair_until(stream_send(near.stream, (uint16_t)i, data, sizes[i]) == 0, 1000);
		pair_until(far.frames == i + 1, 1000);
		assert_int_equal(far.size, sizes[i]);
		assert_int_equal(far.type, i);
		assert_int_equal(far.wrong, 0);
	}
	assert_int_equal(stream_send(near.stream, 0, data, sizeof(data)), -EMSGSIZE);
}

static void test_faults(void **state)
{
	(void)state;
	connect_both();
	wire.loss = 10;
	wire.doubled = 10;
	wire.late = 10;
	send_all(32 * MIB, STREAM_FRAME_MAX, 600000);
	assert_true(wire.lost_count > 100 && wire.doubled_count > 100 && wire.late_count > 100);
}

/* A cable that is out for 10 s; and one that stays out. */
static void test_cut(void **state)
{
	(void)state;
	connect_both();
	send_all(MIB, STREAM_FRAME_MAX, 10000);
	pair_until(stream_send(near.stream, 7, "", 0) == 0, 1000);
	wire.cut = true;
	pair_run(10000);
	wire.cut = false;
	assert_string_equal(near.reason, "");
	pair_until(far.frames == 17, 20000);
	wire.cut = true;
	pair_until(near.reason[0] != '\0' && far.reason[0] != '\0', 32000);
	assert_string_equal(near.reason, "no answer for 30 s");
	assert_string_equal(far.reason, "no answer for 30 s");
	assert_int_equal(stream_count(), 0);
}

static void test_slow_reader(void **state)
{
	uint64_t sent;
	unsigned buffers;

	(void)state;
	connect_both();
	far.refuses = true;
	sent = send_while_taken(20000);
	/* What is on its way: a window, a ring, and the frame that is refused. */
	assert_true(sent > 2 * STREAM_FRAME_MAX && sent < 3 * MIB);
	buffers = fake_buffer_count;
	assert_true(buffers < PAIR_BUFFERS / 2);
	assert_int_equal(far.frames, 0);
	/* A long time later nothing has changed. */
	pair_run(120000);
	assert_string_equal(near.reason, "");
	assert_int_equal(fake_buffer_count, buffers);
	assert_int_equal(far.refused, 1);
	far.refuses = false;
	stream_resume(far.stream);
	pair_until(far.bytes == sent, 60000);
}

/* However much there is to do, a turn does 16 KiB of it each way. */
static void test_turns_are_bounded(void **state)
{
	static uint8_t data[16384];
	unsigned sent = 1;

	(void)state;
	connect_both();
	for (unsigned i = 0; i < 200 && sent > 0; i++) {
		unsigned frames = far.frames;

		pair_turn();
		assert_true(far.frames - frames <= 2); /* the first may have begun before */
		for (sent = 0; stream_send(near.stream, 7, data, sizeof(data)) == 0; sent++) {
		}
		assert_true(sent <= 1);
	}
	far.refuses = true;
	send_while_taken(20000);
	far.refuses = false;
	stream_resume(far.stream);
	/* Much waits now. */
	for (unsigned i = 0; i < 5; i++) {
		unsigned frames = far.frames;
		uint64_t next_ns = stream_step(fake.now_ns);

		assert_in_range(far.frames - frames, 0, 2);
		assert_int_equal(next_ns, fake.now_ns);
	}
}

static void test_close_sends_all(void **state)
{
	static uint8_t data[STREAM_FRAME_MAX];

	(void)state;
	connect_both();
	for (unsigned i = 0; i < 5; i++) {
		pair_until(stream_send(near.stream, 7, data, sizeof(data)) == 0, 1000);
	}
	stream_close(near.stream);
	assert_int_equal(stream_send(near.stream, 7, data, 1), -ENOTCONN);
	near.stream = NULL;
	pair_until(far.reason[0] != '\0', 5000);
	assert_string_equal(far.reason, "closed by the partner");
	assert_int_equal(far.bytes, 5 * sizeof(data));
}

/* One who does not read does not keep a stream that is closed. */
static void test_close_slow_reader(void **state)
{
	(void)state;
	connect_both();
	far.refuses = true;
	send_while_taken(1000);
	stream_close(near.stream);
	near.stream = NULL;
	pair_until(stream_count() == 1, 6000);
	assert_string_equal(far.reason, "");
}

static void test_close_early(void **state)
{
	struct stream_info info;

	(void)state;
	connect();
	stream_close(near.stream);
	assert_int_equal(stream_count(), 0);
	connect();
	pair_turn();
	assert_true(stream_info_get(0, &info));
	assert_string_equal(info.state, "connecting");
	stream_close(near.stream);
	pair_until(stream_count() == 0, 1000);
	connect();
	pair_until(stream_info_get(0, &info) && strcmp(info.state, "handshake") == 0, 1000);
	stream_close(near.stream);
	near.stream = NULL;
	pair_until(stream_count() == 0, 1000);
	assert_false(near.opened);
	assert_string_equal(near.reason, "");
}

static void test_no_partner(void **state)
{
	struct stranger *stranger;
	int error;

	(void)state;
	net_config.partner.has_key = false;
	stream_init(&net_config);
	assert_null(stream_connect(STREAM_SERVICE_PROBE, &events, &near, &error));
	assert_int_equal(error, -ENOENT);
	stranger = stranger_start(0, PAIR_FAR);
	pair_until(stranger->connection.state == CONNECTION_BROKEN, 1000);
	assert_string_equal(stranger->connection.error, "the port is closed there");
}

static void test_too_many(void **state)
{
	int error;

	(void)state;
	for (unsigned i = 0; i < STREAM_COUNT_MAX; i++) {
		assert_non_null(stream_connect(STREAM_SERVICE_PROBE, &events, &near, &error));
	}
	assert_null(stream_connect(STREAM_SERVICE_PROBE, &events, &near, &error));
	assert_int_equal(error, -ENOBUFS);
	/* Their other ends find no place here: each is told so. */
	pair_until(stream_count() == 0, 10000);
	assert_int_equal(lines_with("no room for one more"), 2 * STREAM_COUNT_MAX);
}

static void test_addresses(void **state)
{
	const char *const addresses[] = {"rubbish", "10.9.9.9", "fe80::99%net0", PAIR_FAR};

	(void)state;
	set_addresses(4, addresses);
	connect();
	pair_until(near.opened && far.opened, 6000);
}

static void test_no_address_answers(void **state)
{
	const char *const addresses[] = {"10.9.9.9", "fe80::99%net0"};

	(void)state;
	set_addresses(2, addresses);
	connect();
	pair_until(near.reason[0] != '\0', 6000);
	assert_string_equal(near.reason, "10.9.9.9: no interface leads there; fe80::99: no answer");
	assert_logged("no stream probe to the partner: 10.9.9.9: no interface leads there; fe80");
}

static void test_wrong_service(void **state)
{
	int error;

	(void)state;
	near.stream = stream_connect(STREAM_SERVICE_MIGRATION, &events, &near, &error);
	pair_until(near.reason[0] != '\0', 1000);
	assert_string_equal(near.reason,
			    "fe80::5054:ff:fe12:3402: the partner does not offer this");
}

/* ---- Tests: strangers --------------------------------------------------------------------- */

static void test_wrong_key_of_theirs(void **state)
{
	struct stranger *stranger = stranger_connect(0);

	(void)state;
	assert_int_equal(stranger_handshake(stranger, &wrong, true), -EACCES);
	assert_string_equal(stranger->tls.error, "it refuses our key");
	assert_logged("streams: fe80::5054:ff:fe12:3401 refused: it has another key than we");
	pair_until(stream_count() == 0, 1000);
}

static struct stranger *server;

static struct connection *accept_server(const ip_addr_t *address)
{
	(void)address;
	server = &strangers[0];
	memset(server, 0, sizeof(*server));
	connection_set_ring(&server->connection, server->ring, sizeof(server->ring));
	return &server->connection;
}

/* A host with another key answers at the partner's address. */
static void test_wrong_key_of_ours(void **state)
{
	(void)state;
	connection_stop_listening();
	assert_int_equal(connection_listen(STREAM_PORT, accept_server), 0);
	server = NULL;
	connect();
	pair_until(server != NULL, 1000);
	assert_int_equal(stranger_handshake(server, &wrong, false), -EACCES);
	pair_until(near.reason[0] != '\0', 1000);
	assert_string_equal(near.reason,
			    "fe80::5054:ff:fe12:3402: wrong key: `key` in [partner] must "
			    "be the same on both hosts");
	assert_logged(near.reason);
}

/* What a good client once sent is worth nothing a second time. */
static void test_replayed_hello(void **state)
{
	struct stranger *good = stranger_open(0), *replay;
	size_t size = (size_t)good->connection.written;

	(void)state;
	replay = stranger_connect(1);
	stranger_write(replay, good->ring, size);
	pair_until(net_logged("repeats what it has overheard"), 1000);
	assert_string_equal(far.reason, "");
}

static void test_garbage(void **state)
{
	struct stranger *stranger = stranger_connect(0);

	(void)state;
	stranger_write(stranger, "GET / HTTP/1.1\r\nHost: dyad\r\n\r\n", 30);
	pair_until(stranger->connection.state == CONNECTION_BROKEN, 1000);
	assert_logged("streams: fe80::5054:ff:fe12:3401 refused: what it sends is not what a Dyad");
}

static void test_much_garbage(void **state)
{
	uint8_t bytes[1000];

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		struct stranger *stranger = stranger_connect(0);
		size_t size = 1 + wire_random();

		for (size_t k = 0; k < size; k++) {
			bytes[k] = (uint8_t)wire_random();
		}
		/* Some look like the beginning of a handshake. */
		memcpy(bytes, "\x16\x03\x03\x00\x40\x01", i % 2 == 0 ? MIN(size, (size_t)6) : 0);
		stranger_write(stranger, bytes, size);
		pair_turn();
		stranger_drop(stranger);
		pair_turn();
	}
	pair_until(stream_count() == 0, 6000);
	pair_run(12000);
	assert_true(lines_with("refused") > 2 && lines_with("refused") < 30);
	assert_memory_as_before();
	connect_both();
}

static void test_silence(void **state)
{
	struct stranger *stranger = stranger_connect(0);

	(void)state;
	pair_run(STREAM_HANDSHAKE_MS - 500);
	assert_int_equal(stream_count(), 1);
	pair_until(stranger->connection.state == CONNECTION_BROKEN, 1000);
	assert_int_equal(stream_count(), 0);
	assert_logged("refused: it did not show the key within 5 s");
}

/* With the key, but without a greeting. */
static void test_silence_after_handshake(void **state)
{
	struct stranger *stranger = stranger_connect(0);

	(void)state;
	assert_int_equal(stranger_handshake(stranger, &right, true), 0);
	pair_until(stranger->connection.state == CONNECTION_BROKEN, STREAM_HANDSHAKE_MS + 500);
	assert_int_equal(stream_count(), 0);
	assert_logged("refused: it did not show the key within 5 s");
}

/* Who comes from the partner's address takes the place of one from elsewhere. */
static void test_places(void **state)
{
	const char *const addresses[] = {PAIR_NEAR};

	(void)state;
	set_addresses(1, addresses);
	for (unsigned i = 0; i < STREAM_HANDSHAKE_COUNT_MAX; i++) {
		stranger_start(i, PAIR_NEAR);
	}
	pair_until(stream_count() == STREAM_HANDSHAKE_COUNT_MAX, 1000);
	stranger_start(4, PAIR_NEAR);
	pair_until(strangers[4].connection.state == CONNECTION_BROKEN, 1000);
	assert_logged("streams: fe80::5054:ff:fe12:3402 refused: too many");
	assert_int_equal(stream_count(), STREAM_HANDSHAKE_COUNT_MAX);
	/* This one's address is the partner's. */
	stranger_open(5);
	assert_int_equal(strangers[0].connection.state, CONNECTION_BROKEN);
}

static void test_gone(void **state)
{
	(void)state;
	stranger_connect(0);
	pair_until(stream_count() == 1, 1000);
	stranger_drop(&strangers[0]);
	pair_until(stream_count() == 0, 1000);
	assert_logged("refused: it went away before it showed the key");
}

static void test_oversized_frame(void **state)
{
	struct stranger *stranger = stranger_open(0);

	(void)state;
	stranger_send(stranger, (struct wire_header){STREAM_FRAME_MAX + 1, 7, 0}, NULL, 0);
	pair_until(far.reason[0] != '\0', 1000);
	assert_string_equal(far.reason, "the partner sends an oversized frame");
	assert_logged("stream probe with eve (fe80::5054:ff:fe12:3401) ended: the partner sends an "
		      "oversized frame");
}

static void test_damaged_frame(void **state)
{
	struct stranger *stranger = stranger_open(0);

	(void)state;
	stranger_send(stranger, (struct wire_header){1, 7, 1}, NULL, 0);
	pair_until(far.reason[0] != '\0', 1000);
	assert_string_equal(far.reason, "the partner sends a damaged frame");
}

static void test_damaged_record(void **state)
{
	struct stranger *stranger = stranger_open(0);

	(void)state;
	stranger_write(stranger, "\x17\x03\x03\x00\x20 0123456789abcdef0123456789abcdef", 38);
	pair_until(far.reason[0] != '\0', 1000);
	assert_string_equal(far.reason, "a record was damaged on its way");
}

static void test_no_goodbye(void **state)
{
	struct stranger *stranger = stranger_open(0);

	(void)state;
	pair_run(100);
	connection_close(&stranger->connection);
	pair_until(far.reason[0] != '\0', 1000);
	assert_string_equal(far.reason, "the partner ended the connection without a goodbye");
}

static void test_reset(void **state)
{
	struct stranger *stranger = stranger_open(0);

	(void)state;
	connection_reset(&stranger->connection);
	pair_until(far.reason[0] != '\0', 1000);
	assert_string_equal(far.reason, "reset by the other side");
}

/* Greetings that cannot be taken: what the answer says, or -1: there is none. */
static void check_greeting(struct wire_header header, struct wire_greeting greeting, int answer)
{
	struct stranger *stranger = stranger_connect(0);
	struct wire_greeting received;
	int size;

	assert_int_equal(stranger_handshake(stranger, &right, true), 0);
	stranger_send(stranger, header, &greeting, sizeof(greeting));
	size = stranger_receive(stranger, &received, sizeof(received));
	if (answer < 0) {
		assert_true(size < 0);
	} else {
		assert_int_equal(size, sizeof(received));
		assert_int_equal(received.word, answer);
	}
	assert_false(far.opened);
	stranger_drop(stranger);
	pair_until(stream_count() == 0, 6000);
}

static void test_greetings(void **state)
{
	struct wire_greeting greeting = hello;

	(void)state;
	greeting.version = 2;
	check_greeting((struct wire_header){36, 1, 0}, greeting, 1);
	greeting = hello;
	greeting.word = STREAM_SERVICE_COUNT;
	check_greeting((struct wire_header){36, 1, 0}, greeting, 2);
	greeting.word = STREAM_SERVICE_MIGRATION;
	check_greeting((struct wire_header){36, 1, 0}, greeting, 2);
	check_greeting((struct wire_header){36, 2, 0}, hello, -1);
	check_greeting((struct wire_header){36, 1, 1}, hello, -1);
	check_greeting((struct wire_header){35, 1, 0}, hello, -1);
	check_greeting((struct wire_header){37, 1, 0}, hello, -1);
	greeting = hello;
	greeting.name[1] = '\n';
	check_greeting((struct wire_header){36, 1, 0}, greeting, -1);
	memset(greeting.name, 'x', sizeof(greeting.name));
	check_greeting((struct wire_header){36, 1, 0}, greeting, -1);
	memset(greeting.name, 0, sizeof(greeting.name));
	check_greeting((struct wire_header){36, 1, 0}, greeting, -1);
	assert_int_equal(lines_with("its greeting makes no sense"), 1);
}

#define STREAM_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(test_open),
		STREAM_TEST(test_content),
		STREAM_TEST(test_sizes),
		STREAM_TEST(test_faults),
		STREAM_TEST(test_cut),
		STREAM_TEST(test_slow_reader),
		STREAM_TEST(test_turns_are_bounded),
		STREAM_TEST(test_close_sends_all),
		STREAM_TEST(test_close_slow_reader),
		STREAM_TEST(test_close_early),
		STREAM_TEST(test_no_partner),
		STREAM_TEST(test_too_many),
		STREAM_TEST(test_addresses),
		STREAM_TEST(test_no_address_answers),
		STREAM_TEST(test_wrong_service),
		STREAM_TEST(test_wrong_key_of_theirs),
		STREAM_TEST(test_wrong_key_of_ours),
		STREAM_TEST(test_replayed_hello),
		STREAM_TEST(test_garbage),
		STREAM_TEST(test_much_garbage),
		STREAM_TEST(test_silence),
		STREAM_TEST(test_silence_after_handshake),
		STREAM_TEST(test_places),
		STREAM_TEST(test_gone),
		STREAM_TEST(test_oversized_frame),
		STREAM_TEST(test_damaged_frame),
		STREAM_TEST(test_damaged_record),
		STREAM_TEST(test_no_goodbye),
		STREAM_TEST(test_reset),
		STREAM_TEST(test_greetings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
