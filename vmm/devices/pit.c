/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/pit.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"
#include "vmm/ticks.h"

#define OFFSET_CONTROL 3
#define OFFSET_PORT_B 4

#define CONTROL_SELECT BITS(7, 6)
#define CONTROL_ACCESS BITS(5, 4)
#define CONTROL_MODE BITS(3, 1)
#define CONTROL_BCD BIT(0)
#define CONTROL_KEPT BITS(5, 0)
enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };
enum { TERMINAL_COUNT, ONE_SHOT, RATE, SQUARE, SOFTWARE_STROBE, HARDWARE_STROBE };

#define SELECT_READ_BACK 3
#define READ_BACK_NO_COUNT BIT(5)
#define READ_BACK_NO_STATUS BIT(4)

#define STATUS_OUTPUT BIT(7)
#define STATUS_NULL_COUNT BIT(6)

#define PORT_B_GATE BIT(0)
#define PORT_B_WRITABLE BITS(3, 0)
#define PORT_B_REFRESH BIT(4)
#define PORT_B_OUTPUT BIT(5)
#define REFRESH_PERIOD_NS 15085 /* 18 ticks: half a period of the toggle */

typedef struct pit_counter_state_v1 counter_t;

static unsigned counter_mode(const counter_t *c)
{
	unsigned mode = field_get(CONTROL_MODE, c->control);

	return mode > HARDWARE_STROBE ? mode - 4 : mode; /* 110 is 2, 111 is 3 */
}

static bool is_periodic(const counter_t *c)
{
	return counter_mode(c) == RATE || counter_mode(c) == SQUARE;
}

static bool is_triggered(const counter_t *c)
{
	return counter_mode(c) == ONE_SHOT || counter_mode(c) == HARDWARE_STROBE;
}

static uint32_t from_bcd(uint16_t bcd)
{
	return (bcd >> 12) * 1000 + (bcd >> 8 & 0xf) * 100 + (bcd >> 4 & 0xf) * 10 + (bcd & 0xf);
}

static uint16_t to_bcd(uint32_t value)
{
	return value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
}

static uint32_t modulus(const counter_t *c)
{
	return c->control & CONTROL_BCD ? 10000 : 65536;
}

/* Ticks since the count was loaded, the time without gate not counted. */
static uint64_t elapsed_ticks(const counter_t *c, uint64_t now_ns)
{
	if (!c->running) {
		return c->held_ticks;
	}
	return ticks_from_ns(now_ns - c->start_ns, MACHINE_PIT_HZ);
}

static uint16_t counter_value(const counter_t *c, uint64_t now_ns)
{
	uint64_t ticks = elapsed_ticks(c, now_ns);
	uint32_t value;

	if (!c->count) {
		return 0;
	}
	if (counter_mode(c) == RATE) {
		value = c->count - ticks % c->count;
	} else if (counter_mode(c) == SQUARE) {
		value = c->count - 2 * ticks % c->count; /* counts down by two */
	} else {
		value = c->count + modulus(c) - ticks % modulus(c);
	}
	value %= modulus(c);
	return c->control & CONTROL_BCD ? to_bcd(value) : value;
}

static bool counter_output(const counter_t *c, uint64_t now_ns)
{
	uint64_t ticks = elapsed_ticks(c, now_ns);

	if (!c->count) {
		return counter_mode(c) != TERMINAL_COUNT;
	}
	switch (counter_mode(c)) {
	case TERMINAL_COUNT:
	case ONE_SHOT:
		return ticks >= c->count;
	case RATE:
		return !c->gate || ticks % c->count != c->count - 1;
	case SQUARE:
		return !c->gate || ticks % c->count < (c->count + 1) / 2;
	default:
		return ticks != c->count;
	}
}

/* Guest time of the first rising edge of the output after `after_ns`. */
static uint64_t next_edge_ns(const counter_t *c, uint64_t after_ns)
{
	uint64_t ticks = elapsed_ticks(c, after_ns);
	uint64_t edge = c->count;

	if (!c->count || !c->running) {
		return TIME_NEVER;
	}
	if (is_periodic(c)) {
		edge = (ticks / c->count + 1) * c->count;
	} else if (counter_mode(c) >= SOFTWARE_STROBE) {
		edge++; /* low for the tick of the terminal count */
	}
	return ticks < edge ? time_add(c->start_ns, ticks_to_ns(edge, MACHINE_PIT_HZ)) : TIME_NEVER;
}

/* ---- Counter 0: IRQ 0 ---------------------------------------------------------- */

static void set_output(struct pit *pit, bool level)
{
	device_set_irq(&pit->device, MACHINE_IRQ_PIT, level);
}

/* Edges since the last look become one; the low phase before it has no length. */
static void pit_step(struct device *device, uint64_t now_ns)
{
	struct pit *pit = CONTAINER_OF(device, struct pit, device);
	const counter_t *c = &pit->state.counters[0];
	uint64_t edge = next_edge_ns(c, pit->state.fired_ns);

	if (edge <= now_ns) {
		set_output(pit, false);
		set_output(pit, true);
		edge = MAX(next_edge_ns(c, now_ns), time_add(now_ns, DEVICE_PERIOD_MIN_NS));
	}
	pit->state.fired_ns = now_ns;
	device_set_deadline(device, edge);
}

/* Counter 0 was written to: its output changes at once, its edges are others. */
static void restart_irq(struct pit *pit, uint64_t now_ns)
{
	const counter_t *c = &pit->state.counters[0];

	set_output(pit, counter_output(c, now_ns));
	pit->state.fired_ns = now_ns;
	device_set_deadline(&pit->device, next_edge_ns(c, now_ns));
}

/* ---- Counters ---------------------------------------------------------------------- */

/* 0 is the largest count. Digits beyond 9 may count as anything. */
static void load_count(counter_t *c, uint64_t now_ns)
{
	uint32_t count = c->control & CONTROL_BCD ? from_bcd(c->reload) % 10000 : c->reload;

	c->count = count ? count : modulus(c);
	c->start_ns = now_ns;
	c->held_ticks = 0;
	c->running = true;
	c->null_count = false;
}

static void set_reload(counter_t *c, uint16_t reload, uint64_t now_ns)
{
	c->reload = reload;
	c->null_count = true;
	if (is_triggered(c)) {
		return; /* loaded by the gate's rising edge */
	}
	load_count(c, now_ns);
	c->running = c->gate;
}

static void write_counter(counter_t *c, uint8_t value, uint64_t now_ns)
{
	switch (field_get(CONTROL_ACCESS, c->control)) {
	case ACCESS_LOW:
		set_reload(c, value, now_ns);
		break;
	case ACCESS_HIGH:
		set_reload(c, value << 8, now_ns);
		break;
	case ACCESS_BOTH:
		if (c->write_high) {
			set_reload(c, value << 8 | (c->reload & 0xff), now_ns);
		} else {
			c->reload = value;
		}
		c->write_high = !c->write_high;
		break;
	}
}

static uint8_t read_counter(counter_t *c, uint64_t now_ns)
{
	unsigned access = field_get(CONTROL_ACCESS, c->control);
	bool high = access == ACCESS_HIGH || (access == ACCESS_BOTH && c->read_high);
	uint16_t value = c->count_latched ? c->latch : counter_value(c, now_ns);

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (access == ACCESS_BOTH) {
		c->read_high = !c->read_high;
	}
	if (access != ACCESS_BOTH || high) {
		c->count_latched = false;
	}
	return high ? value >> 8 : value;
}

/* A latch that was not read yet stays as it is. */
static void latch_count(counter_t *c, uint64_t now_ns)
{
	if (!c->count_latched) {
		c->latch = counter_value(c, now_ns);
		c->count_latched = true;
	}
}

static void latch_status(counter_t *c, uint64_t now_ns)
{
	if (!c->status_latched) {
		c->status = c->control | (counter_output(c, now_ns) ? STATUS_OUTPUT : 0) |
			    (c->null_count ? STATUS_NULL_COUNT : 0);
		c->status_latched = true;
	}
}

static void read_back(struct pit *pit, uint8_t value, uint64_t now_ns)
{
	for (unsigned i = 0; i < PIT_COUNTER_COUNT; i++) {
		if (!(value & BIT(i + 1))) {
			continue;
		}
		if (!(value & READ_BACK_NO_COUNT)) {
			latch_count(&pit->state.counters[i], now_ns);
		}
		if (!(value & READ_BACK_NO_STATUS)) {
			latch_status(&pit->state.counters[i], now_ns);
		}
	}
}

static void set_control(counter_t *c, uint8_t value)
{
	*c = (counter_t){
		.control = value & CONTROL_KEPT,
		.gate = c->gate,
		.null_count = true,
	};
}

static void write_control(struct pit *pit, uint8_t value, uint64_t now_ns)
{
	unsigned select = field_get(CONTROL_SELECT, value);

	if (select == SELECT_READ_BACK) {
		read_back(pit, value, now_ns);
	} else if (field_get(CONTROL_ACCESS, value) == ACCESS_LATCH) {
		latch_count(&pit->state.counters[select], now_ns);
	} else {
		set_control(&pit->state.counters[select], value);
		if (select == 0) {
			restart_irq(pit, now_ns);
		}
	}
}

static void gate_falls(counter_t *c, uint64_t now_ns)
{
	if (!is_triggered(c)) {
		c->held_ticks = elapsed_ticks(c, now_ns);
		c->running = false;
	}
}

/* 82C54, "Gate Pin Operations Summary". */
static void gate_rises(counter_t *c, uint64_t now_ns)
{
	if (is_triggered(c)) {
		load_count(c, now_ns);
	} else if (is_periodic(c)) {
		c->start_ns = now_ns;
		c->running = c->count != 0;
	} else {
		c->start_ns = now_ns - ticks_to_ns(c->held_ticks, MACHINE_PIT_HZ);
		c->running = c->count != 0;
	}
}

/* ---- Ports ---------------------------------------------------------------------------- */

static struct pit *to_pit(struct device *device)
{
	return CONTAINER_OF(device, struct pit, device);
}

static uint8_t read_port_b(const struct pit_state_v1 *s, uint64_t now_ns)
{
	return s->port_b | (now_ns / REFRESH_PERIOD_NS % 2 ? PORT_B_REFRESH : 0) |
	       (counter_output(&s->counters[2], now_ns) ? PORT_B_OUTPUT : 0);
}

static void write_port_b(struct pit_state_v1 *s, uint8_t value, uint64_t now_ns)
{
	counter_t *c = &s->counters[2];
	bool gate = value & PORT_B_GATE;

	s->port_b = value & PORT_B_WRITABLE;
	if (gate == c->gate) {
		return;
	}
	c->gate = gate;
	if (gate) {
		gate_rises(c, now_ns);
	} else {
		gate_falls(c, now_ns);
	}
}

static uint8_t pit_read(struct device *device, unsigned offset)
{
	struct pit_state_v1 *s = &to_pit(device)->state;

	switch (offset) {
	case OFFSET_CONTROL:
		return 0xff; /* write-only */
	case OFFSET_PORT_B:
		return read_port_b(s, device_now_ns(device));
	default:
		return read_counter(&s->counters[offset], device_now_ns(device));
	}
}

static void pit_write(struct device *device, unsigned offset, uint8_t value)
{
	struct pit *pit = to_pit(device);
	uint64_t now = device_now_ns(device);

	pit_step(device, now); /* an edge that is due is not lost */
	switch (offset) {
	case OFFSET_CONTROL:
		write_control(pit, value, now);
		break;
	case OFFSET_PORT_B:
		write_port_b(&pit->state, value, now);
		break;
	default:
		write_counter(&pit->state.counters[offset], value, now);
		if (offset == 0) {
			restart_irq(pit, now);
		}
	}
}

static void pit_reset(struct device *device)
{
	struct pit *pit = to_pit(device);

	/* Undefined until a control word; counter 2's gate follows port B. */
	pit->state = (struct pit_state_v1){0};
	pit->state.counters[0].gate = true;
	pit->state.counters[1].gate = true;
	device_set_deadline(device, TIME_NEVER);
	set_output(pit, false);
}

static int counter_validate(const counter_t *c)
{
	if ((c->control & ~CONTROL_KEPT) || c->count > modulus(c) || (c->running && !c->count)) {
		return -EINVAL;
	}
	if (c->gate > 1 || c->running > 1 || c->count_latched > 1 || c->status_latched > 1 ||
	    c->read_high > 1 || c->write_high > 1 || c->null_count > 1) {
		return -EINVAL;
	}
	return 0;
}

static int pit_validate(const void *state)
{
	const struct pit_state_v1 *s = state;

	for (unsigned i = 0; i < PIT_COUNTER_COUNT; i++) {
		if (counter_validate(&s->counters[i]) != 0) {
			return -EINVAL;
		}
	}
	if (!s->counters[0].gate || !s->counters[1].gate || (s->port_b & ~PORT_B_WRITABLE) ||
	    s->counters[2].gate != (s->port_b & PORT_B_GATE)) {
		return -EINVAL;
	}
	return 0;
}

static void pit_load(struct device *device)
{
	const struct pit_state_v1 *s = &to_pit(device)->state;

	device_set_deadline(device, next_edge_ns(&s->counters[0], s->fired_ns));
}

static const struct port_region pit_ports[] = {
	{MACHINE_PORT_PIT, 4},
	{MACHINE_PORT_SYSTEM_B, 1},
};

const struct device_ops pit_ops = {
	.name = "pit",
	DEVICE_STATE(struct pit, 1),
	.ports = pit_ports,
	.port_count = ARRAY_SIZE(pit_ports),
	.read = pit_read,
	.write = pit_write,
	.reset = pit_reset,
	.step = pit_step,
	.validate = pit_validate,
	.load = pit_load,
};
