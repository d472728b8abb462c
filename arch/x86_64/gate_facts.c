/* SPDX-License-Identifier: Apache-2.0 */
/* The facts of this CPU, and the gate's answer to them. */
#include <string.h>

#include "arch/x86_64/arch.h"
#include "arch/x86_64/gate.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/vmcs.h"

static struct gate_result gate;

/* A capability that is there only when the one before allows it. */
static uint64_t read_if(uint64_t allowed, uint32_t msr)
{
	return allowed ? msr_read(msr) : 0;
}

void gate_init(void)
{
	struct cpuid vendor = cpuid_host(0, 0);
	struct gate_facts facts = {.leaf1_ecx = cpuid_host(1, 0).ecx};

	memcpy(facts.vendor, &vendor.ebx, 4);
	memcpy(facts.vendor + 4, &vendor.edx, 4);
	memcpy(facts.vendor + 8, &vendor.ecx, 4);
	if (facts.leaf1_ecx & LEAF1_ECX_VMX) {
		facts.feature_control = msr_read(MSR_FEATURE_CONTROL);
		facts.basic = msr_read(MSR_VMX_BASIC);
		facts.pin = msr_read(MSR_VMX_PIN_CONTROLS);
		facts.primary = msr_read(MSR_VMX_PRIMARY_CONTROLS);
		facts.exit = msr_read(MSR_VMX_EXIT_CONTROLS);
		facts.entry = msr_read(MSR_VMX_ENTRY_CONTROLS);
		facts.secondary = read_if(facts.primary >> 32 & PRIMARY_SECONDARY,
					  MSR_VMX_SECONDARY_CONTROLS);
		facts.ept_vpid = read_if(facts.secondary >> 32 & (SECONDARY_EPT | SECONDARY_VPID),
					 MSR_VMX_EPT_VPID_CAP);
	}
	gate_check(&facts, &gate);
}

bool virt_available(void)
{
	return gate.count == 0;
}

const char *virt_missing(unsigned index)
{
	return index < gate.count ? gate.missing[index] : NULL;
}
