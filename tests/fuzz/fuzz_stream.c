/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams at the mercy of whoever is at the other end of a connection, before it has
 * shown the key and after. TCP is left out: connections are two pipes here.
 *
 * The first byte says who connects: bit 0 set: we do. Then records: kind, size (two
 * bytes), content.
 *
 *   0  bytes as they are
 *   1  bytes through TLS, when the other end has shown the key
 *   2  as many times 10 ms pass as the content has bytes, and as much again
 *   3  the other end sends no more
 *   4  the connection breaks
 *   5  the other end shakes hands, with the key
 *   6  of what it sends next, a byte is changed: offset (two bytes), with what
 *   7  our side: sends a frame of so many bytes, refuses frames, takes them, closes
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "net/connection.h"
#include "net/interface.h"
#include "net/key.h"
#include "net/random.h"
#include "net/stream.h"
#include "net/tls.h"
#include "tests/fake_arch/fake_arch.h"

#define MS UINT64_C(1000000)
#define PIPE_SIZE (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- Connections -------------------------------------------------------------------- */

struct pipe {
	uint8_t bytes[PIPE_SIZE];
	size_t start, end;
};

static struct pipe to_host, to_peer;
static struct connection *host; /* NULL: not connected */
static struct connection peer;
static struct connection *(*accept_host)(const ip_addr_t *address);

/* What record 6 asks for: 0 in `with` is nothing. */
static struct {
	size_t offset;
	uint8_t with;
} damage;

static struct pipe *incoming(const struct connection *connection)
{
	return connection == &peer ? &to_peer : &to_host;
}

static struct pipe *outgoing(const struct connection *connection)
{
	return connection == &peer ? &to_host : &to_peer;
}

static void pipe_put(struct pipe *pipe, const void *bytes, size_t size)
{
	memcpy(pipe->bytes + pipe->end, bytes, size);
	if (pipe == &to_host && damage.with != 0) {
		if (damage.offset < size) {
			pipe->bytes[pipe->end + damage.offset] ^= damage.with;
			damage.with = 0;
		} else {
			damage.offset -= size;
		}
	}
	pipe->end += size;
}

int connection_listen(uint16_t port, struct connection *(*accept)(const ip_addr_t *address))
{
	(void)port;
	accept_host = accept;
	return 0;
}

void connection_screen(bool (*is_expected)(const ip_addr_t *address),
		       void (*refused)(const ip_addr_t *address))
{
	(void)is_expected;
	(void)refused;
}

int connection_admit(const struct tcp_pcb *pcb)
{
	(void)pcb;
	return 0;
}

void connection_stop_listening(void)
{
}

int connection_open(struct connection *connection, const ip_addr_t *address, uint16_t port)
{
	if (host != NULL) {
		return -EHOSTUNREACH;
	}
	host = connection;
	host->address = *address;
	host->port = port;
	host->state = CONNECTION_OPEN;
	return 0;
}

void connection_set_ring(struct connection *connection, uint8_t *ring, size_t size)
{
	connection->ring = ring;
	connection->ring_size = size;
}

void connection_trust(struct connection *connection)
{
	(void)connection;
}

/* As with a ring that empties when the other end reads. */
size_t connection_room(const struct connection *connection)
{
	struct pipe *pipe = outgoing(connection);
	size_t used = pipe->end - pipe->start;

	if (used == 0) {
		pipe->start = pipe->end = 0;
	}
	return MIN(connection->ring_size - MIN(connection->ring_size, used), PIPE_SIZE - pipe->end);
}

size_t connection_write(struct connection *connection, const void *bytes, size_t size)
{
	size_t room = connection_room(connection), taken = MIN(size, room);

	pipe_put(outgoing(connection), bytes, taken);
	return taken;
}

bool connection_flush(struct connection *connection)
{
	(void)connection;
	return true;
}

bool connection_is_sent(const struct connection *connection)
{
	return outgoing(connection)->start == outgoing(connection)->end;
}

size_t connection_peek(const struct connection *connection, const void **bytes)
{
	struct pipe *pipe = incoming(connection);

	*bytes = pipe->bytes + pipe->start;
	return pipe->end - pipe->start;
}

void connection_consume(struct connection *connection, size_t size)
{
	incoming(connection)->start += size;
}

size_t connection_read(struct connection *connection, void *bytes, size_t size)
{
	const void *from;
	size_t part = connection_peek(connection, &from);

	part = MIN(part, size);
	memcpy(bytes, from, part);
	connection_consume(connection, part);
	return part;
}

bool connection_is_readable(const struct connection *connection)
{
	const void *bytes;

	return connection_peek(connection, &bytes) > 0;
}

void connection_close(struct connection *connection)
{
	connection->state = CONNECTION_NONE;
	if (connection == host) {
		host = NULL;
	}
}

void connection_reset(struct connection *connection)
{
	connection_close(connection);
}

/* ---- Our side ------------------------------------------------------------------------- */

static struct stream *stream;
static bool refuses;

static void opened(struct stream *opened_stream, void *context)
{
	(void)context;
	stream = opened_stream;
}

static bool frame(struct stream *frame_stream, void *context, uint16_t type, const void *data,
		  size_t size)
{
	static uint8_t copy[STREAM_FRAME_MAX];

	(void)context;
	(void)type;
	CHECK(frame_stream == stream && size <= STREAM_FRAME_MAX);
	memcpy(copy, data, size);
	return !refuses;
}

static void writable(struct stream *writable_stream, void *context)
{
	(void)context;
	CHECK(writable_stream == stream);
}

static void closed(struct stream *closed_stream, void *context, const char *reason)
{
	(void)closed_stream;
	(void)context;
	CHECK(reason[0] != '\0');
	stream = NULL;
}

static void *accept_stream(struct stream *accepted)
{
	return accepted;
}

static const struct stream_events events = {
	.opened = opened, .frame = frame, .writable = writable, .closed = closed};

/* ---- The other side ------------------------------------------------------------------- */

static struct tls tls;
static struct tls_identity identity;
static bool has_tls, has_key;
static size_t heap_before; /* bytes in use with the keys alone */

static void turn(void)
{
	stream_step(fake.now_ns);
	fake.now_ns += MS / 10;
}

static void shake_hands(bool client)
{
	int error = -EAGAIN;

	if (has_tls || tls_start(&tls, &identity, client, &peer) != 0) {
		return;
	}
	has_tls = true;
	for (unsigned i = 0; i < 10 && error == -EAGAIN; i++) {
		error = tls_handshake(&tls);
		turn();
	}
	has_key = error == 0;
}

/* What our side sent is read, so that there is room for more. */
static void read_all(void)
{
	static uint8_t bytes[4096];

	if (has_key) {
		for (unsigned i = 0; i < 1000 && tls_read(&tls, bytes, sizeof(bytes)) > 0; i++) {
		}
	}
	to_peer.start = to_peer.end = has_tls && !has_key ? to_peer.start : 0;
}

static void our_side(uint8_t what)
{
	static uint8_t data[STREAM_FRAME_MAX + 1];

	if (stream == NULL) {
		return;
	}
	if (what == 0) {
		refuses = true;
	} else if (what == 1) {
		refuses = false;
		stream_resume(stream);
	} else if (what == 2) {
		stream_close(stream);
		stream = NULL;
	} else {
		(void)!stream_send(stream, what, data, (size_t)what * 257);
	}
}

static void record(uint8_t kind, const uint8_t *data, size_t size, bool client)
{
	switch (kind % 8) {
	case 0:
		if (connection_room(&peer) >= size) {
			pipe_put(&to_host, data, size);
		}
		break;
	case 1:
		if (has_key && size > 0 && connection_room(&peer) >= tls_wire_size(size)) {
			tls_write(&tls, data, size);
		}
		break;
	case 2:
		fake.now_ns += 20 * MS * size;
		break;
	case 3:
	case 4:
		if (host != NULL && host->state == CONNECTION_OPEN) {
			host->error = "broken";
			host->state = kind % 8 == 3 ? CONNECTION_ENDED : CONNECTION_BROKEN;
		}
		break;
	case 5:
		shake_hands(client);
		break;
	case 6:
		if (size >= 3) {
			damage.offset = (size_t)data[0] | (size_t)data[1] << 8;
			damage.with = data[2];
		}
		break;
	default:
		for (size_t i = 0; i < size; i++) {
			our_side(data[i]);
		}
		break;
	}
	turn();
	read_all();
}

/* ---- One run -------------------------------------------------------------------------- */

static const struct config config = {
	.host_name = "alpha",
	.partner = {.line = 1,
		    .valid = true,
		    .has_key = true,
		    .key = {1, 2, 3},
		    .address_count = 1,
		    .addresses = {"10.0.0.2"}},
};

/* The page pool and the streams' buffers in it are made once; the rest is as new. */
static void start(bool we_connect)
{
	static bool initialised;
	uint8_t key[KEY_SIZE];
	size_t most;
	ip_addr_t address = IPADDR4_INIT_BYTES(10, 0, 0, 2);
	int error;

	if (!initialised) {
		fake_arch_reset(16 * MIB);
		initialised = true;
	}
	fake.now_ns = 1000 * MS;
	fake.random_seed = 0;
	memset(&peer, 0, sizeof(peer));
	peer.state = CONNECTION_OPEN;
	peer.ring_size = PIPE_SIZE;
	to_host.start = to_host.end = to_peer.start = to_peer.end = 0;
	damage.with = 0;
	has_tls = has_key = refuses = false;
	stream = NULL;
	CHECK(random_init() == 0);
	stream_init(&config);
	stream_listen(STREAM_SERVICE_PROBE, &events, accept_stream);
	key_derive(config.partner.key, KEY_PURPOSE_STREAM, key);
	CHECK(tls_identity_init(&identity, key) == 0);
	tls_heap_used(&heap_before, &most);
	if (we_connect) {
		CHECK(stream_connect(STREAM_SERVICE_PROBE, &events, NULL, &error) != NULL);
		turn();
	} else {
		host = accept_host(&address);
		CHECK(host != NULL);
		host->address = address;
		host->state = CONNECTION_OPEN;
	}
}

/* Nothing may be left: no stream, and no memory of TLS's but the keys. */
static void finish(void)
{
	struct stream_info info;
	size_t now, most;

	if (has_tls) {
		tls_end(&tls);
	}
	if (stream != NULL) {
		stream_close(stream);
	}
	has_key = has_tls = false;
	for (unsigned i = 0; i < 4 && stream_info_get(0, &info); i++) {
		read_all();
		fake.now_ns += 5001 * MS;
		turn();
		if (host != NULL) {
			host->error = "broken";
			host->state = CONNECTION_BROKEN;
		}
	}
	/* One that refuses frames for ever is the listener's to close. */
	CHECK(!stream_info_get(0, &info));
	tls_heap_used(&now, &most);
	CHECK(now == heap_before);
	tls_identity_free(&identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool we_connect;

	if (size == 0) {
		return 0;
	}
	we_connect = (data[0] & 1) != 0;
	start(we_connect);
	for (size_t at = 1; at + 3 <= size;) {
		size_t length =
			MIN((size_t)data[at + 1] | (size_t)data[at + 2] << 8, size - at - 3);

		record(data[at], data + at + 3, length, !we_connect);
		at += 3 + length;
	}
	finish();
	return 0;
}
