/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-net driver against a model of the device: negotiation, frames both
 * ways, interrupts, and a device that breaks every rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "drivers/virtio_pci.h"
#include "tests/unit/virtio_model.h"

#define RX 0
#define TX 1
#define HEADER 12
#define SECOND UINT64_C(1000000000)

static struct nic *nic;
static unsigned pool_size;
static uint64_t log_start;

/* What the receiver got. */
static struct {
	unsigned count;
	uint8_t bytes[16384];
	size_t size;
	unsigned buffers;
	uint8_t checksum;
	struct nic_buffer *kept;
	bool keep;
	bool stop;
} received;

static unsigned done_count;

static void receive(void *context, struct nic_buffer *frame)
{
	assert_ptr_equal(context, &received);
	/* While the card is polled it interrupts nobody. */
	assert_int_equal(model_available(RX)->flags & model_available(TX)->flags, 1);
	received.count++;
	received.size = 0;
	received.buffers = 0;
	received.checksum = frame->checksum;
	for (struct nic_buffer *buffer = frame; buffer; buffer = buffer->next) {
		assert_true(buffer->size > 0);
		memcpy(received.bytes + received.size, buffer->data, buffer->size);
		received.size += buffer->size;
		received.buffers++;
	}
	if (received.stop) {
		nic->ops->stop(nic);
	}
	if (received.keep) {
		struct nic_buffer *last = frame;

		while (last->next) {
			last = last->next;
		}
		last->next = received.kept;
		received.kept = frame;
	} else {
		nic_buffers_free(frame);
	}
}

static void sent(void *token)
{
	assert_ptr_equal(token, &done_count);
	done_count++;
}

/* The card as the rest of the host finds it. */
static void find(void)
{
	memset(&received, 0, sizeof(received));
	done_count = 0;
	log_start = log_next();
	pci_init();
	nic_init();
	nic = nic_at(0);
	pool_size = nic_buffer_free_count();
	if (nic) {
		nic->receive = receive;
		nic->context = &received;
	}
}

static void start_with(uint64_t features, unsigned mtu)
{
	model_init(features);
	find();
	assert_non_null(nic);
	assert_int_equal(nic->ops->start(nic, mtu), 0);
}

static int setup(void **state)
{
	(void)state;
	model_is_modern = true;
	model_has_msix = true;
	start_with(MODEL_FEATURES, 1500);
	return 0;
}

/* No buffer is lost and no sender forgotten, whatever a test did. */
static int teardown(void **state)
{
	(void)state;
	if (nic) {
		nic_buffers_free(received.kept);
		nic->ops->stop(nic);
		assert_int_equal(nic_buffer_free_count(), pool_size);
		assert_int_equal(done_count, nic->stats.tx_frames);
	}
	return 0;
}

static bool log_has(const char *text)
{
	struct log_line line;
	uint64_t sequence = log_start;

	while (log_read(&sequence, &line)) {
		if (strstr(line.text, text)) {
			return true;
		}
	}
	return false;
}

/* ---- The device's part ---------------------------------------------------------- */

static uint8_t frame_byte(size_t index)
{
	return (uint8_t)(index * 7 + index / 251);
}

/* Writes a received frame over as many buffers as it takes; `count` is what the header says. */
static void device_receive_as(size_t size, uint8_t flags, unsigned count)
{
	size_t at = 0;
	unsigned parts = 0;

	do {
		int slot = model_take(RX);
		assert_true(slot >= 0);
		struct virtqueue_descriptor descriptor = model_descriptors(RX)[slot];
		size_t offset = parts++ == 0 ? HEADER : 0;
		uint8_t *to = fake_dma_memory(descriptor.address, descriptor.size);
		size_t part = MIN(size - at, descriptor.size - offset);

		assert_int_equal(descriptor.flags, 2);
		if (offset != 0) {
			memset(to, 0, HEADER);
			to[0] = flags;
			to[10] = (uint8_t)count;
			to[11] = (uint8_t)(count >> 8);
		}
		for (size_t i = 0; i < part; i++) {
			to[offset + i] = frame_byte(at + i);
		}
		at += part;
		model_give_back(RX, (unsigned)slot, (uint32_t)(offset + part), at == size);
	} while (at < size);
}

static void device_receive(size_t size, uint8_t flags)
{
	device_receive_as(size, flags, (unsigned)((size + HEADER + 2047) / 2048));
}

/* What the device sends out: header and frame of the next chain. */
static struct {
	uint8_t bytes[HEADER + 16384];
	size_t size;
	unsigned pieces;
} wire;

static int device_read_chain(void)
{
	int slot = model_take(TX);
	struct virtqueue_descriptor descriptor;
	unsigned at = (unsigned)slot;

	wire.size = 0;
	wire.pieces = 0;
	if (slot < 0) {
		return slot;
	}
	do {
		descriptor = model_descriptors(TX)[at];
		assert_false(descriptor.flags & 2);
		memcpy(wire.bytes + wire.size, fake_dma_memory(descriptor.address, descriptor.size),
		       descriptor.size);
		wire.size += descriptor.size;
		wire.pieces++;
		at = descriptor.next;
	} while (descriptor.flags & 1);
	return slot;
}

static void device_transmit(void)
{
	int slot = device_read_chain();

	assert_true(slot >= 0);
	model_give_back(TX, (unsigned)slot, 0, true);
}

/* ---- The host's part -------------------------------------------------------------- */

static uint8_t *memory; /* that a device can read */

static struct nic_frame frame_of(size_t size, unsigned pieces)
{
	struct nic_frame frame = {.piece_count = pieces, .done = sent, .token = &done_count};
	size_t at = 0;

	memory = hpa_to_virt(HPA(40 * MIB));
	for (size_t i = 0; i < size; i++) {
		memory[i] = frame_byte(i);
	}
	for (unsigned i = 0; i < pieces; i++) {
		size_t part = i + 1 == pieces ? size - at : size / pieces;

		frame.pieces[i] = (struct nic_piece){.data = memory + at, .size = (uint32_t)part};
		at += part;
	}
	return frame;
}

static int send_frame(size_t size, unsigned pieces)
{
	struct nic_frame frame = frame_of(size, pieces);

	return nic->ops->send(nic, &frame);
}

static unsigned poll(unsigned budget)
{
	return nic->ops->poll(nic, budget);
}

static void assert_received(size_t size)
{
	assert_int_equal(received.size, size);
	for (size_t i = 0; i < size; i++) {
		assert_int_equal(received.bytes[i], frame_byte(i));
	}
}

/* The link is up again and frames go both ways. */
static void assert_works(void)
{
	unsigned count = received.count, done = done_count;

	poll(64);
	device_receive(100, 0);
	assert_int_equal(poll(64), 1);
	assert_int_equal(received.count, count + 1);
	assert_received(100);
	assert_int_equal(send_frame(60, 1), 0);
	device_transmit();
	poll(64);
	assert_int_equal(done_count, done + 1);
}

/* ---- Probe and start --------------------------------------------------------------- */

static void test_identity(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

	(void)state;
	assert_string_equal(nic->model, "virtio-net");
	assert_memory_equal(nic->mac, mac, 6);
	assert_int_equal(nic->features, NIC_TX_CHECKSUM | NIC_RX_CHECKSUM);
	assert_int_equal(nic->mtu_max, NIC_MTU_MAX);
	assert_true(nic->link.up);
	assert_int_equal(model.status, 0xf);
	assert_int_equal(model.driver_features, MODEL_FEATURES);
	assert_string_equal(nic->device->driver, "virtio-net");
	assert_int_equal(nic->device->interrupt, PCI_MSIX);
	assert_int_equal(model.config_vector, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(model.queues[i].enabled, 1);
		assert_int_equal(model.queues[i].vector, 0);
		assert_int_equal(model.queues[i].size, 256);
	}
	assert_int_equal(model.queues[RX].kicks, 1);
	assert_int_equal(model_available(RX)->index, 256);
}

static void assert_refused(const char *why)
{
	find();
	assert_null(nic);
	assert_true(log_has(why));
	assert_null(pci_device_at(0)->driver);
	assert_false(model.pci[4] & 4);
}

static void test_legacy_only(void **state)
{
	(void)state;
	model_is_modern = false;
	model_init(MODEL_FEATURES);
	model_pci_set(2, 2, 0x1000);
	assert_refused("older than virtio 1.0");
}

static void test_transitional(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	model_pci_set(2, 2, 0x1000);
	find();
	assert_non_null(nic);
}

static void test_other_device(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	model_pci_set(2, 2, 0x1042);
	find();
	assert_null(nic);
	assert_false(log_has("not used"));
}

static void test_without_version_1(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES & ~MODEL_VERSION_1);
	assert_refused("does not offer virtio 1.0");
}

static void test_without_mac(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES & ~MODEL_MAC);
	assert_refused("MAC address");
}

static void test_stuck_at_probe(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	model.stuck = true;
	model.status = 4;
	assert_refused("does not answer");
}

/* Regions outside of their BAR, in a BAR of ports, or in one that there is not. */
static void test_bad_capabilities(void **state)
{
	static const struct {
		unsigned at, size;
		uint32_t value;
	} cases[] = {
		{0x44, 1, 6},	       {0x44, 1, 0},	      {0x48, 4, MODEL_BAR_SIZE},
		{0x4c, 4, 0x37},       {0x48, 4, UINT32_MAX}, {0x5c, 1, 3},
		{0x78, 4, UINT32_MAX}, {0x7c, 4, 7},	      {0x94, 4, 0},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		model_init(MODEL_FEATURES);
		model_pci_set(cases[i].at, cases[i].size, cases[i].value);
		find();
		assert_null(nic);
	}
}

static void test_capability_loop(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	model_pci_set(0x41, 1, 0x40);
	find();
	/* ISR, device and notify regions are behind the one that leads to itself. */
	assert_non_null(nic);
	model_init(MODEL_FEATURES);
	model_pci_set(0x34, 1, 0x40);
	model_pci_set(0x41, 1, 0x40);
	find();
	assert_null(nic);
}

/* The first region of a kind that can be had is the one. */
static void test_second_choice(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	model_add_capability(0xc0, 1, MODEL_COMMON, 0x38);
	model_pci_set(0xc4, 1, 2);
	find();
	assert_non_null(nic);
	assert_int_equal(nic->ops->start(nic, 1500), 0);
	nic->ops->stop(nic);
	model_init(MODEL_FEATURES);
	model_add_capability(0xc0, 1, MODEL_COMMON, 0x38);
	model_pci_set(0x48, 4, MODEL_MSIX);
	find();
	assert_non_null(nic);
}

static void test_mtu(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES | MODEL_MTU);
	find();
	assert_int_equal(nic->mtu_max, 9000);
	model.config[10] = 0xdc;
	model.config[11] = 5; /* 1500 */
	find();
	assert_int_equal(nic->mtu_max, 1500);
	assert_int_equal(nic->ops->start(nic, 1501), -EINVAL);
	assert_int_equal(nic->ops->start(nic, NIC_MTU_MIN - 1), -EINVAL);
	assert_int_equal(nic->ops->start(nic, 1500), 0);
	assert_true(model.driver_features & MODEL_MTU);
}

/* Without merged buffers a frame is one buffer, and a larger MTU is not agreed to. */
static void test_mtu_without_merging(void **state)
{
	(void)state;
	model_init((MODEL_FEATURES | MODEL_MTU) & ~MODEL_MRG_RXBUF);
	find();
	assert_int_equal(nic->mtu_max, 2048 - 12 - 18);
	assert_int_equal(nic->ops->start(nic, nic->mtu_max), 0);
	assert_false(model.driver_features & MODEL_MTU);
	device_receive_as(nic->mtu_max + 18, 0, 0xffff);
	poll(8);
	assert_received(nic->mtu_max + 18);
}

static void test_platform_access(void **state)
{
	uint64_t features = MODEL_FEATURES | BIT(33) | BIT(36);

	(void)state;
	start_with(features | BIT(17) | BIT(28) | BIT(29) | BIT(34), 1500);
	assert_int_equal(model.driver_features, features);
}

static void test_features_refused(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	find();
	model.refuses_features = true;
	assert_int_equal(nic->ops->start(nic, 1500), -EIO);
	assert_int_equal(model.status, 0);
}

static void test_stuck_at_start(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	find();
	model.stuck = true;
	model.status = 4;
	assert_int_equal(nic->ops->start(nic, 1500), -EIO);
	assert_false(model.pci[4] & 4);
	model.stuck = false;
	assert_int_equal(nic->ops->start(nic, 1500), 0);
	assert_true(model.pci[4] & 4);
}

static void test_queue_sizes(void **state)
{
	static const struct {
		uint16_t offered, taken;
	} cases[] = {{1024, 256}, {64, 64}, {100, 64}, {32, 32}, {31, 0}, {0, 0}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		model_init(MODEL_FEATURES);
		model.queues[TX].size_max = cases[i].offered;
		find();
		assert_int_equal(nic->ops->start(nic, 1500), cases[i].taken ? 0 : -EIO);
		if (cases[i].taken) {
			assert_int_equal(model.queues[TX].size, cases[i].taken);
			assert_works();
		}
		assert_int_equal(teardown(NULL), 0);
	}
}

static void test_notify_outside(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	model.queues[TX].notify_off = 2;
	find();
	assert_int_equal(nic->ops->start(nic, 1500), -EIO);
	assert_int_equal(nic_buffer_free_count(), pool_size);
}

static void test_no_buffers(void **state)
{
	struct nic_buffer *all = NULL;

	(void)state;
	model_init(MODEL_FEATURES);
	find();
	while (nic_buffer_free_count() > 4) {
		struct nic_buffer *buffer = nic_buffer_alloc();

		buffer->next = all;
		all = buffer;
	}
	assert_int_equal(nic->ops->start(nic, 9000), -ENOMEM);
	assert_int_equal(model.status, 0);
	assert_int_equal(nic_buffer_free_count(), 4);
	assert_int_equal(nic->ops->start(nic, 1500), 0);
	nic_buffers_free(all);
}

/* ---- Receive -------------------------------------------------------------------------- */

static void test_receive(void **state)
{
	(void)state;
	device_receive(60, 0);
	device_receive(1514, 0);
	assert_int_equal(poll(64), 2);
	assert_int_equal(received.count, 2);
	assert_received(1514);
	assert_int_equal(received.checksum, NIC_CHECKSUM_UNKNOWN);
	assert_int_equal(nic->stats.rx_frames, 2);
	assert_int_equal(nic->stats.rx_bytes, 1574);
	/* Their buffers were replaced. */
	assert_int_equal((uint16_t)(model_available(RX)->index - model.queues[RX].seen), 256);
	assert_int_equal(model.queues[RX].kicks, 2);
	assert_int_equal(poll(64), 0);
	assert_int_equal(model.queues[RX].kicks, 2);
}

static void test_receive_checksum(void **state)
{
	(void)state;
	for (uint8_t flags = 0; flags < 4; flags++) {
		device_receive(60, flags);
		poll(64);
		assert_int_equal(received.checksum,
				 flags ? NIC_CHECKSUM_GOOD : NIC_CHECKSUM_UNKNOWN);
	}
	start_with(MODEL_FEATURES & ~MODEL_GUEST_CSUM, 1500);
	assert_int_equal(nic->features, NIC_TX_CHECKSUM);
	device_receive(60, 2);
	poll(64);
	assert_int_equal(received.checksum, NIC_CHECKSUM_UNKNOWN);
}

static void test_receive_jumbo(void **state)
{
	(void)state;
	start_with(MODEL_FEATURES, 9000);
	for (size_t size = 2030; size < 9018; size += 499) {
		device_receive(size, 0);
		assert_int_equal(poll(64), 1);
		assert_received(size);
		assert_int_equal(received.buffers, (size + HEADER + 2047) / 2048);
	}
	device_receive(9018, 0);
	assert_int_equal(poll(64), 1);
	assert_received(9018);
}

static void test_receive_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		device_receive(60 + i % 1400, 0);
		assert_int_equal(poll(64), 1);
		assert_received(60 + i % 1400);
	}
}

static void test_budget(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		device_receive(60, 0);
	}
	assert_int_equal(poll(16), 16);
	assert_int_equal(model_available(RX)->flags, 1);
	assert_int_equal(poll(16), 4);
	assert_int_equal(model_available(RX)->flags, 0);
}

static void test_wrong_sizes(void **state)
{
	(void)state;
	device_receive(1519, 0);
	device_receive(13, 0);
	device_receive(0, 0);
	assert_int_equal(poll(64), 3);
	assert_int_equal(received.count, 0);
	assert_int_equal(nic->stats.rx_errors, 3);
	assert_int_equal(nic->stats.resets, 0);
	assert_works();
}

/* A piece without bytes, which nobody could chain. */
static void test_empty_piece(void **state)
{
	int slots[2];

	(void)state;
	device_receive_as(100, 0, 2);
	model_used(RX)->index--;
	slots[0] = (int)model_used(RX)->ring[0].slot;
	slots[1] = model_take(RX);
	model_give_back(RX, (unsigned)slots[0], HEADER + 100, false);
	model_give_back(RX, (unsigned)slots[1], 0, true);
	assert_int_equal(poll(64), 1);
	assert_int_equal(received.count, 0);
	assert_int_equal(nic->stats.rx_errors, 1);
	assert_works();
}

/* A receiver that keeps all it gets: frames are dropped, the queue stays full. */
static void test_pool_runs_dry(void **state)
{
	(void)state;
	received.keep = true;
	for (unsigned i = 0; i < pool_size; i++) {
		device_receive(60, 0);
		assert_int_equal(poll(64), 1);
	}
	assert_int_equal(received.count, pool_size - 256);
	assert_int_equal(nic->stats.rx_dropped, 256);
	nic_buffers_free(received.kept);
	received.kept = NULL;
	received.keep = false;
	assert_works();
}

static void test_stopped_by_receiver(void **state)
{
	(void)state;
	device_receive(60, 0);
	device_receive(60, 0);
	received.stop = true;
	assert_int_equal(poll(64), 1);
	assert_int_equal(model.status, 0);
	assert_int_equal(nic_buffer_free_count(), pool_size);
	assert_int_equal(poll(64), 0);
}

/* ---- Transmit --------------------------------------------------------------------------- */

static void test_send(void **state)
{
	static const uint8_t no_header[HEADER];

	(void)state;
	assert_int_equal(send_frame(1000, 3), 0);
	assert_int_equal(model.queues[TX].kicks, 1);
	device_transmit();
	assert_int_equal(wire.pieces, 4);
	assert_int_equal(wire.size, HEADER + 1000);
	assert_memory_equal(wire.bytes, no_header, HEADER);
	assert_memory_equal(wire.bytes + HEADER, memory, 1000);
	assert_int_equal(done_count, 0);
	poll(64);
	assert_int_equal(done_count, 1);
	assert_int_equal(nic->stats.tx_frames, 1);
	assert_int_equal(nic->stats.tx_bytes, 1000);
}

static void test_send_checksum(void **state)
{
	static const uint8_t expected[HEADER] = {1, 0, 0, 0, 0, 0, 34, 0, 16, 0};
	struct nic_frame frame = frame_of(100, 2);

	(void)state;
	frame.checksum_start = 34;
	frame.checksum_offset = 16;
	assert_int_equal(nic->ops->send(nic, &frame), 0);
	device_transmit();
	assert_memory_equal(wire.bytes, expected, HEADER);
	/* The slot's next frame has none of it. */
	poll(64);
	assert_int_equal(send_frame(100, 2), 0);
	device_transmit();
	assert_int_equal(wire.bytes[0], 0);
}

/* Headers of several frames in flight stay apart. */
static void test_send_mixed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct nic_frame frame = frame_of(100, 1 + i % 5);

		frame.checksum_start = (uint16_t)(14 + i);
		frame.checksum_offset = (uint16_t)(i % 3);
		assert_int_equal(nic->ops->send(nic, &frame), 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		device_transmit();
		assert_int_equal(wire.bytes[0], i % 3 != 0);
		assert_int_equal(wire.bytes[6], i % 3 ? 14 + i : 0);
	}
}

static void test_send_limits(void **state)
{
	struct nic_frame frame = frame_of(100, 2);

	(void)state;
	assert_int_equal(send_frame(1518, NIC_PIECE_MAX), 0);
	assert_int_equal(send_frame(1519, 1), -EMSGSIZE);
	frame.pieces[1].size = UINT32_MAX;
	assert_int_equal(nic->ops->send(nic, &frame), -EFAULT);
	frame = frame_of(100, 2);
	frame.pieces[1].data = &frame;
	assert_int_equal(nic->ops->send(nic, &frame), -EFAULT);
	device_transmit();
	assert_int_equal(model_take(TX), -1);
}

static void test_queue_full(void **state)
{
	unsigned count = 0;

	(void)state;
	while (send_frame(60, 2) == 0) {
		count++;
	}
	assert_int_equal(count, 256 / 3);
	assert_int_equal(send_frame(60, 2), -EAGAIN);
	device_transmit();
	assert_int_equal(send_frame(60, 2), -EAGAIN);
	poll(64);
	assert_int_equal(send_frame(60, 2), 0);
	while (model_take(TX) >= 0) {
	}
}

/* Whoever is told may send at once. */
static unsigned resends;

static void send_again(void *token)
{
	done_count++;
	if (resends-- > 0) {
		struct nic_frame frame = frame_of(60, 1);

		frame.done = send_again;
		frame.token = token;
		assert_int_equal(nic->ops->send(nic, &frame), 0);
		device_transmit();
	}
}

static void test_send_from_done(void **state)
{
	struct nic_frame frame = frame_of(60, 1);

	(void)state;
	resends = 1000;
	frame.done = send_again;
	assert_int_equal(nic->ops->send(nic, &frame), 0);
	device_transmit();
	/* One poll is a bounded amount of work. */
	poll(64);
	assert_int_equal(done_count, 256);
	while (resends > 0 && resends <= 1000) {
		poll(64);
	}
	poll(64);
}

static void test_nobody_waits(void **state)
{
	struct nic_frame frame = frame_of(60, 1);

	(void)state;
	frame.done = NULL;
	assert_int_equal(nic->ops->send(nic, &frame), 0);
	device_transmit();
	poll(64);
	done_count++;
}

static void test_stop_completes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(send_frame(60, 3), 0);
	}
	nic->ops->stop(nic);
	assert_int_equal(done_count, 10);
	assert_int_equal(nic->stats.tx_errors, 10);
	assert_int_equal(model.status, 0);
	assert_int_equal(nic_buffer_free_count(), pool_size);
	assert_false(nic->link.up);
	assert_int_equal(send_frame(60, 1), -ENETDOWN);
	assert_int_equal(nic->ops->start(nic, 9000), 0);
	assert_works();
}

/* ---- Interrupts and link ------------------------------------------------------------------ */

static void check_interrupts(void)
{
	poll(64);
	device_receive(60, 0);
	assert_true(model_interrupt(RX));
	assert_true(nic->pending);
	assert_int_equal(nic->stats.interrupts, 1);
	/* Until a poll there is no other. */
	assert_int_equal(send_frame(60, 1), 0);
	device_transmit();
	assert_false(model_interrupt(RX));
	assert_false(model_interrupt(TX));
	assert_int_equal(poll(64), 1);
	assert_false(nic->pending);
	assert_int_equal(done_count, 1);
	device_receive(60, 0);
	assert_true(model_interrupt(RX));
	assert_int_equal(nic->stats.interrupts, 2);
}

static void test_msix(void **state)
{
	(void)state;
	check_interrupts();
}

static void start_with_line(void)
{
	model_has_msix = false;
	start_with(MODEL_FEATURES, 1500);
	assert_int_equal(nic->device->interrupt, PCI_INTX);
	assert_int_equal(model.queues[RX].vector, 0xffff);
}

static void test_line(void **state)
{
	(void)state;
	start_with_line();
	check_interrupts();
	assert_int_equal(model.isr, 0);
	/* Of another device that shares it. */
	poll(64);
	fake_irq_raise(11);
	assert_false(nic->pending);
	assert_int_equal(nic->stats.interrupts, 2);
}

static void test_vector_refused(void **state)
{
	(void)state;
	model_init(MODEL_FEATURES);
	model.no_vectors = true;
	find();
	assert_int_equal(nic->ops->start(nic, 1500), 0);
	assert_int_equal(nic->device->interrupt, PCI_POLLED);
	assert_true(log_has("polled"));
	assert_works();
	model.config[6] = 0;
	poll(64);
	assert_false(nic->link.up);
}

/* Frames that come while others are handed on. */
static void receive_late(void *context, struct nic_buffer *frame)
{
	(void)context;
	nic_buffers_free(frame);
	received.count++;
	if (received.count < 3) {
		device_receive(60, 0);
	}
}

static void test_frames_during_poll(void **state)
{
	(void)state;
	nic->receive = receive_late;
	poll(64);
	device_receive(60, 0);
	assert_int_equal(poll(1), 1);
	assert_int_equal(poll(64), 2);
	assert_int_equal(received.count, 3);
}

static void send_and_finish(void *context, struct nic_buffer *frame)
{
	receive(context, frame);
	assert_int_equal(send_frame(60, NIC_PIECE_MAX), 0);
	device_transmit();
}

/* What the receiver sends makes room for what it sends next. */
static void test_answers_during_poll(void **state)
{
	(void)state;
	nic->receive = send_and_finish;
	for (unsigned i = 0; i < 64; i++) {
		device_receive(60, 0);
	}
	assert_int_equal(poll(100), 64);
	assert_int_equal(done_count, 64);
}

static bool late;

static void write_and_receive(volatile void *reg, unsigned size, uint32_t value)
{
	model_mmio_write(reg, size, value);
	if (late) {
		late = false;
		device_receive(60, 0);
	}
}

/* A frame that comes between the last look and the interrupt's coming on again. */
static void test_late_frame(void **state)
{
	(void)state;
	poll(64);
	assert_false(nic->pending);
	fake.mmio_write = write_and_receive;
	device_receive(60, 0);
	late = true;
	assert_int_equal(poll(64), 1);
	assert_false(late);
	assert_true(nic->pending);
	assert_int_equal(poll(64), 1);
	assert_false(nic->pending);
}

static void config_interrupt(void)
{
	fake_msi_raise(0x40);
}

static void test_link(void **state)
{
	(void)state;
	poll(64);
	model.config[6] = 0;
	poll(64);
	assert_true(nic->link.up); /* registers are looked at only when there was an interrupt */
	config_interrupt();
	poll(64);
	assert_false(nic->link.up);
	assert_int_equal(send_frame(60, 1), -ENETDOWN);
	model.config[6] = 1;
	config_interrupt();
	poll(64);
	assert_true(nic->link.up);
	assert_works();
}

static void test_link_not_told(void **state)
{
	(void)state;
	start_with(MODEL_FEATURES & ~MODEL_STATUS, 1500);
	model.config[6] = 0;
	config_interrupt();
	poll(64);
	assert_true(nic->link.up);
}

/* ---- A device that breaks the rules ---------------------------------------------------------- */

static void assert_was_reset(void)
{
	assert_int_equal(nic->stats.resets, 1);
	assert_true(log_has("broke the protocol, and was reset"));
	assert_int_equal(nic->stats.rx_frames, received.count);
	assert_true(nic->link.up);
	assert_works();
}

static void test_unknown_slot(void **state)
{
	(void)state;
	assert_int_equal(send_frame(60, 1), 0);
	model_give_back(RX, 256, 100, true);
	poll(64);
	assert_int_equal(nic->stats.rx_errors, 1);
	assert_int_equal(nic->stats.tx_errors, 1);
	assert_int_equal(done_count, 1);
	assert_was_reset();
}

static void test_sent_twice(void **state)
{
	int slot;

	(void)state;
	assert_int_equal(send_frame(60, 1), 0);
	slot = model_take(TX);
	model_give_back(TX, (unsigned)slot, 0, true);
	model_give_back(TX, (unsigned)slot, 0, true);
	poll(64);
	assert_int_equal(done_count, 1);
	assert_was_reset();
}

static void test_length_beyond_buffer(void **state)
{
	(void)state;
	model_give_back(RX, (unsigned)model_take(RX), 2049, true);
	poll(64);
	assert_was_reset();
}

static void test_no_room_for_header(void **state)
{
	(void)state;
	device_receive_as(60, 0, 1);
	model_used(RX)->ring[0].size = HEADER - 1;
	poll(64);
	assert_was_reset();
}

static void test_frame_of_no_buffers(void **state)
{
	(void)state;
	device_receive_as(100, 0, 0);
	poll(64);
	assert_was_reset();
}

static void test_frame_of_missing_buffers(void **state)
{
	(void)state;
	device_receive(60, 0);
	device_receive_as(100, 0, 3);
	assert_int_equal(poll(64), 1);
	assert_int_equal(received.count, 1);
	assert_was_reset();
}

static void test_frame_of_all_buffers(void **state)
{
	(void)state;
	device_receive_as(100, 0, 0xffff);
	for (unsigned i = 1; i < 256; i++) {
		model_give_back(RX, (unsigned)model_take(RX), 2048, true);
	}
	poll(64);
	assert_int_equal(received.count, 0);
	assert_was_reset();
}

static void test_needs_reset(void **state)
{
	(void)state;
	poll(64);
	model.status |= 0x40;
	config_interrupt();
	poll(64);
	assert_was_reset();
}

static void test_broken_again(void **state)
{
	(void)state;
	model_give_back(RX, 1000, 0, true);
	poll(64);
	fake.now_ns += SECOND / 2;
	model_give_back(RX, 1000, 0, true);
	poll(64);
	assert_true(log_has("stays off"));
	assert_int_equal(model.status, 0);
	assert_false(nic->link.up);
	assert_int_equal(nic_buffer_free_count(), pool_size);
	assert_int_equal(poll(64), 0);
	/* A start is a new beginning. */
	assert_int_equal(nic->ops->start(nic, 1500), 0);
	model_give_back(RX, 1000, 0, true);
	poll(64);
	assert_works();
}

static void test_broken_later(void **state)
{
	(void)state;
	for (unsigned i = 1; i < 4; i++) {
		model_give_back(RX, 1000, 0, true);
		poll(64);
		assert_int_equal(nic->stats.resets, i);
		assert_works();
		fake.now_ns += SECOND;
	}
}

static void test_gone(void **state)
{
	(void)state;
	assert_int_equal(send_frame(60, 1), 0);
	model.stuck = true;
	model.status = 0xff;
	config_interrupt();
	poll(64);
	assert_false(nic->link.up);
	assert_false(model.pci[4] & 4);
	assert_int_equal(done_count, 1);
	assert_int_equal(nic_buffer_free_count(), pool_size);
	assert_true(log_has("does not reset"));
}

static void test_gone_at_stop(void **state)
{
	(void)state;
	assert_int_equal(send_frame(60, 1), 0);
	model.stuck = true;
	nic->ops->stop(nic);
	assert_false(model.pci[4] & 4);
	assert_int_equal(done_count, 1);
}

/* After a reset it wants nothing to do with us any more. */
static void test_does_not_come_back(void **state)
{
	(void)state;
	model.refuses_features = true;
	model_give_back(RX, 1000, 0, true);
	poll(64);
	assert_true(log_has("does not start again"));
	assert_int_equal(model.status, 0);
	assert_false(nic->link.up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_legacy_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transitional, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_version_1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_mac, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stuck_at_probe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_capabilities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capability_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_choice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mtu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mtu_without_merging, setup, teardown),
		cmocka_unit_test_setup_teardown(test_platform_access, setup, teardown),
		cmocka_unit_test_setup_teardown(test_features_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stuck_at_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_notify_outside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive_checksum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive_jumbo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty_piece, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pool_runs_dry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_by_receiver, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_checksum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_mixed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_from_done, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_completes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vector_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frames_during_poll, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_during_poll, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_not_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sent_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_length_beyond_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room_for_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frame_of_no_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frame_of_missing_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frame_of_all_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_needs_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_at_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_does_not_come_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
