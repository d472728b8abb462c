/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU itself needs memory where there is none, while it delivers an event
 * or walks page tables: "in=stack", "in=idt", "in=gdt", "in=tables".
 */
#include "tests/guests/lib/lib.h"

#define HOLE 0x50000000

static void load_table(bool idt)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = {0xfff, HOLE};

	if (idt) {
		__asm__ volatile("lidt %0; int $0x90" : : "m"(table));
	} else {
		__asm__ volatile("lgdt %0; mov %1, %%ds" : : "m"(table), "r"(SEL_DATA));
	}
}

static void interrupt_on_no_stack(void)
{
	apic_enable();
	tss_set_ist(1, HOLE + 0x1000);
	idt_set(0x61, 1, true);
	on_vector(0x61, count_apic_event);
	apic_self_ipi(0x61);
	sti();
}

static void tables_in_hole(void)
{
	page_map[1] = HOLE | PTE_P | PTE_W;
	*(volatile uint32_t *)(UINT64_C(512) * GIB) = 1;
}

/* Faults of its own, a shutdown or a stop: all but harm to others. */
static void leave_memory(void)
{
	farewell();
	if (argument("in=idt")) {
		load_table(true);
	} else if (argument("in=gdt")) {
		load_table(false);
	} else if (argument("in=tables")) {
		tables_in_hole();
	} else {
		interrupt_on_no_stack();
	}
}

const struct test tests[] = {
	{"the host survives", leave_memory},
	{NULL, NULL},
};
