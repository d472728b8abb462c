/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The e1000 driver against a model of the card: start and stop, frames both
 * ways, checksums, interrupts, resets, and what a broken card is answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/e1000_model.h"

#define BUDGET 64

static struct nic *nic;
static struct nic_buffer *received[1024];
static unsigned received_count, done_count, buffer_count;
static uint8_t *memory; /* what is sent from; 64 KiB */
static uint8_t bytes[MODEL_FRAME_MAX];

static void receive(void *context, struct nic_buffer *frame)
{
	assert_ptr_equal(context, &received_count);
	assert_true(received_count < ARRAY_SIZE(received));
	received[received_count++] = frame;
}

static void done(void *token)
{
	++*(unsigned *)token;
}

static void forget(void)
{
	while (received_count > 0) {
		nic_buffers_free(received[--received_count]);
	}
}

static void probe(uint16_t device, enum pci_interrupt_kind interrupt)
{
	model_reset();
	nic = model_probe(device, interrupt);
	assert_non_null(nic);
	buffer_count = nic_buffer_free_count();
	memory = page_new(64 * KIB);
	received_count = 0;
	done_count = 0;
	nic->receive = receive;
	nic->context = &received_count;
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	}
	memcpy(memory, bytes, sizeof(bytes));
}

static void start(uint16_t device, enum pci_interrupt_kind interrupt, unsigned mtu)
{
	probe(device, interrupt);
	assert_int_equal(nic->ops->start(nic, mtu), 0);
	assert_int_equal(nic->ops->poll(nic, BUDGET), 0);
	assert_true(nic->link.up);
}

static int setup(void **state)
{
	(void)state;
	start(0x100e, PCI_INTX, 1500);
	return 0;
}

/* All that the card or the receiver had is back, whatever a test did. */
static int teardown(void **state)
{
	(void)state;
	nic->ops->stop(nic);
	forget();
	assert_int_equal(nic_buffer_free_count(), buffer_count);
	assert_false(chip.master);
	assert_int_equal(chip.ims, 0);
	return 0;
}

static struct nic_frame frame_of(size_t size)
{
	return (struct nic_frame){.pieces = {{memory, (uint32_t)size}},
				  .piece_count = 1,
				  .done = done,
				  .token = &done_count};
}

static int send(size_t size)
{
	struct nic_frame frame = frame_of(size);

	return nic->ops->send(nic, &frame);
}

static void assert_frame(const struct nic_buffer *frame, size_t size)
{
	size_t at = 0;

	for (; frame; frame = frame->next) {
		assert_true(at + frame->size <= size);
		assert_memory_equal(frame->data, bytes + at, frame->size);
		at += frame->size;
	}
	assert_int_equal(at, size);
}

/* ---- Probing ---------------------------------------------------------------------- */

static void test_probe(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x01};

	(void)state;
	assert_memory_equal(nic->mac, mac, 6);
	assert_string_equal(nic->model, "Intel 82540EM");
	assert_string_equal(nic->device->driver, "e1000");
	assert_int_equal(nic->mtu_max, 9000);
}

/* Bochs: the receive address is empty, the EEPROM has it. */
static void test_probe_eeprom(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x02};

	(void)state;
	model_reset();
	*chip_at(REG_RAL) = 0;
	*chip_at(REG_RAH) = 0;
	chip.eeprom[0] = 0x5452;
	chip.eeprom[1] = 0x1200;
	chip.eeprom[2] = 0x0234;
	assert_non_null(model_probe(0x100e, PCI_INTX));
	assert_memory_equal(nic_at(0)->mac, mac, 6);
}

/* A card that is none of ours, has no address, or never comes out of its reset. */
static void test_probe_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		model_reset();
		uint64_t pages = page_free_count();

		chip.absent = i == 1;
		chip.hung = i == 2;
		chip.eeprom_silent = i == 3;
		if (i >= 3) {
			*chip_at(REG_RAL) = i == 5 ? 0x01 : 0;
			*chip_at(REG_RAH) = 0;
		}
		assert_null(model_probe(i == 0 ? 0x1234 : 0x100e, PCI_INTX));
		assert_null(model_device.driver);
		assert_false(chip.master);
		assert_int_equal(page_free_count(), pages);
	}
}

/* What the firmware left running must not see bus mastering before the reset. */
static void test_probe_is_silent(void **state)
{
	(void)state;
	probe(0x10d3, PCI_MSIX);
	assert_true(chip.claimed);
	assert_false(chip.master);
	assert_int_equal(chip.resets, 1);
}

/* ---- Start and stop ------------------------------------------------------------------ */

static void test_start(void **state)
{
	(void)state;
	assert_int_equal(*chip_at(REG_RAL), 0x12005452);
	assert_int_equal(*chip_at(REG_RAH), 0x80000134);
	assert_int_equal(*chip_at(REG_RCTL), 0x04008012);
	assert_int_equal(*chip_at(REG_TCTL), 0x000400fa);
	assert_int_equal(*chip_at(REG_RDT), RING_COUNT - 1);
	assert_int_equal(chip.ims, 0xd5);
	assert_int_equal(nic_buffer_free_count(), buffer_count - RING_COUNT);
	assert_true(nic->link.full_duplex);
	assert_int_equal(nic->link.mbit, 1000);
	nic->ops->stop(nic);
	assert_false(chip.master);
	assert_false(nic->link.up);
	assert_int_equal(send(60), -ENETDOWN);
	assert_int_equal(nic->ops->start(nic, 9000), 0);
	assert_int_equal(*chip_at(REG_RCTL), 0x04008032);
}

static void test_start_refused(void **state)
{
	(void)state;
	nic->ops->stop(nic);
	assert_int_equal(nic->ops->start(nic, 9001), -EINVAL);
	assert_int_equal(nic->ops->start(nic, 575), -EINVAL);
	chip.hung = true;
	assert_int_equal(nic->ops->start(nic, 1500), -EIO);
	assert_int_equal(nic_buffer_free_count(), buffer_count);
	chip.hung = false;
	*chip_at(REG_CTRL) = 0;
	assert_int_equal(nic->ops->start(nic, 1500), 0);
}

static void test_start_without_buffers(void **state)
{
	static struct nic_buffer *all[4096];
	unsigned count = 0;

	(void)state;
	nic->ops->stop(nic);
	while (nic_buffer_free_count() > RING_COUNT - 1) {
		all[count++] = nic_buffer_alloc();
	}
	assert_int_equal(nic->ops->start(nic, 1500), -ENOMEM);
	assert_int_equal(nic_buffer_free_count(), RING_COUNT - 1);
	while (count > 0) {
		nic_buffer_free(all[--count]);
	}
}

/* The newer cards' queues are enabled one by one, and may refuse. */
static void test_igb(void **state)
{
	(void)state;
	start(0x1533, PCI_MSI, 9000);
	assert_int_equal(*chip_at(REG_SRRCTL), 2);
	assert_true(*chip_at(REG_RXDCTL) & DCTL_ENABLE);
	assert_true(*chip_at(REG_TXDCTL) & DCTL_ENABLE);
	nic->ops->stop(nic);
	chip.never_enables = true;
	assert_int_equal(nic->ops->start(nic, 1500), -EIO);
}

/* ---- Receiving -------------------------------------------------------------------------- */

static void test_receive(void **state)
{
	(void)state;
	assert_true(chip_receive(bytes, 60, 0));
	assert_true(chip_receive(bytes, 1518, 0));
	assert_int_equal(nic->ops->poll(nic, BUDGET), 2);
	assert_frame(received[0], 60);
	assert_frame(received[1], 1518);
	assert_int_equal(nic->stats.rx_frames, 2);
	assert_int_equal(nic->stats.rx_bytes, 1578);
}

static void test_receive_wraps(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10 * RING_COUNT + 7; i++) {
		assert_true(chip_receive(bytes, 60 + i % 1000, 0));
		if (i % 13 == 12) {
			assert_int_equal(nic->ops->poll(nic, BUDGET), 13);
			assert_frame(received[12], 60 + i % 1000);
			forget();
		}
	}
}

static void test_receive_jumbo(void **state)
{
	(void)state;
	start(0x10d3, PCI_MSIX, 9000);
	for (unsigned i = 0; i < 200; i++) {
		assert_true(chip_receive(bytes, 9018 - i, 0));
		assert_int_equal(nic->ops->poll(nic, BUDGET), 1);
		assert_frame(received[0], 9018 - i);
		forget();
	}
	/* The FCS alone was in the last buffer, and was cut off. */
	assert_true(chip_receive_piece(bytes, NIC_BUFFER_SIZE, 0));
	assert_true(chip_receive_piece(bytes, 0, RX_EOP));
	assert_int_equal(nic->ops->poll(nic, BUDGET), 1);
	assert_frame(received[0], NIC_BUFFER_SIZE);
}

static void test_receive_budget(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		assert_true(chip_receive(bytes, 60, 0));
	}
	assert_int_equal(nic->ops->poll(nic, 4), 4);
	assert_true(nic->pending);
	assert_int_equal(chip.ims, 0);
	assert_int_equal(nic->ops->poll(nic, 6), 6);
	assert_true(nic->pending);
	assert_int_equal(nic->ops->poll(nic, 6), 0);
	assert_false(nic->pending);
	assert_int_not_equal(chip.ims, 0);
}

static void test_receive_checksum(void **state)
{
	static const struct {
		uint64_t info;
		enum nic_checksum checksum;
	} cases[] = {
		{0, NIC_CHECKSUM_UNKNOWN},
		{RX_TCPCS, NIC_CHECKSUM_GOOD},
		{RX_TCPCS | RX_TCPE, NIC_CHECKSUM_BAD},
		{RX_TCPCS | RX_IXSM, NIC_CHECKSUM_UNKNOWN},
		{RX_TCPE, NIC_CHECKSUM_UNKNOWN},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(chip_receive(bytes, 60, cases[i].info));
		assert_int_equal(nic->ops->poll(nic, BUDGET), 1);
		assert_int_equal(received[i]->checksum, cases[i].checksum);
	}
}

/* Each is thrown away and counted, and the frame behind it comes. */
static void test_receive_nonsense(void **state)
{
	static const uint64_t cases[] = {
		0 | RX_EOP, /* nothing */
		13 | RX_EOP, /* no header */
		2049 | RX_EOP, /* more than a buffer */
		0xffff | RX_EOP,
		60 | RX_EOP | BIT(40), /* CRC error */
		60 | RX_EOP | BIT(47), /* RX data error */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(chip_receive_piece(bytes, 0, cases[i]));
		assert_int_equal(nic->ops->poll(nic, BUDGET), 1);
		assert_int_equal(received_count, 0);
		assert_int_equal(nic->stats.rx_errors, i + 1);
		assert_true(chip_receive(bytes, 77, 0));
		assert_int_equal(nic->ops->poll(nic, BUDGET), 1);
		assert_frame(received[0], 77);
		forget();
	}
}

/* A frame without end, one that is too long, one whose middle is not full. */
static void test_receive_endless(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RING_COUNT - 1; i++) {
		assert_true(chip_receive_piece(bytes, NIC_BUFFER_SIZE, 0));
	}
	assert_int_equal(nic->ops->poll(nic, 10), 10);
	for (unsigned i = 0; i < 40; i++) {
		assert_true(nic->ops->poll(nic, 10) <= 10);
	}
	assert_int_equal(nic->stats.rx_errors, 1);
	assert_int_equal(nic_buffer_free_count(), buffer_count - RING_COUNT);
	assert_true(chip_receive_piece(bytes, 60, RX_EOP));
	assert_true(chip_receive_piece(bytes, 100, 0));
	assert_true(chip_receive_piece(bytes, 100, RX_EOP));
	assert_true(chip_receive(bytes, 9019, 0));
	assert_true(chip_receive(bytes, 9018, 0));
	nic->ops->poll(nic, BUDGET);
	assert_int_equal(nic->stats.rx_errors, 3);
	assert_int_equal(received_count, 1);
	assert_frame(received[0], 9018);
}

/* With an empty pool frames are dropped, the ring stays full, and all goes on later. */
static void test_receive_without_buffers(void **state)
{
	static struct nic_buffer *all[4096];
	unsigned count = 0;

	(void)state;
	while (nic_buffer_free_count() > 2) {
		all[count++] = nic_buffer_alloc();
	}
	assert_true(chip_receive(bytes, 6000, 0));
	assert_true(chip_receive(bytes, 60, 0));
	assert_int_equal(nic->ops->poll(nic, BUDGET), 2);
	assert_int_equal(nic->stats.rx_dropped, 1);
	assert_int_equal(received_count, 1);
	assert_frame(received[0], 60);
	while (count > 0) {
		nic_buffer_free(all[--count]);
	}
	for (unsigned i = 0; i < RING_COUNT - 1; i++) {
		assert_true(chip_receive(bytes, 100, 0));
	}
	assert_int_equal(nic->ops->poll(nic, RING_COUNT), RING_COUNT - 1);
}

/* ---- Sending ----------------------------------------------------------------------------- */

static void test_send(void **state)
{
	(void)state;
	assert_int_equal(send(1518), 0);
	assert_int_equal(chip.sent_size, 1518);
	assert_memory_equal(chip.sent, bytes, 1518);
	assert_int_equal(done_count, 0);
	nic->ops->poll(nic, BUDGET);
	assert_int_equal(done_count, 1);
	assert_int_equal(nic->stats.tx_frames, 1);
	assert_int_equal(nic->stats.tx_bytes, 1518);
}

static void test_send_refused(void **state)
{
	struct nic_frame frame = frame_of(100);
	static uint8_t outside[100];

	(void)state;
	assert_int_equal(send(1519), -EMSGSIZE);
	frame.pieces[0].data = outside;
	assert_int_equal(nic->ops->send(nic, &frame), -EFAULT);
	frame = frame_of(300);
	frame.checksum_start = 250;
	frame.checksum_offset = 6;
	assert_int_equal(nic->ops->send(nic, &frame), -EMSGSIZE);
	*chip_at(REG_STATUS) = 0;
	fake.now_ns += LOOK_NS;
	nic->ops->poll(nic, BUDGET);
	assert_int_equal(send(100), -ENETDOWN);
	assert_int_equal(chip.sent_count, 0);
}

static void test_send_pieces(void **state)
{
	struct nic_frame frame = frame_of(0);

	(void)state;
	for (unsigned round = 0; round < 3 * RING_COUNT; round++) {
		size_t at = 0;

		frame.piece_count = round % NIC_PIECE_MAX + 1;
		for (unsigned i = 0; i < frame.piece_count; i++) {
			frame.pieces[i] = (struct nic_piece){memory + at, 1 + (round + i) % 90};
			at += frame.pieces[i].size;
		}
		assert_int_equal(nic->ops->send(nic, &frame), 0);
		assert_int_equal(chip.sent_size, at);
		assert_memory_equal(chip.sent, bytes, at);
		nic->ops->poll(nic, BUDGET);
		assert_int_equal(done_count, round + 1);
	}
}

/* The ring fills up, refuses, and takes more once the card has read some. */
static void test_send_full(void **state)
{
	unsigned sent = 0;

	(void)state;
	chip.keeps = true;
	while (send(60) == 0) {
		sent++;
	}
	assert_in_range(sent, RING_COUNT - 3, RING_COUNT - 1);
	assert_int_equal(send(60), -EAGAIN);
	nic->ops->poll(nic, BUDGET);
	assert_int_equal(done_count, 0);
	chip_transmit();
	assert_int_equal(chip.sent_count, sent);
	assert_int_equal(send(60), -EAGAIN);
	nic->ops->poll(nic, BUDGET);
	assert_int_equal(done_count, sent);
	assert_int_equal(send(60), 0);
	/* What the card never read is done with by stop. */
	nic->ops->stop(nic);
	assert_int_equal(done_count, sent + 1);
	assert_int_equal(nic->stats.tx_errors, 1);
}

/* The sum that the card makes of what the driver told it; the offset is the field's. */
static void check_checksum(unsigned at_start, unsigned offset)
{
	struct nic_frame frame = frame_of(501);
	uint32_t sum = 0;

	frame.checksum_start = (uint16_t)at_start;
	frame.checksum_offset = (uint16_t)offset;
	assert_int_equal(nic->ops->send(nic, &frame), 0);
	assert_int_equal(chip.sent_size, 501);
	for (unsigned i = at_start; i < 501; i++) {
		sum += (i - at_start) % 2 ? bytes[i] : bytes[i] << 8;
	}
	while (sum >> 16) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	assert_int_equal(chip.sent[at_start + offset] << 8 | chip.sent[at_start + offset + 1],
			 ~sum & 0xffff);
	assert_memory_equal(chip.sent, bytes, at_start + offset);
	nic->ops->poll(nic, BUDGET);
}

static void check_checksums(void)
{
	unsigned slots;

	check_checksum(34, 16);
	check_checksum(34, 6);
	slots = *chip_at(REG_TDT);
	check_checksum(34, 6);
	assert_int_equal(*chip_at(REG_TDT) - slots, 1); /* no context: the card has it */
	check_checksum(54, 16);
	assert_int_equal(send(501), 0);
	assert_memory_equal(chip.sent, bytes, 501);
	nic->ops->stop(nic);
	assert_int_equal(nic->ops->start(nic, 1500), 0);
	chip.css = chip.cso = 0; /* a reset loses the context */
	nic->ops->poll(nic, BUDGET);
	check_checksum(54, 16);
}

static void test_checksums(void **state)
{
	(void)state;
	check_checksums();
	start(0x1533, PCI_MSI, 1500);
	check_checksums();
}

/* ---- Interrupts, link, statistics ----------------------------------------------------------- */

static void test_interrupts(void **state)
{
	(void)state;
	assert_true(chip_receive(bytes, 60, 0));
	assert_true(nic->pending);
	assert_int_equal(chip.ims, 0);
	assert_true(chip_receive(bytes, 60, 0));
	assert_int_equal(nic->stats.interrupts, 1);
	assert_int_equal(nic->ops->poll(nic, BUDGET), 2);
	assert_false(nic->pending);
	assert_true(chip_receive(bytes, 60, 0));
	assert_int_equal(nic->stats.interrupts, 2);
}

static void test_idle_costs_nothing(void **state)
{
	(void)state;
	unsigned accesses = chip.accesses;

	for (unsigned i = 0; i < 100; i++) {
		nic->ops->poll(nic, BUDGET);
	}
	assert_int_equal(chip.accesses, accesses);
}

static void test_polled(void **state)
{
	(void)state;
	start(0x100e, PCI_POLLED, 1500);
	assert_true(chip_receive(bytes, 60, 0));
	assert_int_equal(send(60), 0);
	assert_int_equal(nic->ops->poll(nic, BUDGET), 1);
	assert_int_equal(done_count, 1);
}

static void test_msix_of_82574(void **state)
{
	(void)state;
	start(0x10d3, PCI_MSIX, 1500);
	assert_int_equal(chip.ims, 0x015000d5);
	assert_int_equal(*chip_at(REG_IVAR), 0x00080808);
}

static void test_link(void **state)
{
	(void)state;
	*chip_at(REG_STATUS) = 0x40;
	nic->ops->poll(nic, BUDGET);
	assert_true(nic->link.up); /* nobody told */
	chip_interrupt(INTERRUPT_LSC);
	nic->ops->poll(nic, BUDGET);
	assert_false(nic->link.up);
	assert_int_equal(nic->link.mbit, 0);
	*chip_at(REG_STATUS) = 0x42;
	fake.now_ns += LOOK_NS;
	nic->ops->poll(nic, BUDGET);
	assert_true(nic->link.up);
	assert_false(nic->link.full_duplex);
	assert_int_equal(nic->link.mbit, 100);
	memset(chip.registers, 0xff, sizeof(chip.registers));
	fake.now_ns += LOOK_NS;
	nic->ops->poll(nic, BUDGET);
	assert_false(nic->link.up);
	assert_int_equal(nic->stats.rx_errors, 0);
}

static void test_statistics(void **state)
{
	(void)state;
	*chip_at(REG_MPC) = 3;
	*chip_at(REG_CRCERRS) = 2;
	*chip_at(REG_LATECOL) = 5;
	for (unsigned i = 0; i < 3; i++) {
		fake.now_ns += LOOK_NS;
		nic->ops->poll(nic, BUDGET);
	}
	assert_int_equal(nic->stats.rx_dropped, 3);
	assert_int_equal(nic->stats.rx_errors, 2);
	assert_int_equal(nic->stats.tx_errors, 5);
}

/* ---- A transmitter that stands still --------------------------------------------------------- */

static void pass(uint64_t ns)
{
	fake.now_ns += ns;
	nic->ops->poll(nic, BUDGET);
}

static void test_stuck(void **state)
{
	(void)state;
	chip.keeps = true;
	assert_int_equal(send(60), 0);
	pass(LOOK_NS);
	assert_int_equal(nic->stats.resets, 0);
	pass(LOOK_NS);
	assert_int_equal(nic->stats.resets, 1);
	assert_int_equal(done_count, 1);
	assert_int_equal(send(60), -ENETDOWN);
	assert_false(chip.master);
	unsigned resets = chip.resets;

	pass(QUIET_NS);
	assert_int_equal(chip.resets, resets + 1);
	pass(RESET_NS / 2);
	pass(RESET_NS / 2);
	pass(ENABLE_NS);
	pass(0);
	assert_true(nic->link.up);
	chip.keeps = false;
	assert_int_equal(send(60), 0);
	pass(0);
	assert_int_equal(done_count, 2);
	assert_true(chip_receive(bytes, 60, 0));
	assert_int_equal(nic->ops->poll(nic, BUDGET), 1);
}

/* A reset that does not end is tried again and again, a second apart, without a wait. */
static void test_stuck_and_hung(void **state)
{
	(void)state;
	chip.keeps = true;
	chip.hung = true;
	assert_int_equal(send(60), 0);
	pass(LOOK_NS);
	pass(LOOK_NS);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t before_ns = fake.now_ns;

		pass(0);
		assert_int_equal(fake.now_ns, before_ns);
		fake.now_ns += RESET_NS;
	}
	assert_int_equal(send(60), -ENETDOWN);
	*chip_at(REG_CTRL) = 0;
	for (unsigned i = 0; i < 4; i++) {
		pass(LOOK_NS);
	}
	assert_true(nic->link.up);
}

/* Frames that wait for the link, or were sent in this very poll, are not stuck. */
static void test_not_stuck(void **state)
{
	(void)state;
	chip.keeps = true;
	assert_int_equal(send(60), 0);
	*chip_at(REG_STATUS) = 0;
	chip_interrupt(INTERRUPT_LSC);
	pass(0);
	pass(10 * LOOK_NS);
	*chip_at(REG_STATUS) = 0x83;
	pass(LOOK_NS);
	pass(LOOK_NS);
	assert_int_equal(nic->stats.resets, 0);
	chip_transmit();
	pass(0);
	assert_int_equal(done_count, 1);
}

static void send_back(void *context, struct nic_buffer *frame)
{
	(void)context;
	nic_buffers_free(frame);
	fake.now_ns += 1000;
	assert_int_equal(send(60), 0);
}

static void test_sent_in_poll_is_not_stuck(void **state)
{
	(void)state;
	chip.keeps = true;
	nic->receive = send_back;
	assert_true(chip_receive(bytes, 60, 0));
	pass(LOOK_NS);
	assert_int_equal(nic->stats.resets, 0);
	nic->receive = receive;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_probe),
		cmocka_unit_test(test_probe_eeprom),
		cmocka_unit_test(test_probe_refused),
		cmocka_unit_test(test_probe_is_silent),
		TEST(test_start),
		TEST(test_start_refused),
		TEST(test_start_without_buffers),
		TEST(test_igb),
		TEST(test_receive),
		TEST(test_receive_wraps),
		TEST(test_receive_jumbo),
		TEST(test_receive_budget),
		TEST(test_receive_checksum),
		TEST(test_receive_nonsense),
		TEST(test_receive_endless),
		TEST(test_receive_without_buffers),
		TEST(test_send),
		TEST(test_send_refused),
		TEST(test_send_pieces),
		TEST(test_send_full),
		TEST(test_checksums),
		TEST(test_interrupts),
		TEST(test_idle_costs_nothing),
		TEST(test_polled),
		TEST(test_msix_of_82574),
		TEST(test_link),
		TEST(test_statistics),
		TEST(test_stuck),
		TEST(test_stuck_and_hung),
		TEST(test_not_stuck),
		TEST(test_sent_in_poll_is_not_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
