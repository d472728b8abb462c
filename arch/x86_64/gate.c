/* SPDX-License-Identifier: Apache-2.0 */
/* SDM 3, 25.6 and 25.7 (discovering and enabling VMX), appendix A. */
#include "arch/x86_64/gate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/registers.h"
#include "arch/x86_64/vmcs.h"

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

PRINTF_LIKE(2, 3) static void report(struct gate_result *result, const char *format, ...)
{
	va_list args;

	if (result->count == GATE_MISSING_MAX) {
		return;
	}
	va_start(args, format);
	vsnprintf(result->missing[result->count++], GATE_SENTENCE_MAX, format, args);
	va_end(args);
}

static bool is_virtual(const struct gate_facts *facts)
{
	return facts->leaf1_ecx & LEAF1_ECX_HYPERVISOR;
}

static const char *remedy(const struct gate_facts *facts)
{
	return is_virtual(facts)
		       ? "this is a virtual machine: its host must offer nested VT-x in full"
		       : "a newer Intel CPU is needed";
}

/* Names each of `list` that is not in `have`. */
static void demand(const struct gate_facts *facts, struct gate_result *result, uint64_t have,
		   const struct requirement *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if ((have & list[i].bits) != list[i].bits) {
			report(result, "VT-x without %s: %s", list[i].name, remedy(facts));
		}
	}
}

/* Controls that may be 1: the high half of a capability MSR (appendix A.3). */
static uint64_t allowed(uint64_t capability)
{
	return capability >> 32;
}

/*
 * All that controls_init in vmx.c sets, but for what it can do without. A bit that
 * the CPU does not allow would be dropped there without a word.
 */
static void check_controls(const struct gate_facts *facts, struct gate_result *result)
{
	static const struct requirement pin[] = {
		{PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting"},
		{PIN_NMI | PIN_VIRTUAL_NMI, "virtual NMIs"},
		{PIN_PREEMPTION_TIMER, "the preemption timer"},
	};
	static const struct requirement primary[] = {
		{PRIMARY_TSC_OFFSET, "TSC offsetting"},
		{PRIMARY_HLT, "HLT exiting"},
		{PRIMARY_MWAIT | PRIMARY_MONITOR, "MWAIT and MONITOR exiting"},
		{PRIMARY_RDPMC, "RDPMC exiting"},
		{PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE, "CR8-load and CR8-store exiting"},
		{PRIMARY_IO_BITMAPS, "I/O bitmaps"},
		{PRIMARY_MSR_BITMAPS, "MSR bitmaps"},
		{PRIMARY_SECONDARY, "secondary controls"},
	};
	static const struct requirement secondary[] = {
		{SECONDARY_EPT, "extended page tables (EPT)"},
		{SECONDARY_VPID, "virtual-processor identifiers (VPID)"},
		{SECONDARY_UNRESTRICTED, "unrestricted guests"},
		{SECONDARY_RDTSCP, "RDTSCP for guests"},
	};
	static const struct requirement exit[] = {
		{EXIT_CTL_SAVE_DEBUG, "the save of debug registers at VM exit"},
		{EXIT_CTL_HOST_64, "a 64-bit host"},
		{EXIT_CTL_SAVE_PAT | EXIT_CTL_LOAD_PAT, "the switch of IA32_PAT at VM exit"},
		{EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER, "the switch of IA32_EFER at VM exit"},
	};
	static const struct requirement entry[] = {
		{ENTRY_CTL_LOAD_DEBUG, "the load of debug registers at VM entry"},
		{ENTRY_CTL_IA32E_GUEST, "64-bit guests"},
		{ENTRY_CTL_LOAD_PAT, "the load of IA32_PAT at VM entry"},
		{ENTRY_CTL_LOAD_EFER, "the load of IA32_EFER at VM entry"},
	};
	static const struct requirement translation[] = {
		{EPT_CAP_4_LEVELS, "EPT of 4 levels"},
		{EPT_CAP_WRITE_BACK, "write-back EPT tables"},
		{EPT_CAP_2M, "EPT pages of 2 MiB"},
		{EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE, "INVEPT by context"},
		{VPID_CAP_INVVPID | VPID_CAP_INVVPID_SINGLE, "INVVPID by context"},
	};

	demand(facts, result, allowed(facts->pin), pin, ARRAY_SIZE(pin));
	demand(facts, result, allowed(facts->primary), primary, ARRAY_SIZE(primary));
	demand(facts, result, allowed(facts->secondary), secondary, ARRAY_SIZE(secondary));
	demand(facts, result, allowed(facts->exit), exit, ARRAY_SIZE(exit));
	demand(facts, result, allowed(facts->entry), entry, ARRAY_SIZE(entry));
	/* Without EPT nothing is said of its kinds. */
	if (allowed(facts->secondary) & SECONDARY_EPT) {
		demand(facts, result, facts->ept_vpid, translation, ARRAY_SIZE(translation));
	}
}

static void report_no_vmx(const struct gate_facts *facts, struct gate_result *result)
{
	if (memcmp(facts->vendor, "AuthenticAMD", sizeof(facts->vendor)) == 0) {
		report(result, "AMD CPU: guests need Intel VT-x so far; "
			       "AMD-V is not supported yet");
	} else if (is_virtual(facts)) {
		report(result, "no VT-x in this virtual machine: start it with nested "
			       "virtualisation (Linux: kvm_intel nested=1, QEMU: -cpu host)");
	} else {
		report(result, "the CPU shows no VT-x: enable \"Intel Virtualization Technology\" "
			       "in setup; where there is no such item, the CPU has none");
	}
}

static void check_vmx(const struct gate_facts *facts, struct gate_result *result)
{
	uint64_t control = facts->feature_control;

	if (control & FEATURE_CONTROL_LOCKED && !(control & FEATURE_CONTROL_VMX)) {
		report(result,
		       "VT-x is disabled and locked by firmware (IA32_FEATURE_CONTROL=0x%lx): "
		       "enable \"Intel Virtualization Technology\" in setup",
		       control);
	}
	if (field_get(VMX_BASIC_MEMORY_TYPE, facts->basic) != VMX_BASIC_WRITE_BACK) {
		report(result, "VT-x with uncached control structures: %s", remedy(facts));
	}
	if (!(facts->basic & VMX_BASIC_TRUE_CONTROLS)) {
		report(result, "VT-x without the TRUE control capabilities: %s", remedy(facts));
	}
	check_controls(facts, result);
}

void gate_check(const struct gate_facts *facts, struct gate_result *result)
{
	result->count = 0;
	if (facts->leaf1_ecx & LEAF1_ECX_VMX) {
		check_vmx(facts, result);
	} else {
		report_no_vmx(facts, result);
	}
}
