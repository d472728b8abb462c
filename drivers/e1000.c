/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's gigabit cards, from the 82540EM to the I219: one driver, one table
 * of models and of what they do differently. One queue each way.
 *
 * Only 82540EM (two emulators), 82545EM and 82574L (one) have been run; the
 * rest is by the documents (e1000_registers.h names them).
 *
 * Rules: each slot of the receive ring has a buffer from start to stop: one
 * that is passed on is replaced first, else the frame is dropped. Descriptors
 * are read once; what the card wrote decides only which frames are handed on,
 * never how far memory is touched. Resets of a running card go on in steps of
 * poll, since nothing waits there.
 */
#include <errno.h>
#include <string.h>

#include "arch/x86_64/arch.h"
#include "base/bits.h"
#include "base/check.h"
#include "base/log.h"
#include "base/page.h"
#include "drivers/e1000_registers.h"
#include "drivers/nic.h"

/* ---- Models ------------------------------------------------------------------------- */

#define VENDOR_INTEL 0x8086

#define IS_EXPRESS BIT(0)
#define IS_82574 BIT(1) /* interrupts by cause and vector; ASPM hangs it */
#define IS_IGB BIT(2) /* queues must be enabled; no contexts of the old kind */
#define IS_PCH BIT(3) /* the MAC is in the chipset: jumbo frames need the PHY's help */

static const struct model {
	uint16_t device;
	const char *name;
	uint64_t kind;
} models[] = {
	{0x100e, "Intel 82540EM", 0},
	{0x100f, "Intel 82545EM", 0},
	{0x1010, "Intel 82546EB", 0},
	{0x1026, "Intel 82545GM", 0},
	{0x1079, "Intel 82546GB", 0},
	{0x10d3, "Intel 82574L", IS_EXPRESS | IS_82574},
	{0x10c9, "Intel 82576", IS_EXPRESS | IS_IGB},
	{0x1521, "Intel I350", IS_EXPRESS | IS_IGB},
	{0x1522, "Intel I350 fiber", IS_EXPRESS | IS_IGB},
	{0x1533, "Intel I210", IS_EXPRESS | IS_IGB},
	{0x1536, "Intel I210 fiber", IS_EXPRESS | IS_IGB},
	{0x1539, "Intel I211", IS_EXPRESS | IS_IGB},
	{0x157b, "Intel I210", IS_EXPRESS | IS_IGB},
	{0x156f, "Intel I219-LM", IS_EXPRESS | IS_PCH},
	{0x1570, "Intel I219-V", IS_EXPRESS | IS_PCH},
	{0x15b7, "Intel I219-LM", IS_EXPRESS | IS_PCH},
	{0x15b8, "Intel I219-V", IS_EXPRESS | IS_PCH},
	{0x15b9, "Intel I219-LM", IS_EXPRESS | IS_PCH},
	{0x15d6, "Intel I219-V", IS_EXPRESS | IS_PCH},
	{0x15d7, "Intel I219-LM", IS_EXPRESS | IS_PCH},
	{0x15d8, "Intel I219-V", IS_EXPRESS | IS_PCH},
	{0x15e3, "Intel I219-LM", IS_EXPRESS | IS_PCH},
};

#define MTU_STANDARD 1500 /* up to here a frame is no "long packet" */

/* ---- A card -------------------------------------------------------------------------- */

#define RING_COUNT 256
#define CHECKSUM_AT_MAX UINT8_MAX /* descriptors have 8 bits for each offset */

/* How long each step of a reset takes at most (14.3, and the EEPROM is read again). */
#define QUIET_NS 10000000
#define RESET_NS 20000000
#define ENABLE_NS 1000000
#define NS_PER_US 1000

/* A word takes 50 us or so (5.2, at 1 MHz); at most 10 ms. */
#define EEPROM_LOOKS_MAX 1000
#define EEPROM_LOOK_US 10

#define LOOK_NS UINT64_C(1000000000) /* between looks at the link and the counters */
#define STUCK_NS (2 * LOOK_NS)

enum card_state { CARD_STOPPED, CARD_QUIET, CARD_RESETTING, CARD_ENABLING, CARD_RUNNING };

/* A frame in the transmit ring is known by its first slot. */
struct tx_slot {
	unsigned last; /* slot of its last descriptor */
	uint32_t size;
	void (*done)(void *token);
	void *token;
};

struct card {
	struct descriptor rx_ring[RING_COUNT], tx_ring[RING_COUNT]; /* first: aligned to pages */
	struct nic nic;
	const struct model *model;
	uint8_t *registers;
	uint32_t interrupts; /* those that are used */
	unsigned mtu;
	enum card_state state;
	uint64_t step_ns; /* when the next step of a reset is due */
	uint64_t look_ns; /* when the next look is due */

	struct nic_buffer *rx_buffers[RING_COUNT];
	unsigned rx_next; /* the slot that the card fills next */
	struct nic_buffer *frame_first, *frame_last; /* a frame that has not ended yet */
	unsigned frame_count; /* its buffers */
	bool frame_skipped; /* the rest of it is thrown away */

	struct tx_slot tx_slots[RING_COUNT];
	unsigned tx_first, tx_next; /* the oldest frame; the first free slot */
	uint64_t tx_moved_ns; /* when a frame last left, or came into the empty ring */
	uint64_t tx_context; /* the offsets that the card knows, 0: none */
};

static uint32_t reg_read(const struct card *card, unsigned reg)
{
	return mmio_read32(card->registers + reg);
}

static void reg_write(const struct card *card, unsigned reg, uint64_t value)
{
	mmio_write32(card->registers + reg, (uint32_t)value);
}

static void reg_set(const struct card *card, unsigned reg, uint64_t bits)
{
	reg_write(card, reg, reg_read(card, reg) | bits);
}

static unsigned slot_after(unsigned slot)
{
	return (slot + 1) % RING_COUNT;
}

static unsigned slot_before(unsigned slot)
{
	return (slot + RING_COUNT - 1) % RING_COUNT;
}

static struct card *card_of(struct nic *nic)
{
	return CONTAINER_OF(nic, struct card, nic);
}

/* ---- Receiving ----------------------------------------------------------------------- */

/* The slot is the card's again. */
static void rx_give(struct card *card, unsigned slot)
{
	struct descriptor *descriptor = &card->rx_ring[slot];

	descriptor->address = virt_to_hpa(card->rx_buffers[slot]->data).v;
	__atomic_store_n(&descriptor->info, 0, __ATOMIC_RELEASE);
}

static void frame_drop(struct card *card)
{
	nic_buffers_free(card->frame_first);
	card->frame_first = NULL;
	card->frame_last = NULL;
	card->frame_count = 0;
}

/* The rest of the frame, up to its end or what claims to be that, is thrown away. */
static void frame_skip(struct card *card, uint64_t *counter)
{
	if (!card->frame_skipped) {
		++*counter;
	}
	card->frame_skipped = true;
	frame_drop(card);
}

/* All but the last buffer of a frame are full; the last may have had the FCS alone. */
static bool rx_makes_sense(const struct card *card, uint64_t info)
{
	uint64_t length = field_get(RX_LENGTH, info);

	if (length > NIC_BUFFER_SIZE ||
	    card->frame_count * NIC_BUFFER_SIZE + length > NIC_FRAME_MAX) {
		return false;
	}
	if (!(info & RX_EOP)) {
		return length == NIC_BUFFER_SIZE;
	}
	return !(info & RX_DAMAGED) && (card->frame_first || length >= NIC_HEADER_SIZE);
}

/* Moves the slot's buffer to the frame and puts a new one there. */
static void frame_add(struct card *card, unsigned slot, uint64_t info)
{
	struct nic_buffer *buffer = card->rx_buffers[slot];
	struct nic_buffer *fresh = nic_buffer_alloc();

	if (!fresh) {
		frame_skip(card, &card->nic.stats.rx_dropped);
		return;
	}
	card->rx_buffers[slot] = fresh;
	buffer->size = (uint16_t)field_get(RX_LENGTH, info);
	if (card->frame_last) {
		card->frame_last->next = buffer;
	} else {
		card->frame_first = buffer;
	}
	card->frame_last = buffer;
	card->frame_count++;
}

static enum nic_checksum checksum_of(uint64_t info)
{
	if ((info & RX_IXSM) || !(info & RX_TCPCS)) {
		return NIC_CHECKSUM_UNKNOWN;
	}
	return info & RX_TCPE ? NIC_CHECKSUM_BAD : NIC_CHECKSUM_GOOD;
}

static void frame_end(struct card *card, uint64_t info)
{
	struct nic *nic = &card->nic;
	struct nic_buffer *frame = card->frame_first;

	frame->checksum = (uint8_t)checksum_of(info);
	card->frame_first = NULL;
	card->frame_last = NULL;
	card->frame_count = 0;
	nic->stats.rx_frames++;
	for (const struct nic_buffer *buffer = frame; buffer; buffer = buffer->next) {
		nic->stats.rx_bytes += buffer->size;
	}
	nic->receive(nic->context, frame);
}

static void rx_take(struct card *card, unsigned slot, uint64_t info)
{
	if (!card->frame_skipped && !rx_makes_sense(card, info)) {
		frame_skip(card, &card->nic.stats.rx_errors);
	}
	if (!card->frame_skipped && field_get(RX_LENGTH, info) > 0) {
		frame_add(card, slot, info);
	}
	rx_give(card, slot);
	if (!(info & RX_EOP)) {
		return;
	}
	if (!card->frame_skipped) {
		frame_end(card, info);
	}
	card->frame_skipped = false;
}

/*
 * Returns how many frames ended, or how many descriptors were thrown away: a
 * card that fills the ring without end is left when the budget is used up.
 */
static unsigned rx_poll(struct card *card, unsigned budget)
{
	unsigned count = 0;
	bool taken = false;

	while (count < budget) {
		unsigned slot = card->rx_next;
		uint64_t info = __atomic_load_n(&card->rx_ring[slot].info, __ATOMIC_ACQUIRE);

		if (!(info & RX_DD)) {
			break;
		}
		card->rx_next = slot_after(slot);
		rx_take(card, slot, info);
		count += (info & RX_EOP) || card->frame_skipped;
		taken = true;
	}
	if (taken) {
		/* One slot stays ours: a full ring would look like an empty one. */
		dma_fence();
		reg_write(card, REG_RDT, slot_before(card->rx_next));
	}
	return count;
}

/* ---- Sending -------------------------------------------------------------------------- */

static unsigned tx_used(const struct card *card)
{
	return (card->tx_next + RING_COUNT - card->tx_first) % RING_COUNT;
}

static void tx_put(struct card *card, uint64_t address, uint64_t info)
{
	card->tx_ring[card->tx_next] = (struct descriptor){.address = address, .info = info};
	card->tx_next = slot_after(card->tx_next);
}

/* The oldest frame leaves the ring. */
static void tx_finish(struct card *card)
{
	struct tx_slot slot = card->tx_slots[card->tx_first];

	card->tx_first = slot_after(slot.last);
	if (slot.done) {
		slot.done(slot.token);
	}
}

/* At most as many frames as were there at its start: done() may send more. */
static void tx_poll(struct card *card, uint64_t now_ns)
{
	unsigned end = card->tx_next;

	while (card->tx_first != end) {
		const struct tx_slot *slot = &card->tx_slots[card->tx_first];

		if (!(__atomic_load_n(&card->tx_ring[slot->last].info, __ATOMIC_ACQUIRE) & TX_DD)) {
			return;
		}
		card->nic.stats.tx_frames++;
		card->nic.stats.tx_bytes += slot->size;
		card->tx_moved_ns = now_ns;
		tx_finish(card);
	}
}

/* They will not be sent. */
static void tx_drop(struct card *card)
{
	unsigned end = card->tx_next;

	while (card->tx_first != end) {
		card->nic.stats.tx_errors++;
		tx_finish(card);
	}
}

/*
 * Options of the frame's data descriptors. The older kind of card is told the
 * two offsets by a context, which it keeps (3.3.5); the newer one by the legacy
 * descriptor. The emulators know only the former.
 */
static uint64_t tx_checksum(struct card *card, const struct nic_frame *frame)
{
	uint64_t at = frame->checksum_start + frame->checksum_offset;

	if (card->model->kind & IS_IGB) {
		return TX_IC | field_set(TX_CSO, at) | field_set(TX_CSS, frame->checksum_start);
	}
	uint64_t context =
		field_set(CONTEXT_TUCSS, frame->checksum_start) | field_set(CONTEXT_TUCSO, at);

	if (context != card->tx_context) {
		bool tcp = frame->checksum_offset == TCP_CHECKSUM_OFFSET;

		tx_put(card, context, TX_DEXT | (tcp ? CONTEXT_TCP : 0));
		card->tx_context = context;
	}
	return TX_DEXT | TX_DATA | TX_TXSM;
}

/* Fills in where the card finds the pieces. Returns the frame's bytes, or -EFAULT. */
static int64_t frame_map(const struct nic_frame *frame, hpa_t *addresses)
{
	int64_t size = 0;

	CHECK(frame->piece_count > 0 && frame->piece_count <= NIC_PIECE_MAX);
	for (unsigned i = 0; i < frame->piece_count; i++) {
		const struct nic_piece *piece = &frame->pieces[i];

		addresses[i] = dma_address(piece->data, piece->size);
		if (hpa_is_none(addresses[i])) {
			return -EFAULT;
		}
		size += piece->size;
	}
	return size;
}

static int e1000_send(struct nic *nic, const struct nic_frame *frame)
{
	struct card *card = card_of(nic);
	hpa_t addresses[NIC_PIECE_MAX];
	bool checksum = frame->checksum_offset != 0;

	if (card->state != CARD_RUNNING || !nic->link.up) {
		return -ENETDOWN;
	}
	int64_t size = frame_map(frame, addresses);

	if (size < 0) {
		return (int)size;
	}
	if (size > NIC_HEADER_SIZE + 4 + (int64_t)card->mtu ||
	    (checksum && frame->checksum_start + frame->checksum_offset > CHECKSUM_AT_MAX)) {
		return -EMSGSIZE;
	}
	/* One for a context, and one stays free: a full ring would look empty. */
	if (frame->piece_count + 1 > RING_COUNT - 1 - tx_used(card)) {
		return -EAGAIN;
	}
	if (tx_used(card) == 0) {
		card->tx_moved_ns = time_now_ns();
	}

	unsigned first = card->tx_next;
	uint64_t options = TX_IFCS | (checksum ? tx_checksum(card, frame) : 0);

	for (unsigned i = 0; i < frame->piece_count; i++) {
		bool last = i + 1 == frame->piece_count;

		tx_put(card, addresses[i].v,
		       options | field_set(TX_LENGTH, frame->pieces[i].size) |
			       (last ? TX_EOP | TX_RS : 0));
	}
	card->tx_slots[first] = (struct tx_slot){.last = slot_before(card->tx_next),
						 .size = (uint32_t)size,
						 .done = frame->done,
						 .token = frame->token};
	dma_fence();
	reg_write(card, REG_TDT, card->tx_next);
	return 0;
}

/* ---- Reset, in steps ------------------------------------------------------------------- */

/* From here on the card touches no memory. */
static void card_quiet(struct card *card, uint64_t now_ns)
{
	reg_write(card, REG_IMC, INTERRUPT_ALL);
	reg_write(card, REG_RCTL, 0);
	reg_write(card, REG_TCTL, TCTL_PSP);
	if (card->model->kind & IS_EXPRESS) {
		reg_set(card, REG_CTRL, CTRL_MASTER_DISABLE);
	}
	pci_set_master(card->nic.device, false);
	card->nic.link = (struct nic_link){0};
	card->nic.pending = false;
	card->state = CARD_QUIET; /* before done() is called, which may want to send */
	card->step_ns = now_ns + QUIET_NS;
	tx_drop(card);
	frame_drop(card);
}

static void card_reset(struct card *card, uint64_t now_ns)
{
	if (card->model->kind & IS_PCH) {
		reg_set(card, REG_FEXTNVM11, FEXTNVM11_NO_MULR_FIX);
	}
	reg_set(card, REG_CTRL, CTRL_RST);
	card->state = CARD_RESETTING;
	card->step_ns = now_ns + RESET_NS;
}

static void rx_set_up(struct card *card)
{
	uint64_t ring = dma_address(card->rx_ring, sizeof(card->rx_ring)).v;

	card->rx_next = 0;
	card->frame_skipped = false;
	for (unsigned i = 0; i < RING_COUNT; i++) {
		rx_give(card, i);
	}
	reg_write(card, REG_RDBAL, ring);
	reg_write(card, REG_RDBAH, ring >> 32);
	reg_write(card, REG_RDLEN, sizeof(card->rx_ring));
	reg_write(card, REG_RDH, 0); /* Bochs: a reset leaves the rings as they were */
	reg_write(card, REG_RDT, 0);
	reg_write(card, REG_RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL);
	if (card->model->kind & IS_IGB) {
		reg_write(card, REG_SRRCTL, field_set(SRRCTL_BSIZEPACKET, NIC_BUFFER_SIZE / KIB));
		reg_write(card, REG_RLPML, NIC_FRAME_MAX + 4);
		reg_set(card, REG_RXDCTL, DCTL_ENABLE);
	}
}

static void tx_set_up(struct card *card)
{
	uint64_t ring = dma_address(card->tx_ring, sizeof(card->tx_ring)).v;
	uint64_t tctl = reg_read(card, REG_TCTL) & ~(TCTL_CT | TCTL_COLD);

	card->tx_first = 0;
	card->tx_next = 0;
	card->tx_context = 0;
	reg_write(card, REG_TDBAL, ring);
	reg_write(card, REG_TDBAH, ring >> 32);
	reg_write(card, REG_TDLEN, sizeof(card->tx_ring));
	reg_write(card, REG_TDH, 0);
	reg_write(card, REG_TDT, 0);
	if (card->model->kind & (IS_82574 | IS_PCH)) {
		reg_set(card, REG_TXDCTL, TXDCTL_COUNT);
	} else if (card->model->kind & IS_IGB) {
		reg_set(card, REG_TXDCTL, DCTL_ENABLE);
	} else {
		reg_write(card, REG_TIPG, TIPG_COPPER);
	}
	/* 13.4.33: 15 collisions, and the window of a full-duplex link. */
	reg_write(card, REG_TCTL,
		  tctl | TCTL_EN | TCTL_PSP | field_set(TCTL_CT, 15) | field_set(TCTL_COLD, 64));
}

static int card_set_up(struct card *card, uint64_t now_ns)
{
	const uint8_t *mac = card->nic.mac;

	if (reg_read(card, REG_CTRL) & CTRL_RST) {
		return -EIO;
	}
	reg_write(card, REG_IMC, INTERRUPT_ALL);
	(void)reg_read(card, REG_ICR);
	if (card->model->kind & IS_82574) {
		reg_write(card, REG_IVAR, IVAR_ALL_TO_0);
	}
	if (card->model->kind & IS_PCH) {
		reg_set(card, REG_FEXTNVM11, FEXTNVM11_NO_MULR_FIX);
	}
	reg_write(card, REG_RAL,
		  mac[0] | field_set(BITS(15, 8), mac[1]) | field_set(BITS(23, 16), mac[2]) |
			  field_set(BITS(31, 24), mac[3]));
	reg_write(card, REG_RAH, mac[4] | field_set(BITS(15, 8), mac[5]) | RAH_AV);
	reg_set(card, REG_CTRL, CTRL_SLU | (card->model->kind & IS_EXPRESS ? 0 : CTRL_ASDE));
	pci_set_master(card->nic.device, true);
	rx_set_up(card);
	tx_set_up(card);
	card->state = CARD_ENABLING;
	card->step_ns = now_ns + ENABLE_NS;
	return 0;
}

static int card_enable(struct card *card, uint64_t now_ns)
{
	if ((card->model->kind & IS_IGB) &&
	    !(reg_read(card, REG_RXDCTL) & reg_read(card, REG_TXDCTL) & DCTL_ENABLE)) {
		return -EIO;
	}
	reg_write(card, REG_RCTL,
		  RCTL_EN | RCTL_MPE | RCTL_BAM | RCTL_BSIZE_2048 | RCTL_SECRC |
			  (card->mtu > MTU_STANDARD ? RCTL_LPE : 0));
	dma_fence();
	reg_write(card, REG_RDT, RING_COUNT - 1);
	reg_write(card, REG_IMS, card->interrupts);
	card->state = CARD_RUNNING;
	card->look_ns = now_ns;
	return 0;
}

/* -EIO: the card did not do what it was told; the same step comes again later. */
static int card_step(struct card *card, uint64_t now_ns)
{
	int error = 0;

	switch (card->state) {
	case CARD_QUIET:
		card_reset(card, now_ns);
		break;
	case CARD_RESETTING:
		error = card_set_up(card, now_ns);
		break;
	case CARD_ENABLING:
		error = card_enable(card, now_ns);
		break;
	default:
		break;
	}
	if (error != 0) {
		card->step_ns = now_ns + LOOK_NS;
	}
	return error;
}

/* Runs a reset up to `state`; waits, so only when the card is started. */
static int card_bring_to(struct card *card, enum card_state state)
{
	int error = 0;

	while (error == 0 && card->state != state) {
		uint64_t now_ns = time_now_ns();

		if (now_ns < card->step_ns) {
			delay_us((unsigned)((card->step_ns - now_ns) / NS_PER_US) + 1);
		}
		error = card_step(card, time_now_ns());
	}
	return error;
}

/* ---- Once a second ------------------------------------------------------------------------ */

static void link_look(struct card *card, uint32_t status, uint64_t now_ns)
{
	static const unsigned speeds[] = {10, 100, 1000, 1000};
	bool up = status & STATUS_LU;

	if (up && !card->nic.link.up) {
		card->tx_moved_ns = now_ns;
	}
	card->nic.link = (struct nic_link){
		.up = up,
		.full_duplex = up && (status & STATUS_FD),
		.mbit = up ? speeds[field_get(STATUS_SPEED, status)] : 0,
	};
}

static void counters_look(struct card *card)
{
	struct nic_stats *stats = &card->nic.stats;

	stats->rx_dropped += reg_read(card, REG_MPC);
	stats->rx_errors += reg_read(card, REG_CRCERRS);
	stats->rx_errors += reg_read(card, REG_ALGNERRC);
	stats->rx_errors += reg_read(card, REG_RXERRC);
	stats->rx_errors += reg_read(card, REG_RLEC);
	stats->tx_errors += reg_read(card, REG_ECOL);
	stats->tx_errors += reg_read(card, REG_LATECOL);
}

static void stuck_look(struct card *card, uint64_t now_ns)
{
	char name[PCI_NAME_SIZE];

	if (tx_used(card) == 0 || !card->nic.link.up || now_ns < card->tx_moved_ns + STUCK_NS) {
		return;
	}
	log_warn("NIC %s: %s has sent nothing for 2 s and is reset; if this comes again, look at "
		 "the card and its cable",
		 pci_name(card->nic.device, name), card->nic.model);
	card->nic.stats.resets++;
	card_quiet(card, now_ns);
}

static void card_look(struct card *card, uint64_t now_ns)
{
	uint32_t status = reg_read(card, REG_STATUS);

	card->look_ns = now_ns + LOOK_NS;
	if (status == UINT32_MAX) { /* the card is gone */
		card->nic.link = (struct nic_link){0};
		return;
	}
	counters_look(card);
	link_look(card, status, now_ns);
	stuck_look(card, now_ns);
}

/* ---- The four calls ------------------------------------------------------------------------ */

static void handle_interrupt(void *context)
{
	struct card *card = context;

	reg_write(card, REG_IMC, INTERRUPT_ALL);
	card->nic.stats.interrupts++;
	card->nic.pending = true;
}

static void rx_free(struct card *card)
{
	for (unsigned i = 0; i < RING_COUNT; i++) {
		if (card->rx_buffers[i]) {
			nic_buffer_free(card->rx_buffers[i]);
			card->rx_buffers[i] = NULL;
		}
	}
}

static int rx_fill(struct card *card)
{
	for (unsigned i = 0; i < RING_COUNT; i++) {
		card->rx_buffers[i] = nic_buffer_alloc();
		if (!card->rx_buffers[i]) {
			rx_free(card);
			return -ENOMEM;
		}
	}
	return 0;
}

static void e1000_stop(struct nic *nic)
{
	struct card *card = card_of(nic);

	if (card->state == CARD_STOPPED) {
		return;
	}
	card_quiet(card, 0);
	rx_free(card);
	card->state = CARD_STOPPED;
}

static int e1000_start(struct nic *nic, unsigned mtu)
{
	struct card *card = card_of(nic);

	CHECK(card->state == CARD_STOPPED);
	if (mtu < NIC_MTU_MIN || mtu > nic->mtu_max) {
		return -EINVAL;
	}
	int error = rx_fill(card);

	if (error != 0) {
		return error;
	}
	card->mtu = mtu;
	card_quiet(card, time_now_ns());
	error = card_bring_to(card, CARD_RUNNING);
	if (error != 0) {
		e1000_stop(nic);
	}
	return error;
}

static unsigned e1000_poll(struct nic *nic, unsigned budget)
{
	struct card *card = card_of(nic);
	uint64_t now_ns = time_now_ns();
	bool asked = nic->pending;
	unsigned count;

	nic->stats.polls++;
	if (card->state != CARD_RUNNING) {
		if (card->state != CARD_STOPPED && now_ns >= card->step_ns) {
			(void)card_step(card, now_ns);
		}
		return 0;
	}
	if (asked && (reg_read(card, REG_ICR) & INTERRUPT_LSC)) {
		card->look_ns = now_ns;
	}
	tx_poll(card, now_ns);
	count = rx_poll(card, budget);
	if (now_ns >= card->look_ns) {
		card_look(card, now_ns);
	}
	if (asked && count < budget && card->state == CARD_RUNNING) {
		nic->pending = false;
		reg_write(card, REG_IMS, card->interrupts);
	}
	return count;
}

static const struct nic_ops ops = {
	.start = e1000_start,
	.stop = e1000_stop,
	.send = e1000_send,
	.poll = e1000_poll,
};

/* ---- Probing ---------------------------------------------------------------------------------- */

static const struct model *model_of(const struct pci_device *device)
{
	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		if (device->vendor == VENDOR_INTEL && device->device == models[i].device) {
			return &models[i];
		}
	}
	return NULL;
}

/* A word of the EEPROM; all ones when it does not come. */
static uint32_t eeprom_read(const struct card *card, unsigned word)
{
	reg_write(card, REG_EERD, EERD_START | field_set(EERD_ADDRESS, word));
	for (unsigned i = 0; i < EEPROM_LOOKS_MAX; i++) {
		uint32_t value = reg_read(card, REG_EERD);

		if (value & EERD_DONE) {
			return (uint32_t)field_get(EERD_DATA, value);
		}
		delay_us(EEPROM_LOOK_US);
	}
	return UINT16_MAX;
}

/* The first three words of the EEPROM (5.6.1), which the card reads itself at a reset. */
static int mac_read(struct card *card)
{
	uint32_t words[] = {reg_read(card, REG_RAL), 0, reg_read(card, REG_RAH)};
	uint8_t *mac = card->nic.mac;

	words[1] = words[0] >> 16;
	/* Bochs: it does not. */
	if (words[0] == 0 && !(card->model->kind & IS_EXPRESS)) {
		for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
			words[i] = eeprom_read(card, i);
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		mac[2 * i] = (uint8_t)words[i];
		mac[2 * i + 1] = (uint8_t)(words[i] >> 8);
	}
	bool none = ((words[0] | words[1] | words[2]) & UINT16_MAX) == 0;
	return none || (mac[0] & 1) ? -ENODEV : 0;
}

/* 82574 specification update, erratum 20: the transmitter hangs in L0s and L1. */
static void aspm_off(const struct pci_device *device)
{
	unsigned express = pci_capability(device, PCI_CAP_EXPRESS, 0);

	if (express != 0) {
		uint16_t control = pci_read16(device, express + LINK_CONTROL);

		pci_write16(device, express + LINK_CONTROL,
			    (uint16_t)(control & ~LINK_CONTROL_ASPM));
	}
}

/* A card that answers, is reset, and has an address; it stays silent until start. */
static int card_find(struct card *card)
{
	if (!card->registers || hpa_is_none(dma_address(card, sizeof(*card)))) {
		return -ENODEV;
	}
	card_quiet(card, time_now_ns());
	card_step(card, time_now_ns());
	delay_us(RESET_NS / NS_PER_US);
	card->state = CARD_STOPPED;
	if (reg_read(card, REG_CTRL) & CTRL_RST) {
		return -EIO;
	}
	return mac_read(card);
}

static void card_init(struct card *card, struct pci_device *device, const struct model *model)
{
	card->model = model;
	card->registers = pci_map_bar(device, 0);
	card->interrupts =
		INTERRUPT_TXDW | INTERRUPT_LSC | INTERRUPT_RXDMT0 | INTERRUPT_RXO | INTERRUPT_RXT0;
	card->nic.ops = &ops;
	card->nic.device = device;
	card->nic.model = model->name;
	card->nic.mtu_max = model->kind & IS_PCH ? MTU_STANDARD : NIC_MTU_MAX;
	card->nic.features = NIC_TX_CHECKSUM | NIC_RX_CHECKSUM;
}

static struct nic *e1000_probe(struct pci_device *device)
{
	const struct model *model = model_of(device);
	struct card *card = model ? page_new(sizeof(*card)) : NULL;
	char name[PCI_NAME_SIZE];

	if (!card) {
		return NULL;
	}
	pci_claim(device, e1000_driver.name);
	if (model->kind & IS_82574) {
		aspm_off(device);
	}
	card_init(card, device, model);
	if (card_find(card) != 0) {
		log_warn("NIC %s: %s does not answer, or has no MAC address; it is not used",
			 pci_name(device, name), model->name);
		pci_release(device);
		page_delete(card, sizeof(*card));
		return NULL;
	}
	if (pci_interrupt_enable(device, handle_interrupt, card) == 0 &&
	    device->interrupt == PCI_MSIX && (model->kind & IS_82574)) {
		card->interrupts |= INTERRUPT_QUEUES;
	}
	return &card->nic;
}

const struct nic_driver e1000_driver = {.name = "e1000", .probe = e1000_probe};
