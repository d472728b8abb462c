/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/uart.h"

#include <errno.h>

#include "base/bits.h"
#include "base/ring.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

/* Registers by offset; DLAB turns 0 and 1 into the divisor latch. */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_DATA BIT(0)
#define IER_THRE BIT(1)
#define IER_LINE BIT(2)
#define IER_MODEM BIT(3)
#define IER_MASK BITS(3, 0)

#define IIR_NONE 0x01 /* causes by falling priority: line first, modem last */
#define IIR_LINE 0x06
#define IIR_DATA 0x04
#define IIR_TIMEOUT 0x0c
#define IIR_THRE 0x02
#define IIR_MODEM 0x00
#define IIR_FIFO BITS(7, 6)

#define FCR_ENABLE BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define FCR_TRIGGER BITS(7, 6)
#define FCR_KEPT (FCR_TRIGGER | FCR_ENABLE)

#define LCR_DLAB BIT(7)

#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)
#define MCR_MASK BITS(4, 0)

#define LSR_READY BIT(0)
#define LSR_OVERRUN BIT(1)
#define LSR_ERRORS BITS(4, 1)
#define LSR_THRE BIT(5)
#define LSR_TEMT BIT(6)

#define MSR_DELTAS BITS(3, 0)
#define MSR_RI_ENDED BIT(2)
#define MSR_CTS BIT(4)
#define MSR_DSR BIT(5)
#define MSR_RI BIT(6)
#define MSR_DCD BIT(7)

static struct uart *to_uart(struct device *device)
{
	return CONTAINER_OF(device, struct uart, device);
}

static unsigned rx_depth(const struct uart_state_v1 *s)
{
	return s->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1;
}

static unsigned rx_trigger(const struct uart_state_v1 *s)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return s->fcr & FCR_ENABLE ? levels[field_get(FCR_TRIGGER, s->fcr)] : 1;
}

/* The most urgent cause that is enabled, as IIR shows it. */
static uint8_t interrupt_cause(const struct uart_state_v1 *s)
{
	if ((s->ier & IER_LINE) && s->lsr) {
		return IIR_LINE;
	}
	if ((s->ier & IER_DATA) && s->rx_count) {
		/* A line without speed: four character times are over at once. */
		return s->rx_count >= rx_trigger(s) ? IIR_DATA : IIR_TIMEOUT;
	}
	if ((s->ier & IER_THRE) && s->thre_pending) {
		return IIR_THRE;
	}
	if ((s->ier & IER_MODEM) && s->msr) {
		return IIR_MODEM;
	}
	return IIR_NONE;
}

/* On a PC, OUT2 connects the interrupt; in loopback it is cut off. */
static void update_irq(struct uart *uart)
{
	struct uart_state_v1 *s = &uart->state;
	bool level = (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 && interrupt_cause(s) != IIR_NONE;

	if (level != s->irq) {
		s->irq = level;
		device_set_irq(&uart->device, MACHINE_IRQ_UART, level);
	}
}

static void rx_push(struct uart_state_v1 *s, uint8_t byte)
{
	if (s->rx_count >= rx_depth(s)) {
		s->lsr |= LSR_OVERRUN;
		return;
	}
	s->rx[(s->rx_first + s->rx_count) % UART_FIFO_SIZE] = byte;
	s->rx_count++;
}

static uint8_t rx_pop(struct uart_state_v1 *s)
{
	uint8_t byte = s->rx[s->rx_first];

	if (s->rx_count) {
		s->rx_first = (s->rx_first + 1) % UART_FIFO_SIZE;
		s->rx_count--;
	}
	return byte;
}

/* Takes from the queue what fits. In loopback the line is cut off: it waits. */
static bool rx_refill(struct uart *uart)
{
	struct uart_state_v1 *s = &uart->state;
	uint8_t bytes[UART_FIFO_SIZE];
	size_t count;

	if ((s->mcr & MCR_LOOP) || s->rx_count >= rx_depth(s)) {
		return false;
	}
	count = byte_queue_read(uart->device.platform->host.console_input, bytes,
				rx_depth(s) - s->rx_count);
	for (size_t i = 0; i < count; i++) {
		rx_push(s, bytes[i]);
	}
	return count > 0;
}

void uart_poll(struct uart *uart)
{
	if (rx_refill(uart)) {
		update_irq(uart);
	}
}

/* Bits 7 to 4 of MSR: a terminal is always there; in loopback it is MCR's. */
static uint8_t modem_lines(uint8_t mcr)
{
	if (!(mcr & MCR_LOOP)) {
		return MSR_DCD | MSR_DSR | MSR_CTS;
	}
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct uart_state_v1 *s, uint8_t value)
{
	uint8_t before = modem_lines(s->mcr);
	uint8_t changed;

	s->mcr = value & MCR_MASK;
	changed = before ^ modem_lines(s->mcr);
	/* RI is noted only when it ends. */
	if (!(before & MSR_RI)) {
		changed &= ~MSR_RI;
	}
	s->msr |= changed >> 4;
}

static void write_fcr(struct uart_state_v1 *s, uint8_t value)
{
	bool toggled = (s->fcr ^ value) & FCR_ENABLE;

	if (toggled || (value & FCR_CLEAR_RX)) {
		s->rx_count = 0;
	}
	/* The other bits of FCR count only together with the first. */
	s->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
}

static void write_ier(struct uart_state_v1 *s, uint8_t value)
{
	/* Enabling the THRE interrupt while THR is empty raises it. */
	if (value & ~s->ier & IER_THRE) {
		s->thre_pending = true;
	}
	s->ier = value & IER_MASK;
}

static void transmit(struct uart *uart, uint8_t byte)
{
	const struct platform_host *host = &uart->device.platform->host;

	if (uart->state.mcr & MCR_LOOP) {
		rx_push(&uart->state, byte);
	} else {
		host->console_output(host->context, byte);
	}
	uart->state.thre_pending = true;
}

static void uart_write(struct device *device, unsigned offset, uint8_t value)
{
	struct uart *uart = to_uart(device);
	struct uart_state_v1 *s = &uart->state;

	switch (offset) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB) {
			s->dll = value;
			return;
		}
		transmit(uart, value);
		break;
	case REG_IER:
		if (s->lcr & LCR_DLAB) {
			s->dlm = value;
			return;
		}
		write_ier(s, value);
		break;
	case REG_IIR_FCR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		s->lcr = value;
		return;
	case REG_MCR:
		write_mcr(s, value);
		rx_refill(uart);
		break;
	case REG_SCR:
		s->scr = value;
		return;
	default: /* LSR and MSR are read-only */
		return;
	}
	update_irq(uart);
}

static uint8_t read_data(struct uart *uart)
{
	uint8_t byte = rx_pop(&uart->state);

	rx_refill(uart);
	return byte;
}

static uint8_t read_iir(struct uart_state_v1 *s)
{
	uint8_t cause = interrupt_cause(s);

	if (cause == IIR_THRE) {
		s->thre_pending = false;
	}
	return cause | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart_state_v1 *s)
{
	uint8_t value = s->lsr | LSR_THRE | LSR_TEMT | (s->rx_count ? LSR_READY : 0);

	s->lsr = 0;
	return value;
}

static uint8_t read_msr(struct uart_state_v1 *s)
{
	uint8_t value = modem_lines(s->mcr) | s->msr;

	s->msr = 0;
	return value;
}

static uint8_t uart_read(struct device *device, unsigned offset)
{
	struct uart *uart = to_uart(device);
	struct uart_state_v1 *s = &uart->state;
	uint8_t value;

	switch (offset) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB) {
			return s->dll;
		}
		value = read_data(uart);
		break;
	case REG_IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case REG_IIR_FCR:
		value = read_iir(s);
		break;
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		value = read_lsr(s);
		break;
	case REG_MSR:
		value = read_msr(s);
		break;
	default:
		return s->scr;
	}
	update_irq(uart);
	return value;
}

static void uart_reset(struct device *device)
{
	/* What was typed before a reset stays for after it. */
	to_uart(device)->state = (struct uart_state_v1){.dll = 1};
}

static int uart_validate(const void *state)
{
	const struct uart_state_v1 *s = state;

	if ((s->ier & ~IER_MASK) || (s->fcr & ~FCR_KEPT) || (s->fcr && !(s->fcr & FCR_ENABLE)) ||
	    (s->mcr & ~MCR_MASK) || (s->lsr & ~LSR_ERRORS) || (s->msr & ~MSR_DELTAS)) {
		return -EINVAL;
	}
	if (s->thre_pending > 1 || s->irq > 1 || s->rx_first >= UART_FIFO_SIZE ||
	    s->rx_count > rx_depth(s)) {
		return -EINVAL;
	}
	return 0;
}

static const struct port_region uart_ports[] = {
	{MACHINE_PORT_UART, 8},
};

const struct device_ops uart_ops = {
	.name = "uart",
	DEVICE_STATE(struct uart, 1),
	.ports = uart_ports,
	.port_count = ARRAY_SIZE(uart_ports),
	.read = uart_read,
	.write = uart_write,
	.reset = uart_reset,
	.validate = uart_validate,
};
