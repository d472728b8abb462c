/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to one CPU alone, found through the GS base in one instruction.
 * The GS base is set before the first C function runs on a CPU and stays: a
 * backend that lends the CPU to a guest puts it back before it calls C.
 */
#ifndef ARCH_X86_64_PERCPU_H
#define ARCH_X86_64_PERCPU_H

#include "arch/x86_64/arch.h"
#include "arch/x86_64/descriptors.h"
#include "arch/x86_64/stacks.h"

struct cpu {
	struct cpu *self; /* at %gs:0 */
	unsigned id;
	uint32_t apic_id;
	/* A kick or a device's interrupt came since the last idle wait. */
	bool woken;
	/* NMIs that nobody sent and no chipset bit explains. */
	uint32_t nmi_unknown_count;
	/* The hypervisor uses the vector registers: between fpu_begin and fpu_end. */
	bool fpu_begun;
	/* The area of the guest whose values are in them otherwise; NULL: nobody's. */
	void *fpu_guest;
	uint64_t fpu_guest_xcr0; /* while fpu_begun */
	struct cpu_stacks *stacks;
	/* Called once when the CPU stops for good: ends virtualisation. May be NULL. */
	void (*stop)(void);
	struct tss tss;
	uint64_t gdt[GDT_COUNT];
};

_Static_assert(offsetof(struct cpu, self) == 0, "this_cpu reads %gs:0");

/* CPU 0's, in the image; the others are made when they start. */
extern struct cpu boot_cpu;

/* By number; NULL from cpu_count() on. */
extern struct cpu *cpus[CPU_COUNT_MAX];

static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	/* Not volatile: code never moves from one CPU to another. */
	__asm__("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

#endif
