/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSRs of a guest that no device and no part of the CPU keeps: SDM 4,
 * table 2-2, and KVM's paravirtual clock (Linux Documentation/virt/kvm/x86/msr.rst).
 * What is not in the table does not exist: the guest gets #GP.
 */
#ifndef VMM_MSR_H
#define VMM_MSR_H

#include "base/types.h"

struct vm;

#define MTRR_VARIABLE_COUNT 8

struct msr_state {
	uint64_t mtrr_default;
	uint64_t mtrr_variable[2 * MTRR_VARIABLE_COUNT];
	uint64_t mtrr_fixed[11];
	uint64_t misc_enable;
	uint64_t system_time, wall_clock; /* KVM's clock MSRs, as written */
};

void msr_reset(struct msr_state *msrs);

/* 0, or -EINVAL: the guest gets #GP. */
int msr_read_policy(struct vm *vm, uint32_t index, uint64_t *value) MUST_CHECK;
int msr_write_policy(struct vm *vm, uint32_t index, uint64_t value) MUST_CHECK;

#endif
