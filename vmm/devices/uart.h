/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port: a 16550A at 0x3f8, IRQ 4 (National PC16550D data sheet).
 *
 * The line has no speed: a byte sent is out at once, so the transmitter is
 * always empty. Input waits in the host's queue, filled by another CPU, until the
 * receive FIFO has room.
 */
#ifndef VMM_DEVICES_UART_H
#define VMM_DEVICES_UART_H

#include "vmm/device.h"

#define UART_FIFO_SIZE 16

struct uart_state_v1 {
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t dll, dlm;
	uint8_t lsr; /* error bits only */
	uint8_t msr; /* delta bits only */
	uint8_t thre_pending; /* THR became empty and nobody was told */
	uint8_t irq; /* level of the line */
	uint8_t rx_first, rx_count;
	uint8_t reserved[3];
	uint8_t rx[UART_FIFO_SIZE];
};
_Static_assert(sizeof(struct uart_state_v1) == 32, "no padding");

struct uart {
	struct device device;
	struct uart_state_v1 state;
};

extern const struct device_ops uart_ops;

/* Input may wait in the queue: moves what fits into the FIFO. */
void uart_poll(struct uart *uart);

#endif
