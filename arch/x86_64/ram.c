/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/ram.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/page.h"

/*
 * Never given out: the first megabyte is where firmware forgets what it still
 * uses.
 */
#define RAM_FLOOR MIB

/* What the loader's direct map covers. */
#define LOADER_LIMIT (512 * GIB)

/* Adds the part of a range within two limits. */
static void add(uint64_t base, uint64_t end, uint64_t floor, uint64_t limit)
{
	base = MAX(base, floor);
	end = MIN(end, limit);
	if (base < end) {
		page_add(HPA(base), end - base);
	}
}

static uint64_t end_of(const struct boot_memory *memory)
{
	return memory->base.v + memory->size;
}

/* The free range below 4 GiB with the most room. */
static const struct boot_memory *largest_low(const struct boot_info *info)
{
	const struct boot_memory *best = NULL;

	for (uint64_t i = 0; i < info->memory_count; i++) {
		const struct boot_memory *memory = &info->memory[i];

		if (memory->kind == BOOT_MEMORY_FREE && memory->base.v >= RAM_FLOOR &&
		    end_of(memory) <= 4 * GIB && (!best || memory->size > best->size)) {
			best = memory;
		}
	}
	return best;
}

hpa_t ram_init(const struct boot_info *info)
{
	const struct boot_memory *home = largest_low(info);
	uint64_t limit = 0;

	for (uint64_t i = 0; i < info->memory_count; i++) {
		if (info->memory[i].kind == BOOT_MEMORY_FREE) {
			limit = MAX(limit, end_of(&info->memory[i]));
		}
	}
	/* The allocator's own map and the low page, at the end of that range. */
	uint64_t size = PAGE_SIZE + align_up(page_map_size(limit), PAGE_SIZE);
	if (!home || home->size < size) {
		panic("no %lu KiB of free memory in one piece below 4 GiB", size / KIB);
	}
	hpa_t own = HPA(end_of(home) - size);
	memset(hpa_to_virt(own), 0, size);
	page_init(hpa_to_virt(HPA(own.v + PAGE_SIZE)), limit);

	for (uint64_t i = 0; i < info->memory_count; i++) {
		const struct boot_memory *memory = &info->memory[i];

		if (memory->kind == BOOT_MEMORY_FREE) {
			add(memory->base.v, memory == home ? own.v : end_of(memory), RAM_FLOOR,
			    LOADER_LIMIT);
		}
	}
	return own;
}

void ram_add_high(const struct boot_info *info)
{
	for (uint64_t i = 0; i < info->memory_count; i++) {
		const struct boot_memory *memory = &info->memory[i];

		if (memory->kind == BOOT_MEMORY_FREE) {
			add(memory->base.v, end_of(memory), LOADER_LIMIT, UINT64_MAX);
		}
	}
}
