/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/descriptors.h"

#include "arch/x86_64/percpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "base/bits.h"

/* Segment and system descriptors (SDM 3, 3.4.5 and 8.2.3). */
#define DESC_TYPE BITS(43, 40)
#define DESC_TYPE_CODE 0xb /* execute, read, accessed */
#define DESC_TYPE_DATA 0x3 /* read, write, accessed */
#define DESC_TYPE_TSS 0x9 /* 64-bit, available */
#define DESC_S BIT(44)
#define DESC_P BIT(47)
#define DESC_L BIT(53)
#define DESC_LIMIT_LOW BITS(15, 0)
#define DESC_BASE_LOW BITS(39, 16)
#define DESC_BASE_HIGH BITS(63, 56)

/* Interrupt gates (SDM 3, 6.14.1): figure 6-8, the low eight bytes. */
#define GATE_OFFSET_LOW BITS(15, 0)
#define GATE_SELECTOR BITS(31, 16)
#define GATE_IST BITS(34, 32)
#define GATE_TYPE BITS(43, 40)
#define GATE_TYPE_INTERRUPT 0xe
#define GATE_P BIT(47)
#define GATE_OFFSET_MIDDLE BITS(63, 48)

struct gate {
	uint64_t low, high;
};

_Static_assert(sizeof(struct gate) == 16, "SDM 3, figure 6-8");

static struct gate idt[IDT_COUNT] __attribute__((aligned(16)));

static unsigned event_stack_of(unsigned vector)
{
	switch (vector) {
	case TRAP_NMI:
		return STACK_NMI + 1;
	case TRAP_DOUBLE_FAULT:
		return STACK_DOUBLE_FAULT + 1;
	case TRAP_MACHINE_CHECK:
		return STACK_MACHINE_CHECK + 1;
	default:
		return 0; /* the stack that was in use */
	}
}

void idt_init(void)
{
	for (unsigned vector = 0; vector < IDT_COUNT; vector++) {
		uint64_t entry = (uintptr_t)trap_entries[vector];

		idt[vector].low = field_set(GATE_OFFSET_LOW, entry) |
				  field_set(GATE_SELECTOR, SELECTOR_CODE) |
				  field_set(GATE_IST, event_stack_of(vector)) |
				  field_set(GATE_TYPE, GATE_TYPE_INTERRUPT) | GATE_P |
				  field_set(GATE_OFFSET_MIDDLE, entry >> 16);
		idt[vector].high = entry >> 32;
	}
}

uint64_t idt_base(void)
{
	return (uintptr_t)idt;
}

static void tss_fill(struct cpu *cpu)
{
	for (int i = 0; i < EVENT_STACK_COUNT; i++) {
		cpu->tss.ist[i] = (uintptr_t)cpu->stacks->event[i].stack + STACK_EVENT_SIZE;
	}
	cpu->tss.io_map_base = sizeof(struct tss); /* beyond the limit: none */
}

static void gdt_fill(struct cpu *cpu)
{
	uint64_t tss = (uintptr_t)&cpu->tss;
	uint64_t *gdt = cpu->gdt;

	gdt[SELECTOR_CODE / 8] = field_set(DESC_TYPE, DESC_TYPE_CODE) | DESC_S | DESC_P | DESC_L;
	gdt[SELECTOR_DATA / 8] = field_set(DESC_TYPE, DESC_TYPE_DATA) | DESC_S | DESC_P;
	gdt[SELECTOR_TSS / 8] =
		field_set(DESC_LIMIT_LOW, sizeof(struct tss) - 1) | field_set(DESC_BASE_LOW, tss) |
		field_set(DESC_TYPE, DESC_TYPE_TSS) | DESC_P | field_set(DESC_BASE_HIGH, tss >> 24);
	gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
}

static void segments_load(struct cpu *cpu)
{
	__asm__ volatile("pushq %0\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "mov %1, %%ss\n\t"
			 "mov %1, %%ds\n\t"
			 "mov %1, %%es\n\t"
			 "mov %1, %%fs\n\t"
			 "mov %1, %%gs\n\t"
			 :
			 : "i"(SELECTOR_CODE), "r"(SELECTOR_DATA)
			 : "rax", "memory");
	/* Loading the selectors cleared the bases. */
	msr_write(MSR_FS_BASE, 0);
	msr_write(MSR_GS_BASE, (uintptr_t)cpu);
}

void descriptors_load(struct cpu *cpu)
{
	tss_fill(cpu);
	gdt_fill(cpu);
	gdt_load((uintptr_t)cpu->gdt, sizeof(cpu->gdt) - 1);
	segments_load(cpu);
	__asm__ volatile("lldt %0" : : "r"((uint16_t)SELECTOR_NULL));
	__asm__ volatile("ltr %0" : : "r"((uint16_t)SELECTOR_TSS));
	idt_load(idt_base(), sizeof(idt) - 1);
}
