/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net over PCI: virtio 1.1, 5.1; numbers in parentheses are its sections.
 * One queue each way and no control queue. Older devices are refused.
 *
 * Receive: every buffer of the pool that the card gets is one descriptor, and the
 * header lies at the head of a frame's first buffer. A frame is handed on only
 * when the pool can replace its buffers, so the card never runs dry.
 * Transmit: the header of the frame in slot n is tx_headers[n].
 *
 * A device that breaks the protocol is reset. When it does so again within
 * BROKEN_PERIOD_NS it is left in reset, and its link is down until the next start.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/page.h"
#include "drivers/nic.h"
#include "drivers/virtio_pci.h"

/* PCI device ids (4.1.2.1); the first is that of a device which may also be older. */
#define DEVICE_TRANSITIONAL 0x1000
#define DEVICE_MODERN 0x1041

/* Features (5.1.3). */
#define NET_F_CSUM BIT(0)
#define NET_F_GUEST_CSUM BIT(1)
#define NET_F_MTU BIT(3)
#define NET_F_MAC BIT(5)
#define NET_F_MRG_RXBUF BIT(15)
#define NET_F_STATUS BIT(16)

#define FEATURES_NEEDED (VIRTIO_F_VERSION_1 | NET_F_MAC)
#define FEATURES_KNOWN                                                                       \
	(FEATURES_NEEDED | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_ORDER_PLATFORM | NET_F_CSUM | \
	 NET_F_GUEST_CSUM | NET_F_MTU | NET_F_MRG_RXBUF | NET_F_STATUS)

/* The device's registers (5.1.4). */
#define CONFIG_MAC 0
#define CONFIG_STATUS 6
#define STATUS_LINK_UP BIT(0)
#define CONFIG_MTU 10
#define CONFIG_SIZE_MIN 8

#define QUEUE_RX 0
#define QUEUE_TX 1
/* A frame of the most pieces fits, and a received one of the largest. */
#define QUEUE_SIZE_MIN 32

/* In front of each frame (5.1.6). */
struct header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t header_size, gso_size;
	uint16_t checksum_start, checksum_offset;
	uint16_t buffer_count; /* received frames, with NET_F_MRG_RXBUF */
};

#define HEADER_NEEDS_CSUM BIT(0)
#define HEADER_DATA_VALID BIT(1)

_Static_assert(sizeof(struct header) == 12, "virtio 1.1, 5.1.6");

#define VLAN_TAG_SIZE 4
/* The largest MTU whose frames fit into one buffer. */
#define MTU_OF_BUFFER (NIC_BUFFER_SIZE - sizeof(struct header) - NIC_HEADER_SIZE - VLAN_TAG_SIZE)

#define RESET_WAIT_US 500000
/* In poll, where nothing may wait for long: most devices need none of it. */
#define RESET_WAIT_RUNNING_US 1000
#define BROKEN_PERIOD_NS UINT64_C(1000000000)

/* Who waits for a sent frame. */
struct waiter {
	void (*done)(void *token);
	void *token;
};

struct card {
	struct nic nic;
	struct virtio_pci virtio;
	char name[24];
	uint64_t features; /* agreed on */
	bool running; /* the device has its queues */
	uint64_t broken_ns; /* when it last broke the protocol, or 0 */
	uint32_t frame_max; /* bytes, of the MTU */
	struct virtqueue rx, tx;
	struct nic_buffer *rx_buffers[VIRTQUEUE_SIZE_MAX]; /* by slot, as the next two */
	struct header tx_headers[VIRTQUEUE_SIZE_MAX];
	struct waiter tx_waiters[VIRTQUEUE_SIZE_MAX];
};

static struct card *card_of(struct nic *nic)
{
	return CONTAINER_OF(nic, struct card, nic);
}

static void mute(struct card *card)
{
	virtqueue_mute(&card->rx);
	virtqueue_mute(&card->tx);
}

/* True when a queue has something already. */
static bool unmute(struct card *card)
{
	bool rx = virtqueue_unmute(&card->rx), tx = virtqueue_unmute(&card->tx);

	return rx || tx;
}

static void handle_interrupt(void *context)
{
	struct card *card = context;

	if (virtio_pci_interrupt_take(&card->virtio)) {
		card->nic.stats.interrupts++;
		card->nic.pending = true;
		mute(card);
	}
}

static void read_link(struct card *card)
{
	bool up = !(card->features & NET_F_STATUS) ||
		  (mmio_read16(card->virtio.config.registers + CONFIG_STATUS) & STATUS_LINK_UP);

	card->nic.link = (struct nic_link){.up = up, .full_duplex = up};
}

/* ---- Start and stop --------------------------------------------------------- */

/* Every descriptor that the pool has a buffer for; without a kick. */
static void fill_rx(struct card *card)
{
	while (virtqueue_room(&card->rx) > 0) {
		struct nic_buffer *buffer = nic_buffer_alloc();
		if (buffer == NULL) {
			return;
		}
		struct virtqueue_piece piece = {
			.address = dma_address(buffer->data, NIC_BUFFER_SIZE),
			.size = NIC_BUFFER_SIZE,
			.device_writes = true,
		};
		CHECK(!hpa_is_none(piece.address));
		card->rx_buffers[virtqueue_add(&card->rx, &piece, 1)] = buffer;
	}
}

static void tell_sender(struct card *card, unsigned slot)
{
	struct waiter waiter = card->tx_waiters[slot];

	if (waiter.done != NULL) {
		waiter.done(waiter.token);
	}
}

/* What the queues held goes back to whom it belongs. The device is in reset. */
static void empty_queues(struct card *card)
{
	int slot;

	while ((slot = virtqueue_take_back(&card->rx)) >= 0) {
		nic_buffer_free(card->rx_buffers[slot]);
	}
	while ((slot = virtqueue_take_back(&card->tx)) >= 0) {
		card->nic.stats.tx_errors++;
		tell_sender(card, (unsigned)slot);
	}
}

/* A device that does not even reset is cut off from memory. */
static int reset(struct card *card, unsigned wait_us)
{
	int error = virtio_pci_reset(&card->virtio, wait_us);

	if (error) {
		log_error("%s: does not reset; cut off from memory", card->name);
	}
	pci_set_master(card->nic.device, error == 0);
	return error;
}

/* From reset to work. On failure the device may be anywhere on the way, without buffers. */
static int bring_up(struct card *card)
{
	struct virtio_pci *virtio = &card->virtio;
	unsigned needed = (sizeof(struct header) + card->frame_max) / NIC_BUFFER_SIZE + 1;

	if (virtio_pci_negotiate(virtio, card->features) != 0 ||
	    virtio_pci_start_queue(virtio, QUEUE_RX, &card->rx, QUEUE_SIZE_MIN) != 0 ||
	    virtio_pci_start_queue(virtio, QUEUE_TX, &card->tx, QUEUE_SIZE_MIN) != 0) {
		return -EIO;
	}
	fill_rx(card);
	if (card->rx.size - virtqueue_room(&card->rx) < needed) {
		empty_queues(card);
		return -ENOMEM;
	}
	virtio_pci_run(virtio);
	virtqueue_kick(&card->rx);
	card->running = true;
	read_link(card);
	/* The first poll looks at everything, and lets interrupts come. */
	card->nic.pending = true;
	return 0;
}

static int start_from_reset(struct card *card)
{
	int error = bring_up(card);

	if (error) {
		(void)reset(card, RESET_WAIT_US);
	}
	return error;
}

/* Returns the reset's error; whatever it is, the device touches nothing any more. */
static int shut_down(struct card *card, unsigned wait_us)
{
	int error;

	card->running = false;
	card->nic.link = (struct nic_link){.up = false};
	card->nic.pending = false;
	error = reset(card, wait_us);
	empty_queues(card);
	return error;
}

static int net_start(struct nic *nic, unsigned mtu)
{
	struct card *card = card_of(nic);

	CHECK(!card->running);
	if (mtu < NIC_MTU_MIN || mtu > nic->mtu_max) {
		return -EINVAL;
	}
	card->frame_max = NIC_HEADER_SIZE + VLAN_TAG_SIZE + mtu;
	card->broken_ns = 0;
	int error = reset(card, RESET_WAIT_US);
	return error ? error : start_from_reset(card);
}

static void net_stop(struct nic *nic)
{
	struct card *card = card_of(nic);

	if (card->running) {
		(void)shut_down(card, RESET_WAIT_US);
	}
}

/* The device has broken the protocol, or says that it has given up. */
static void recover(struct card *card)
{
	uint64_t now_ns = time_now_ns();
	bool again = card->broken_ns != 0 && now_ns - card->broken_ns < BROKEN_PERIOD_NS;

	card->broken_ns = now_ns;
	card->nic.stats.rx_errors++;
	card->nic.stats.resets++;
	int error = shut_down(card, RESET_WAIT_RUNNING_US);
	if (again) {
		log_error("%s: breaks the protocol again; it stays off until it is started anew",
			  card->name);
	} else if (error == 0 && start_from_reset(card) == 0) {
		log_warn("%s: broke the protocol, and was reset", card->name);
	} else {
		log_error("%s: broke the protocol, and does not start again", card->name);
	}
}

/* ---- Receive ------------------------------------------------------------------ */

/* The next buffer that the device has filled; -EAGAIN, -EPROTO. */
static int take_buffer(struct card *card, struct nic_buffer **buffer)
{
	uint32_t written;
	int slot = virtqueue_take(&card->rx, &written);

	if (slot < 0) {
		return slot;
	}
	*buffer = card->rx_buffers[slot];
	(*buffer)->size = (uint16_t)written;
	return 0;
}

/* Moves `first` behind its header. Returns of how many buffers the frame is; 0: of none. */
static unsigned take_header(struct card *card, struct nic_buffer *first)
{
	struct header header;
	bool good;

	if (first->size < sizeof(header)) {
		return 0;
	}
	memcpy(&header, first->data, sizeof(header));
	first->data += sizeof(header);
	first->size -= sizeof(header);
	good = (card->features & NET_F_GUEST_CSUM) &&
	       (header.flags & (HEADER_NEEDS_CSUM | HEADER_DATA_VALID));
	first->checksum = good ? NIC_CHECKSUM_GOOD : NIC_CHECKSUM_UNKNOWN;
	return card->features & NET_F_MRG_RXBUF ? header.buffer_count : 1;
}

/* The next frame; all of its buffers are there when the first is (5.1.6.4.1). -EAGAIN, -EPROTO. */
static int take_frame(struct card *card, struct nic_buffer **frame, unsigned *count)
{
	struct nic_buffer *last;
	int error = take_buffer(card, frame);

	if (error) {
		return error;
	}
	last = *frame;
	*count = take_header(card, last);
	for (unsigned i = 1; i < *count; i++) {
		if (take_buffer(card, &last->next) != 0) {
			*count = 0;
			break;
		}
		last = last->next;
	}
	if (*count == 0) {
		nic_buffers_free(*frame);
		return -EPROTO;
	}
	return 0;
}

/* In bytes; 0: it is not one that could have been sent here. */
static uint32_t frame_size(const struct card *card, const struct nic_buffer *frame)
{
	uint32_t size = 0;

	for (const struct nic_buffer *buffer = frame; buffer != NULL; buffer = buffer->next) {
		if (buffer->size == 0) {
			return 0;
		}
		size += buffer->size;
	}
	return frame->size >= NIC_HEADER_SIZE && size <= card->frame_max ? size : 0;
}

/* Takes a frame off the queue, and hands it on when nothing is wrong with it. */
static int receive_frame(struct card *card)
{
	struct nic *nic = &card->nic;
	struct nic_buffer *frame;
	unsigned count;
	int error = take_frame(card, &frame, &count);

	if (error) {
		return error;
	}
	uint32_t size = frame_size(card, frame);
	bool room = nic_buffer_free_count() >= count;

	if (size > 0 && room) {
		nic->stats.rx_frames++;
		nic->stats.rx_bytes += size;
		fill_rx(card);
		nic->receive(nic->context, frame);
		return 0;
	}
	nic->stats.rx_errors += size == 0;
	nic->stats.rx_dropped += size > 0;
	nic_buffers_free(frame);
	fill_rx(card);
	return 0;
}

/* ---- Transmit ------------------------------------------------------------------ */

/* The frame's pieces for the device; returns its size in bytes, or -EFAULT, -EMSGSIZE. */
static int map_pieces(const struct card *card, const struct nic_frame *frame,
		      struct virtqueue_piece *pieces)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < frame->piece_count; i++) {
		const struct nic_piece *piece = &frame->pieces[i];

		pieces[i] = (struct virtqueue_piece){
			.address = dma_address(piece->data, piece->size),
			.size = piece->size,
		};
		if (hpa_is_none(pieces[i].address)) {
			return -EFAULT;
		}
		size += piece->size;
	}
	return size <= card->frame_max ? (int)size : -EMSGSIZE;
}

static int net_send(struct nic *nic, const struct nic_frame *frame)
{
	struct card *card = card_of(nic);
	struct virtqueue_piece pieces[1 + NIC_PIECE_MAX];

	CHECK(frame->piece_count > 0 && frame->piece_count <= NIC_PIECE_MAX);
	if (!card->running || !nic->link.up) {
		return -ENETDOWN;
	}
	int size = map_pieces(card, frame, pieces + 1);
	if (size < 0) {
		return size;
	}
	if (virtqueue_room(&card->tx) < 1 + frame->piece_count) {
		return -EAGAIN;
	}
	unsigned slot = virtqueue_next_slot(&card->tx);
	struct header *header = &card->tx_headers[slot];

	*header = (struct header){0};
	if (frame->checksum_offset != 0) {
		header->flags = HEADER_NEEDS_CSUM;
		header->checksum_start = frame->checksum_start;
		header->checksum_offset = frame->checksum_offset;
	}
	pieces[0] = (struct virtqueue_piece){
		.address = dma_address(header, sizeof(*header)),
		.size = sizeof(*header),
	};
	card->tx_waiters[slot] = (struct waiter){.done = frame->done, .token = frame->token};
	(void)virtqueue_add(&card->tx, pieces, 1 + frame->piece_count);
	virtqueue_kick(&card->tx);
	nic->stats.tx_frames++;
	nic->stats.tx_bytes += (unsigned)size;
	return 0;
}

/* Frames that the device has read; at most a queue of them. */
static int complete_sent(struct card *card)
{
	uint32_t written;
	int slot = 0;

	for (unsigned i = 0; i < card->tx.size && slot >= 0 && card->running; i++) {
		slot = virtqueue_take(&card->tx, &written);
		if (slot >= 0) {
			tell_sender(card, (unsigned)slot);
		}
	}
	return slot == -EPROTO ? slot : 0;
}

/* ---- Poll ----------------------------------------------------------------------- */

/* Registers are slow to read, and nothing in them changes without an interrupt. */
static int look_at_state(struct card *card)
{
	if (virtio_pci_is_broken(&card->virtio)) {
		return -EPROTO;
	}
	read_link(card);
	return 0;
}

/* Frames both ways, until there are none or `budget` were received. 0, or -EPROTO. */
static int move_frames(struct card *card, unsigned budget, unsigned *count)
{
	int error = complete_sent(card);

	while (error == 0 && card->running && *count < budget) {
		error = receive_frame(card);
		if (error == 0) {
			/* What the receiver answers needs the room of what it sent before. */
			(*count)++;
			error = complete_sent(card);
		}
	}
	return error == -EPROTO ? error : 0;
}

static unsigned net_poll(struct nic *nic, unsigned budget)
{
	struct card *card = card_of(nic);
	bool look = nic->pending || nic->device->interrupt == PCI_POLLED;
	unsigned count = 0;
	int error = 0;

	nic->stats.polls++;
	nic->pending = false;
	if (!card->running) {
		return 0;
	}
	mute(card);
	if (look) {
		error = look_at_state(card);
	}
	if (error == 0) {
		error = move_frames(card, budget, &count);
	}
	if (!card->running) {
		return count;
	}
	if (error) {
		recover(card);
		return count;
	}
	if (count > 0) {
		virtqueue_kick(&card->rx);
	}
	if (count < budget && unmute(card)) {
		nic->pending = true;
	}
	return count;
}

/* ---- Probe ---------------------------------------------------------------------- */

static const struct nic_ops ops = {
	.start = net_start,
	.stop = net_stop,
	.send = net_send,
	.poll = net_poll,
};

/* Takes of what the device offers what this driver knows, and what follows from it. */
static void choose_features(struct card *card)
{
	struct nic *nic = &card->nic;
	const struct virtio_region *config = &card->virtio.config;

	card->features = virtio_pci_features(&card->virtio) & FEATURES_KNOWN;
	if (config->size < CONFIG_MTU + sizeof(uint16_t)) {
		card->features &= ~NET_F_MTU;
	}
	nic->mtu_max = card->features & NET_F_MRG_RXBUF ? NIC_MTU_MAX : MTU_OF_BUFFER;
	if (card->features & NET_F_MTU) {
		unsigned mtu = mmio_read16(config->registers + CONFIG_MTU);

		/* Who agrees to an MTU must have buffers for it (5.1.4.2). */
		if (mtu > nic->mtu_max && !(card->features & NET_F_MRG_RXBUF)) {
			card->features &= ~NET_F_MTU;
		}
		nic->mtu_max = MIN(nic->mtu_max, mtu);
	}
	nic->features = (card->features & NET_F_CSUM ? NIC_TX_CHECKSUM : 0) |
			(card->features & NET_F_GUEST_CSUM ? NIC_RX_CHECKSUM : 0);
}

/* Claims the device. Returns NULL, or the reason why it cannot be used. */
static const char *identify(struct card *card)
{
	struct nic *nic = &card->nic;

	if (virtio_pci_find(&card->virtio, nic->device) != 0) {
		return "it is older than virtio 1.0 (QEMU: disable-modern=off)";
	}
	if (card->virtio.config.size < CONFIG_SIZE_MIN) {
		return "it has no registers of a network card";
	}
	pci_claim(nic->device, virtio_net_driver.name);
	if (reset(card, RESET_WAIT_US) != 0) {
		return "it does not answer";
	}
	choose_features(card);
	if ((card->features & FEATURES_NEEDED) != FEATURES_NEEDED) {
		return "it does not offer virtio 1.0 with a MAC address";
	}
	for (unsigned i = 0; i < sizeof(nic->mac); i++) {
		nic->mac[i] = mmio_read8(card->virtio.config.registers + CONFIG_MAC + i);
	}
	return NULL;
}

static struct nic *net_probe(struct pci_device *device)
{
	if (device->vendor != VIRTIO_PCI_VENDOR ||
	    (device->device != DEVICE_TRANSITIONAL && device->device != DEVICE_MODERN)) {
		return NULL;
	}
	struct card *card = page_new(sizeof(*card));
	if (card == NULL) {
		log_error("virtio-net: no memory for a card");
		return NULL;
	}
	card->nic = (struct nic){.ops = &ops, .device = device, .model = "virtio-net"};
	snprintf(card->name, sizeof(card->name), "virtio-net %02x:%02x.%u", device->bus,
		 device->slot, device->function);
	const char *why_not = identify(card);
	if (why_not != NULL) {
		log_warn("%s is not used: %s", card->name, why_not);
		pci_release(device);
		page_delete(card, sizeof(*card));
		return NULL;
	}
	if (pci_interrupt_enable(device, handle_interrupt, card) != 0) {
		log_warn("%s: no interrupt reaches the CPU; it is polled", card->name);
	}
	return &card->nic;
}

const struct nic_driver virtio_net_driver = {.name = "virtio-net", .probe = net_probe};
