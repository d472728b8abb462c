/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TCP and streams do natively: both ends in one process on one CPU, over two
 * cards that are joined by memory. The cards reckon checksums and move payload
 * without the CPU, as real ones do; headers are copied, since both ends write to them.
 * Both ends copy what they send and receive, as users of sockets do.
 *
 * usage: net_native tcp|tls MTU      prints Gbit/s of payload, over three seconds
 *
 * The addresses are IPv6 link-local, so that lwIP sends from one card to the other
 * instead of to itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/connection.h"
#include "net/interface.h"
#include "net/net.h"
#include "net/random.h"
#include "net/stream.h"
#include "tests/fake_arch/fake_arch.h"

#define SECONDS 3
#define PORT 5001
#define RING_SIZE (768 * KIB)
#define DESCRIPTOR_COUNT 512
#define BUFFER_COUNT 8192

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "net_native: %s\n", what);
	exit(1);
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- Buffers ---------------------------------------------------------------------- */

/* What a sent frame waits for: all of its buffers are read. */
struct sent {
	unsigned users;
	void (*done)(void *token);
	void *token;
	struct sent *next;
};

struct buffer {
	struct nic_buffer buffer;
	struct sent *sent;
	uint8_t head[128]; /* of the first: the frame's headers */
};

static struct buffer buffers[BUFFER_COUNT];
static struct sent sents[BUFFER_COUNT];
static struct nic_buffer *free_buffers;
static struct sent *free_sents;
static unsigned free_count;

struct nic_buffer *nic_buffer_alloc(void)
{
	struct nic_buffer *buffer = free_buffers;

	if (buffer != NULL) {
		free_buffers = buffer->next;
		buffer->next = NULL;
		free_count--;
	}
	return buffer;
}

void nic_buffer_free(struct nic_buffer *buffer)
{
	struct sent *sent = CONTAINER_OF(buffer, struct buffer, buffer)->sent;

	buffer->next = free_buffers;
	free_buffers = buffer;
	free_count++;
	if (--sent->users == 0) {
		sent->next = free_sents;
		free_sents = sent;
		sent->done(sent->token);
	}
}

void nic_buffers_free(struct nic_buffer *first)
{
	while (first != NULL) {
		struct nic_buffer *next = first->next;

		nic_buffer_free(first);
		first = next;
	}
}

unsigned nic_buffer_free_count(void)
{
	return free_count;
}

/* ---- Cards -------------------------------------------------------------------------- */

static struct card {
	struct nic nic;
	struct pci_device device;
	struct nic_buffer *ring[DESCRIPTOR_COUNT]; /* frames for it */
	unsigned head, tail;
} cards[2];

static struct card *card_of(struct nic *nic)
{
	return CONTAINER_OF(nic, struct card, nic);
}

static int card_start(struct nic *nic, unsigned mtu)
{
	(void)nic;
	(void)mtu;
	return 0;
}

static void card_stop(struct nic *nic)
{
	(void)nic;
}

static struct nic_buffer *add(struct sent *sent, struct nic_buffer *last, const void *data,
			      size_t size)
{
	struct nic_buffer *buffer = nic_buffer_alloc();

	if (buffer == NULL) {
		fail("no buffers left");
	}
	CONTAINER_OF(buffer, struct buffer, buffer)->sent = sent;
	sent->users++;
	buffer->data = (uint8_t *)data;
	buffer->size = (uint16_t)size;
	buffer->checksum = NIC_CHECKSUM_GOOD;
	if (last != NULL) {
		last->next = buffer;
	}
	return buffer;
}

/* The frame as a card would have received it: in buffers of NIC_BUFFER_SIZE at most. */
static struct nic_buffer *received(const struct nic_frame *frame, struct sent *sent)
{
	const struct nic_piece *head = &frame->pieces[0];
	struct nic_buffer *first = add(sent, NULL, NULL, head->size), *last = first;

	first->data = CONTAINER_OF(first, struct buffer, buffer)->head;
	if (head->size > sizeof(buffers[0].head)) {
		fail("headers are longer than expected");
	}
	memcpy(first->data, head->data, head->size);
	for (unsigned i = 1; i < frame->piece_count; i++) {
		const uint8_t *data = frame->pieces[i].data;

		for (size_t at = 0; at < frame->pieces[i].size; at += NIC_BUFFER_SIZE) {
			last = add(sent, last, data + at,
				   MIN(frame->pieces[i].size - at, (size_t)NIC_BUFFER_SIZE));
		}
	}
	return first;
}

static int card_send(struct nic *nic, const struct nic_frame *frame)
{
	struct card *other = card_of(nic) == &cards[0] ? &cards[1] : &cards[0];
	struct sent *sent = free_sents;

	if (other->head - other->tail == DESCRIPTOR_COUNT) {
		return -EAGAIN;
	}
	free_sents = sent->next;
	sent->users = 0;
	sent->done = frame->done;
	sent->token = frame->token;
	other->ring[other->head++ % DESCRIPTOR_COUNT] = received(frame, sent);
	other->nic.pending = true;
	return 0;
}

static unsigned card_poll(struct nic *nic, unsigned budget)
{
	struct card *card = card_of(nic);
	unsigned count = 0;

	nic->pending = false;
	while (count < budget && card->tail != card->head) {
		count++;
		nic->receive(nic->context, card->ring[card->tail++ % DESCRIPTOR_COUNT]);
	}
	return count;
}

static const struct nic_ops card_ops = {
	.start = card_start, .stop = card_stop, .send = card_send, .poll = card_poll};

unsigned nic_count(void)
{
	return ARRAY_SIZE(cards);
}

struct nic *nic_at(unsigned index)
{
	return index < ARRAY_SIZE(cards) ? &cards[index].nic : NULL;
}

static void cards_init(void)
{
	for (unsigned i = 0; i < BUFFER_COUNT; i++) {
		buffers[i].buffer.next = free_buffers;
		free_buffers = &buffers[i].buffer;
		sents[i].next = free_sents;
		free_sents = &sents[i];
	}
	free_count = BUFFER_COUNT;
	for (unsigned i = 0; i < ARRAY_SIZE(cards); i++) {
		cards[i].device.interrupt = PCI_MSIX;
		cards[i].nic = (struct nic){
			.ops = &card_ops,
			.device = &cards[i].device,
			.model = "memory",
			.mac = {0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(i + 1)},
			.mtu_max = NIC_MTU_MAX,
			.features = NIC_TX_CHECKSUM | NIC_RX_CHECKSUM,
			.link = {.up = true},
		};
	}
}

/* ---- The host --------------------------------------------------------------------------- */

static struct config config = {
	.host_name = "bench",
	.partner = {.line = 1,
		    .valid = true,
		    .has_key = true,
		    .address_count = 1,
		    .addresses = {"fe80::5054:ff:fe12:3402%net0"}},
	.interface_count = 2,
	.interfaces = {{.name = "net0", .valid = true}, {.name = "net1", .valid = true}},
};

static uint64_t start_ns;

static void turn(void)
{
	fake.now_ns = clock_ns() - start_ns + 1000000000;
	net_step(fake.now_ns);
	stream_step(fake.now_ns);
}

static bool is_over(uint64_t begin_ns)
{
	return fake.now_ns >= begin_ns + SECONDS * UINT64_C(1000000000);
}

/* Brings up the host; its link-local addresses are its own after two seconds. */
static void host_init(unsigned mtu)
{
	fake_arch_reset(64 * MIB);
	start_ns = clock_ns();
	fake.now_ns = 1000000000;
	cards_init();
	for (unsigned i = 0; i < config.interface_count; i++) {
		config.interfaces[i].mtu = mtu;
	}
	if (random_init() != 0) {
		fail("no random numbers");
	}
	net_init(&config);
	while (clock_ns() - start_ns < 2500000000) {
		turn();
	}
}

/* ---- TCP ----------------------------------------------------------------------------------- */

static struct connection near, far;
static uint8_t near_ring[RING_SIZE], far_ring[RING_SIZE];

static struct connection *accept_far(const ip_addr_t *address)
{
	(void)address;
	connection_set_ring(&far, far_ring, sizeof(far_ring));
	return &far;
}

static uint64_t measure_tcp(void)
{
	static uint8_t block[64 * KIB], read[64 * KIB];
	ip_addr_t address;
	uint64_t received_bytes = 0, begin_ns;
	size_t size;

	connection_set_ring(&near, near_ring, sizeof(near_ring));
	if (interface_parse_address(config.partner.addresses[0], &address) != 0 ||
	    connection_listen(PORT, accept_far) != 0 ||
	    connection_open(&near, &address, PORT) != 0) {
		fail("cannot connect");
	}
	while (near.state != CONNECTION_OPEN) {
		turn();
	}
	begin_ns = fake.now_ns;
	while (!is_over(begin_ns)) {
		size_t room = connection_room(&near);

		connection_write(&near, block, MIN(room, sizeof(block)));
		connection_flush(&near);
		turn();
		while ((size = connection_read(&far, read, sizeof(read))) > 0) {
			received_bytes += size;
		}
	}
	return received_bytes;
}

/* ---- Streams -------------------------------------------------------------------------------- */

static uint64_t stream_bytes;
static bool is_open;
static struct stream *near_stream;

static void opened(struct stream *stream, void *context)
{
	(void)stream;
	(void)context;
	is_open = true;
}

static bool frame(struct stream *stream, void *context, uint16_t type, const void *data,
		  size_t size)
{
	(void)stream;
	(void)context;
	(void)type;
	(void)data;
	stream_bytes += size;
	return true;
}

static void writable(struct stream *stream, void *context)
{
	(void)stream;
	(void)context;
}

_Noreturn static void closed(struct stream *stream, void *context, const char *reason)
{
	(void)stream;
	(void)context;
	fail(reason);
}

static void *accept_stream(struct stream *stream)
{
	return stream;
}

static const struct stream_events events = {
	.opened = opened, .frame = frame, .writable = writable, .closed = closed};

static uint64_t measure_tls(void)
{
	static uint8_t block[STREAM_FRAME_MAX];
	uint64_t begin_ns;
	int error;

	stream_init(&config);
	stream_listen(STREAM_SERVICE_PROBE, &events, accept_stream);
	near_stream = stream_connect(STREAM_SERVICE_PROBE, &events, NULL, &error);
	while (near_stream != NULL && !is_open) {
		turn();
	}
	begin_ns = fake.now_ns;
	while (!is_over(begin_ns)) {
		(void)!stream_send(near_stream, 1, block, sizeof(block));
		turn();
	}
	return stream_bytes;
}

int main(int argc, char **argv)
{
	uint64_t bytes;

	if (argc != 3) {
		fail("usage: net_native tcp|tls MTU");
	}
	host_init((unsigned)atoi(argv[2]));
	bytes = strcmp(argv[1], "tls") == 0 ? measure_tls() : measure_tcp();
	printf("%.2f\n", (double)bytes * 8 / SECONDS / 1e9);
	return 0;
}
