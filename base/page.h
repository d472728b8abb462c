/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical pages of the host: one buddy allocator for everything.
 *
 * An allocation of order n is 2^n pages, aligned to its size. Guest memory is
 * taken in order 9 (2 MiB) and 18 (1 GiB), structures in order 0 to 4. The
 * contents are what they were, unless page_alloc_zeroed is used.
 * Any CPU may call; one spinlock (page lock, innermost of all locks).
 * Never called on the exit path.
 */
#ifndef BASE_PAGE_H
#define BASE_PAGE_H

#include "base/types.h"

#define PAGE_ORDER_4K 0
#define PAGE_ORDER_2M 9
#define PAGE_ORDER_1G 18
#define PAGE_ORDER_MAX PAGE_ORDER_1G

/*
 * Where the direct map starts: host-physical memory at one fixed distance.
 * Defined by arch (and by the fake arch, as the start of its arena).
 */
extern const uintptr_t direct_map;

static inline void *hpa_to_virt(hpa_t hpa)
{
	return (void *)(direct_map + hpa.v);
}

static inline hpa_t virt_to_hpa(const void *pointer)
{
	return HPA((uintptr_t)pointer - direct_map);
}

/*
 * Starts the pool for host-physical memory below `limit` bytes. `map` is
 * page_map_size(limit) bytes of zeroed memory that belongs to the pool from
 * then on (one byte a page).
 */
size_t page_map_size(uint64_t limit);
void page_init(void *map, uint64_t limit);

/* Gives a range to the pool; partial pages at its ends are left out. */
void page_add(hpa_t base, uint64_t size);

/* Returns HPA_NONE when there is no such block. */
hpa_t page_alloc(unsigned order) MUST_CHECK;
void page_free(hpa_t hpa, unsigned order);

/*
 * A zeroed object of `size` bytes in whole pages of the direct map, NULL when
 * there is no memory; page_delete takes the same size.
 */
void *page_new(size_t size) MUST_CHECK;
void page_delete(void *object, size_t size);

uint64_t page_free_count(void); /* 4 KiB pages free now */
uint64_t page_total_count(void); /* 4 KiB pages ever added */

/* The largest order of which a block is free now, -1 when there is none. */
int page_largest_free_order(void);

#endif
