/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87, SSE and AVX registers keep their contents over exits, sleeps and other
 * guests: started twice at once with different seeds.
 */
#include "tests/guests/lib/lib.h"

#define TICK 0x51
#define PERIOD 1000000 /* about a millisecond */

static uint8_t wanted[16][32] __attribute__((aligned(64)));
static uint8_t seen[16][32] __attribute__((aligned(64)));
static bool avx;

#define EACH_REGISTER(code) ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" code "\n.endr"

static void load(const void *from)
{
	if (avx) {
		__asm__ volatile(EACH_REGISTER("vmovdqu 32*\\n(%0), %%ymm\\n")
				 :
				 : "r"(from)
				 : "memory");
	} else {
		__asm__ volatile(EACH_REGISTER("movdqu 32*\\n(%0), %%xmm\\n")
				 :
				 : "r"(from)
				 : "memory");
	}
}

static void store(void *to)
{
	if (avx) {
		__asm__ volatile(EACH_REGISTER("vmovdqu %%ymm\\n, 32*\\n(%0)")
				 :
				 : "r"(to)
				 : "memory");
	} else {
		__asm__ volatile(EACH_REGISTER("movdqu %%xmm\\n, 32*\\n(%0)")
				 :
				 : "r"(to)
				 : "memory");
	}
}

static void prepare(void)
{
	uint64_t word = argument_number("seed=", 1) * UINT64_C(0x9e3779b97f4a7c15);

	avx = cpuid(1, 0).ecx & BIT(28);
	if (avx) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
	}
	for (unsigned i = 0; i < sizeof(wanted) / 8; i++) {
		word = word * 6364136223846793005 + 1442695040888963407;
		/* Without AVX the upper halves are not looked at. */
		((uint64_t *)wanted)[i] = avx || i % 4 < 2 ? word : 0;
	}
	memset(seen, 0, sizeof(seen));
	load(wanted);
}

static void check(void)
{
	store(seen);
	expect(memcmp(seen, wanted, sizeof(seen)) == 0);
}

static void over_exits(void)
{
	prepare();
	for (unsigned i = 0; i < 200; i++) {
		cpuid(0, 0);
		inb(0x3ff);
		apic_read(APIC_VERSION);
		rdmsr(MSR_APIC_BASE);
	}
	check();
}

static void over_sleeps(void)
{
	apic_enable();
	on_vector(TICK, count_apic_event);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, TICK | APIC_LVT_PERIODIC);
	prepare();
	apic_write(APIC_TIMER_INITIAL, PERIOD);
	for (uint64_t i = argument_number("rounds=", 20); i > 0; i--) {
		sleep_once();
		check();
	}
	apic_write(APIC_TIMER_INITIAL, 0);
}

/* Long enough to be preempted for others. */
static void over_preemptions(void)
{
	uint64_t end;

	prepare();
	for (uint64_t i = argument_number("rounds=", 20); i > 0; i--) {
		end = rdtsc() + 1000000;
		while (rdtsc() < end) {
			__builtin_ia32_pause();
		}
		check();
	}
}

static void over_printing(void)
{
	prepare();
	print("# seed %lu, %s\n", argument_number("seed=", 1), avx ? "AVX" : "SSE");
	check();
}

static void control_words(void)
{
	uint32_t mxcsr = 0x1fa0, mxcsr_seen = 0;
	uint16_t control = 0x0f7f, control_seen = 0;

	prepare();
	__asm__ volatile("ldmxcsr %0; fninit; fldcw %1" : : "m"(mxcsr), "m"(control));
	cpuid(0, 0);
	print("# control words\n");
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr_seen), "=m"(control_seen));
	expect_equal(mxcsr_seen, mxcsr);
	expect_equal(control_seen, control);
	__asm__ volatile("fninit");
}

static void x87_stack(void)
{
	uint64_t values[8], got[8];

	__asm__ volatile("fninit");
	for (unsigned i = 0; i < 8; i++) {
		values[i] = (i + 1) * 1000 + argument_number("seed=", 1);
		__asm__ volatile("fildll %0" : : "m"(values[i]));
	}
	cpuid(0, 0);
	print("# x87\n");
	for (unsigned i = 8; i > 0; i--) {
		__asm__ volatile("fistpll %0" : "=m"(got[i - 1]));
	}
	expect(memcmp(values, got, sizeof(values)) == 0);
}

/* A guest that switches its own state with XCR0 reduced must not lose any. */
static void xcr0_reduced(void)
{
	prepare();
	need_cpu(avx, "AVX");
	__asm__ volatile("xsetbv" : : "a"(3), "d"(0), "c"(0));
	sti();
	delay_us(2000);
	cli();
	print("# XCR0 reduced\n");
	__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
	check();
}

/* With TS set the registers are kept though the guest may not touch them. */
static void task_switched(void)
{
	prepare();
	write_cr0(read_cr0() | CR0_TS);
	cpuid(0, 0);
	print("# TS set\n");
	__asm__ volatile("clts");
	check();
}

const struct test tests[] = {
	{"registers over exits", over_exits},
	{"registers over sleeps", over_sleeps},
	{"registers over preemptions", over_preemptions},
	{"registers over serial output", over_printing},
	{"MXCSR and the x87 control word", control_words},
	{"the x87 stack", x87_stack},
	{"AVX state with XCR0 reduced", xcr0_reduced},
	{"registers with CR0.TS set", task_switched},
	{NULL, NULL},
};
