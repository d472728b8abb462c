/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's memory: how it grows, and where it is. See also test_stage2.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/page.h"
#include "tests/fake_arch/fake_arch.h"
#include "vmm/memory.h"

#define POOL_SIZE (32 * MIB)

static struct guest_memory memory;
static uint64_t pool_before;

static void create(uint64_t size)
{
	assert_int_equal(memory_create(&memory, size), 0);
}

/* Large pages of the pool, out of it for a while. */
static hpa_t taken[POOL_SIZE / (2 * MIB)];
static unsigned taken_count;

static void take_large_pages(void)
{
	while (page_largest_free_order() >= PAGE_ORDER_2M) {
		taken[taken_count++] = page_alloc(PAGE_ORDER_2M);
	}
}

static void give_large_pages_back(void)
{
	while (taken_count > 0) {
		page_free(taken[--taken_count], PAGE_ORDER_2M);
	}
}

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(POOL_SIZE);
	pool_before = page_free_count();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	memory_destroy(&memory);
	assert_int_equal(memory.populated, 0);
	assert_int_equal(page_free_count(), pool_before);
	return 0;
}

/* ---- Growth ---------------------------------------------------------------------- */

/* A call does no more than was asked for, also in the middle of a large page. */
static void test_slices(void **state)
{
	const uint64_t slice = 300 * KIB, size = 6 * MIB;
	unsigned calls = 1;

	(void)state;
	create(size);
	for (; memory_populate(&memory, slice) > 0; calls++) {
		assert_true(memory.populated <= calls * slice);
		assert_true(memory.populated + 2 * MIB > calls * slice);
	}
	assert_int_equal(calls, (size + slice - 1) / slice);
	assert_int_equal(memory.populated, size);
	/* Root, level 2, level 1: no small pages. */
	assert_int_equal(memory.tree.table_count, 3);
}

static void test_zeroed(void **state)
{
	static uint8_t bytes[4 * MIB];

	(void)state;
	take_large_pages();
	for (unsigned i = 0; i < taken_count; i++) {
		memset(hpa_to_virt(taken[i]), 0xaa, 2 * MIB);
	}
	give_large_pages_back();
	create(sizeof(bytes));
	while (memory_populate(&memory, 300 * KIB) > 0) {
	}
	assert_int_equal(memory_read(&memory, GPA(0), bytes, sizeof(bytes)), 0);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(bytes[i], 0);
	}
}

/* Destroyed with a page half zeroed; teardown counts the pages. */
static void test_given_up_half_way(void **state)
{
	uint8_t byte;

	(void)state;
	create(4 * MIB);
	assert_int_equal(memory_taken(&memory), 0);
	assert_int_equal(memory_populate(&memory, MIB), 1);
	assert_int_equal(memory.populated, 0);
	assert_int_equal(memory_taken(&memory), 2 * MIB);
	assert_int_equal(memory_read(&memory, GPA(0), &byte, 1), -EFAULT);
	assert_false(memory_is_ram(&memory, GPA(0)));
}

/* Where the pool has no large page left, small ones do. */
static void test_small_pages(void **state)
{
	hpa_t halves[3];

	(void)state;
	take_large_pages();
	page_free(taken[--taken_count], PAGE_ORDER_2M);
	/* The pool's two ends, of 1 MiB each, and half of the last large page. */
	for (unsigned i = 0; i < 3; i++) {
		halves[i] = page_alloc(PAGE_ORDER_2M - 1);
	}
	page_free(halves[0], PAGE_ORDER_2M - 1);
	page_free(halves[1], PAGE_ORDER_2M - 1);
	assert_int_equal(page_largest_free_order(), PAGE_ORDER_2M - 1);
	create(2 * MIB);
	assert_int_equal(memory_populate(&memory, GIB), 0);
	assert_int_equal(memory.populated, 2 * MIB);
	assert_int_equal(memory.tree.table_count, 4);
	page_free(halves[2], PAGE_ORDER_2M - 1);
	give_large_pages_back();
}

static void test_out_of_memory(void **state)
{
	int more;

	(void)state;
	create(POOL_SIZE);
	do {
		more = memory_populate(&memory, MIB);
	} while (more > 0);
	assert_int_equal(more, -ENOMEM);
	assert_int_equal(memory_populate(&memory, MIB), -ENOMEM);
	assert_in_range(memory.populated, POOL_SIZE - 4 * MIB, POOL_SIZE - 1);
}

/* ---- Places ---------------------------------------------------------------------- */

/* RAM that does not fit below the devices goes on at 4 GiB. */
static void test_above_4_gib(void **state)
{
	const struct {
		uint64_t gpa;
		int result;
	} cases[] = {
		{RAM_LOW_MAX - 4, -EFAULT},
		{RAM_LOW_MAX, -EFAULT},
		{RAM_HIGH_BASE - 8, -EFAULT},
		{RAM_HIGH_BASE - 1, -EFAULT},
		{RAM_HIGH_BASE, 0},
		{RAM_HIGH_BASE + 4 * MIB - 8, 0},
		{RAM_HIGH_BASE + 4 * MIB - 7, -EFAULT},
		{RAM_HIGH_BASE + 4 * MIB, -EFAULT},
		{UINT64_MAX - 3, -EFAULT},
	};
	const uint64_t written = 0x123456789abcdef;
	uint64_t value;

	(void)state;
	create(RAM_LOW_MAX + 4 * MIB);
	memory.populated = RAM_LOW_MAX; /* 3 GiB would take long */
	assert_int_equal(memory_populate(&memory, GIB), 0);
	assert_int_equal(memory_size(&memory), RAM_LOW_MAX + 4 * MIB);
	assert_int_equal(memory_low_size(&memory), RAM_LOW_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gpa_t gpa = GPA(cases[i].gpa);

		value = 0;
		assert_int_equal(memory_write(&memory, gpa, &written, 8), cases[i].result);
		assert_int_equal(memory_read(&memory, gpa, &value, 8), cases[i].result);
		assert_int_equal(memory_fill(&memory, gpa, 0, 8), cases[i].result);
		assert_int_equal(value, cases[i].result == 0 ? written : 0);
	}
	assert_true(memory_is_ram(&memory, GPA(RAM_HIGH_BASE)));
	assert_false(memory_is_ram(&memory, GPA(RAM_LOW_MAX)));
	assert_false(memory_is_ram(&memory, GPA(RAM_HIGH_BASE + 4 * MIB)));
}

/* A range that ends in a hole is refused with nothing of it written. */
static void test_all_or_nothing(void **state)
{
	uint64_t value = UINT64_MAX;

	(void)state;
	create(2 * MIB);
	assert_int_equal(memory_populate(&memory, GIB), 0);
	assert_int_equal(memory_write(&memory, GPA(2 * MIB - 4), &value, 8), -EFAULT);
	assert_int_equal(memory_fill(&memory, GPA(2 * MIB - 4), 0xff, 8), -EFAULT);
	assert_int_equal(memory_read(&memory, GPA(2 * MIB - 8), &value, 8), 0);
	assert_int_equal(value, 0);
	assert_int_equal(memory_write(&memory, GPA(2 * MIB), &value, 0), 0);
	assert_int_equal(memory_write(&memory, GPA(2 * MIB + 1), &value, 0), -EFAULT);
}

#define MEMORY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MEMORY_TEST(test_slices),
		MEMORY_TEST(test_zeroed),
		MEMORY_TEST(test_given_up_half_way),
		MEMORY_TEST(test_small_pages),
		MEMORY_TEST(test_out_of_memory),
		MEMORY_TEST(test_above_4_gib),
		MEMORY_TEST(test_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
