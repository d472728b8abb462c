/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual CPU on VT-x, private to vcpu.c, vmx_exit.c and vmx_enter.S.
 *
 * Its state lies in four places: general registers in `gpr`; what the VMCS
 * switches in the VMCS; FPU, syscall MSRs, debug registers and CR2 in the CPU
 * while the vCPU is loaded there, in `parked` while it is not.
 */
#ifndef ARCH_X86_64_VCPU_H
#define ARCH_X86_64_VCPU_H

#include "arch/x86_64/arch.h"

/* Exceptions (SDM 3, table 6-1) */
#define VECTOR_DB 1
#define VECTOR_DF 8
#define VECTOR_GP 13
#define VECTOR_PF 14
#define VECTOR_AC 17
#define VECTOR_MC 18

/* State that exits leave in the CPU, in the order in which it is switched. */
struct vcpu_parked {
	uint64_t cr2, dr[4], dr6, xcr0;
	uint64_t star, lstar, cstar, fmask, kernel_gs_base, tsc_aux;
};

/* An event to inject: the fields of VM entry (SDM 3, 26.8.3). */
struct vcpu_event {
	uint32_t interruption, error, length;
};

struct vcpu {
	uint64_t gpr[GPR_COUNT]; /* offset 0: vmx_enter.S */
	uint64_t host_rsp; /* offset 128: the VMCS's value */

	bool launched;
	bool triple_fault; /* injected: the next run ends with it */
	uint16_t vpid;
	int cpu; /* where it is loaded, -1: nowhere */
	int last_cpu;
	uint32_t primary; /* primary controls as in the VMCS */
	struct vcpu_event event;
	uint64_t generation; /* of the second-stage tree, as last seen */
	uint64_t deadline_ns, deadline_tsc; /* the last one, in both units */
	uint64_t ept_pointer;
	struct vcpu_limits limits;

	hpa_t vmcs;
	void *fpu;
	struct vcpu_parked parked;
};

/*
 * Runs the guest until it leaves; its registers are in vcpu->gpr before and
 * after. Returns 0, or 1 when the entry instruction itself failed. (vmx_enter.S)
 */
int vmx_enter(struct vcpu *vcpu, bool launched);
/* Where the CPU continues after an exit: for the VMCS only. */
void vmx_exit_point(void);

/*
 * Host interrupts that wait are taken by the host's own handlers. A guest that
 * leaves again and again never gets as far as to be interrupted.
 */
static inline void vcpu_take_interrupts(void)
{
	__asm__ volatile("sti; nop; cli" ::: "memory");
}

/* Takes the exit apart, from the current VMCS. (vmx_exit.c) */
void vmx_exit_decode(struct vcpu *vcpu, struct exit *exit);

#endif
