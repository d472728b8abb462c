/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's paravirtual clock: two structs in guest memory from which the guest
 * computes its time. Layout: Linux arch/x86/include/asm/pvclock-abi.h.
 *
 * The guest's TSC and its time both start at 0 and run at one rate, so the
 * struct is written once and is true for ever.
 */
#ifndef VMM_PVCLOCK_H
#define VMM_PVCLOCK_H

#include "vmm/memory.h"

#define PVCLOCK_TSC_STABLE BIT(0)
#define PVCLOCK_GUEST_STOPPED BIT(1)

/* ns = ((tsc << shift) * mul) >> 32, a negative shift being to the right. */
struct pvclock_scale {
	uint32_t mul;
	int8_t shift;
};

struct pvclock_scale pvclock_scale(uint64_t tsc_hz);

/* Writes struct pvclock_vcpu_time_info at gpa. 0, or -EFAULT: not RAM. */
int pvclock_write_time(struct guest_memory *memory, gpa_t gpa, uint64_t hz,
		       uint8_t flags) MUST_CHECK;

/* Writes struct pvclock_wall_clock at gpa: the wall clock when guest time was 0. */
int pvclock_write_wall_clock(struct guest_memory *memory, gpa_t gpa, uint64_t start_s) MUST_CHECK;

#endif
