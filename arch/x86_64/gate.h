/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: may this host run guests, and if not, all that is missing and how
 * to get it. gate_check is pure; gate_init reads this CPU and keeps the answer
 * for virt_available() and virt_missing() of arch.h.
 */
#ifndef ARCH_X86_64_GATE_H
#define ARCH_X86_64_GATE_H

#include "base/bits.h"

#define GATE_MISSING_MAX 40
#define GATE_SENTENCE_MAX 200

#define LEAF1_ECX_VMX BIT(5)
#define LEAF1_ECX_HYPERVISOR BIT(31)

/* What the CPU says; the MSRs are 0 where it has no VMX. */
struct gate_facts {
	char vendor[12]; /* CPUID.0: EBX, EDX, ECX */
	uint32_t leaf1_ecx; /* CPUID.1 */
	uint64_t feature_control; /* IA32_FEATURE_CONTROL */
	/* Capability MSRs (SDM 3, appendix A); 0 where another says they are absent */
	uint64_t basic, pin, primary, secondary, exit, entry, ept_vpid;
};

struct gate_result {
	unsigned count;
	char missing[GATE_MISSING_MAX][GATE_SENTENCE_MAX];
};

/* Every missing requirement as a sentence, in the order of the facts. */
void gate_check(const struct gate_facts *facts, struct gate_result *result);

/* Once, on the boot CPU. */
void gate_init(void);

#endif
