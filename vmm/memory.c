/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's memory: pages from the host's pool under a second-stage tree.
 */
#include "vmm/memory.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/page.h"

static const unsigned level_order[] = {PAGE_ORDER_4K, PAGE_ORDER_2M, PAGE_ORDER_1G};

static uint64_t level_size(unsigned level)
{
	return PAGE_SIZE << level_order[level];
}

int memory_create(struct guest_memory *memory, uint64_t size)
{
	*memory = (struct guest_memory){.size = size, .next = HPA_NONE};
	return stage2_init(&memory->tree);
}

static void release_leaf(hpa_t hpa, unsigned level)
{
	page_free(hpa, level_order[level]);
}

void memory_destroy(struct guest_memory *memory)
{
	stage2_destroy(&memory->tree, release_leaf);
	if (!hpa_is_none(memory->next)) {
		release_leaf(memory->next, memory->next_level);
		memory->next = HPA_NONE;
	}
	memory->populated = 0;
}

uint64_t memory_taken(const struct guest_memory *memory)
{
	return memory->populated + (hpa_is_none(memory->next) ? 0 : level_size(memory->next_level));
}

uint64_t memory_size(const struct guest_memory *memory)
{
	return memory->size;
}

uint64_t memory_low_size(const struct guest_memory *memory)
{
	return MIN(memory->size, RAM_LOW_MAX);
}

static gpa_t offset_to_gpa(uint64_t offset)
{
	return GPA(offset < RAM_LOW_MAX ? offset : offset - RAM_LOW_MAX + RAM_HIGH_BASE);
}

/* The largest leaf that may start at `offset` of the RAM. */
static unsigned leaf_level(const struct guest_memory *memory, uint64_t offset)
{
	unsigned level = s2_leaf_level_max();

	while (level > 0 && (!is_aligned(offset, level_size(level)) ||
			     offset + level_size(level) > memory->size)) {
		level--;
	}
	return level;
}

/* A leaf for the end of what is there; smaller where the pool has no larger. */
static int take_next(struct guest_memory *memory)
{
	unsigned level = leaf_level(memory, memory->populated);
	hpa_t hpa = page_alloc(level_order[level]);

	while (hpa_is_none(hpa) && level > 0) {
		level--;
		hpa = page_alloc(level_order[level]);
	}
	memory->next = hpa;
	memory->next_level = level;
	memory->next_zeroed = 0;
	return hpa_is_none(hpa) ? -ENOMEM : 0;
}

/* Zeroes up to `size` bytes of it, of which it returns the number. */
static uint64_t zero_next(struct guest_memory *memory, uint64_t size)
{
	uint64_t count = MIN(size, level_size(memory->next_level) - memory->next_zeroed);

	memset((uint8_t *)hpa_to_virt(memory->next) + memory->next_zeroed, 0, count);
	memory->next_zeroed += count;
	return count;
}

static int map_next(struct guest_memory *memory)
{
	int error = stage2_map(&memory->tree, offset_to_gpa(memory->populated), memory->next,
			       memory->next_level, S2_ALL);

	if (error == 0) {
		memory->populated += level_size(memory->next_level);
		memory->next = HPA_NONE;
	}
	return error;
}

int memory_populate(struct guest_memory *memory, uint64_t slice)
{
	int error = 0;

	while (memory->populated < memory->size && slice > 0 && error == 0) {
		if (hpa_is_none(memory->next)) {
			error = take_next(memory);
			if (error != 0) {
				return error;
			}
		}
		slice -= zero_next(memory, slice);
		if (memory->next_zeroed == level_size(memory->next_level)) {
			error = map_next(memory);
		}
	}
	return error != 0 ? error : memory->populated < memory->size;
}

bool memory_is_ram(const struct guest_memory *memory, gpa_t gpa)
{
	uint64_t contiguous;

	return !hpa_is_none(stage2_translate(&memory->tree, gpa, &contiguous));
}

/* True when every byte of the range is RAM. */
static bool range_is_ram(const struct guest_memory *memory, gpa_t gpa, size_t size)
{
	uint64_t end;

	if (__builtin_add_overflow(gpa.v, size, &end)) {
		return false;
	}
	return end <= memory_low_size(memory) ||
	       (gpa.v >= RAM_HIGH_BASE &&
		end <= RAM_HIGH_BASE + memory->size - memory_low_size(memory));
}

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FILL };

/* Leaf by leaf: all of it, since the range was found to be RAM before. */
static int access_range(struct guest_memory *memory, enum access access, gpa_t gpa, void *data,
			uint8_t value, size_t size)
{
	uint8_t *bytes = data;

	if (!range_is_ram(memory, gpa, size)) {
		return -EFAULT;
	}
	for (size_t done = 0; done < size;) {
		uint64_t contiguous = 0;
		hpa_t hpa = stage2_translate(&memory->tree, GPA(gpa.v + done), &contiguous);
		size_t count = MIN(size - done, contiguous);

		if (hpa_is_none(hpa)) {
			return -EFAULT; /* not populated yet */
		}
		if (access == ACCESS_READ) {
			memcpy(bytes + done, hpa_to_virt(hpa), count);
		} else if (access == ACCESS_WRITE) {
			memcpy(hpa_to_virt(hpa), bytes + done, count);
		} else {
			memset(hpa_to_virt(hpa), value, count);
		}
		done += count;
	}
	return 0;
}

int memory_read(struct guest_memory *memory, gpa_t gpa, void *data, size_t size)
{
	return access_range(memory, ACCESS_READ, gpa, data, 0, size);
}

int memory_write(struct guest_memory *memory, gpa_t gpa, const void *data, size_t size)
{
	return access_range(memory, ACCESS_WRITE, gpa, (void *)(uintptr_t)data, 0, size);
}

int memory_fill(struct guest_memory *memory, gpa_t gpa, uint8_t value, size_t size)
{
	return access_range(memory, ACCESS_FILL, gpa, NULL, value, size);
}
