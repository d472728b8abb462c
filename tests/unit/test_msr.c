/* SPDX-License-Identifier: Apache-2.0 */
/* MSRs: which there are, what they read after a start, what may be written. */
#include "tests/unit/vm_fixture.h"
#include "vmm/devices/lapic.h"
#include "vmm/pvclock.h"

#define WB_EVERYWHERE UINT64_C(0x0606060606060606)
#define SYSTEM_TIME 0x4b564d01
#define WALL_CLOCK 0x4b564d00
#define OLD_SYSTEM_TIME 0x12
#define OLD_WALL_CLOCK 0x11

static uint64_t get(uint32_t index)
{
	uint64_t value = 0xdead;

	if (msr_read_policy(vm, index, &value) != 0) {
		fail_msg("MSR 0x%x cannot be read", index);
	}
	return value;
}

static bool set(uint32_t index, uint64_t value)
{
	int result = msr_write_policy(vm, index, value);

	assert_true(result == 0 || result == -EINVAL);
	return result == 0;
}

/* ---- What there is ---------------------------------------------------------------- */

/* `refused` is a value that a write is refused with; 0: there is none. */
static const struct {
	uint32_t index;
	uint64_t initial, written, read_back, refused;
} msrs[] = {
	/* The platform's. */
	{MSR_APIC_BASE, LAPIC | 0x900, LAPIC | 0xd00, LAPIC | 0xd00, 1},
	{MSR_TSC_DEADLINE, 0, 0, 0, 0},
	/* Constants: a write is dropped, or allowed only of the same value. */
	{0x10, 0, 0x1234, 0, 0},
	{0x17, 0, 0, 0, 1},
	{0x3a, 1, 1, 1, 5},
	{0x79, 0, 0x1234, 0, 0},
	{0x8b, 0, 0x1234, 0, 0},
	{0xce, 0, 0, 0, BIT(31)},
	{0xfe, 0x508, 0x508, 0x508, 0x500},
	{0x140, 0, 0, 0, 1},
	{0x179, 0, 0, 0, 1},
	{0x17a, 0, 4, 0, 0},
	{0x1d9, 0, 0, 0, 1},
	/* Kept. */
	{0x1a0, 0x1801, 0x1801 ^ 0x400450009, 0x1801 ^ 0x400450009, 0x1001},
	{0x200, 0, 0x80000006, 0x80000006, 2},
	{0x20f, 0, 0xffffc0000800, 0xffffc0000800, 1},
	{0x250, WB_EVERYWHERE, 0, 0, 2},
	{0x258, WB_EVERYWHERE, 1, 1, 3},
	{0x259, WB_EVERYWHERE, 4, 4, 7},
	{0x268, WB_EVERYWHERE, 5, 5, 8},
	{0x26f, WB_EVERYWHERE, 6, 6, 0x0600000000000000 << 4},
	{0x2ff, 0xc06, 0x800, 0x800, 0x1000},
	{WALL_CLOCK, 0, 0x2000, 0x2000, MEMORY_SIZE},
	{SYSTEM_TIME, 0, 0x2001, 0x2001, MEMORY_SIZE | 1},
	{OLD_WALL_CLOCK, 0x2000, 0x3000, 0x3000, MEMORY_SIZE},
	{OLD_SYSTEM_TIME, 0x2001, 0x3001, 0x3001, MEMORY_SIZE | 1},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		uint32_t index = msrs[i].index;

		if (get(index) != msrs[i].initial || !set(index, msrs[i].written) ||
		    get(index) != msrs[i].read_back) {
			fail_msg("MSR 0x%x: 0x%lx", index, get(index));
		}
		if (msrs[i].refused != 0 && set(index, msrs[i].refused)) {
			fail_msg("MSR 0x%x takes 0x%lx", index, msrs[i].refused);
		}
		assert_int_equal(get(index), msrs[i].read_back);
	}
}

/* Only writes of EFER come here: reads of the CPU's MSRs do not leave the guest. */
static void test_efer(void **state)
{
	(void)state;
	assert_true(set(0xc0000080, 0x100));
	assert_int_equal(vm->vcpu->state.efer, 0x100);
	assert_false(set(0xc0000080, BIT(1)));
	assert_int_equal(vm->vcpu->state.efer, 0x100);
}

static void test_unknown(void **state)
{
	static const uint32_t unknown[] = {
		0x0,   0x3b,  0x1b0, 0x1ff, 0x210, 0x24f, 0x251, 0x257,	     0x25a,	 0x267,
		0x270, 0x2fe, 0x300, 0x480, 0xda0, 0x400, 0x280, 0x4b564d02, 0xc0000085, UINT32_MAX,
	};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_int_equal(msr_read_policy(vm, unknown[i], &value), -EINVAL);
		assert_int_equal(msr_write_policy(vm, unknown[i], 0), -EINVAL);
	}
}

/* A guest that starts again finds them as after its first start. */
static void test_reset(void **state)
{
	(void)state;
	assert_true(set(0x2ff, 0));
	assert_true(set(0x250, 0));
	assert_true(set(0x200, 6));
	assert_true(set(SYSTEM_TIME, 0x2001));
	request(VM_REQUEST_RESET);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(get(0x2ff), 0xc06);
	assert_int_equal(get(0x250), WB_EVERYWHERE);
	assert_int_equal(get(0x200), 0);
	assert_int_equal(get(SYSTEM_TIME), 0);
}

/* ---- MTRRs: SDM 3, 12.11.2 ------------------------------------------------------------ */

static bool is_memory_type(uint64_t type)
{
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

static void test_memory_types(void **state)
{
	(void)state;
	for (uint64_t type = 0; type < 256; type++) {
		assert_int_equal(set(0x2ff, type), is_memory_type(type));
		assert_int_equal(set(0x200, type), is_memory_type(type));
		for (unsigned byte = 0; byte < 8; byte++) {
			assert_int_equal(set(0x26a, type << 8 * byte), is_memory_type(type));
		}
	}
}

/* Each bit alone: the default type, a variable range's base and its mask. */
static void test_mtrr_bits(void **state)
{
	(void)state;
	for (unsigned bit = 8; bit < 64; bit++) {
		assert_int_equal(set(0x2ff, BIT(bit)), bit == 10 || bit == 11);
		assert_int_equal(set(0x20e, BIT(bit)), bit >= 12 && bit < 52);
		assert_int_equal(set(0x20f, BIT(bit)), bit >= 11 && bit < 52);
	}
}

static void test_mtrrs_are_apart(void **state)
{
	static const uint32_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

	(void)state;
	for (uint32_t i = 0; i < 16; i++) {
		assert_true(set(0x200 + i, UINT64_C(0x1000) << i));
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		assert_true(set(fixed[i], UINT64_C(0x0601) << i % 7 * 8));
	}
	for (uint32_t i = 0; i < 16; i++) {
		assert_int_equal(get(0x200 + i), UINT64_C(0x1000) << i);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		assert_int_equal(get(fixed[i]), UINT64_C(0x0601) << i % 7 * 8);
	}
	assert_int_equal(get(0x2ff), 0xc06);
}

static void test_misc_enable(void **state)
{
	const uint64_t initial = 0x1801, writable = 0x400450009;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		assert_int_equal(set(0x1a0, initial ^ BIT(bit)), (writable >> bit & 1) != 0);
		assert_true(set(0x1a0, initial));
	}
}

/* ---- KVM's clock ------------------------------------------------------------------------ */

static uint64_t ram(uint64_t gpa, size_t size)
{
	uint64_t value = 0;

	assert_int_equal(memory_read(&vm->memory, GPA(gpa), &value, size), 0);
	return value;
}

static void test_system_time(void **state)
{
	struct pvclock_scale scale = pvclock_scale(tsc_hz);

	(void)state;
	assert_true(set(SYSTEM_TIME, 0x2000)); /* not enabled: nothing is written */
	assert_int_equal(ram(0x2000, 8), 0);
	assert_true(set(SYSTEM_TIME, 0x2001));
	assert_int_equal(ram(0x2000, 4), 2);
	assert_int_equal(ram(0x2018, 4), scale.mul);
	assert_int_equal((int8_t)ram(0x201c, 1), scale.shift);
	assert_int_equal(ram(0x201d, 1), PVCLOCK_TSC_STABLE);
	assert_int_equal(ram(0x2020, 8), 0);
	/* Off again, as a guest does before it starts another kernel. */
	assert_true(set(SYSTEM_TIME, 0));
	assert_true(set(OLD_SYSTEM_TIME, 0x3001));
	assert_int_equal(ram(0x3018, 4), scale.mul);
}

static void test_wall_clock(void **state)
{
	(void)state;
	assert_true(set(WALL_CLOCK, 0x2004));
	assert_int_equal(ram(0x2004, 4), 2);
	assert_int_equal(ram(0x2008, 4), FAKE_WALL_CLOCK_START_S + 1);
	assert_int_equal(ram(0x200c, 8), 0);
	assert_true(set(OLD_WALL_CLOCK, 0x3004));
	assert_int_equal(ram(0x3008, 4), FAKE_WALL_CLOCK_START_S + 1);
}

/* Where there is no memory it is #GP, and what was set stays. */
static void test_clock_outside_memory(void **state)
{
	static const uint64_t wrong[] = {MEMORY_SIZE - 8, MEMORY_SIZE, LAPIC, RAM_HIGH_BASE,
					 UINT64_MAX - 31};

	(void)state;
	assert_true(set(SYSTEM_TIME, 0x2001));
	assert_true(set(WALL_CLOCK, 0x3000));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_false(set(SYSTEM_TIME, wrong[i] | 1));
		assert_false(set(WALL_CLOCK, wrong[i]));
		assert_int_equal(get(SYSTEM_TIME), 0x2001);
		assert_int_equal(get(WALL_CLOCK), 0x3000);
	}
	assert_true(set(SYSTEM_TIME, (MEMORY_SIZE - 32) | 1));
	assert_true(set(WALL_CLOCK, MEMORY_SIZE - 12));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNNING_TEST(test_table),
		RUNNING_TEST(test_efer),
		RUNNING_TEST(test_unknown),
		RUNNING_TEST(test_reset),
		RUNNING_TEST(test_memory_types),
		RUNNING_TEST(test_mtrr_bits),
		RUNNING_TEST(test_mtrrs_are_apart),
		RUNNING_TEST(test_misc_enable),
		RUNNING_TEST(test_system_time),
		RUNNING_TEST(test_wall_clock),
		RUNNING_TEST(test_clock_outside_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
