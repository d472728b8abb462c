/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial driver against a small model of a 16550 behind the fake ports:
 * FIFOs of 16 bytes, an interrupt line by the data sheet's priorities, and a
 * wire that moves only when a test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "drivers/serial.c"
#include "tests/fake_arch/fake_arch.h"

static struct {
	bool absent, no_scratch, no_fifo, stuck;
	uint8_t ier, lcr, mcr, scr, lsr_errors;
	uint8_t fcr;
	unsigned divisor;
	char tx_fifo[16], rx_fifo[64];
	unsigned tx_count, rx_count;
	bool thre_pending;
	unsigned tx_overflow;
	char wire[20000];
	size_t wire_count;
	unsigned moves_by_reads; /* the wire moves at every so many-th look at LSR */
	unsigned lsr_reads, ier_writes;
} uart;

static struct serial serial;

static void wire_move(void)
{
	memcpy(uart.wire + uart.wire_count, uart.tx_fifo, uart.tx_count);
	uart.wire_count += uart.tx_count;
	uart.thre_pending = uart.thre_pending || uart.tx_count > 0;
	uart.tx_count = 0;
}

static uint8_t iir(void)
{
	uint8_t fifo = uart.no_fifo ? 0 : 0xc0;

	if (uart.stuck) {
		return fifo | 4;
	}
	if ((uart.ier & 4) && uart.lsr_errors) {
		return fifo | 6;
	}
	if ((uart.ier & 1) && uart.rx_count > 0) {
		return fifo | 4;
	}
	if ((uart.ier & 2) && uart.thre_pending) {
		uart.thre_pending = false;
		return fifo | 2;
	}
	return fifo | 1;
}

static uint8_t read_rbr(void)
{
	uint8_t byte = (uint8_t)uart.rx_fifo[0];

	if (uart.rx_count > 0) {
		uart.rx_count--;
		memmove(uart.rx_fifo, uart.rx_fifo + 1, uart.rx_count);
	}
	return byte;
}

static uint8_t read_lsr(void)
{
	uint8_t value = (uint8_t)((uart.rx_count ? 1 : 0) | uart.lsr_errors);

	uart.lsr_reads++;
	if (uart.moves_by_reads && uart.lsr_reads % uart.moves_by_reads == 0) {
		wire_move();
	}
	uart.lsr_errors = 0;
	return (uint8_t)(value | (uart.tx_count ? 0 : 0x60));
}

static uint32_t port_read(uint16_t port, unsigned size)
{
	assert_int_equal(size, 1);
	if (uart.absent) {
		return 0xff;
	}
	switch (port - SERIAL_COM1_BASE) {
	case 0:
		return read_rbr();
	case 1:
		return uart.ier;
	case 2:
		return iir();
	case 3:
		return uart.lcr;
	case 4:
		return uart.mcr;
	case 5:
		return read_lsr();
	case 6:
		return uart.mcr & 0x10 ? (uart.mcr & 2 ? 0x10 : 0) | (uart.mcr & 8 ? 0x80 : 0)
				       : 0xb0;
	case 7:
		return uart.no_scratch ? 0xff : uart.scr;
	default:
		fail_msg("port 0x%x", port);
		return 0;
	}
}

static void write_thr(uint8_t value)
{
	if (uart.tx_count == (uart.no_fifo ? 1 : sizeof(uart.tx_fifo))) {
		uart.tx_overflow++;
		return;
	}
	uart.thre_pending = false;
	uart.tx_fifo[uart.tx_count++] = (char)value;
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
	bool dlab = uart.lcr & 0x80;

	assert_int_equal(size, 1);
	switch (port - SERIAL_COM1_BASE) {
	case 0:
		if (dlab) {
			uart.divisor = (uart.divisor & 0xff00) | value;
		} else {
			write_thr((uint8_t)value);
		}
		break;
	case 1:
		if (dlab) {
			uart.divisor = (uart.divisor & 0xff) | value << 8;
		} else {
			uart.ier_writes++;
			/* Data sheet: enabling it with an empty THR raises it. */
			uart.thre_pending |= (value & 2) && !(uart.ier & 2) && uart.tx_count == 0;
			uart.ier = (uint8_t)value;
		}
		break;
	case 2:
		uart.fcr = (uint8_t)value;
		break;
	case 3:
		uart.lcr = (uint8_t)value;
		break;
	case 4:
		uart.mcr = (uint8_t)value;
		break;
	case 7:
		uart.scr = (uint8_t)value;
		break;
	default:
		fail_msg("port 0x%x", port);
	}
}

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(0);
	fake.io_read = port_read;
	fake.io_write = port_write;
	memset(&uart, 0, sizeof(uart));
	memset(&serial, 0, sizeof(serial));
	uart.divisor = 12;
	uart.ier = 0x0f;
	return 0;
}

static int setup_with_interrupts(void **state)
{
	setup(state);
	return serial_init(&serial, SERIAL_COM1_BASE, SERIAL_COM1_IRQ) ||
	       serial_enable_interrupts(&serial);
}

/* Raises the line as long as the UART asks, and moves the wire. */
static void run_wire(void)
{
	for (unsigned i = 0; i < 2000 && (uart.tx_count || byte_queue_used(&serial.tx)); i++) {
		wire_move();
		if (!(iir() & 1)) {
			uart.thre_pending = true;
			fake_irq_raise(SERIAL_COM1_IRQ);
		}
	}
}

static void test_init(void **state)
{
	(void)state;
	assert_int_equal(serial_init(&serial, SERIAL_COM1_BASE, SERIAL_COM1_IRQ), 0);
	assert_true(serial.present);
	assert_int_equal(uart.divisor, 1);
	assert_int_equal(uart.lcr, 0x03);
	assert_int_equal(uart.mcr, 0x0b);
	assert_int_equal(uart.fcr & 1, 1);
	assert_int_equal(uart.ier, 0);
	assert_int_equal(serial.fifo_size, 16);
}

static void test_absent(void **state)
{
	(void)state;
	uart.absent = true;
	assert_int_equal(serial_init(&serial, SERIAL_COM1_BASE, SERIAL_COM1_IRQ), -ENODEV);
	assert_int_equal(serial_enable_interrupts(&serial), -ENODEV);
	assert_int_equal(serial_room(&serial), SERIAL_TX_SIZE);
	assert_int_equal(serial_write(&serial, "text", 4), 4);
	serial_write_polled(&serial, "text", 4);
	serial_flush(&serial);
	assert_int_equal(serial_step(&serial, 5), TIME_NEVER);
	assert_int_equal(uart.wire_count, 0);
}

static void test_without_scratch_register(void **state)
{
	(void)state;
	uart.no_scratch = true;
	assert_int_equal(serial_init(&serial, SERIAL_COM1_BASE, SERIAL_COM1_IRQ), 0);
}

static void test_transmit_by_interrupt(void **state)
{
	char text[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (char)('a' + i % 26);
	}
	assert_int_equal(serial_write(&serial, text, sizeof(text)), sizeof(text));
	assert_int_equal(uart.tx_count, 16);
	assert_int_equal(uart.ier & 2, 2);
	run_wire();
	assert_int_equal(uart.wire_count, sizeof(text));
	assert_memory_equal(uart.wire, text, sizeof(text));
	assert_int_equal(uart.tx_overflow, 0);
	/* Nothing more to send: no interrupt is asked for. */
	assert_int_equal(uart.ier & 2, 0);
	assert_int_equal(serial_step(&serial, 0), TIME_NEVER);
}

static void test_write_takes_what_fits(void **state)
{
	static char text[SERIAL_TX_SIZE + 100];

	(void)state;
	uart.tx_count = 1; /* busy */
	assert_int_equal(serial_write(&serial, text, sizeof(text)), SERIAL_TX_SIZE);
	assert_int_equal(serial_room(&serial), 0);
	assert_int_equal(serial_write(&serial, text, 1), 0);
	wire_move();
	fake_irq_raise(SERIAL_COM1_IRQ);
	assert_int_equal(serial_room(&serial), 16);
}

static void test_lost_transmit_interrupt(void **state)
{
	char text[40] = {0};

	(void)state;
	assert_int_equal(serial_write(&serial, text, sizeof(text)), sizeof(text));
	wire_move();
	uint64_t deadline = serial_step(&serial, 1000);
	assert_true(deadline > 1000 && deadline != TIME_NEVER);
	assert_int_equal(uart.tx_count, 16);
}

static void test_receive_by_interrupt(void **state)
{
	char text[16];

	(void)state;
	memcpy(uart.rx_fifo, "hello", 5);
	uart.rx_count = 5;
	fake_irq_raise(SERIAL_COM1_IRQ);
	assert_int_equal(uart.rx_count, 0);
	assert_int_equal(serial_read(&serial, text, 3), 3);
	assert_int_equal(serial_read(&serial, text + 3, sizeof(text)), 2);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(serial_take_lost(&serial), 0);
}

static void test_overrun_and_break_are_told(void **state)
{
	char text[4];

	(void)state;
	uart.rx_fifo[0] = 'x';
	uart.rx_count = 1;
	uart.lsr_errors = 0x02;
	fake_irq_raise(SERIAL_COM1_IRQ);
	assert_int_equal(serial_read(&serial, text, 4), 1);
	assert_int_equal(serial_take_lost(&serial), 1);
	uart.rx_fifo[0] = '\0';
	uart.rx_count = 1;
	uart.lsr_errors = 0x10;
	fake_irq_raise(SERIAL_COM1_IRQ);
	assert_int_equal(serial_read(&serial, text, 4), 0);
	assert_int_equal(serial_take_lost(&serial), 0);
}

static void test_receive_queue_full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SERIAL_RX_SIZE + 5; i++) {
		uart.rx_fifo[0] = 'x';
		uart.rx_count = 1;
		fake_irq_raise(SERIAL_COM1_IRQ);
	}
	assert_int_equal(serial_take_lost(&serial), 5);
	assert_int_equal(serial_take_lost(&serial), 0);
}

/* The line is edge-triggered: a handler that gives up must make a new edge. */
static void test_handler_is_bounded(void **state)
{
	(void)state;
	uart.stuck = true;
	unsigned before = uart.ier_writes;
	fake_irq_raise(SERIAL_COM1_IRQ);
	assert_int_equal(uart.ier_writes, before + 2);
	assert_int_equal(uart.ier, serial.ier);
}

static void test_polling_without_interrupt(void **state)
{
	char text[40];

	(void)state;
	fake.irq_error = -ENODEV;
	memset(text, 'p', sizeof(text));
	assert_int_equal(serial_init(&serial, SERIAL_COM1_BASE, SERIAL_COM1_IRQ), 0);
	assert_int_equal(serial_enable_interrupts(&serial), -ENODEV);
	assert_int_equal(serial_write(&serial, text, sizeof(text)), sizeof(text));
	for (uint64_t now = 0; now < 10; now++) {
		uint64_t deadline = serial_step(&serial, now);

		assert_true(deadline > now && deadline < now + 1400000);
		wire_move();
	}
	assert_int_equal(uart.wire_count, sizeof(text));
	assert_int_equal(uart.ier, 0);
	uart.rx_fifo[0] = 'k';
	uart.rx_count = 1;
	serial_step(&serial, 10);
	assert_int_equal(serial_read(&serial, text, 4), 1);
}

static void test_polled_write_keeps_the_order(void **state)
{
	static char text[SERIAL_TX_SIZE + 500];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (char)('a' + i % 23);
	}
	uart.moves_by_reads = 3;
	assert_int_equal(serial_write(&serial, text, 100), 100);
	serial_write_polled(&serial, text + 100, sizeof(text) - 100);
	serial_flush(&serial);
	assert_int_equal(uart.tx_count, 0);
	assert_int_equal(uart.wire_count, sizeof(text));
	assert_memory_equal(uart.wire, text, sizeof(text));
	assert_int_equal(uart.tx_overflow, 0);
}

static void test_transmitter_that_stands_still(void **state)
{
	char text[200] = {0};

	(void)state;
	serial_write_polled(&serial, text, sizeof(text));
	assert_false(serial.present);
	serial_write_polled(&serial, text, sizeof(text));
}

static void test_without_fifo(void **state)
{
	(void)state;
	uart.no_fifo = true;
	uart.moves_by_reads = 2;
	assert_int_equal(serial_init(&serial, SERIAL_COM1_BASE, SERIAL_COM1_IRQ), 0);
	assert_int_equal(serial.fifo_size, 1);
	serial_write_polled(&serial, "one by one", 10);
	serial_flush(&serial);
	assert_memory_equal(uart.wire, "one by one", 10);
	assert_int_equal(uart.tx_overflow, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_init, setup),
		cmocka_unit_test_setup(test_absent, setup),
		cmocka_unit_test_setup(test_without_scratch_register, setup),
		cmocka_unit_test_setup(test_transmit_by_interrupt, setup_with_interrupts),
		cmocka_unit_test_setup(test_write_takes_what_fits, setup_with_interrupts),
		cmocka_unit_test_setup(test_lost_transmit_interrupt, setup_with_interrupts),
		cmocka_unit_test_setup(test_receive_by_interrupt, setup_with_interrupts),
		cmocka_unit_test_setup(test_overrun_and_break_are_told, setup_with_interrupts),
		cmocka_unit_test_setup(test_receive_queue_full, setup_with_interrupts),
		cmocka_unit_test_setup(test_handler_is_bounded, setup_with_interrupts),
		cmocka_unit_test_setup(test_polling_without_interrupt, setup),
		cmocka_unit_test_setup(test_polled_write_keeps_the_order, setup_with_interrupts),
		cmocka_unit_test_setup(test_transmitter_that_stands_still, setup_with_interrupts),
		cmocka_unit_test_setup(test_without_fifo, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
