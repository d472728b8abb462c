/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine to test its devices in: time is set by the test, output is kept,
 * and accesses read like the guest's code.
 */
#ifndef TESTS_UNIT_PLATFORM_FIXTURE_H
#define TESTS_UNIT_PLATFORM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/ring.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

#define TEST_TSC_HZ UINT64_C(2500000000)
#define TEST_WALL_CLOCK_S UINT64_C(951782399) /* Mon 28 Feb 2000, 23:59:59 */
#define US UINT64_C(1000)
#define MS (1000 * US)
#define S (1000 * MS)

#define ICW1 0x11 /* with ICW4, cascaded */
#define MASTER_BASE 0x30
#define SLAVE_BASE 0x38

struct machine {
	struct platform *platform;
	uint64_t now_ns;
	struct byte_queue input;
	uint8_t input_bytes[1024];
	char output[4096];
	size_t output_size;
};

static inline uint64_t machine_now(void *context)
{
	return ((struct machine *)context)->now_ns;
}

static inline void machine_output(void *context, uint8_t byte)
{
	struct machine *m = context;

	assert_true(m->output_size < sizeof(m->output));
	m->output[m->output_size++] = (char)byte;
}

static inline struct platform *machine_platform(struct machine *m)
{
	struct platform_host host = {
		.now_ns = machine_now,
		.console_output = machine_output,
		.console_input = &m->input,
		.context = m,
	};
	struct platform *platform = malloc(platform_size());

	assert_non_null(platform);
	platform_init(platform, &host, TEST_TSC_HZ, TEST_WALL_CLOCK_S);
	return platform;
}

static inline int machine_setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	byte_queue_init(&m->input, m->input_bytes, sizeof(m->input_bytes));
	m->platform = machine_platform(m);
	*state = m;
	return 0;
}

static inline int machine_teardown(void **state)
{
	struct machine *m = *state;

	free(m->platform);
	free(m);
	return 0;
}

#define MACHINE_TEST(f) cmocka_unit_test_setup_teardown(f, machine_setup, machine_teardown)

/* ---- The guest's accesses ------------------------------------------------------ */

static inline void out(struct machine *m, uint16_t port, uint32_t value)
{
	platform_io_write(m->platform, port, 1, value);
}

static inline uint32_t in(struct machine *m, uint16_t port)
{
	return platform_io_read(m->platform, port, 1);
}

static inline void out_wide(struct machine *m, uint16_t port, unsigned size, uint32_t value)
{
	platform_io_write(m->platform, port, size, value);
}

static inline uint32_t in_wide(struct machine *m, uint16_t port, unsigned size)
{
	return platform_io_read(m->platform, port, size);
}

static inline void mmio_out(struct machine *m, uint64_t address, uint32_t value)
{
	assert_true(platform_mmio_write(m->platform, GPA(address), 4, value));
}

static inline uint32_t mmio_in(struct machine *m, uint64_t address)
{
	uint64_t value = 0;

	assert_true(platform_mmio_read(m->platform, GPA(address), 4, &value));
	return (uint32_t)value;
}

static inline void ioapic_out(struct machine *m, unsigned index, uint32_t value)
{
	mmio_out(m, MACHINE_IOAPIC_BASE, index);
	mmio_out(m, MACHINE_IOAPIC_BASE + 0x10, value);
}

static inline uint32_t ioapic_in(struct machine *m, unsigned index)
{
	mmio_out(m, MACHINE_IOAPIC_BASE, index);
	return mmio_in(m, MACHINE_IOAPIC_BASE + 0x10);
}

/* Destination: APIC ID 0. */
static inline void ioapic_route_pin(struct machine *m, unsigned pin, uint32_t low)
{
	ioapic_out(m, 0x11 + 2 * pin, 0);
	ioapic_out(m, 0x10 + 2 * pin, low);
}

static inline uint32_t lapic_in(struct machine *m, unsigned offset)
{
	return mmio_in(m, MACHINE_LAPIC_BASE + offset);
}

static inline void lapic_out(struct machine *m, unsigned offset, uint32_t value)
{
	mmio_out(m, MACHINE_LAPIC_BASE + offset, value);
}

static inline uint64_t msr_in(struct machine *m, uint32_t index)
{
	uint64_t value = 0;

	assert_int_equal(platform_msr_read(m->platform, index, &value), 0);
	return value;
}

static inline void msr_out(struct machine *m, uint32_t index, uint64_t value)
{
	assert_int_equal(platform_msr_write(m->platform, index, value), 0);
}

static inline void enable_x2apic(struct machine *m)
{
	msr_out(m, MSR_APIC_BASE, msr_in(m, MSR_APIC_BASE) | BIT(10));
}

static inline void init_pics(struct machine *m)
{
	out(m, 0x20, ICW1);
	out(m, 0x21, MASTER_BASE);
	out(m, 0x21, 0x04);
	out(m, 0x21, 0x01);
	out(m, 0xa0, ICW1);
	out(m, 0xa1, SLAVE_BASE);
	out(m, 0xa1, 0x02);
	out(m, 0xa1, 0x01);
}

/* ---- Wires, time, the vCPU's side ------------------------------------------------ */

static inline void set_irq(struct machine *m, unsigned irq, bool level)
{
	device_set_irq(&m->platform->uart.device, irq, level);
}

/* The vector that the CPU gets now, -1: none. */
static inline int take(struct machine *m)
{
	return platform_irq_pending(m->platform) ? platform_irq_acknowledge(m->platform) : -1;
}

static inline void end_of_interrupt(struct machine *m)
{
	lapic_out(m, 0xb0, 0);
}

/* Goes to a time by way of every deadline before it; returns how many there were. */
static inline unsigned go_to(struct machine *m, uint64_t time_ns)
{
	unsigned steps = 0;

	while (platform_deadline_ns(m->platform) <= time_ns) {
		uint64_t deadline = platform_deadline_ns(m->platform);

		m->now_ns = deadline > m->now_ns ? deadline : m->now_ns;
		platform_step(m->platform);
		assert_true(++steps < 1000000);
	}
	m->now_ns = time_ns;
	platform_step(m->platform);
	return steps;
}

static inline unsigned pass(struct machine *m, uint64_t ns)
{
	return go_to(m, m->now_ns + ns);
}

/* Saves, and loads into a machine of the same time: nothing may be different. */
static inline void reload(struct machine *m)
{
	struct platform *copy = machine_platform(m);
	size_t size = platform_state_size(m->platform);
	uint64_t *before = calloc(1, size), *after = calloc(1, size);

	platform_save(m->platform, before);
	assert_int_equal(platform_load(copy, before, size), 0);
	platform_save(copy, after);
	assert_memory_equal(before, after, size);
	assert_int_equal(platform_irq_pending(copy), platform_irq_pending(m->platform));
	assert_int_equal(platform_deadline_ns(copy), platform_deadline_ns(m->platform));
	free(before);
	free(after);
	free(m->platform);
	m->platform = copy;
}

#endif
