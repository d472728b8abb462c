/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All floating-point and vector registers keep what is in them while the host
 * uses its own: for "rounds=" of a million ticks each, 0 for ever. In the
 * XSAVE area (SDM 1, 13.4) every register and control word lies side by side.
 */
#include "tests/guests/lib/lib.h"

#define LEAF_XSAVE 0xd
/* x87, SSE, AVX, AVX-512, PKRU: those in which any bits may be. */
#define COMPONENTS (BITS(2, 0) | BITS(7, 5) | BIT(9))
#define ROUND 1000000

/* Offsets in the area. */
#define FCW 0
#define FTW 4
#define MXCSR 24
#define REGISTERS 32
#define XSTATE_BV 512
#define EXTENDED 576

static uint8_t pattern[4096] __attribute__((aligned(64)));
static uint8_t wanted[4096] __attribute__((aligned(64)));
static uint8_t seen[4096] __attribute__((aligned(64)));
static uint64_t components;

static void put(unsigned offset, uint64_t value, size_t size)
{
	memcpy(&pattern[offset], &value, size);
}

/* Rounding and masks other than after FNINIT, eight x87 registers, no zeros. */
static void fill(void)
{
	uint64_t word = argument_number("seed=", 1) * UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned i = REGISTERS; i < sizeof(pattern); i += 8) {
		word = word * 6364136223846793005 + 1442695040888963407;
		if (i < 416 || i >= EXTENDED) {
			put(i, word, 8);
		}
	}
	put(FCW, 0x0f7f, 2);
	put(FTW, 0xff, 1);
	put(MXCSR, 0x5fa0, 4);
	put(XSTATE_BV, components, 8);
}

static void save(void *area)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
}

static void load(void)
{
	struct cpuid leaf;

	need_xsave();
	leaf = cpuid(LEAF_XSAVE, 0);
	components = ((uint64_t)leaf.edx << 32 | leaf.eax) & COMPONENTS;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)components), "d"(0));
	expect(cpuid(LEAF_XSAVE, 0).ebx <= sizeof(pattern));
	fill();
	__asm__ volatile("xrstor64 (%0)" : : "r"(pattern), "a"(-1), "d"(-1) : "memory");
	save(wanted);
	expect(memcmp(&wanted[XSTATE_BV], &pattern[XSTATE_BV], 8) == 0);
	expect(memcmp(&wanted[MXCSR], &pattern[MXCSR], 4) == 0);
	expect(memcmp(&wanted[160], &pattern[160], 256) == 0); /* XMM0 to 15 */
	print("# components %#lx\n", components);
}

static void check(void)
{
	save(seen);
	expect(memcmp(seen, wanted, sizeof(seen)) == 0);
}

/* Most of the time without any exit of its own. */
static void stay(void)
{
	uint64_t rounds = argument_number("rounds=", 50);

	load();
	if (rounds == 0) {
		farewell();
	}
	for (uint64_t i = 0; rounds == 0 || i < rounds; i++) {
		uint64_t end = rdtsc() + ROUND;

		while (rdtsc() < end) {
			check();
		}
		cpuid(0, 0);
		check();
	}
}

const struct test tests[] = {
	{"vector registers stay", stay},
	{NULL, NULL},
};
