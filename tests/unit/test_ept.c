/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended page table entries, bit by bit, against values written out by hand
 * from SDM 3, 30.3.2 and table 26-10.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arch/x86_64/ept.h"
#include "tests/fake_arch/fake_arch.h"

#define ACCESSED 0x100
#define DIRTY 0x200
/* Bits that mean something else, or nothing: software's, user execute, #VE. */
#define OTHERS UINT64_C(0xfff0000000000c00)

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(0);
	ept_init(&(struct ept_features){.leaf_level_max = 2, .accessed_dirty = true});
	return 0;
}

/* Memory type write-back (6 in bits 5:3), PAT ignored (6), large page (7). */
static const struct {
	uint64_t hpa;
	unsigned level, rights;
	s2_entry_t entry;
} leaves[] = {
	{0, 0, S2_ALL, 0x77},
	{0x5000, 0, S2_ALL, 0x5077},
	{0x5000, 0, S2_READ, 0x5071},
	{0x5000, 0, S2_READ | S2_WRITE, 0x5073},
	{0x5000, 0, S2_READ | S2_EXECUTE, 0x5075},
	{0x5000, 0, 0, 0x5070},
	{0xffffffffff000, 0, S2_ALL, 0xffffffffff077},
	{0x200000, 1, S2_ALL, 0x2000f7},
	{0x200000, 1, S2_READ, 0x2000f1},
	{0xfffffffe00000, 1, S2_ALL, 0xfffffffe000f7},
	{0x40000000, 2, S2_ALL, 0x400000f7},
	{0xfffffc0000000, 2, S2_READ | S2_WRITE, 0xfffffc00000f3},
};

static void test_leaves(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		uint64_t hpa = leaves[i].hpa;
		unsigned level = leaves[i].level, rights = leaves[i].rights;
		s2_entry_t entry = s2_entry_leaf(HPA(hpa), level, rights);

		assert_int_equal(entry, leaves[i].entry);
		assert_int_equal(s2_entry_rights(entry), rights);
		assert_int_equal(s2_entry_present(entry), rights != 0);
		assert_int_equal(s2_entry_is_leaf(entry, level), rights != 0);
	}
}

/* What the CPU or software adds to an entry does not move its address. */
static void test_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		s2_entry_t entry = leaves[i].entry | S2_READ | ACCESSED | DIRTY | OTHERS;

		assert_int_equal(s2_entry_address(entry, leaves[i].level).v, leaves[i].hpa);
	}
}

static void test_tables(void **state)
{
	const s2_entry_t entry = 0xabcdef0007007;

	(void)state;
	assert_int_equal(s2_entry_table(HPA(0xabcdef0007000)), entry);
	for (unsigned level = 1; level <= S2_LEVEL_TOP; level++) {
		assert_true(s2_entry_present(entry));
		assert_false(s2_entry_is_leaf(entry, level));
		assert_int_equal(s2_entry_address(entry, level).v, 0xabcdef0007000);
		assert_int_equal(s2_entry_address(entry | ACCESSED | OTHERS, level).v,
				 0xabcdef0007000);
	}
}

/* Each of read, write and execute alone makes an entry present; nothing else does. */
static void test_present(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		assert_int_equal(s2_entry_present(BIT(bit)), bit < 3);
		assert_int_equal(s2_entry_is_leaf(BIT(bit), 0), bit < 3);
		assert_false(s2_entry_is_leaf(BIT(bit), 1));
	}
	assert_true(s2_entry_is_leaf(0x81, 1));
	assert_true(s2_entry_is_leaf(0x84, 2));
	assert_false(s2_entry_is_leaf(0x80, 1));
}

static void test_accessed_and_dirty(void **state)
{
	const s2_entry_t page = 0x5377, table = 0x7107;

	(void)state;
	assert_true(s2_entry_accessed(page));
	assert_true(s2_entry_accessed(table));
	assert_true(s2_entry_dirty(page, 0));
	assert_false(s2_entry_accessed(0x5277));
	assert_false(s2_entry_dirty(0x5177, 0));
	assert_true(s2_entry_dirty(0x2002f7, 1));
	/* Bit 9 of an entry that refers to a table is ignored. */
	assert_false(s2_entry_dirty(table | DIRTY, 1));
	assert_int_equal(s2_entry_clear_accessed(page), 0x5277);
	assert_int_equal(s2_entry_clear_dirty(page), 0x5177);
	assert_int_equal(s2_entry_clear_accessed(table), 0x7007);
	/* New ones have neither: the first access is seen. */
	assert_false(s2_entry_accessed(s2_entry_leaf(HPA(0x5000), 0, S2_ALL)));
	assert_false(s2_entry_dirty(s2_entry_leaf(HPA(0x5000), 0, S2_ALL), 0));
}

/* Write-back, four levels (walk length less 1 in bits 5:3), A/D in bit 6. */
static void test_pointer(void **state)
{
	(void)state;
	assert_int_equal(ept_pointer(HPA(0x123000)), 0x12305e);
	assert_int_equal(ept_pointer(HPA(0xffffffffff000)), 0xffffffffff05e);
	ept_init(&(struct ept_features){.leaf_level_max = 2});
	assert_int_equal(ept_pointer(HPA(0x123000)), 0x12301e);
}

static void test_level_max(void **state)
{
	(void)state;
	for (unsigned max = 0; max <= 2; max++) {
		ept_init(&(struct ept_features){.leaf_level_max = max});
		assert_int_equal(s2_leaf_level_max(), max);
		for (unsigned level = 0; level <= max; level++) {
			assert_int_equal(s2_entry_leaf(HPA(0), level, S2_READ),
					 level == 0 ? 0x71 : 0xf1);
		}
		expect_end(FAKE_PANIC, s2_entry_leaf(HPA(0), max + 1, S2_READ));
	}
}

static void test_crooked_address(void **state)
{
	(void)state;
	expect_end(FAKE_PANIC, s2_entry_leaf(HPA(0x5800), 0, S2_ALL));
	expect_end(FAKE_PANIC, s2_entry_leaf(HPA(0x201000), 1, S2_ALL));
	expect_end(FAKE_PANIC, s2_entry_leaf(HPA(0x40200000), 2, S2_ALL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_leaves, setup),
		cmocka_unit_test_setup(test_addresses, setup),
		cmocka_unit_test_setup(test_tables, setup),
		cmocka_unit_test_setup(test_present, setup),
		cmocka_unit_test_setup(test_accessed_and_dirty, setup),
		cmocka_unit_test_setup(test_pointer, setup),
		cmocka_unit_test_setup(test_level_max, setup),
		cmocka_unit_test_setup(test_crooked_address, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
