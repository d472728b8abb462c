/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/stacks.h"

struct cpu_stacks boot_stacks __attribute__((section(".bss.page_aligned")));

static bool contains(const uint8_t *start, size_t size, uint64_t address)
{
	return address - (uintptr_t)start < size;
}

/* The stack pointer may have gone into the guard page itself. */
static bool overflows(const uint8_t *guard, size_t stack_size, uint64_t rsp, uint64_t address)
{
	return contains(guard, STACK_GUARD_SIZE, address) &&
	       contains(guard, STACK_GUARD_SIZE + stack_size, rsp);
}

bool stacks_overflow(const struct cpu_stacks *stacks, uint64_t rsp, uint64_t address)
{
	bool hit = overflows(stacks->main_guard, STACK_MAIN_SIZE, rsp, address);

	for (int i = 0; i < EVENT_STACK_COUNT; i++) {
		hit |= overflows(stacks->event[i].guard, STACK_EVENT_SIZE, rsp, address);
	}
	return hit;
}

uint64_t stacks_end(const struct cpu_stacks *stacks, uint64_t address)
{
	if (contains(stacks->main, STACK_MAIN_SIZE, address)) {
		return (uintptr_t)stacks->main + STACK_MAIN_SIZE;
	}
	for (int i = 0; i < EVENT_STACK_COUNT; i++) {
		if (contains(stacks->event[i].stack, STACK_EVENT_SIZE, address)) {
			return (uintptr_t)stacks->event[i].stack + STACK_EVENT_SIZE;
		}
	}
	return 0;
}
