/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMX operation on each CPU, and the control words that every VMCS gets:
 * what Dyad wants, adjusted to what the CPU demands and allows.
 */
#ifndef ARCH_X86_64_VMX_H
#define ARCH_X86_64_VMX_H

#include "arch/x86_64/arch.h"

/* The VM-execution, exit and entry controls of a new VMCS (SDM 3, appendix A). */
struct vmx_controls {
	uint32_t pin, primary, secondary, exit, entry;
};

struct vmx {
	uint32_t revision; /* IA32_VMX_BASIC[30:0] */
	unsigned timer_shift; /* TSC ticks a preemption timer tick, as a shift */
	uint64_t cr0_fixed1, cr4_fixed1; /* bits that must be 1 in VMX operation */
	struct vmx_controls controls;
	hpa_t io_bitmaps; /* two pages: every port exits */
	hpa_t msr_bitmap; /* one page: all but the MSRs that the VMCS switches */
};

extern struct vmx vmx;

/* Once, on the boot CPU, when virt_available(). Returns 0 or -ENOMEM. */
int vmx_init(void) MUST_CHECK;

/*
 * On each CPU: CR4.VMXE and VMXON. Returns 0, -ENOMEM, -EPERM (this CPU's
 * IA32_FEATURE_CONTROL is locked without VMX), -EIO (VMXON failed).
 */
int vmx_enable_cpu(void) MUST_CHECK;

/* Drop translations of one tree, or of one VPID, on this CPU. */
void vmx_invalidate_ept(uint64_t ept_pointer);
void vmx_invalidate_vpid(uint16_t vpid);

#endif
