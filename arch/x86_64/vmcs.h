/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual-machine control structure: its fields by the manual's names and
 * in the manual's order (SDM 3, appendix B), the bits of its controls (chapter
 * 26), and checked access to the current one.
 */
#ifndef ARCH_X86_64_VMCS_H
#define ARCH_X86_64_VMCS_H

#include "base/bits.h"
#include "base/check.h"

enum vmcs_field {
	/* 16-bit control and guest-state fields (B.1) */
	VMCS_VPID = 0x0000,
	VMCS_GUEST_ES_SELECTOR = 0x0800, /* CS, SS, DS, FS, GS, LDTR, TR follow by 2 */
	/* 16-bit host-state fields */
	VMCS_HOST_ES_SELECTOR = 0x0c00,
	VMCS_HOST_CS_SELECTOR = 0x0c02,
	VMCS_HOST_SS_SELECTOR = 0x0c04,
	VMCS_HOST_DS_SELECTOR = 0x0c06,
	VMCS_HOST_FS_SELECTOR = 0x0c08,
	VMCS_HOST_GS_SELECTOR = 0x0c0a,
	VMCS_HOST_TR_SELECTOR = 0x0c0c,
	/* 64-bit control fields (B.2) */
	VMCS_IO_BITMAP_A = 0x2000,
	VMCS_IO_BITMAP_B = 0x2002,
	VMCS_MSR_BITMAP = 0x2004,
	VMCS_TSC_OFFSET = 0x2010,
	VMCS_EPT_POINTER = 0x201a,
	/* 64-bit read-only and guest-state fields */
	VMCS_GUEST_PHYSICAL_ADDRESS = 0x2400,
	VMCS_LINK_POINTER = 0x2800,
	VMCS_GUEST_DEBUGCTL = 0x2802,
	VMCS_GUEST_PAT = 0x2804,
	VMCS_GUEST_EFER = 0x2806,
	VMCS_GUEST_PDPTE0 = 0x280a, /* 1, 2, 3 follow by 2 */
	/* 64-bit host-state fields */
	VMCS_HOST_PAT = 0x2c00,
	VMCS_HOST_EFER = 0x2c02,
	/* 32-bit control fields (B.3) */
	VMCS_PIN_CONTROLS = 0x4000,
	VMCS_PRIMARY_CONTROLS = 0x4002,
	VMCS_EXCEPTION_BITMAP = 0x4004,
	VMCS_PAGE_FAULT_ERROR_MASK = 0x4006,
	VMCS_PAGE_FAULT_ERROR_MATCH = 0x4008,
	VMCS_CR3_TARGET_COUNT = 0x400a,
	VMCS_EXIT_CONTROLS = 0x400c,
	VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
	VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
	VMCS_ENTRY_CONTROLS = 0x4012,
	VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
	VMCS_ENTRY_INTERRUPTION = 0x4016,
	VMCS_ENTRY_ERROR_CODE = 0x4018,
	VMCS_ENTRY_LENGTH = 0x401a,
	VMCS_SECONDARY_CONTROLS = 0x401e,
	/* 32-bit read-only fields */
	VMCS_INSTRUCTION_ERROR = 0x4400,
	VMCS_EXIT_REASON = 0x4402,
	VMCS_EXIT_INTERRUPTION = 0x4404,
	VMCS_EXIT_ERROR_CODE = 0x4406,
	VMCS_IDT_VECTORING = 0x4408,
	VMCS_IDT_VECTORING_ERROR = 0x440a,
	VMCS_EXIT_LENGTH = 0x440c,
	VMCS_EXIT_INSTRUCTION_INFO = 0x440e,
	/* 32-bit guest-state fields; segments in the order of the selectors */
	VMCS_GUEST_ES_LIMIT = 0x4800,
	VMCS_GUEST_GDTR_LIMIT = 0x4810,
	VMCS_GUEST_IDTR_LIMIT = 0x4812,
	VMCS_GUEST_ES_ACCESS_RIGHTS = 0x4814,
	VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
	VMCS_GUEST_ACTIVITY = 0x4826,
	VMCS_GUEST_SYSENTER_CS = 0x482a,
	VMCS_PREEMPTION_TIMER = 0x482e,
	VMCS_HOST_SYSENTER_CS = 0x4c00,
	/* Natural-width control fields (B.4) */
	VMCS_CR0_MASK = 0x6000,
	VMCS_CR4_MASK = 0x6002,
	VMCS_CR0_SHADOW = 0x6004,
	VMCS_CR4_SHADOW = 0x6006,
	/* Natural-width read-only fields */
	VMCS_EXIT_QUALIFICATION = 0x6400,
	VMCS_GUEST_LINEAR_ADDRESS = 0x640a,
	/* Natural-width guest-state fields */
	VMCS_GUEST_CR0 = 0x6800,
	VMCS_GUEST_CR3 = 0x6802,
	VMCS_GUEST_CR4 = 0x6804,
	VMCS_GUEST_ES_BASE = 0x6806,
	VMCS_GUEST_GDTR_BASE = 0x6816,
	VMCS_GUEST_IDTR_BASE = 0x6818,
	VMCS_GUEST_DR7 = 0x681a,
	VMCS_GUEST_RSP = 0x681c,
	VMCS_GUEST_RIP = 0x681e,
	VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_GUEST_PENDING_DEBUG = 0x6822,
	VMCS_GUEST_SYSENTER_ESP = 0x6824,
	VMCS_GUEST_SYSENTER_EIP = 0x6826,
	/* Natural-width host-state fields */
	VMCS_HOST_CR0 = 0x6c00,
	VMCS_HOST_CR3 = 0x6c02,
	VMCS_HOST_CR4 = 0x6c04,
	VMCS_HOST_FS_BASE = 0x6c06,
	VMCS_HOST_GS_BASE = 0x6c08,
	VMCS_HOST_TR_BASE = 0x6c0a,
	VMCS_HOST_GDTR_BASE = 0x6c0c,
	VMCS_HOST_IDTR_BASE = 0x6c0e,
	VMCS_HOST_SYSENTER_ESP = 0x6c10,
	VMCS_HOST_SYSENTER_EIP = 0x6c12,
	VMCS_HOST_RSP = 0x6c14,
	VMCS_HOST_RIP = 0x6c16,
};

/* Pin-based controls (table 26-5) */
#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI BIT(3)
#define PIN_VIRTUAL_NMI BIT(5)
#define PIN_PREEMPTION_TIMER BIT(6)

/* Primary processor-based controls (table 26-6) */
#define PRIMARY_INTERRUPT_WINDOW BIT(2)
#define PRIMARY_TSC_OFFSET BIT(3)
#define PRIMARY_HLT BIT(7)
#define PRIMARY_MWAIT BIT(10)
#define PRIMARY_RDPMC BIT(11)
#define PRIMARY_CR8_LOAD BIT(19)
#define PRIMARY_CR8_STORE BIT(20)
#define PRIMARY_NMI_WINDOW BIT(22)
#define PRIMARY_IO_BITMAPS BIT(25)
#define PRIMARY_MSR_BITMAPS BIT(28)
#define PRIMARY_MONITOR BIT(29)
#define PRIMARY_SECONDARY BIT(31)

/* Secondary processor-based controls (table 26-7) */
#define SECONDARY_EPT BIT(1)
#define SECONDARY_RDTSCP BIT(3)
#define SECONDARY_VPID BIT(5)
#define SECONDARY_WBINVD BIT(6)
#define SECONDARY_UNRESTRICTED BIT(7)
#define SECONDARY_INVPCID BIT(12)

/* VM-exit controls (table 26-13) */
#define EXIT_CTL_SAVE_DEBUG BIT(2)
#define EXIT_CTL_HOST_64 BIT(9)
#define EXIT_CTL_SAVE_PAT BIT(18)
#define EXIT_CTL_LOAD_PAT BIT(19)
#define EXIT_CTL_SAVE_EFER BIT(20)
#define EXIT_CTL_LOAD_EFER BIT(21)

/* VM-entry controls (table 26-15) */
#define ENTRY_CTL_LOAD_DEBUG BIT(2)
#define ENTRY_CTL_IA32E_GUEST BIT(9)
#define ENTRY_CTL_LOAD_PAT BIT(14)
#define ENTRY_CTL_LOAD_EFER BIT(15)

/* Interruption information, alike in entry, exit and IDT-vectoring fields (table 26-17) */
#define INTERRUPTION_VECTOR BITS(7, 0)
#define INTERRUPTION_TYPE BITS(10, 8)
#define INTERRUPTION_HAS_ERROR BIT(11)
#define INTERRUPTION_NMI_UNBLOCKED BIT(12)
#define INTERRUPTION_VALID BIT(31)

enum interruption_type {
	INTERRUPTION_EXTERNAL = 0,
	INTERRUPTION_NMI = 2,
	INTERRUPTION_EXCEPTION = 3,
	INTERRUPTION_SOFTWARE = 4,
	INTERRUPTION_PRIVILEGED_EXCEPTION = 5,
	INTERRUPTION_SOFTWARE_EXCEPTION = 6,
};

/* Guest interruptibility state (table 26-3) */
#define BLOCKED_BY_STI BIT(0)
#define BLOCKED_BY_MOV_SS BIT(1)
#define BLOCKED_BY_NMI BIT(3)

/* Pending debug exceptions (table 26-4) */
#define PENDING_DEBUG_SINGLE_STEP BIT(14)

/*
 * Access to the current VMCS. A failure means that the field does not exist or
 * that there is no current VMCS: our own bug.
 */
static inline uint64_t vmcs_read(enum vmcs_field field)
{
	uint64_t value;
	bool failed;

	__asm__ volatile("vmread %2, %0"
			 : "=r"(value), "=@ccbe"(failed)
			 : "r"((uint64_t)field)
			 : "memory");
	CHECK(!failed);
	return value;
}

static inline void vmcs_write(enum vmcs_field field, uint64_t value)
{
	bool failed;

	__asm__ volatile("vmwrite %1, %2"
			 : "=@ccbe"(failed)
			 : "rm"(value), "r"((uint64_t)field)
			 : "memory");
	CHECK(!failed);
}

#endif
