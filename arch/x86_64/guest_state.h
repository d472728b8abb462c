/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vCPU's state may be: pure checks, in the order of the manual's checks
 * on guest state at VM entry (SDM 3, 28.3.1). A state that passes here enters.
 */
#ifndef ARCH_X86_64_GUEST_STATE_H
#define ARCH_X86_64_GUEST_STATE_H

#include "arch/x86_64/arch.h"

#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_MPX BITS(4, 3)
#define XCR0_AVX512 BITS(7, 5)

/* As after RESET: SDM 3, table 11-1. */
void guest_state_reset(struct vcpu_state *state);

/* NULL, or the sentence that says which rule the state breaks. */
const char *guest_state_check(const struct vcpu_state *state, const struct vcpu_limits *limits);

/* True when XSETBV may load `value` (SDM 1, 13.3). */
bool guest_xcr0_is_valid(uint64_t value, uint64_t allowed);

#endif
