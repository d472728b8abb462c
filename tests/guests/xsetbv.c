/* SPDX-License-Identifier: Apache-2.0 */
/* XSETBV: good values hold, bad ones fault, and the vectors follow. */
#include "tests/guests/lib/lib.h"

#define X87 BIT(0)
#define SSE BIT(1)
#define AVX BIT(2)

static uint64_t supported(void)
{
	struct cpuid leaf = cpuid(0xd, 0);

	return (uint64_t)leaf.edx << 32 | leaf.eax;
}

static int try_xsetbv(uint32_t index, uint64_t value)
{
	return TRY("xsetbv",
		   :
		   : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		   : "memory");
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void needs_osxsave(void)
{
	need_xsave();
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
	expect_equal(try_xsetbv(0, X87), UD);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	expect_equal(try_xsetbv(0, X87), NO_FAULT);
	expect_equal(xgetbv(), X87);
}

static void good_values(void)
{
	static const uint64_t values[] = {X87, X87 | SSE, X87 | SSE | AVX, X87 | SSE};

	need_xsave();
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		if ((values[i] & ~supported()) == 0) {
			expect_equal(try_xsetbv(0, values[i]), NO_FAULT);
			cpuid(0, 0);
			expect_equal(xgetbv(), values[i]);
		}
	}
	expect_equal(try_xsetbv(0, supported()), NO_FAULT);
	expect_equal(xgetbv(), supported());
}

static void bad_values(void)
{
	static const uint64_t values[] = {
		0,
		SSE,
		AVX,
		X87 | AVX,
		SSE | AVX,
		X87 | BIT(3),
		X87 | SSE | BIT(5),
		X87 | SSE | AVX | BIT(6),
		X87 | SSE | BIT(17),
		X87 | BIT(62),
		X87 | BIT(63),
		UINT64_MAX,
		UINT64_MAX - 1,
		UINT64_C(0xffffffff00000007),
	};

	need_xsave();
	expect_equal(try_xsetbv(0, X87 | SSE), NO_FAULT);
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		if (try_xsetbv(0, values[i]) != GP) {
			print("# XCR0 takes %#lx\n", values[i]);
			expect(false);
		}
		expect_equal(xgetbv(), X87 | SSE);
	}
}

/* Each single bit by which a good value is spoilt. */
static void unsupported_bits(void)
{
	need_xsave();
	expect_equal(try_xsetbv(0, X87 | SSE), NO_FAULT);
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((supported() & BIT(bit)) == 0) {
			expect_equal(try_xsetbv(0, X87 | SSE | BIT(bit)), GP);
		}
	}
	expect_equal(xgetbv(), X87 | SSE);
}

static void bad_registers(void)
{
	static const uint32_t indexes[] = {1, 2, 0x80000000, 0xffffffff};

	need_xsave();
	for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++) {
		expect_equal(try_xsetbv(indexes[i], X87), GP);
	}
}

static void user_xsetbv(void)
{
	__asm__ volatile("xsetbv" : : "a"(X87), "d"(0), "c"(0));
}

static void user_mode(void)
{
	need_xsave();
	expect_equal(user_fault_of(user_xsetbv), GP);
}

static void avx_follows(void)
{
	need_xsave();
	need_cpu(supported() & AVX, "AVX");
	expect_equal(try_xsetbv(0, X87 | SSE), NO_FAULT);
	expect_equal(TRY("vxorps %%ymm0, %%ymm0, %%ymm0", :), UD);
	expect_equal(try_xsetbv(0, X87 | SSE | AVX), NO_FAULT);
	expect_equal(TRY("vxorps %%ymm0, %%ymm0, %%ymm0", :), NO_FAULT);
}

const struct test tests[] = {
	{"XSETBV needs CR4.OSXSAVE", needs_osxsave},
	{"good values hold over exits", good_values},
	{"bad values fault and change nothing", bad_values},
	{"bits that CPUID does not offer", unsupported_bits},
	{"registers other than XCR0", bad_registers},
	{"not in user mode", user_mode},
	{"AVX follows XCR0", avx_follows},
	{NULL, NULL},
};
