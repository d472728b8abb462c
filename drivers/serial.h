/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550 UART of the host, 115200 baud 8N1.
 *
 * Writing never waits: bytes go into a queue that the transmitter's interrupt
 * empties, and the caller learns how many were taken. Without an interrupt
 * serial_step does the work of its handler. Where no UART answers, everything
 * written is taken and goes nowhere; the log still has it.
 *
 * All functions belong to the service CPU, serial_write_polled in a panic excepted.
 */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include "base/ring.h"

#define SERIAL_COM1_BASE 0x3f8
#define SERIAL_COM1_IRQ 4
#define SERIAL_COM2_BASE 0x2f8
#define SERIAL_COM2_IRQ 3

#define SERIAL_TX_SIZE 4096
#define SERIAL_RX_SIZE 1024

struct serial {
	uint16_t io_base;
	unsigned irq;
	bool present;
	bool interrupts; /* false: serial_step polls */
	unsigned fifo_size; /* of the transmitter */
	uint8_t ier; /* what the register holds */
	uint64_t rx_lost;
	struct byte_queue tx, rx;
	uint8_t tx_memory[SERIAL_TX_SIZE];
	uint8_t rx_memory[SERIAL_RX_SIZE];
};

/* Sets the UART up, without interrupts. Returns -ENODEV when there is none. */
int serial_init(struct serial *serial, uint16_t io_base, unsigned irq) MUST_CHECK;

/* From now on by interrupt; returns irq_register's error, and goes on polling then. */
int serial_enable_interrupts(struct serial *serial) MUST_CHECK;

/* How many bytes serial_write would take now. */
size_t serial_room(const struct serial *serial);
size_t serial_write(struct serial *serial, const void *bytes, size_t size);

/* Returns how many bytes were typed and copied. */
size_t serial_read(struct serial *serial, void *bytes, size_t size);
/* Bytes received and lost since the last call, for want of room or by noise. */
uint64_t serial_take_lost(struct serial *serial);

/*
 * Moves bytes between the queues and the UART. Returns the host time at which
 * it wants to be called again at the latest, TIME_NEVER when it needs no call.
 */
uint64_t serial_step(struct serial *serial, uint64_t now_ns);

/* Waits until all is in the UART, after what is still queued: early boot and panics. */
void serial_write_polled(struct serial *serial, const void *bytes, size_t size);
/* Waits until the last bit has left. */
void serial_flush(struct serial *serial);

#endif
