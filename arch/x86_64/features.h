/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this CPU can do, as far as the hypervisor itself uses it. What guests
 * need is in gate.c.
 */
#ifndef ARCH_X86_64_FEATURES_H
#define ARCH_X86_64_FEATURES_H

#include "base/types.h"

struct features {
	char brand[49];
	bool x2apic, tsc_deadline, invariant_tsc;
	bool page_1g, smep, smap;
	bool rdrand, rdseed;
	unsigned physical_bits; /* of a physical address */
};

extern struct features features;

/*
 * Reads CPUID on the boot CPU. A requirement of the host itself that is
 * missing ends it, with the remedy.
 */
void features_init(void);

/* Sets this CPU's control registers, EFER, PAT and XCR0 for the hypervisor. */
void features_enable_cpu(void);

#endif
