/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's own page tables: from a linear to a guest-physical address, with
 * the checks that its CPU would make (SDM 3, chapter 5).
 *
 * Used for operands of emulated instructions and for their bytes. It sees the
 * tables in memory and not the guest's TLB, and loads PDPTEs from memory too:
 * a guest that changed its tables without an invalidation may see the change.
 */
#ifndef VMM_WALK_H
#define VMM_WALK_H

#include "arch/x86_64/arch.h"
#include "vmm/decode.h"
#include "vmm/memory.h"

/* What is done there: bits, none of them is a read by mode->cpl. */
#define WALK_WRITE 1u
#define WALK_FETCH 2u

/*
 * Translates one byte. Returns 0; -EFAULT when the guest would get #PF with
 * *error; -EINVAL when the address is not canonical: #GP, or #SS for the stack.
 *
 * Sets accessed and dirty bits as the CPU would, a fetch excepted: what is
 * fetched here the CPU has executed, and so has marked. The bits are set by a
 * plain write, which is right for as long as a guest has one vCPU.
 */
int walk_translate(struct guest_memory *memory, const struct vcpu_mode *mode, uint64_t linear,
		   unsigned access, gpa_t *gpa, uint32_t *error) MUST_CHECK;

/*
 * Copies the instruction at mode->rip: as many bytes as there are, at most
 * INSN_LENGTH_MAX. Returns their count.
 */
size_t walk_read_code(struct guest_memory *memory, const struct vcpu_mode *mode,
		      uint8_t bytes[INSN_LENGTH_MAX]);

#endif
