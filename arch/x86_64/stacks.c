/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/stacks.h"

struct cpu_stacks boot_stacks __attribute__((section(".bss.page_aligned")));

static bool contains(const uint8_t *start, size_t size, uint64_t address)
{
	return address - (uintptr_t)start < size;
}

bool stacks_guard_hit(const struct cpu_stacks *stacks, uint64_t address)
{
	bool hit = contains(stacks->main_guard, STACK_GUARD_SIZE, address);

	for (int i = 0; i < EVENT_STACK_COUNT; i++) {
		hit |= contains(stacks->event[i].guard, STACK_GUARD_SIZE, address);
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
