/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's IOAPIC and messages on a model of the chip's registers. The two
 * files are compiled in here under other names: the library has the fake's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define irq_register host_irq_register
#define msi_register host_msi_register
#include "arch/x86_64/ioapic.c"
#include "arch/x86_64/msi.c"
#undef irq_register
#undef msi_register

#include "tests/fake_arch/fake_arch.h"

#define INPUTS 24

struct cpu boot_cpu = {.apic_id = 5};
struct machine machine;

static struct {
	uint32_t select;
	uint32_t registers[IOAPIC_ENTRY + 2 * INPUTS];
} chip;

static unsigned eoi_count;

/* What ran, and whether the line was masked while it did. */
static unsigned order[16], order_count;
static bool masked_inside;
static unsigned watched_input;

void apic_eoi(void)
{
	eoi_count++;
}

static uint64_t entry_of(unsigned input)
{
	return (uint64_t)chip.registers[IOAPIC_ENTRY + 2 * input + 1] << 32 |
	       chip.registers[IOAPIC_ENTRY + 2 * input];
}

static uint32_t chip_read(const volatile void *reg, unsigned size)
{
	assert_int_equal(size, 4);
	assert_int_equal((uintptr_t)reg % PAGE_SIZE, IOAPIC_WINDOW);
	assert_true(chip.select < ARRAY_SIZE(chip.registers));
	return chip.registers[chip.select];
}

static void chip_write(volatile void *reg, unsigned size, uint32_t value)
{
	assert_int_equal(size, 4);
	if ((uintptr_t)reg % PAGE_SIZE == IOAPIC_SELECT) {
		assert_true(value < ARRAY_SIZE(chip.registers));
		chip.select = value;
	} else {
		assert_int_equal((uintptr_t)reg % PAGE_SIZE, IOAPIC_WINDOW);
		chip.registers[chip.select] = value;
	}
}

static void ran(void *context)
{
	order[order_count++ % ARRAY_SIZE(order)] = (unsigned)(uintptr_t)context;
	masked_inside = (entry_of(watched_input) & ENTRY_MASKED) != 0;
}

static void *number(unsigned n)
{
	return (void *)(uintptr_t)n;
}

/* A PC: the timer on input 2, IRQ 9 to 11 level. */
static int setup(void **state)
{
	(void)state;
	fake_arch_reset(0);
	fake.mmio_read = chip_read;
	fake.mmio_write = chip_write;
	memset(routes, 0, sizeof(routes));
	memset(messages, 0, sizeof(messages));
	memset(&chip, 0, sizeof(chip));
	message_count = eoi_count = order_count = 0;
	boot_cpu.apic_id = 5;
	chip.registers[IOAPIC_VERSION] = (INPUTS - 1) << 16 | 0x20;
	machine = (struct machine){.ioapic_count = 1, .ioapics = {{.base = HPA(0x1000)}}};
	for (unsigned i = 0; i < ISA_IRQ_COUNT; i++) {
		machine.irqs[i].gsi = i == 0 ? 2 : i;
		machine.irqs[i].level = i >= 9 && i <= 11;
	}
	ioapic_init();
	return 0;
}

static void starts_with_all_masked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < INPUTS; i++) {
		assert_int_equal(entry_of(i), ENTRY_MASKED);
	}
	irq_dispatch(3); /* a left-over of the firmware: nobody's, but ended */
	assert_int_equal(eoi_count, 1);
}

static void routes_an_edge_interrupt_to_one(void **state)
{
	(void)state;
	assert_int_equal(host_irq_register(0, ran, number(1)), 0);
	assert_int_equal(host_irq_register(0, ran, number(2)), -EBUSY);
	assert_int_equal(entry_of(2), field_set(ENTRY_DESTINATION, 5) | VECTOR_IRQ);
	watched_input = 2;
	irq_dispatch(0);
	assert_int_equal(order_count, 1);
	assert_int_equal(order[0], 1);
	assert_false(masked_inside);
	assert_int_equal(eoi_count, 1);
}

static void shares_a_level_interrupt(void **state)
{
	uint64_t entry = field_set(ENTRY_DESTINATION, 5) | ENTRY_LEVEL | (VECTOR_IRQ + 11);

	(void)state;
	for (unsigned i = 0; i < IRQ_SHARER_MAX; i++) {
		assert_int_equal(host_irq_register(11, ran, number(i)), 0);
		assert_int_equal(entry_of(11), entry);
	}
	assert_int_equal(host_irq_register(11, ran, number(99)), -EBUSY);
	watched_input = 11;
	irq_dispatch(11);
	assert_int_equal(order_count, IRQ_SHARER_MAX);
	for (unsigned i = 0; i < IRQ_SHARER_MAX; i++) {
		assert_int_equal(order[i], i);
	}
	assert_true(masked_inside);
	assert_int_equal(eoi_count, 1);
	assert_int_equal(entry_of(11), entry);
}

static void knows_what_no_ioapic_has(void **state)
{
	(void)state;
	machine.irqs[5].gsi = INPUTS;
	assert_int_equal(host_irq_register(5, ran, NULL), -ENODEV);
	assert_int_equal(host_irq_register(ISA_IRQ_COUNT, ran, NULL), -ENODEV);
}

static void gives_each_message_a_vector(void **state)
{
	struct msi_message message;

	(void)state;
	for (unsigned i = 0; i < VECTOR_MSI_COUNT; i++) {
		assert_int_equal(host_msi_register(ran, number(i), &message), 0);
		assert_int_equal(message.address, 0xfee05000);
		assert_int_equal(message.data, VECTOR_MSI + i);
	}
	assert_int_equal(host_msi_register(ran, NULL, &message), -ENOSPC);
	msi_dispatch(7);
	msi_dispatch(31);
	assert_int_equal(order_count, 2);
	assert_int_equal(order[0], 7);
	assert_int_equal(order[1], 31);
	assert_int_equal(eoi_count, 2);
}

static void ends_a_message_that_nobody_asked_for(void **state)
{
	(void)state;
	msi_dispatch(0);
	assert_int_equal(eoi_count, 1);
}

static void has_no_message_for_a_wide_apic_id(void **state)
{
	struct msi_message message;

	(void)state;
	boot_cpu.apic_id = 255;
	assert_int_equal(host_msi_register(ran, NULL, &message), -ENOSPC);
	boot_cpu.apic_id = 256;
	assert_int_equal(host_msi_register(ran, NULL, &message), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(starts_with_all_masked, setup),
		cmocka_unit_test_setup(routes_an_edge_interrupt_to_one, setup),
		cmocka_unit_test_setup(shares_a_level_interrupt, setup),
		cmocka_unit_test_setup(knows_what_no_ioapic_has, setup),
		cmocka_unit_test_setup(gives_each_message_a_vector, setup),
		cmocka_unit_test_setup(ends_a_message_that_nobody_asked_for, setup),
		cmocka_unit_test_setup(has_no_message_for_a_wide_apic_id, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
