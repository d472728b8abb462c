/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the network costs between card and application, in ticks, by part. Linked into
 * Dyad in place of net/probe.c: the calls in `Calls` and `Card` are led through here by
 * the linker (--wrap), all else is as it is.
 *
 * `stream test` on one of two hosts sends BYTES over the connection that is below TLS,
 * then as many through a stream. Each host tells of both, the sender then of what an
 * interrupt takes and a turn of net_step with nothing to do:
 *
 *	bench tx.plain bytes N frames N interrupt N driver N checksum N tcp N stream N cipher N
 *	bench interrupt N idle N
 *
 * Rules: one part counts at a time, and the CPU does not sleep in any. What it costs to
 * change parts is measured and taken off; the application's own work does not count.
 */
#include <errno.h>
#include <string.h>

#include <lwip/inet_chksum.h>
#include <mbedtls/gcm.h>

#include "arch/x86_64/arch.h"
#include "base/check.h"
#include "base/log.h"
#include "boot/volume.h"
#include "drivers/nic.h"
#include "net/connection.h"
#include "net/interface.h"
#include "net/net.h"
#include "net/probe.h"
#include "net/stream.h"

#define BYTES (8 * MIB)
#define FRAME_SIZE (16 * KIB)
#define BLOCK_SIZE (64 * KIB)
/*
 * Bytes on the way, at most: more than the emulator keeps for its card would be lost, and
 * the figures be those of recovery.
 */
#define WINDOW (64 * KIB)

/* ---- Calls that are led through here ---------------------------------------------- */

#define WRAPPED(type, name, ...)         \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAPPED(void, nic_init, void);
WRAPPED(void, cpu_idle, uint64_t deadline_ns);
WRAPPED(uint64_t, net_step, uint64_t now_ns);
WRAPPED(uint64_t, stream_step, uint64_t now_ns);
WRAPPED(int, connection_listen, uint16_t port,
	struct connection *(*accept)(const ip_addr_t *address));
WRAPPED(void, connection_set_ring, struct connection *connection, uint8_t *ring, size_t size);
WRAPPED(bool, connection_flush, struct connection *connection);
WRAPPED(size_t, connection_write, struct connection *connection, const void *bytes, size_t size);
WRAPPED(size_t, connection_read, struct connection *connection, void *bytes, size_t size);
WRAPPED(u16_t, ip_chksum_pseudo, struct pbuf *p, u8_t protocol, u16_t size, const ip_addr_t *from,
	const ip_addr_t *to);
WRAPPED(int, mbedtls_gcm_crypt_and_tag, mbedtls_gcm_context *ctx, int mode, size_t length,
	const unsigned char *iv, size_t iv_len, const unsigned char *add, size_t add_len,
	const unsigned char *input, unsigned char *output, size_t tag_len, unsigned char *tag);
WRAPPED(int, mbedtls_gcm_auth_decrypt, mbedtls_gcm_context *ctx, size_t length,
	const unsigned char *iv, size_t iv_len, const unsigned char *add, size_t add_len,
	const unsigned char *tag, size_t tag_len, const unsigned char *input,
	unsigned char *output);

/* ---- The clock of each part ------------------------------------------------------- */

enum part { PART_NONE, PART_DRIVER, PART_CHECKSUM, PART_TCP, PART_STREAM, PART_CIPHER, PART_COUNT };

static struct {
	enum part part; /* the one that counts */
	uint64_t since;
	uint64_t ticks[PART_COUNT];
	uint64_t stays[PART_COUNT]; /* each has one change's cost in it */
	uint64_t change; /* that cost */
} clocks;

static uint64_t interrupts; /* sleeps that the card ended, or did not let begin */
static uint64_t idle_least = UINT64_MAX, interrupt_least = UINT64_MAX;

/* Returns the part that counted until now. */
__attribute__((noinline)) static enum part enter(enum part next)
{
	enum part last = clocks.part;
	uint64_t now = tsc_now();

	clocks.ticks[last] += now - clocks.since;
	clocks.stays[last]++;
	clocks.since = now;
	clocks.part = next;
	return last;
}

static uint64_t ticks_of(enum part part)
{
	return clocks.ticks[part] - clocks.stays[part] * clocks.change;
}

static void clocks_init(void)
{
	enter(PART_NONE);
	memset(clocks.ticks, 0, sizeof(clocks.ticks));
	for (unsigned i = 0; i < 1000; i++) {
		enter(PART_NONE);
	}
	clocks.change = clocks.ticks[PART_NONE] / 1000;
}

/* ---- A transfer ------------------------------------------------------------------- */

static struct nic_stats stats_before;

static void begin(void)
{
	memset(clocks.ticks, 0, sizeof(clocks.ticks));
	memset(clocks.stays, 0, sizeof(clocks.stays));
	clocks.since = tsc_now();
	stats_before = nic_at(0)->stats;
	interrupts = 0;
}

static void tell(const char *name)
{
	const struct nic_stats *before = &stats_before, *now = &nic_at(0)->stats;

	enter(clocks.part);
	log_info("bench %s bytes %lu frames %lu interrupt %lu driver %lu checksum %lu tcp %lu "
		 "stream %lu cipher %lu",
		 name, BYTES,
		 now->rx_frames - before->rx_frames + now->tx_frames - before->tx_frames,
		 interrupts * interrupt_least, ticks_of(PART_DRIVER), ticks_of(PART_CHECKSUM),
		 ticks_of(PART_TCP), ticks_of(PART_STREAM), ticks_of(PART_CIPHER));
}

/* ---- The plain connection --------------------------------------------------------- */

static struct connection plain;
static uint8_t plain_ring[WINDOW], block[BLOCK_SIZE];
static uint64_t plain_bytes; /* written or read */
static bool sending, begun, plain_over;
static struct connection *(*accept_stream)(const ip_addr_t *address);

/* The first that comes is plain, all others are streams. */
static struct connection *accept_any(const ip_addr_t *address)
{
	if (begun || sending) {
		return accept_stream(address);
	}
	connection_set_ring(&plain, plain_ring, sizeof(plain_ring));
	begun = true;
	begin();
	return &plain;
}

static void plain_read(void)
{
	size_t size;

	while ((size = connection_read(&plain, block, sizeof(block))) > 0) {
		plain_bytes += size;
		if (plain_bytes == BYTES) {
			tell("rx.plain");
		}
	}
	if (plain.state != CONNECTION_OPEN) {
		connection_close(&plain);
		plain_over = true;
	}
}

static void stream_begin(void);

static void plain_write(void)
{
	if (plain.state == CONNECTION_BROKEN) {
		log_error("bench: no connection: %s", plain.error);
		plain_over = true;
		return;
	}
	if (plain.state != CONNECTION_OPEN) {
		return;
	}
	if (!begun) {
		begun = true;
		begin();
	}
	plain_bytes += connection_write(&plain, block, MIN(sizeof(block), BYTES - plain_bytes));
	connection_flush(&plain);
	if (plain_bytes == BYTES && connection_is_sent(&plain)) {
		tell("tx.plain");
		connection_close(&plain);
		plain_over = true;
		stream_begin();
	}
}

/* The application's turn. What it calls counts, itself does not. */
static void plain_step(void)
{
	if (plain_over) {
		return;
	}
	if (sending) {
		plain_write();
	} else if (begun) {
		plain_read();
	}
}

/* ---- The stream ------------------------------------------------------------------- */

static uint64_t stream_bytes; /* sent or received */

static void stream_write(struct stream *stream)
{
	while (stream_bytes < BYTES && stream_send(stream, 1, block, FRAME_SIZE) == 0) {
		stream_bytes += FRAME_SIZE;
	}
}

static void opened(struct stream *stream, void *context)
{
	(void)context;
	begin();
	if (sending) {
		stream_write(stream);
	}
}

/* The receiver answers the last frame by one of its own. */
static bool frame(struct stream *stream, void *context, uint16_t type, const void *data,
		  size_t size)
{
	(void)context;
	(void)type;
	(void)data;
	if (sending) {
		tell("tx.tls");
		log_info("bench interrupt %lu idle %lu", interrupt_least, idle_least);
		stream_close(stream);
		return true;
	}
	stream_bytes += size;
	if (stream_bytes == BYTES) {
		tell("rx.tls");
		(void)!stream_send(stream, 2, block, 1);
	}
	return true;
}

static void writable(struct stream *stream, void *context)
{
	(void)context;
	if (sending) {
		stream_write(stream);
	}
}

static void closed(struct stream *stream, void *context, const char *reason)
{
	(void)stream;
	(void)context;
	log_info("bench: stream closed: %s", reason);
}

static const struct stream_events events = {
	.opened = opened, .frame = frame, .writable = writable, .closed = closed};

static void *accept_probe(struct stream *stream)
{
	return stream;
}

static void stream_begin(void)
{
	int error;

	if (stream_connect(STREAM_SERVICE_PROBE, &events, NULL, &error) == NULL) {
		log_error("bench: no stream (error %d)", -error);
	}
}

/* ---- net/probe.h ------------------------------------------------------------------ */

void probe_init(void)
{
	clocks_init();
	stream_listen(STREAM_SERVICE_PROBE, &events, accept_probe);
}

int probe_start(uint64_t size)
{
	const struct config_partner *partner = &volume_config()->partner;
	ip_addr_t address;

	(void)size;
	sending = true;
	connection_set_ring(&plain, plain_ring, sizeof(plain_ring));
	if (interface_parse_address(partner->addresses[0], &address) != 0) {
		return -EINVAL;
	}
	return connection_open(&plain, &address, STREAM_PORT);
}

void probe_stop(void)
{
}

/* ---- Card ------------------------------------------------------------------------- */

static const struct nic_ops *card;
static void (*card_receive)(void *context, struct nic_buffer *frame);

static void receive(void *context, struct nic_buffer *buffers)
{
	enum part last = enter(PART_TCP);

	card_receive(context, buffers);
	enter(last);
}

/* Whoever uses the card has said by now who receives. */
static int start(struct nic *nic, unsigned mtu)
{
	card_receive = nic->receive;
	nic->receive = receive;
	return card->start(nic, mtu);
}

static void stop(struct nic *nic)
{
	card->stop(nic);
}

static int send(struct nic *nic, const struct nic_frame *sent)
{
	enum part last = enter(PART_DRIVER);
	int error = card->send(nic, sent);

	enter(last);
	return error;
}

static unsigned poll(struct nic *nic, unsigned budget)
{
	enum part last = enter(PART_DRIVER);
	unsigned count = card->poll(nic, budget);

	enter(last);
	return count;
}

void __wrap_nic_init(void)
{
	static const struct nic_ops ops = {
		.start = start, .stop = stop, .send = send, .poll = poll};

	__real_nic_init();
	CHECK(nic_count() == 1);
	card = nic_at(0)->ops;
	nic_at(0)->ops = &ops;
}

/* One that came before the CPU could sleep takes least. Some emulators deliver it twice. */
void __wrap_cpu_idle(uint64_t deadline_ns)
{
	uint64_t before = nic_at(0)->stats.interrupts, start_ticks = tsc_now(), ticks;

	__real_cpu_idle(deadline_ns);
	ticks = tsc_now() - start_ticks;
	if (nic_at(0)->stats.interrupts != before) {
		interrupts++;
		interrupt_least = MIN(interrupt_least, ticks);
	}
}

/* ---- Calls ------------------------------------------------------------------------ */

uint64_t __wrap_net_step(uint64_t now_ns)
{
	uint64_t before = ticks_of(PART_TCP), next_ns;

	enter(PART_TCP);
	next_ns = __real_net_step(now_ns);
	enter(PART_NONE);
	idle_least = MIN(idle_least, ticks_of(PART_TCP) - before);
	return next_ns;
}

uint64_t __wrap_stream_step(uint64_t now_ns)
{
	uint64_t next_ns;

	plain_step();
	enter(PART_STREAM);
	next_ns = __real_stream_step(now_ns);
	enter(PART_NONE);
	return next_ns;
}

int __wrap_connection_listen(uint16_t port, struct connection *(*accept)(const ip_addr_t *address))
{
	accept_stream = accept;
	return __real_connection_listen(port, accept_any);
}

void __wrap_connection_set_ring(struct connection *connection, uint8_t *ring, size_t size)
{
	__real_connection_set_ring(connection, ring, MIN(size, WINDOW));
}

bool __wrap_connection_flush(struct connection *connection)
{
	enum part last = enter(PART_TCP);
	bool all = __real_connection_flush(connection);

	enter(last);
	return all;
}

size_t __wrap_connection_write(struct connection *connection, const void *bytes, size_t size)
{
	enum part last = enter(PART_TCP);
	size_t written = __real_connection_write(connection, bytes, size);

	enter(last);
	return written;
}

size_t __wrap_connection_read(struct connection *connection, void *bytes, size_t size)
{
	enum part last = enter(PART_TCP);
	size_t count = __real_connection_read(connection, bytes, size);

	enter(last);
	return count;
}

u16_t __wrap_ip_chksum_pseudo(struct pbuf *p, u8_t protocol, u16_t size, const ip_addr_t *from,
			      const ip_addr_t *to)
{
	enum part last = enter(PART_CHECKSUM);
	u16_t sum = __real_ip_chksum_pseudo(p, protocol, size, from, to);

	enter(last);
	return sum;
}

int __wrap_mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t length,
				     const unsigned char *iv, size_t iv_len,
				     const unsigned char *add, size_t add_len,
				     const unsigned char *input, unsigned char *output,
				     size_t tag_len, unsigned char *tag)
{
	enum part last = enter(PART_CIPHER);
	int error = __real_mbedtls_gcm_crypt_and_tag(ctx, mode, length, iv, iv_len, add, add_len,
						     input, output, tag_len, tag);

	enter(last);
	return error;
}

int __wrap_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t length,
				    const unsigned char *iv, size_t iv_len,
				    const unsigned char *add, size_t add_len,
				    const unsigned char *tag, size_t tag_len,
				    const unsigned char *input, unsigned char *output)
{
	enum part last = enter(PART_CIPHER);
	int error = __real_mbedtls_gcm_auth_decrypt(ctx, length, iv, iv_len, add, add_len, tag,
						    tag_len, input, output);

	enter(last);
	return error;
}
