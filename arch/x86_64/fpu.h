/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vector and floating-point registers (SDM 1, chapter 13). The hypervisor
 * does not use them outside fpu_begin and fpu_end (arch.h), so a guest's values
 * stay in them until its CPU is needed for another.
 *
 * An area is 64-byte aligned, fpu_area_size() bytes and starts zeroed or with
 * fpu_area_init. It holds every component of XCR0 as the hypervisor sets it
 * (fpu_features): XCR0 must have that value at both calls.
 */
#ifndef ARCH_X86_64_FPU_H
#define ARCH_X86_64_FPU_H

#include "base/types.h"

/* Once, on the boot CPU. */
void fpu_init(void);

/* XCR0's components that this CPU has and that we save: x87 to AVX-512, PKRU. */
uint64_t fpu_features(void);

/* The same on all CPUs, and at most a page: 2,696 bytes with all of them. */
size_t fpu_area_size(void);

/* The state after RESET and FNINIT. */
void fpu_area_init(void *area);

static inline void fpu_save(void *area)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
}

static inline void fpu_restore(const void *area)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
}

#endif
