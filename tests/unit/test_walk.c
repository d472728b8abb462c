/* SPDX-License-Identifier: Apache-2.0 */
/* The walk of a guest's page tables, in each paging mode. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/ram.h"
#include "vmm/walk.h"

#define CR0_PE BIT(0)
#define CR0_WP BIT(16)
#define CR0_PG BIT(31)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_LA57 BIT(12)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define AC BIT(18)

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define NX BIT(63)

enum { ERROR_P = 1, ERROR_W = 2, ERROR_U = 4, ERROR_R = 8, ERROR_I = 16 };

/* Tables lie at 0x1000 (the root), 0x2000, … in the order of the walk. */
#define TABLE(n) (UINT64_C(0x1000) * (n))

static struct guest_memory *ram;

static int setup(void **state)
{
	(void)state;
	ram = ram_create(4 * MIB);
	return 0;
}

static const struct vcpu_mode mode_4_level = {
	.cr0 = CR0_PE | CR0_PG | CR0_WP,
	.cr3 = 0x1000,
	.cr4 = CR4_PAE,
	.efer = EFER_LMA | EFER_NXE,
	.code_size = 8,
};

static uint64_t translate(const struct vcpu_mode *mode, uint64_t linear, unsigned access)
{
	uint32_t error = 0xdead;
	gpa_t gpa = GPA(0);

	assert_int_equal(walk_translate(ram, mode, linear, access, &gpa, &error), 0);
	assert_int_equal(error, 0);
	return gpa.v;
}

static uint32_t refuse(const struct vcpu_mode *mode, uint64_t linear, unsigned access)
{
	uint32_t error = 0xdead;
	gpa_t gpa;

	assert_int_equal(walk_translate(ram, mode, linear, access, &gpa, &error), -EFAULT);
	return error;
}

static void refuse_address(const struct vcpu_mode *mode, uint64_t linear)
{
	uint32_t error;
	gpa_t gpa;

	assert_int_equal(walk_translate(ram, mode, linear, 0, &gpa, &error), -EINVAL);
}

static void test_no_paging(void **state)
{
	const struct vcpu_mode mode = {.code_size = 4};

	(void)state;
	assert_int_equal(translate(&mode, 0xfee00300, WALK_WRITE), 0xfee00300);
	/* 32 bits wide */
	assert_int_equal(translate(&mode, 0x1fee00300, WALK_WRITE), 0xfee00300);
}

/* Tables for `linear` in a mode with 8-byte entries; the leaf is at `level`. */
static void map_64(unsigned top, uint64_t linear, unsigned level, uint64_t leaf)
{
	for (unsigned at = top; at > level; at--) {
		ram_set(ram, TABLE(top - at + 1) + (linear >> (12 + 9 * at) & 511) * 8, 8,
			TABLE(top - at + 2) | P | W | U);
	}
	ram_set(ram, TABLE(top - level + 1) + (linear >> (12 + 9 * level) & 511) * 8, 8, leaf);
}

static void test_4_level(void **state)
{
	const uint64_t linear = UINT64_C(0xffff8123456789ab);

	(void)state;
	map_64(3, linear, 0, 0xabcdef000 | P);
	assert_int_equal(translate(&mode_4_level, linear, 0), 0xabcdef9ab);
	map_64(3, linear, 1, 0x40000000 | P | PS);
	assert_int_equal(translate(&mode_4_level, linear, 0), 0x400789ab);
	map_64(3, linear, 2, 0x80000000 | P | PS | BIT(12)); /* PAT */
	assert_int_equal(translate(&mode_4_level, linear, 0), 0x80000000 | 0x056789ab);
	/* The other tables are empty. */
	assert_int_equal(refuse(&mode_4_level, 0, WALK_WRITE), ERROR_W);
	refuse_address(&mode_4_level, UINT64_C(0x0000800000000000));
	refuse_address(&mode_4_level, UINT64_C(0xffff7fffffffffff));
}

static void test_5_level(void **state)
{
	const uint64_t linear = UINT64_C(0x00ab8123456789ab);
	struct vcpu_mode mode = mode_4_level;

	(void)state;
	mode.cr4 |= CR4_LA57;
	map_64(4, linear, 0, 0xabcdef000 | P);
	assert_int_equal(translate(&mode, linear, 0), 0xabcdef9ab);
	refuse_address(&mode, UINT64_C(0x0100000000000000));
}

static void test_pae(void **state)
{
	const struct vcpu_mode mode = {
		.cr0 = CR0_PE | CR0_PG, .cr3 = 0x1020, .cr4 = CR4_PAE, .code_size = 4};

	(void)state;
	/* CR3 names a table of four entries, 32 bytes aligned. */
	ram_set(ram, 0x1020 + 2 * 8, 8, TABLE(2) | P);
	ram_set(ram, TABLE(2) + 5 * 8, 8, TABLE(3) | P | W | U);
	ram_set(ram, TABLE(3) + 7 * 8, 8, 0x1fee00000 | P | W | U);
	ram_set(ram, TABLE(2) + 6 * 8, 8, 0x1fee00000 | P | W | U | PS);
	assert_int_equal(translate(&mode, 0x80a07123, 0), 0x1fee00123);
	assert_int_equal(translate(&mode, 0x80c07123, 0), 0x1fee07123);
	/* No accessed bit in the first table, where it is reserved. */
	assert_int_equal(ram_get(ram, 0x1020 + 2 * 8, 8), TABLE(2) | P);
	ram_set(ram, 0x1020 + 2 * 8, 8, TABLE(2) | P | W);
	assert_int_equal(refuse(&mode, 0x80a07123, 0), ERROR_P | ERROR_R);
	/* Without NXE its bit is reserved; bits above the address always. */
	ram_set(ram, 0x1020 + 2 * 8, 8, TABLE(2) | P);
	ram_set(ram, TABLE(3) + 7 * 8, 8, NX | P);
	assert_int_equal(refuse(&mode, 0x80a07123, 0), ERROR_P | ERROR_R);
	ram_set(ram, TABLE(3) + 7 * 8, 8, BIT(52) | P);
	assert_int_equal(refuse(&mode, 0x80a07123, 0), ERROR_P | ERROR_R);
}

static void test_32_bit(void **state)
{
	struct vcpu_mode mode = {.cr0 = CR0_PE | CR0_PG, .cr3 = 0x1000, .code_size = 4};

	(void)state;
	ram_set(ram, TABLE(1) + 0x3fb * 4, 4, TABLE(2) | P | W);
	ram_set(ram, TABLE(2) + 0x200 * 4, 4, 0xfee00000 | P | W);
	assert_int_equal(translate(&mode, 0xfee00300, WALK_WRITE), 0xfee00300);
	/* Large pages need CR4.PSE: without it this names a table, where nothing is. */
	ram_set(ram, TABLE(1) + 1 * 4, 4, 0x80002000 | P | PS);
	assert_int_equal(translate(&mode, 0x00412345, 0), 0xfffff345);
	/* PSE-36 takes bits 39:32 from 20:13. */
	mode.cr4 = CR4_PSE;
	assert_int_equal(translate(&mode, 0x00412345, 0), 0x180012345);
	ram_set(ram, TABLE(1) + 1 * 4, 4, 0x80200000 | P | PS);
	assert_int_equal(refuse(&mode, 0x00412345, 0), ERROR_P | ERROR_R);
}

static void test_reserved(void **state)
{
	static const struct {
		unsigned level;
		uint64_t leaf;
	} reserved[] = {
		{3, P | PS | W}, /* no 512 GiB pages */
		{2, 0x40000000 | P | PS | BIT(13)},
		{2, 0x40000000 | P | PS | BIT(29)},
		{1, 0x40000000 | P | PS | BIT(20)},
	};
	struct vcpu_mode mode = mode_4_level;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++) {
		map_64(3, 0, reserved[i].level, reserved[i].leaf);
		assert_int_equal(refuse(&mode, 0, 0), ERROR_P | ERROR_R);
	}
	mode.efer = EFER_LMA;
	map_64(3, 0, 0, 0x5000 | P | NX);
	assert_int_equal(refuse(&mode, 0, WALK_FETCH), ERROR_P | ERROR_R);
}

/* Tables outside the RAM read as ones: their reserved bits are set. */
static void test_tables_nowhere(void **state)
{
	struct vcpu_mode mode = mode_4_level;

	(void)state;
	mode.cr3 = 0xfee00000;
	assert_int_equal(refuse(&mode, 0, WALK_WRITE), ERROR_P | ERROR_R | ERROR_W);
	mode.cr3 = UINT64_MAX;
	assert_int_equal(refuse(&mode, 0, 0), ERROR_P | ERROR_R);
	map_64(3, 0, 1, 0xfee00000 | P);
	mode.cr3 = 0x1000;
	mode.efer = EFER_LMA;
	assert_int_equal(refuse(&mode, 0, 0), ERROR_P | ERROR_R);
}

static void test_rights(void **state)
{
	static const struct {
		uint64_t leaf, upper; /* rights in the leaf and in the level above */
		unsigned access, cpl;
		uint64_t cr0, cr4, rflags;
		int64_t error; /* -1: allowed */
	} cases[] = {
		/* user */
		{U, U | W, 0, 3, CR0_WP, 0, 0, -1},
		{0, U | W, 0, 3, CR0_WP, 0, 0, ERROR_P | ERROR_U},
		{U, W, 0, 3, CR0_WP, 0, 0, ERROR_P | ERROR_U},
		{U, U | W, WALK_WRITE, 3, 0, 0, 0, ERROR_P | ERROR_U | ERROR_W},
		{U | W, U, WALK_WRITE, 3, 0, 0, 0, ERROR_P | ERROR_U | ERROR_W},
		{U | W, U | W, WALK_WRITE, 3, 0, 0, 0, -1},
		{U, U, WALK_FETCH, 3, 0, 0, 0, -1},
		{U | NX, U, WALK_FETCH, 3, 0, 0, 0, ERROR_P | ERROR_U | ERROR_I},
		{U, U | NX, WALK_FETCH, 3, 0, 0, 0, ERROR_P | ERROR_U | ERROR_I},
		/* supervisor */
		{0, 0, 0, 0, CR0_WP, 0, 0, -1},
		{0, W, WALK_WRITE, 0, CR0_WP, 0, 0, ERROR_P | ERROR_W},
		{0, W, WALK_WRITE, 0, 0, 0, 0, -1},
		{W, W, WALK_WRITE, 0, CR0_WP, 0, 0, -1},
		{NX, 0, WALK_FETCH, 0, CR0_WP, 0, 0, ERROR_P | ERROR_I},
		{NX, 0, 0, 0, CR0_WP, 0, 0, -1},
		/* supervisor at a user page */
		{U | W, U | W, WALK_WRITE, 0, CR0_WP, 0, 0, -1},
		{U | W, U | W, WALK_WRITE, 0, CR0_WP, CR4_SMAP, 0, ERROR_P | ERROR_W},
		{U | W, U | W, 0, 0, CR0_WP, CR4_SMAP, 0, ERROR_P},
		{U | W, U | W, 0, 0, CR0_WP, CR4_SMAP, AC, -1},
		{U | W, U | W, 0, 3, CR0_WP, CR4_SMAP, 0, -1},
		{U | W, W, 0, 0, CR0_WP, CR4_SMAP, 0, -1},
		{U, U, WALK_FETCH, 0, CR0_WP, 0, 0, -1},
		{U, U, WALK_FETCH, 0, CR0_WP, CR4_SMEP, 0, ERROR_P | ERROR_I},
		{U, 0, WALK_FETCH, 0, CR0_WP, CR4_SMEP, 0, -1},
		{U, U, WALK_FETCH, 0, CR0_WP, CR4_SMAP, 0, -1},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vcpu_mode mode = mode_4_level;
		uint32_t error;
		gpa_t gpa;
		int result;

		mode.cpl = (uint8_t)cases[i].cpl;
		mode.cr0 = CR0_PE | CR0_PG | cases[i].cr0;
		mode.cr4 = CR4_PAE | cases[i].cr4;
		mode.rflags = cases[i].rflags;
		map_64(3, 0, 0, 0x5000 | P | cases[i].leaf);
		ram_set(ram, TABLE(3), 8, TABLE(4) | P | cases[i].upper);
		result = walk_translate(ram, &mode, 0, cases[i].access, &gpa, &error);
		if ((result == 0 ? -1 : (int64_t)error) != cases[i].error) {
			fail_msg("case %u: result %d, error %#x", i, result, error);
		}
	}
}

static void test_marks(void **state)
{
	const uint64_t leaf = TABLE(4), root = TABLE(1);

	(void)state;
	map_64(3, 0, 0, 0x5000 | P | W);
	translate(&mode_4_level, 0, WALK_FETCH);
	assert_int_equal(ram_get(ram, leaf, 8), 0x5000 | P | W);
	translate(&mode_4_level, 0, 0);
	assert_int_equal(ram_get(ram, leaf, 8), 0x5000 | P | W | A);
	assert_int_equal(ram_get(ram, root, 8), TABLE(2) | P | W | U | A);
	translate(&mode_4_level, 0, WALK_WRITE);
	assert_int_equal(ram_get(ram, leaf, 8), 0x5000 | P | W | A | D);
	assert_int_equal(ram_get(ram, root, 8), TABLE(2) | P | W | U | A);
	/* A fault marks nothing. */
	ram_set(ram, leaf, 8, 0x5000 | P);
	refuse(&mode_4_level, 0, WALK_WRITE);
	assert_int_equal(ram_get(ram, leaf, 8), 0x5000 | P);
}

static void test_code(void **state)
{
	uint8_t bytes[INSN_LENGTH_MAX];
	struct vcpu_mode mode = {.code_size = 2, .cs_base = 0xffff0, .rip = 0x10};

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		ram_set(ram, 0x100000 + i, 1, i);
	}
	assert_int_equal(walk_read_code(ram, &mode, bytes), INSN_LENGTH_MAX);
	assert_int_equal(bytes[14], 14);
	/* The end of the RAM; of a page whose neighbour lies elsewhere; of what is mapped. */
	mode = (struct vcpu_mode){.code_size = 4, .rip = 4 * MIB - 3};
	assert_int_equal(walk_read_code(ram, &mode, bytes), 3);
	mode = mode_4_level;
	mode.rip = 0x1ffe;
	mode.cs_base = 0x123; /* of no effect */
	map_64(3, 0, 0, 0);
	ram_set(ram, TABLE(4) + 8, 8, 0x101000 | P);
	assert_int_equal(walk_read_code(ram, &mode, bytes), 2);
	ram_set(ram, TABLE(4) + 16, 8, 0x100000 | P);
	assert_int_equal(walk_read_code(ram, &mode, bytes), INSN_LENGTH_MAX);
	assert_int_equal(bytes[2 + 7], 7);
	mode.rip = UINT64_C(0x7ffffffffffe);
	assert_int_equal(walk_read_code(ram, &mode, bytes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_no_paging, setup),
		cmocka_unit_test_setup(test_4_level, setup),
		cmocka_unit_test_setup(test_5_level, setup),
		cmocka_unit_test_setup(test_pae, setup),
		cmocka_unit_test_setup(test_32_bit, setup),
		cmocka_unit_test_setup(test_reserved, setup),
		cmocka_unit_test_setup(test_tables_nowhere, setup),
		cmocka_unit_test_setup(test_rights, setup),
		cmocka_unit_test_setup(test_marks, setup),
		cmocka_unit_test_setup(test_code, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
