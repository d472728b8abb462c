/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio-net device that does anything: what it offers, what it writes into its
 * registers, rings, buffers and over the driver's own descriptors, and when it
 * interrupts. The first bytes of the input are the device, each record behind
 * them a step of it or of the host.
 *
 * Whatever happened, on return from stop all buffers are back in the pool and
 * each sender was told once; while the card runs, frames that are handed on lie
 * in their blocks and are no longer than the MTU allows.
 */
#include <string.h>

#include "base/log.h"
#include "tests/unit/virtio_model.h"

#define RX 0
#define TX 1
#define KEPT_MAX 600
#define RECORD_MAX 2000
#define SENDERS 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nic *nic;
static unsigned mtu;
static struct nic_buffer *kept;
static unsigned kept_count;
static bool keeping;
static uint8_t senders[SENDERS]; /* 1: sent, 2: told */
static unsigned sent_count;

struct device {
	uint8_t features[8];
	uint16_t queue_size[2];
	uint8_t notify_off;
	uint8_t flags; /* stuck, refuses features, no vectors, no MSI-X, …, random place */
	uint16_t mtu, mtu_wanted;
	uint8_t pci_at, pci_value[3]; /* one place of configuration space that is wrong */
};

struct record {
	uint8_t kind;
	uint8_t small;
	uint16_t a;
	uint32_t b;
};

/* ---- The host's part ---------------------------------------------------------- */

static void receive(void *context, struct nic_buffer *frame)
{
	size_t size = 0;

	(void)context;
	for (struct nic_buffer *buffer = frame; buffer != NULL; buffer = buffer->next) {
		uintptr_t start = (uintptr_t)buffer->data % NIC_BUFFER_SIZE;

		CHECK(buffer->size > 0 && start + buffer->size <= NIC_BUFFER_SIZE);
		size += buffer->size;
	}
	CHECK(frame->size >= NIC_HEADER_SIZE && size <= NIC_HEADER_SIZE + 4 + mtu);
	if (!keeping || kept_count >= KEPT_MAX) {
		nic_buffers_free(frame);
		return;
	}
	while (frame != NULL) {
		struct nic_buffer *next = frame->next;

		frame->next = kept;
		kept = frame;
		kept_count++;
		frame = next;
	}
}

static void told(void *token)
{
	uint8_t *sender = token;

	CHECK(*sender == 1);
	*sender = 2;
}

static void send_one(const struct record *record)
{
	uint8_t *memory = hpa_to_virt(HPA(40 * MIB));
	struct nic_frame frame = {
		.piece_count = 1 + record->small % NIC_PIECE_MAX,
		.checksum_start = record->a,
		.checksum_offset = (uint16_t)(record->b >> 16),
		.done = told,
	};

	if (sent_count == SENDERS) {
		return;
	}
	for (unsigned i = 0; i < frame.piece_count; i++) {
		frame.pieces[i] = (struct nic_piece){.data = memory + record->a * i,
						     .size = 1 + record->b % 2000};
	}
	frame.token = &senders[sent_count];
	if (nic->ops->send(nic, &frame) == 0) {
		senders[sent_count++] = 1;
	}
}

static void free_kept(void)
{
	nic_buffers_free(kept);
	kept = NULL;
	kept_count = 0;
}

static void check_stopped(unsigned pool_size)
{
	for (unsigned i = 0; i < sent_count; i++) {
		CHECK(senders[i] == 2);
	}
	CHECK(nic_buffer_free_count() + kept_count == pool_size);
}

/* ---- The device's part ----------------------------------------------------------- */

/* A register or a word of shared memory is there only while the driver has set it up. */
static bool is_set_up(unsigned number)
{
	return model.queues[number].enabled && model.queues[number].size > 0;
}

static void put16(void *memory, size_t at, uint16_t value)
{
	memcpy((uint8_t *)memory + at, &value, sizeof(value));
}

/* The next chain, back with the length that the record names; the frame's header is its too. */
static void use_chain(unsigned number, const struct record *record)
{
	int slot = model_take(number);

	if (slot < 0 || slot >= model.queues[number].size) {
		return;
	}
	struct virtqueue_descriptor descriptor = model_descriptors(number)[slot];
	if (number == RX && descriptor.address < MODEL_POOL && descriptor.size == NIC_BUFFER_SIZE) {
		uint8_t *to = fake_dma_memory(descriptor.address, descriptor.size);

		memset(to, record->small, 12);
		put16(to, 10, record->small % 8);
	}
	model_give_back(number, (unsigned)slot, record->b % 2064, record->a % 4 != 0);
}

/* Many at once, as they should be. */
static void use_many(unsigned number, const struct record *record)
{
	struct record each = {.small = 1, .a = 1, .b = number == RX ? 12 + record->a % 1600 : 0};

	for (unsigned i = 0; i < record->small; i++) {
		use_chain(number, &each);
	}
}

static void write_used(unsigned number, const struct record *record)
{
	struct virtqueue_used *used = model_used(number);

	switch (record->small % 4) {
	case 0:
		used->index = (uint16_t)(used->index + (int8_t)record->b);
		break;
	case 1:
		used->index = record->a;
		break;
	case 2:
		used->flags = record->a;
		break;
	case 3:
		used->ring[record->a % 256].slot = record->b >> 16;
		used->ring[record->a % 256].size = record->b & 0xffff;
	}
}

/* Over descriptors and the available ring, which are the driver's. */
static void scribble(unsigned number, const struct record *record)
{
	uint8_t *memory = (uint8_t *)model_descriptors(number);
	size_t size = sizeof(struct virtqueue_descriptor) * model.queues[number].size;

	if (record->small % 2) {
		memory = (uint8_t *)model_available(number);
		size = sizeof(struct virtqueue_available);
	}
	memory[record->a % size] = (uint8_t)record->b;
}

static void interrupt(void)
{
	if (fake.msi_count > 0) {
		fake_msi_raise(0x40);
	} else if (fake.irqs[11][0].run != NULL) {
		fake_irq_raise(11);
	}
}

static void write_register(const struct record *record)
{
	switch (record->small % 4) {
	case 0:
		model.status = (uint8_t)record->a;
		break;
	case 1:
		model.isr = (uint8_t)record->a;
		break;
	case 2:
		model.config[record->a % sizeof(model.config)] = (uint8_t)record->b;
		break;
	case 3:
		model.stuck = record->a % 8 == 0;
		model.refuses_features = record->a % 8 == 1;
		model.queues[record->b % 2].size_max = (uint16_t)(record->b >> 16);
	}
}

static void run(const struct record *record, bool *running)
{
	unsigned number = record->kind >> 7;

	switch (record->kind % 12) {
	case 0:
	case 1:
		CHECK(nic->ops->poll(nic, record->small % 65) <= record->small % 65u);
		break;
	case 2:
		send_one(record);
		break;
	case 3:
		if (is_set_up(number)) {
			use_chain(number, record);
		}
		break;
	case 4:
		if (is_set_up(number)) {
			use_many(number, record);
		}
		break;
	case 5:
		if (is_set_up(number)) {
			write_used(number, record);
		}
		break;
	case 6:
		if (is_set_up(number)) {
			scribble(number, record);
		}
		break;
	case 7:
		interrupt();
		break;
	case 8:
		write_register(record);
		break;
	case 9:
		keeping = record->small % 2;
		free_kept();
		break;
	case 10:
		fake.now_ns += record->b;
		break;
	case 11:
		if (*running) {
			nic->ops->stop(nic);
		}
		*running = !*running && nic->ops->start(nic, mtu) == 0;
		break;
	}
}

/* ---- One input ---------------------------------------------------------------------- */

static void create(const struct device *device)
{
	uint64_t features;

	memcpy(&features, device->features, sizeof(features));
	model_has_msix = !(device->flags & 8);
	/* Most of the devices are network cards of today. */
	model_init(device->flags & 16 ? features : features | MODEL_VERSION_1 | MODEL_MAC);
	model.stuck = device->flags & 1;
	model.refuses_features = device->flags & 2;
	model.no_vectors = device->flags & 4;
	for (unsigned i = 0; i < 2; i++) {
		model.queues[i].size_max = device->queue_size[i];
		model.queues[i].size = device->queue_size[i];
		model.queues[i].notify_off =
			device->notify_off % 8 ? (uint16_t)i : device->notify_off;
	}
	put16(model.config, 10, device->mtu);
	if (device->flags & 32) {
		memcpy(model.pci + device->pci_at % 253, device->pci_value, 3);
	}
	memset(senders, 0, sizeof(senders));
	sent_count = 0;
	kept = NULL;
	kept_count = 0;
	keeping = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct device device;
	struct record record;
	bool running;

	if (size < sizeof(device)) {
		return 0;
	}
	memcpy(&device, data, sizeof(device));
	data += sizeof(device);
	size -= sizeof(device);
	create(&device);
	pci_init();
	nic_init();
	nic = nic_at(0);
	if (nic == NULL) {
		return 0;
	}
	unsigned pool_size = nic_buffer_free_count();

	nic->receive = receive;
	mtu = device.mtu_wanted;
	running = nic->ops->start(nic, mtu) == 0;
	for (unsigned i = 0; i < RECORD_MAX && size >= sizeof(record); i++) {
		memcpy(&record, data, sizeof(record));
		data += sizeof(record);
		size -= sizeof(record);
		run(&record, &running);
		if (!running) {
			check_stopped(pool_size);
		}
	}
	if (running) {
		nic->ops->stop(nic);
	}
	check_stopped(pool_size);
	free_kept();
	return 0;
}
