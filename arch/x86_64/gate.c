/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: may this host run guests, and if not, all that is missing and how
 * to get it. SDM 3, 25.6 and 25.7 (discovering and enabling VMX), appendix A
 * (capability MSRs).
 */
#include "arch/x86_64/gate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/arch.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/vmcs.h"

#define MISSING_MAX 16
#define SENTENCE_MAX 200

#define LEAF1_ECX_VMX BIT(5)
#define LEAF1_ECX_HYPERVISOR BIT(31)

#define VMX_BASIC_MEMORY_TYPE BITS(53, 50)
#define VMX_BASIC_WRITE_BACK 6
#define VMX_BASIC_TRUE_CONTROLS BIT(55)

/* IA32_VMX_EPT_VPID_CAP (appendix A.10) */
#define EPT_CAP_4_LEVELS BIT(6)
#define EPT_CAP_WRITE_BACK BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_INVEPT_SINGLE BIT(25)
#define VPID_CAP_INVVPID BIT(32)
#define VPID_CAP_INVVPID_SINGLE BIT(41)

struct requirement {
	uint64_t bits;
	const char *name;
};

static char missing[MISSING_MAX][SENTENCE_MAX];
static unsigned missing_count;

static void report(const char *format, ...) PRINTF_LIKE(1, 2);
static void report(const char *format, ...)
{
	va_list args;

	if (missing_count == MISSING_MAX) {
		return;
	}
	va_start(args, format);
	vsnprintf(missing[missing_count++], SENTENCE_MAX, format, args);
	va_end(args);
}

static const char *remedy(void)
{
	return cpuid_host(1, 0).ecx & LEAF1_ECX_HYPERVISOR
		       ? "this is a virtual machine: its host must offer nested VT-x in full"
		       : "a newer Intel CPU is needed";
}

/* Names each of `list` that is not in `have`. */
static void demand(uint64_t have, const struct requirement *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if ((have & list[i].bits) != list[i].bits) {
			report("VT-x without %s: %s", list[i].name, remedy());
		}
	}
}

/* Controls that may be 1: the high half of a capability MSR. */
static uint64_t allowed(uint32_t msr)
{
	return msr_read(msr) >> 32;
}

static void check_controls(void)
{
	static const struct requirement pin[] = {
		{PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting"},
		{PIN_NMI | PIN_VIRTUAL_NMI, "virtual NMIs"},
		{PIN_PREEMPTION_TIMER, "the preemption timer"},
	};
	static const struct requirement primary[] = {
		{PRIMARY_TSC_OFFSET, "TSC offsetting"},
		{PRIMARY_IO_BITMAPS, "I/O bitmaps"},
		{PRIMARY_MSR_BITMAPS, "MSR bitmaps"},
	};
	static const struct requirement secondary[] = {
		{SECONDARY_EPT, "extended page tables (EPT)"},
		{SECONDARY_VPID, "virtual-processor identifiers (VPID)"},
		{SECONDARY_UNRESTRICTED, "unrestricted guests"},
		{SECONDARY_RDTSCP, "RDTSCP for guests"},
	};
	static const struct requirement exit[] = {
		{EXIT_CTL_SAVE_PAT | EXIT_CTL_LOAD_PAT, "the switch of IA32_PAT"},
		{EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER, "the switch of IA32_EFER"},
	};
	static const struct requirement translation[] = {
		{EPT_CAP_4_LEVELS, "EPT of 4 levels"},
		{EPT_CAP_WRITE_BACK, "write-back EPT tables"},
		{EPT_CAP_2M, "EPT pages of 2 MiB"},
		{EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE, "INVEPT by context"},
		{VPID_CAP_INVVPID | VPID_CAP_INVVPID_SINGLE, "INVVPID by context"},
	};
	uint64_t primary_allowed = allowed(MSR_VMX_PRIMARY_CONTROLS);

	demand(allowed(MSR_VMX_PIN_CONTROLS), pin, ARRAY_SIZE(pin));
	demand(primary_allowed, primary, ARRAY_SIZE(primary));
	if (!(primary_allowed & PRIMARY_SECONDARY)) {
		report("VT-x without extended page tables (EPT): %s", remedy());
		return;
	}
	demand(allowed(MSR_VMX_SECONDARY_CONTROLS), secondary, ARRAY_SIZE(secondary));
	demand(allowed(MSR_VMX_EXIT_CONTROLS), exit, ARRAY_SIZE(exit));
	/* The MSR exists when EPT or VPID can be had. */
	if (allowed(MSR_VMX_SECONDARY_CONTROLS) & (SECONDARY_EPT | SECONDARY_VPID)) {
		demand(msr_read(MSR_VMX_EPT_VPID_CAP), translation, ARRAY_SIZE(translation));
	}
}

/* Returns whether the capability MSRs can be read. */
static bool check_vmx(void)
{
	struct cpuid vendor = cpuid_host(0, 0);
	struct cpuid leaf1 = cpuid_host(1, 0);

	if (leaf1.ecx & LEAF1_ECX_VMX) {
		return true;
	}
	if (memcmp(&vendor.ebx, "Auth", 4) == 0) {
		report("AMD CPU: guests need Intel VT-x so far; AMD-V is not supported yet");
	} else if (leaf1.ecx & LEAF1_ECX_HYPERVISOR) {
		report("no VT-x in this virtual machine: start its host with nested "
		       "virtualisation (Linux: kvm_intel nested=1, QEMU: -cpu host)");
	} else {
		report("the CPU shows no VT-x: enable \"Intel Virtualization Technology\" in "
		       "the firmware's setup; where there is no such item, the CPU has none");
	}
	return false;
}

static void check_lock(void)
{
	uint64_t control = msr_read(MSR_FEATURE_CONTROL);

	if (control & FEATURE_CONTROL_LOCKED && !(control & FEATURE_CONTROL_VMX)) {
		report("VT-x is disabled and locked by firmware (IA32_FEATURE_CONTROL=0x%lx): "
		       "enable \"Intel Virtualization Technology\" in setup",
		       control);
	}
}

static void check_basic(void)
{
	uint64_t basic = msr_read(MSR_VMX_BASIC);

	if (field_get(VMX_BASIC_MEMORY_TYPE, basic) != VMX_BASIC_WRITE_BACK) {
		report("VT-x with uncached control structures: %s", remedy());
	}
	if (!(basic & VMX_BASIC_TRUE_CONTROLS)) {
		report("VT-x without the TRUE control capabilities: %s", remedy());
	}
}

void gate_init(void)
{
	if (check_vmx()) {
		check_lock();
		check_basic();
		check_controls();
	}
}

bool virt_available(void)
{
	return missing_count == 0;
}

const char *virt_missing(unsigned index)
{
	return index < missing_count ? missing[index] : NULL;
}
