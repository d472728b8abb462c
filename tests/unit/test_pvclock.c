/* SPDX-License-Identifier: Apache-2.0 */
/* KVM's paravirtual clock: what a guest computes from it, and its bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/ram.h"
#include "vmm/pvclock.h"

#define RAM_SIZE (4 * MIB)
#define NS_PER_S UINT64_C(1000000000)
#define MHZ UINT64_C(1000000)

static struct guest_memory *ram;

static int setup(void **state)
{
	(void)state;
	ram = ram_create(RAM_SIZE);
	return 0;
}

/* The guest's computation, as in Linux arch/x86/include/asm/pvclock.h. */
static uint64_t scale_ticks(struct pvclock_scale scale, uint64_t ticks)
{
	ticks = scale.shift < 0 ? ticks >> -scale.shift : ticks << scale.shift;
	return (uint64_t)((unsigned __int128)ticks * scale.mul >> 32);
}

/* An hour of ticks is an hour of nanoseconds, within 1 ppm. */
static void check_rate(uint64_t hz)
{
	uint64_t ns = scale_ticks(pvclock_scale(hz), 3600 * hz);
	uint64_t error = ns > 3600 * NS_PER_S ? ns - 3600 * NS_PER_S : 3600 * NS_PER_S - ns;

	if (error > 3600 * NS_PER_S / MHZ) {
		fail_msg("%lu Hz: an hour is %lu ns", hz, ns);
	}
}

static void test_scale(void **state)
{
	(void)state;
	for (uint64_t hz = 50 * MHZ; hz <= 6000 * MHZ; hz += 7 * MHZ / 3 + 1) {
		check_rate(hz);
	}
	/* On both sides of each change of the shift. */
	for (uint64_t hz = NS_PER_S / 16; hz <= 4 * NS_PER_S; hz *= 2) {
		check_rate(hz - 1);
		check_rate(hz);
		check_rate(hz + 1);
	}
}

static void test_scale_values(void **state)
{
	static const struct {
		uint64_t hz;
		uint32_t mul;
		int8_t shift;
	} cases[] = {
		/* A tick of 20 ns is 0.625 times 2^5. */
		{50 * MHZ, 0xa0000000, 5},    {1000 * MHZ, 0x80000000, 1},
		{2000 * MHZ, 0x80000000, 0},  {2500 * MHZ, 0xcccccccc, -1},
		{4000 * MHZ, 0x80000000, -1}, {6000 * MHZ, 0xaaaaaaaa, -2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pvclock_scale scale = pvclock_scale(cases[i].hz);

		assert_int_equal(scale.mul, cases[i].mul);
		assert_int_equal(scale.shift, cases[i].shift);
	}
}

/* Linux arch/x86/include/asm/pvclock-abi.h, struct pvclock_vcpu_time_info. */
static void test_time_layout(void **state)
{
	static const uint8_t expected[32] = {
		[0] = 2, /* version: even, the struct is whole */
		/* tsc_timestamp and system_time at 8 and 16: both clocks start at 0 */
		[24] = 0xcc,
		0xcc,
		0xcc,
		0xcc, /* tsc_to_system_mul */
		[28] = 0xff, /* tsc_shift -1 */
		[29] = PVCLOCK_TSC_STABLE,
	};
	uint8_t bytes[34];

	(void)state;
	assert_int_equal(memory_fill(ram, GPA(0xfff), 0xaa, sizeof(bytes)), 0);
	assert_int_equal(pvclock_write_time(ram, GPA(0x1000), 2500 * MHZ, PVCLOCK_TSC_STABLE), 0);
	assert_int_equal(memory_read(ram, GPA(0xfff), bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes + 1, expected, sizeof(expected));
	assert_int_equal(bytes[0], 0xaa);
	assert_int_equal(bytes[33], 0xaa);
}

/* struct pvclock_wall_clock: version, seconds, nanoseconds. */
static void test_wall_clock_layout(void **state)
{
	static const uint8_t expected[12] = {[0] = 2, [4] = 0x78, 0x56, 0x34, 0x12};
	uint8_t bytes[13];

	(void)state;
	assert_int_equal(memory_fill(ram, GPA(0x2000), 0xaa, sizeof(bytes)), 0);
	assert_int_equal(pvclock_write_wall_clock(ram, GPA(0x2000), 0x12345678), 0);
	assert_int_equal(memory_read(ram, GPA(0x2000), bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, expected, sizeof(expected));
	assert_int_equal(bytes[12], 0xaa);
}

static void test_outside_memory(void **state)
{
	(void)state;
	assert_int_equal(pvclock_write_time(ram, GPA(RAM_SIZE - 32), MHZ, 0), 0);
	assert_int_equal(pvclock_write_time(ram, GPA(RAM_SIZE - 31), MHZ, 0), -EFAULT);
	assert_int_equal(pvclock_write_time(ram, GPA(UINT64_MAX - 7), MHZ, 0), -EFAULT);
	assert_int_equal(pvclock_write_wall_clock(ram, GPA(RAM_SIZE - 12), 0), 0);
	assert_int_equal(pvclock_write_wall_clock(ram, GPA(RAM_SIZE - 11), 0), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_scale_values),
		cmocka_unit_test_setup(test_time_layout, setup),
		cmocka_unit_test_setup(test_wall_clock_layout, setup),
		cmocka_unit_test_setup(test_outside_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
