/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM of a guest for tests that need some: real pages of the fake CPU's arena
 * under a real second-stage tree.
 */
#ifndef TESTS_UNIT_RAM_H
#define TESTS_UNIT_RAM_H

#include "base/check.h"
#include "tests/fake_arch/fake_arch.h"
#include "vmm/memory.h"

/* `size` bytes of zeroed RAM, a multiple of 2 MiB; what was before is gone. */
static inline struct guest_memory *ram_create(uint64_t size)
{
	static struct guest_memory memory;
	int more;

	fake_arch_reset(size + 8 * MIB);
	CHECK(memory_create(&memory, size) == 0);
	do {
		more = memory_populate(&memory, GIB);
	} while (more > 0);
	CHECK(more == 0);
	return &memory;
}

static inline uint64_t ram_get(struct guest_memory *memory, uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	CHECK(memory_read(memory, GPA(gpa), &value, size) == 0);
	return value;
}

static inline void ram_set(struct guest_memory *memory, uint64_t gpa, unsigned size, uint64_t value)
{
	CHECK(memory_write(memory, GPA(gpa), &value, size) == 0);
}

#endif
