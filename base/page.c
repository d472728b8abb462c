/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buddy allocator behind base/page.h.
 *
 * One byte of state a page says what the page is: outside the pool, the head
 * of a free or of a used block of some order, or a later page of a block. The
 * free lists run through the free pages themselves, so a free page costs its
 * byte and nothing else.
 *
 * Rules: the byte of a block's head always holds the block's order; merging
 * turns the upper head into a later page, splitting makes a new head. A free
 * that does not meet exactly the block that was allocated is our own bug.
 */
#include "base/page.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/spinlock.h"

#define STATE_OUTSIDE 0x00
#define STATE_LATER 0x20
#define STATE_FREE 0x40
#define STATE_USED 0x80

struct free_block {
	struct free_block *next, *previous;
};

static struct {
	struct spinlock lock;
	uint8_t *state;
	uint64_t count; /* pages that state covers */
	uint64_t free_count, total_count;
	struct free_block *free[PAGE_ORDER_MAX + 1];
} pool;

static uint64_t block_pages(unsigned order)
{
	return BIT(order);
}

static struct free_block *block_at(uint64_t page)
{
	return hpa_to_virt(HPA(page << PAGE_SHIFT));
}

static void list_insert(uint64_t page, unsigned order)
{
	struct free_block *block = block_at(page);

	block->next = pool.free[order];
	block->previous = NULL;
	if (block->next) {
		block->next->previous = block;
	}
	pool.free[order] = block;
	pool.state[page] = (uint8_t)(STATE_FREE | order);
}

static void list_remove(uint64_t page, unsigned order)
{
	struct free_block *block = block_at(page);

	if (block->previous) {
		block->previous->next = block->next;
	} else {
		pool.free[order] = block->next;
	}
	if (block->next) {
		block->next->previous = block->previous;
	}
}

/* Makes a used block free, and one with its buddy as long as that is free. */
static void free_locked(uint64_t page, unsigned order)
{
	pool.free_count += block_pages(order);
	while (order < PAGE_ORDER_MAX) {
		uint64_t buddy = page ^ block_pages(order);

		if (buddy >= pool.count || pool.state[buddy] != (STATE_FREE | order)) {
			break;
		}
		list_remove(buddy, order);
		pool.state[MAX(page, buddy)] = STATE_LATER;
		page = MIN(page, buddy);
		order++;
	}
	list_insert(page, order);
}

static void free_checked(uint64_t page, unsigned order)
{
	CHECK(order <= PAGE_ORDER_MAX && page < pool.count);
	CHECK(pool.state[page] == (STATE_USED | order));
	free_locked(page, order);
}

static hpa_t alloc_locked(unsigned order)
{
	unsigned have = order;

	while (have <= PAGE_ORDER_MAX && !pool.free[have]) {
		have++;
	}
	if (have > PAGE_ORDER_MAX) {
		return HPA_NONE;
	}

	hpa_t hpa = virt_to_hpa(pool.free[have]);
	uint64_t page = hpa.v >> PAGE_SHIFT;

	list_remove(page, have);
	while (have > order) {
		have--;
		list_insert(page + block_pages(have), have);
	}
	pool.state[page] = (uint8_t)(STATE_USED | order);
	pool.free_count -= block_pages(order);
	return hpa;
}

/* The largest block that starts at `page` and ends at or before `end`. */
static unsigned order_between(uint64_t page, uint64_t end)
{
	unsigned order = PAGE_ORDER_MAX;

	while (!is_aligned(page, block_pages(order)) || page + block_pages(order) > end) {
		order--;
	}
	return order;
}

/* Cuts [page, end), which belongs to nobody else, into used blocks. */
static void mark_used(uint64_t page, uint64_t end)
{
	while (page < end) {
		unsigned order = order_between(page, end);

		pool.state[page] = (uint8_t)(STATE_USED | order);
		page += block_pages(order);
	}
}

/* Frees the blocks that mark_used made. */
static void free_used(uint64_t page, uint64_t end)
{
	while (page < end) {
		unsigned order = order_between(page, end);

		free_checked(page, order);
		page += block_pages(order);
	}
}

size_t page_map_size(uint64_t limit)
{
	return align_up(limit, PAGE_SIZE) >> PAGE_SHIFT;
}

void page_init(void *map, uint64_t limit)
{
	memset(&pool, 0, sizeof(pool));
	pool.state = map;
	pool.count = limit >> PAGE_SHIFT;
}

void page_add(hpa_t base, uint64_t size)
{
	uint64_t page = align_up(base.v, PAGE_SIZE) >> PAGE_SHIFT;
	uint64_t end = (base.v + size) >> PAGE_SHIFT;

	if (page >= end) {
		return;
	}
	CHECK(end <= pool.count);
	spin_lock(&pool.lock);
	for (uint64_t i = page; i < end; i++) {
		CHECK(pool.state[i] == STATE_OUTSIDE);
	}
	memset(&pool.state[page], STATE_LATER, end - page);
	pool.total_count += end - page;
	mark_used(page, end);
	free_used(page, end);
	spin_unlock(&pool.lock);
}

hpa_t page_alloc(unsigned order)
{
	CHECK(order <= PAGE_ORDER_MAX);
	spin_lock(&pool.lock);
	hpa_t hpa = alloc_locked(order);
	spin_unlock(&pool.lock);
	return hpa;
}

void page_free(hpa_t hpa, unsigned order)
{
	CHECK(is_aligned(hpa.v, PAGE_SIZE));
	spin_lock(&pool.lock);
	free_checked(hpa.v >> PAGE_SHIFT, order);
	spin_unlock(&pool.lock);
}

/*
 * Takes the next power of two and gives the pages behind the object back: the
 * object then is a row of used blocks, the largest first.
 */
void *page_new(size_t size)
{
	uint64_t count = align_up(size, PAGE_SIZE) >> PAGE_SHIFT;
	unsigned order = 0;

	CHECK(count > 0);
	while (order <= PAGE_ORDER_MAX && block_pages(order) < count) {
		order++;
	}
	if (order > PAGE_ORDER_MAX) {
		return NULL;
	}

	spin_lock(&pool.lock);
	hpa_t hpa = alloc_locked(order);
	if (!hpa_is_none(hpa)) {
		uint64_t page = hpa.v >> PAGE_SHIFT;
		uint64_t end = page + block_pages(order);

		mark_used(page, page + count);
		mark_used(page + count, end);
		free_used(page + count, end);
	}
	spin_unlock(&pool.lock);
	if (hpa_is_none(hpa)) {
		return NULL;
	}
	return memset(hpa_to_virt(hpa), 0, count << PAGE_SHIFT);
}

void page_delete(void *object, size_t size)
{
	uint64_t page = virt_to_hpa(object).v >> PAGE_SHIFT;
	uint64_t count = align_up(size, PAGE_SIZE) >> PAGE_SHIFT;

	CHECK(count > 0 && is_aligned(virt_to_hpa(object).v, PAGE_SIZE));
	spin_lock(&pool.lock);
	free_used(page, page + count);
	spin_unlock(&pool.lock);
}

uint64_t page_free_count(void)
{
	spin_lock(&pool.lock);
	uint64_t count = pool.free_count;
	spin_unlock(&pool.lock);
	return count;
}

uint64_t page_total_count(void)
{
	spin_lock(&pool.lock);
	uint64_t count = pool.total_count;
	spin_unlock(&pool.lock);
	return count;
}

int page_largest_free_order(void)
{
	int order = PAGE_ORDER_MAX;

	spin_lock(&pool.lock);
	while (order >= 0 && !pool.free[order]) {
		order--;
	}
	spin_unlock(&pool.lock);
	return order;
}
