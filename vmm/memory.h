/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's memory as the rest of vmm sees it: bounds-checked access by
 * guest-physical address. Nobody else turns a gpa into a pointer.
 *
 * RAM: gpa 0 up to RAM_LOW_MAX, the rest from RAM_HIGH_BASE. Between them lie
 * the devices of the machine. What is not RAM gives -EFAULT.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include "base/types.h"
#include "vmm/stage2.h"

#define RAM_LOW_MAX (UINT64_C(3) * GIB)
#define RAM_HIGH_BASE (UINT64_C(4) * GIB)

struct guest_memory {
	struct stage2 tree;
	uint64_t size; /* bytes of RAM when it is complete */
	uint64_t populated; /* bytes there so far, from the lowest address on */
	/* The next leaf, while it is being zeroed; HPA_NONE before and after. */
	hpa_t next;
	unsigned next_level;
	uint64_t next_zeroed;
};

/* Memory of `size` bytes, a multiple of 2 MiB, still without pages: 0 or -ENOMEM. */
int memory_create(struct guest_memory *memory, uint64_t size) MUST_CHECK;

/*
 * Gives it zeroed pages, the largest there are, and zeroes `slice` bytes a call, so
 * that the caller can do other things in between. Returns 1 while there is more
 * to do, 0 when it is complete, -ENOMEM (what is there stays until the destroy).
 */
int memory_populate(struct guest_memory *memory, uint64_t slice) MUST_CHECK;

void memory_destroy(struct guest_memory *memory);

/* Bytes that it takes from the host now, its tables apart. */
uint64_t memory_taken(const struct guest_memory *memory);

/* Bytes of RAM altogether, and how many of them lie below 4 GiB. */
uint64_t memory_size(const struct guest_memory *memory);
uint64_t memory_low_size(const struct guest_memory *memory);

/* True when there is RAM at gpa. */
bool memory_is_ram(const struct guest_memory *memory, gpa_t gpa);

/*
 * Copy between host and guest memory; ranges may cross pages. 0, or -EFAULT
 * with nothing copied when any byte of it is not RAM. Every write by a device
 * or a loader goes through memory_write: it marks pages dirty.
 */
int memory_read(struct guest_memory *memory, gpa_t gpa, void *data, size_t size) MUST_CHECK;
int memory_write(struct guest_memory *memory, gpa_t gpa, const void *data, size_t size) MUST_CHECK;
int memory_fill(struct guest_memory *memory, gpa_t gpa, uint8_t value, size_t size) MUST_CHECK;

#endif
