/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stacks of one CPU: one to run on, and one each for the events that must
 * find a good stack whatever happened to that one (SDM 3, 6.14.5). The page
 * below each is not mapped, so that an overflow faults at once.
 */
#ifndef ARCH_X86_64_STACKS_H
#define ARCH_X86_64_STACKS_H

#define STACK_GUARD_SIZE 4096
#define STACK_MAIN_SIZE 32768
#define STACK_EVENT_SIZE 8192

/* From the start of struct cpu_stacks, for the assembly. */
#define STACK_MAIN_TOP (STACK_GUARD_SIZE + STACK_MAIN_SIZE)

#ifndef __ASSEMBLER__

#include "base/types.h"

/* In the order of the interrupt stack table: IST 1, 2, 3. */
enum event_stack { STACK_NMI, STACK_DOUBLE_FAULT, STACK_MACHINE_CHECK, EVENT_STACK_COUNT };

struct cpu_stacks {
	uint8_t main_guard[STACK_GUARD_SIZE];
	uint8_t main[STACK_MAIN_SIZE];
	struct {
		uint8_t guard[STACK_GUARD_SIZE];
		uint8_t stack[STACK_EVENT_SIZE];
	} event[EVENT_STACK_COUNT];
} __attribute__((aligned(4096)));

_Static_assert(offsetof(struct cpu_stacks, main) + STACK_MAIN_SIZE == STACK_MAIN_TOP,
	       "the assembly's offset");
_Static_assert(sizeof(struct cpu_stacks) % 4096 == 0, "whole pages");

extern struct cpu_stacks boot_stacks;

/* True when `address` lies in the guard page below the stack that `rsp` is on. */
bool stacks_overflow(const struct cpu_stacks *stacks, uint64_t rsp, uint64_t address);

/*
 * The end of that one of these stacks which `address` lies in, 0 when it lies
 * in none.
 */
uint64_t stacks_end(const struct cpu_stacks *stacks, uint64_t address);

#endif
#endif
