/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page allocator against a model: a byte for each page that says who has
 * it. Every block must be free in the model, aligned and inside what was added;
 * the counts must agree; and when all is freed the pool is as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/page.h"
#include "tests/fake_arch/fake_arch.h"

#define POOL_BASE MIB
#define POOL_SIZE (64 * MIB)
#define POOL_END ((POOL_BASE + POOL_SIZE) >> PAGE_SHIFT)

static uint8_t model[POOL_END];

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(POOL_SIZE);
	memset(model, 0, sizeof(model));
	return 0;
}

static void model_take(hpa_t hpa, uint64_t page_count)
{
	uint64_t first = hpa.v >> PAGE_SHIFT;

	assert_true(hpa.v >= POOL_BASE && first + page_count <= POOL_END);
	for (uint64_t i = first; i < first + page_count; i++) {
		assert_int_equal(model[i], 0);
		model[i] = 1;
	}
}

static void model_give(hpa_t hpa, uint64_t page_count)
{
	memset(&model[hpa.v >> PAGE_SHIFT], 0, page_count);
}

/* The shape of the free lists, seen from outside: blocks of each order in turn. */
static void count_blocks(unsigned counts[PAGE_ORDER_MAX + 1])
{
	static struct {
		hpa_t hpa;
		unsigned order;
	} blocks[POOL_END];
	unsigned block_count = 0;

	memset(counts, 0, (PAGE_ORDER_MAX + 1) * sizeof(counts[0]));
	for (int order; (order = page_largest_free_order()) >= 0;) {
		blocks[block_count].hpa = page_alloc((unsigned)order);
		blocks[block_count].order = (unsigned)order;
		block_count++;
		counts[order]++;
	}
	while (block_count > 0) {
		block_count--;
		page_free(blocks[block_count].hpa, blocks[block_count].order);
	}
}

static void test_counts(void **state)
{
	(void)state;
	assert_int_equal(page_total_count(), POOL_SIZE / PAGE_SIZE);
	assert_int_equal(page_free_count(), POOL_SIZE / PAGE_SIZE);
	hpa_t hpa = page_alloc(PAGE_ORDER_2M);
	assert_false(hpa_is_none(hpa));
	assert_int_equal(page_free_count(), POOL_SIZE / PAGE_SIZE - 512);
	assert_int_equal(page_total_count(), POOL_SIZE / PAGE_SIZE);
	page_free(hpa, PAGE_ORDER_2M);
	assert_int_equal(page_free_count(), POOL_SIZE / PAGE_SIZE);
}

static void test_alignment(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 12; order++) {
		hpa_t hpa = page_alloc(order);

		assert_false(hpa_is_none(hpa));
		assert_true(is_aligned(hpa.v, PAGE_SIZE << order));
	}
}

static void test_one_gib(void **state)
{
	(void)state;
	fake_arch_reset(3 * GIB);
	assert_int_equal(page_largest_free_order(), PAGE_ORDER_1G);
	hpa_t first = page_alloc(PAGE_ORDER_1G);
	hpa_t second = page_alloc(PAGE_ORDER_1G);
	assert_true(is_aligned(first.v, GIB) && is_aligned(second.v, GIB));
	assert_true(first.v != second.v);
	/* From 1 MiB to 3 GiB + 1 MiB there are two whole ones. */
	assert_true(hpa_is_none(page_alloc(PAGE_ORDER_1G)));
	assert_int_equal(page_largest_free_order(), PAGE_ORDER_1G - 1);
}

static void test_exhausted(void **state)
{
	uint64_t count = 0;

	(void)state;
	while (!hpa_is_none(page_alloc(0))) {
		count++;
	}
	assert_int_equal(count, POOL_SIZE / PAGE_SIZE);
	assert_int_equal(page_free_count(), 0);
	assert_int_equal(page_largest_free_order(), -1);
	assert_null(page_new(1));
}

static void test_partial_pages_left_out(void **state)
{
	(void)state;
	page_add(HPA(512 * MIB + 1), 3 * PAGE_SIZE);
	assert_int_equal(page_total_count(), POOL_SIZE / PAGE_SIZE + 2);
	page_add(HPA(513 * MIB + 1), PAGE_SIZE - 2);
	assert_int_equal(page_total_count(), POOL_SIZE / PAGE_SIZE + 2);
}

static void test_neighbouring_ranges_merge(void **state)
{
	(void)state;
	fake_arch_reset(0);
	page_add(HPA(2 * GIB + 512 * MIB), 512 * MIB);
	assert_int_equal(page_largest_free_order(), PAGE_ORDER_1G - 1);
	page_add(HPA(2 * GIB), 512 * MIB);
	assert_int_equal(page_largest_free_order(), PAGE_ORDER_1G);
}

static void test_new_is_zeroed_and_tight(void **state)
{
	static const size_t sizes[] = {1, 4096, 4097, 5 * 4096, 7 * 4096 - 1, 300 * 4096};
	uint64_t before = page_free_count();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t pages = align_up(sizes[i], PAGE_SIZE) >> PAGE_SHIFT;
		uint8_t *object = page_new(sizes[i]);

		assert_non_null(object);
		assert_int_equal(before - page_free_count(), pages);
		for (size_t k = 0; k < sizes[i]; k++) {
			assert_int_equal(object[k], 0);
		}
		memset(object, 0xee, pages * PAGE_SIZE);
		page_delete(object, sizes[i]);
		assert_int_equal(page_free_count(), before);
	}
}

static void test_too_large(void **state)
{
	(void)state;
	assert_true(hpa_is_none(page_alloc(PAGE_ORDER_1G)));
	assert_null(page_new(POOL_SIZE + 1));
	assert_null(page_new(SIZE_MAX - PAGE_SIZE));
	assert_int_equal(page_free_count(), POOL_SIZE / PAGE_SIZE);
}

static void test_double_free(void **state)
{
	hpa_t hpa = page_alloc(3);

	(void)state;
	page_free(hpa, 3);
	expect_end(FAKE_PANIC, page_free(hpa, 3));
}

static void test_free_with_wrong_order(void **state)
{
	hpa_t hpa = page_alloc(3);

	(void)state;
	expect_end(FAKE_PANIC, page_free(hpa, 2));
}

static void test_free_inside_block(void **state)
{
	hpa_t hpa = page_alloc(3);

	(void)state;
	expect_end(FAKE_PANIC, page_free(HPA(hpa.v + PAGE_SIZE), 0));
}

static void test_free_foreign(void **state)
{
	(void)state;
	expect_end(FAKE_PANIC, page_free(HPA(POOL_BASE + POOL_SIZE), 0));
	fake_arch_reset(POOL_SIZE);
	expect_end(FAKE_PANIC, page_free(HPA(FAKE_MEMORY_SIZE), 0));
	fake_arch_reset(POOL_SIZE);
	expect_end(FAKE_PANIC, page_free(HPA_NONE, 0));
	fake_arch_reset(POOL_SIZE);
	expect_end(FAKE_PANIC, page_free(HPA(POOL_BASE + 1), 0));
}

static void test_add_twice(void **state)
{
	(void)state;
	expect_end(FAKE_PANIC, page_add(HPA(POOL_BASE + POOL_SIZE / 2), PAGE_SIZE));
}

/* Blocks and objects of random sizes come and go; the model watches. */
static void test_random_operations(void **state)
{
	enum { HELD_MAX = 400, ROUNDS = 40000 };
	static struct {
		hpa_t hpa;
		unsigned order;
		size_t size; /* of an object, 0 for a block */
	} held[HELD_MAX];
	unsigned held_count = 0;
	unsigned before[PAGE_ORDER_MAX + 1], after[PAGE_ORDER_MAX + 1];
	uint64_t used = 0;

	(void)state;
	srand(1);
	count_blocks(before);
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (held_count < HELD_MAX && rand() % 100 < 52) {
			unsigned order = (unsigned)rand() % 10;
			size_t size = rand() % 2 ? 1 + (size_t)rand() % (40 * PAGE_SIZE) : 0;
			hpa_t hpa;

			if (size > 0) {
				void *object = page_new(size);
				hpa = object ? virt_to_hpa(object) : HPA_NONE;
			} else {
				hpa = page_alloc(order);
			}
			if (hpa_is_none(hpa)) {
				continue;
			}

			uint64_t pages =
				size ? align_up(size, PAGE_SIZE) >> PAGE_SHIFT : BIT(order);
			assert_true(size > 0 || is_aligned(hpa.v, PAGE_SIZE << order));
			model_take(hpa, pages);
			memset(hpa_to_virt(hpa), 0xa5, pages << PAGE_SHIFT);
			used += pages;
			held[held_count].hpa = hpa;
			held[held_count].order = order;
			held[held_count].size = size;
			held_count++;
		} else if (held_count > 0) {
			unsigned i = (unsigned)rand() % held_count;
			size_t size = held[i].size;
			uint64_t pages =
				size ? align_up(size, PAGE_SIZE) >> PAGE_SHIFT : BIT(held[i].order);

			if (size > 0) {
				page_delete(hpa_to_virt(held[i].hpa), size);
			} else {
				page_free(held[i].hpa, held[i].order);
			}
			model_give(held[i].hpa, pages);
			used -= pages;
			held[i] = held[--held_count];
		}
		assert_int_equal(page_free_count(), page_total_count() - used);
	}
	while (held_count > 0) {
		held_count--;
		if (held[held_count].size > 0) {
			page_delete(hpa_to_virt(held[held_count].hpa), held[held_count].size);
		} else {
			page_free(held[held_count].hpa, held[held_count].order);
		}
	}
	count_blocks(after);
	assert_memory_equal(before, after, sizeof(before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_counts, setup),
		cmocka_unit_test_setup(test_alignment, setup),
		cmocka_unit_test_setup(test_one_gib, setup),
		cmocka_unit_test_setup(test_exhausted, setup),
		cmocka_unit_test_setup(test_partial_pages_left_out, setup),
		cmocka_unit_test_setup(test_neighbouring_ranges_merge, setup),
		cmocka_unit_test_setup(test_new_is_zeroed_and_tight, setup),
		cmocka_unit_test_setup(test_too_large, setup),
		cmocka_unit_test_setup(test_double_free, setup),
		cmocka_unit_test_setup(test_free_with_wrong_order, setup),
		cmocka_unit_test_setup(test_free_inside_block, setup),
		cmocka_unit_test_setup(test_free_foreign, setup),
		cmocka_unit_test_setup(test_add_twice, setup),
		cmocka_unit_test_setup(test_random_operations, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
