/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPUID that a guest sees: a policy, fixed when the guest is created.
 *
 * Only what a table allows by name gets through, so an unusual bit of the host
 * stays unseen. What a feature needs in CR4, XCR0 and EFER comes from the same
 * table, and so the guest can switch on what it was told of and nothing else.
 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include "arch/x86_64/arch.h"
#include "base/config.h"

#define CPUID_ERROR_MAX 160

#define CPUID_BASIC_COUNT 0x17
#define CPUID_HYPERVISOR_BASE 0x40000000u
#define CPUID_HYPERVISOR_COUNT 0x11
#define CPUID_EXTENDED_BASE 0x80000000u
#define CPUID_EXTENDED_COUNT 9
/* Room for sub-leaves: leaf 0xd has one for each bit of XCR0 that is allowed. */
#define CPUID_SUBLEAF_COUNT 8

struct cpuid_policy {
	struct cpuid basic[CPUID_BASIC_COUNT];
	struct cpuid extended[CPUID_EXTENDED_COUNT];
	struct cpuid hypervisor[CPUID_HYPERVISOR_COUNT];
	/* Leaves 4, 7, 0xb and 0xd, in this order. */
	struct cpuid subleaves[4][CPUID_SUBLEAF_COUNT];
	struct vcpu_limits limits;
};

/* What CPUID tells of the guest's present state. */
struct cpuid_state {
	uint64_t cr4, xcr0;
	bool apic_enabled;
};

struct cpuid_clocks {
	uint64_t tsc_hz, apic_hz;
};

/*
 * `host` is cpuid_host, or a test's. Returns 0, or -ENOTSUP with a sentence in
 * error[CPUID_ERROR_MAX] that names the features which the host lacks.
 */
int cpuid_policy_init(struct cpuid_policy *policy, enum config_cpu cpu, struct cpuid_clocks clocks,
		      struct cpuid (*host)(uint32_t leaf, uint32_t subleaf),
		      char *error) MUST_CHECK;

/* True when cpuid_policy_get looks at the state, which may cost time to get. */
static inline bool cpuid_needs_state(uint32_t leaf)
{
	return leaf == 0x1 || leaf == 0xd;
}

/* The answer; `state` may be NULL for a leaf that does not need it. */
struct cpuid cpuid_policy_get(const struct cpuid_policy *policy, uint32_t leaf, uint32_t subleaf,
			      const struct cpuid_state *state);

#endif
