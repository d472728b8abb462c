/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16550 UART: PC16550D data sheet (National Semiconductor), section 8.
 *
 * The interrupt handler and the other functions run on one CPU with interrupts
 * off, so the queues' two ends never meet. Every loop over the hardware is
 * bounded: a register that reads as all ones must not hold the host.
 */
#include "drivers/serial.h"

#include <errno.h>

#include "arch/x86_64/arch.h"

#define REG_RBR 0 /* receiver buffer, read */
#define REG_THR 0 /* transmitter holding, write */
#define REG_DLL 0 /* divisor, with LCR_DLAB */
#define REG_IER 1
#define IER_RECEIVE BIT(0)
#define IER_TRANSMIT BIT(1)
#define IER_LINE_STATUS BIT(2)
#define REG_DLM 1
#define REG_IIR 2 /* read */
#define IIR_NONE BIT(0)
#define IIR_FIFO BITS(7, 6)
#define REG_FCR 2 /* write */
#define FCR_ENABLE BIT(0)
#define FCR_CLEAR BITS(2, 1)
#define FCR_TRIGGER_8 BIT(7)
#define REG_LCR 3
#define LCR_8N1 BITS(1, 0)
#define LCR_DLAB BIT(7)
#define REG_MCR 4
#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT2 BIT(3) /* lets the interrupt out on a PC */
#define MCR_LOOP BIT(4)
#define REG_LSR 5
#define LSR_DATA BIT(0)
#define LSR_OVERRUN BIT(1)
#define LSR_BREAK BIT(4)
#define LSR_THR_EMPTY BIT(5)
#define LSR_IDLE BIT(6)
#define LSR_GONE 0xff /* an empty bus */
#define REG_MSR 6
#define MSR_LINES BITS(7, 4)
#define REG_SCR 7

#define DIVISOR_115200 1
#define FIFO_SIZE 16

/* More than a full FIFO takes at 115200, and than any bus needs to answer. */
#define WAIT_READS 1000000
#define RECEIVE_MAX 64
#define HANDLER_PASSES_MAX 16

/* A FIFO of 16 bytes fills in 1.4 ms. */
#define POLL_PERIOD_NS 1000000
/* For chips that forget a transmitter interrupt; it is never needed otherwise. */
#define LOST_INTERRUPT_NS 20000000

static uint8_t reg_read(const struct serial *serial, uint16_t reg)
{
	return io_read8(serial->io_base + reg);
}

static void reg_write(const struct serial *serial, uint16_t reg, uint64_t value)
{
	io_write8(serial->io_base + reg, (uint8_t)value);
}

static bool wait_for(struct serial *serial, uint64_t lsr_bit)
{
	for (unsigned i = 0; i < WAIT_READS; i++) {
		if (reg_read(serial, REG_LSR) & lsr_bit) {
			return true;
		}
	}
	return false;
}

static bool scratch_holds(const struct serial *serial, uint8_t value)
{
	reg_write(serial, REG_SCR, value);
	return reg_read(serial, REG_SCR) == value;
}

/* In loopback RTS comes back as CTS and OUT2 as DCD, and nothing else does. */
static bool loopback_answers(const struct serial *serial)
{
	reg_write(serial, REG_MCR, MCR_LOOP | MCR_RTS | MCR_OUT2);
	bool answers = (reg_read(serial, REG_MSR) & MSR_LINES) == (BIT(4) | BIT(7));
	reg_write(serial, REG_MCR, 0);
	return answers;
}

static bool uart_answers(const struct serial *serial)
{
	/* The original 8250 has no scratch register. */
	return reg_read(serial, REG_LSR) != LSR_GONE &&
	       ((scratch_holds(serial, 0x5a) && scratch_holds(serial, 0xa5)) ||
		loopback_answers(serial));
}

static void set_ier(struct serial *serial, uint64_t ier)
{
	if (serial->ier != ier) {
		serial->ier = (uint8_t)ier;
		reg_write(serial, REG_IER, ier);
	}
}

int serial_init(struct serial *serial, uint16_t io_base, unsigned irq)
{
	serial->io_base = io_base;
	serial->irq = irq;
	serial->interrupts = false;
	serial->rx_lost = 0;
	byte_queue_init(&serial->tx, serial->tx_memory, sizeof(serial->tx_memory));
	byte_queue_init(&serial->rx, serial->rx_memory, sizeof(serial->rx_memory));

	serial->present = uart_answers(serial);
	if (!serial->present) {
		return -ENODEV;
	}

	/* The firmware's last words leave at the firmware's speed. */
	(void)wait_for(serial, LSR_IDLE);
	serial->ier = 0;
	reg_write(serial, REG_IER, 0);
	reg_write(serial, REG_LCR, LCR_DLAB);
	reg_write(serial, REG_DLL, DIVISOR_115200);
	reg_write(serial, REG_DLM, 0);
	reg_write(serial, REG_LCR, LCR_8N1);
	reg_write(serial, REG_FCR, FCR_ENABLE | FCR_CLEAR | FCR_TRIGGER_8);
	reg_write(serial, REG_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);

	bool has_fifo = (reg_read(serial, REG_IIR) & IIR_FIFO) == IIR_FIFO;
	serial->fifo_size = has_fifo ? FIFO_SIZE : 1;
	return 0;
}

/* Fills the FIFO when it is empty, and asks for the interrupt when more waits. */
static void transmit(struct serial *serial)
{
	if (reg_read(serial, REG_LSR) & LSR_THR_EMPTY) {
		uint8_t bytes[FIFO_SIZE];
		size_t count = byte_queue_read(&serial->tx, bytes, serial->fifo_size);

		for (size_t i = 0; i < count; i++) {
			reg_write(serial, REG_THR, bytes[i]);
		}
	}
	if (serial->interrupts) {
		bool more = byte_queue_used(&serial->tx) > 0;

		set_ier(serial, IER_RECEIVE | IER_LINE_STATUS | (more ? IER_TRANSMIT : 0));
	}
}

static void receive(struct serial *serial)
{
	for (unsigned i = 0; i < RECEIVE_MAX; i++) {
		uint8_t lsr = reg_read(serial, REG_LSR);

		if (lsr == LSR_GONE || !(lsr & LSR_DATA)) {
			return;
		}
		uint8_t byte = reg_read(serial, REG_RBR);
		if (lsr & LSR_OVERRUN) {
			serial->rx_lost++;
		}
		/* A break arrives as a zero that nobody typed. */
		if (!(lsr & LSR_BREAK) && byte_queue_write(&serial->rx, &byte, 1) == 0) {
			serial->rx_lost++;
		}
	}
}

static void handle_interrupt(void *context)
{
	struct serial *serial = context;

	for (unsigned i = 0; i < HANDLER_PASSES_MAX; i++) {
		if (reg_read(serial, REG_IIR) & IIR_NONE) {
			return;
		}
		receive(serial);
		transmit(serial);
	}
	/* The line is still high and will give no new edge unless it falls first. */
	reg_write(serial, REG_IER, 0);
	reg_write(serial, REG_IER, serial->ier);
}

int serial_enable_interrupts(struct serial *serial)
{
	if (!serial->present) {
		return -ENODEV;
	}
	if (serial->interrupts) {
		return 0;
	}
	int error = irq_register(serial->irq, handle_interrupt, serial);
	if (error) {
		return error;
	}
	serial->interrupts = true;
	transmit(serial);
	return 0;
}

size_t serial_room(const struct serial *serial)
{
	return serial->present ? byte_queue_room(&serial->tx) : SERIAL_TX_SIZE;
}

size_t serial_write(struct serial *serial, const void *bytes, size_t size)
{
	if (!serial->present) {
		return size;
	}
	size_t count = byte_queue_write(&serial->tx, bytes, size);
	transmit(serial);
	return count;
}

size_t serial_read(struct serial *serial, void *bytes, size_t size)
{
	return byte_queue_read(&serial->rx, bytes, size);
}

uint64_t serial_take_lost(struct serial *serial)
{
	uint64_t lost = serial->rx_lost;

	serial->rx_lost = 0;
	return lost;
}

uint64_t serial_step(struct serial *serial, uint64_t now_ns)
{
	if (!serial->present) {
		return TIME_NEVER;
	}
	receive(serial);
	transmit(serial);
	if (!serial->interrupts) {
		return now_ns + POLL_PERIOD_NS;
	}
	return byte_queue_used(&serial->tx) > 0 ? now_ns + LOST_INTERRUPT_NS : TIME_NEVER;
}

/* A transmitter that stands still for so long is gone, and must not stop a panic. */
static void wait_or_give_up(struct serial *serial, uint64_t lsr_bit)
{
	if (!wait_for(serial, lsr_bit)) {
		serial->present = false;
	}
}

static void drain(struct serial *serial)
{
	while (serial->present && byte_queue_used(&serial->tx) > 0) {
		wait_or_give_up(serial, LSR_THR_EMPTY);
		transmit(serial);
	}
}

void serial_write_polled(struct serial *serial, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size > 0) {
		size_t count = serial_write(serial, from, size);

		from += count;
		size -= count;
		drain(serial);
	}
}

void serial_flush(struct serial *serial)
{
	drain(serial);
	if (serial->present) {
		wait_or_give_up(serial, LSR_IDLE);
	}
}
