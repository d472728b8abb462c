/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug traps around what delays them or leaves the guest: each comes once, at
 * the right RIP, before what comes later.
 */
#include "tests/guests/lib/lib.h"

#define VECTOR 0x41
#define DR6_NOTHING 0xffff0ff0
#define DR6_BS BIT(14)
#define DR7_NOTHING 0x400
#define DR7_READS 0x000f0001 /* DR0: four bytes, reads and writes */

/* Debug traps and interrupts in the order in which they came. */
static volatile struct {
	uint64_t vector, rip, dr6;
} seen[8];
static volatile unsigned seen_count;
static volatile unsigned steps; /* TF is cleared by the last of them */

static void record(struct frame *frame)
{
	uint64_t dr6;
	unsigned i = seen_count++ % ARRAY_SIZE(seen);

	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	seen[i].vector = frame->vector;
	seen[i].rip = frame->rip;
	seen[i].dr6 = dr6;
	if (frame->vector != DB) {
		apic_write(APIC_EOI, 0);
		return;
	}
	write_dr6(DR6_NOTHING);
	if (steps <= 1) {
		frame->rflags &= ~RFLAGS_TF;
	} else {
		steps--;
	}
}

static void prepare(unsigned count)
{
	apic_enable();
	on_vector(DB, record);
	on_vector(VECTOR, record);
	write_dr6(DR6_NOTHING);
	seen_count = 0;
	steps = count;
}

static void expect_seen(unsigned i, unsigned vector, uint64_t rip)
{
	expect(i < seen_count);
	expect_equal(seen[i].vector, vector);
	expect_equal(seen[i].rip, rip);
}

static void expect_only_step(uint64_t rip)
{
	expect_seen(0, DB, rip);
	expect(seen[0].dr6 & DR6_BS);
	expect_equal(seen_count, 1);
}

/* Sets TF before `code`, and returns the address of its label 1. */
#define STEP(code, ...)                                                        \
	({                                                                     \
		uint64_t after_;                                               \
		__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n\t" code \
				 "\n\tnop\n\tlea 1b(%%rip), %0"                \
				 : "=r"(after_)__VA_ARGS__);                   \
		after_;                                                        \
	})

#define EXPECT_STEP(code, ...)                                    \
	do {                                                      \
		prepare(1);                                       \
		expect_only_step(STEP(code "; 1:", __VA_ARGS__)); \
	} while (0)

static void over_nop(void)
{
	EXPECT_STEP("nop", : : "memory");
}

static void over_exits(void)
{
	EXPECT_STEP("cpuid", : "a"(0), "c"(0) : "rbx", "rdx", "memory");
	EXPECT_STEP(".byte 0x2e; cpuid", : "a"(0), "c"(0) : "rbx", "rdx", "memory");
	EXPECT_STEP("rdmsr", : "c"(MSR_APIC_BASE) : "rax", "rdx", "memory");
	EXPECT_STEP("in %%dx, %%al", : "d"(0x3ff) : "rax", "memory");
	EXPECT_STEP("mov %%cr8, %%rax", : : "rax", "memory");
	EXPECT_STEP("wbinvd", : : "memory");
	EXPECT_STEP("invd", : : "memory");
	EXPECT_STEP("mov (%%rdx), %%eax", : "d"(APIC_PAGE + APIC_VERSION) : "rax", "memory");
}

static void over_sti(void)
{
	need(machine_is_strict(), "QEMU's TCG traps one instruction behind STI");
	prepare(1);

	uint64_t after = STEP("sti; 1: cli", : : "memory");

	expect_only_step(after);
}

/* Two steps: the second is that of an instruction which exits. */
static void over_sti_and_cpuid(void)
{
	need(machine_is_strict(), "QEMU's TCG traps one instruction behind STI");
	prepare(2);

	uint64_t after = STEP("sti; cpuid; 1: cli", : "a"(0), "c"(0) : "rbx", "rdx", "memory");

	expect_seen(0, DB, after - 2);
	expect_seen(1, DB, after);
	expect(seen[0].dr6 & seen[1].dr6 & DR6_BS);
	expect_equal(seen_count, 2);
}

/* The trap ends STI's shadow: the interrupt comes right behind it. */
static void over_sti_with_pending(void)
{
	need(machine_is_strict(), "QEMU's TCG traps one instruction behind STI");
	prepare(1);
	apic_self_ipi(VECTOR);

	uint64_t after = STEP("sti; 1: nop; cli", : : "memory");

	expect_seen(0, DB, after);
	expect_seen(1, VECTOR, after);
	expect_equal(seen_count, 2);
}

/* So that a CPU that sleeps where it must not wakes up. */
static void arm_timer(void)
{
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR);
	apic_write(APIC_TIMER_INITIAL, 1000000);
}

static void disarm_timer(void)
{
	apic_write(APIC_TIMER_INITIAL, 0);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
}

/* A debug exception wakes (SDM 2, HLT). */
static void over_hlt(void)
{
	need(machine_is_strict(), "QEMU's TCG traps one instruction behind STI");
	prepare(2);
	arm_timer();

	uint64_t after = STEP("sti; hlt; 1: cli", : : "memory");

	disarm_timer();
	expect_seen(0, DB, after - 1);
	expect_seen(1, DB, after);
	expect_equal(seen_count, 2);
}

/* The interrupt comes before HLT; HLT is stepped over behind its IRET. */
static void over_hlt_with_pending(void)
{
	need(machine_is_strict(), "QEMU's TCG traps one instruction behind STI");
	prepare(2);
	arm_timer();
	apic_self_ipi(VECTOR);

	uint64_t after = STEP("sti; hlt; 1: cli", : : "memory");

	disarm_timer();
	expect_seen(0, DB, after - 1);
	expect_seen(1, VECTOR, after - 1);
	expect_seen(2, DB, after);
	expect_equal(seen_count, 3);
}

/* The trap after MOV SS is lost; the one after its shadow comes. */
static void over_mov_ss(void)
{
	EXPECT_STEP("mov %%eax, %%ss; nop", : "a"(SEL_DATA) : "memory");
	EXPECT_STEP("mov %%eax, %%ss; cpuid", : "a"(SEL_DATA), "c"(0) : "rbx", "rdx", "memory");
}

/* In the shadow a debug exception that is no trap. */
static void over_mov_ss_and_int1(void)
{
	need(machine_is_strict(), "no INT1 in QEMU's TCG");
	prepare(1);

	uint64_t after = STEP("mov %%eax, %%ss; .byte 0xf1; 1:", : "a"(SEL_DATA) : "memory");

	expect_seen(0, DB, after);
	expect_equal(seen_count, 1);
}

static void step_to_int1(void)
{
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; mov %%eax, %%ss; .byte 0xf1; nop"
			 :
			 : "a"(SEL_USER_DATA | 3)
			 : "memory");
}

static void over_mov_ss_in_user_mode(void)
{
	need(machine_is_strict(), "no INT1 in QEMU's TCG");
	expect_equal(user_fault_of(step_to_int1), DB);
	write_dr6(DR6_NOTHING);
}

/* MOV SS reads a watched word: its trap waits for the end of the shadow. */
#define EXPECT_WATCHED(code)                                                         \
	do {                                                                         \
		static uint32_t selector_ __attribute__((aligned(4)));               \
		uint64_t after_;                                                     \
		selector_ = SEL_DATA;                                                \
		prepare(1);                                                          \
		__asm__ volatile("mov %0, %%dr0" : : "r"(&selector_));               \
		write_dr7(DR7_NOTHING | DR7_READS);                                  \
		__asm__ volatile("mov %1, %%ss; " code "; 1: nop; lea 1b(%%rip), %0" \
				 : "=r"(after_)                                      \
				 : "m"(selector_), "a"(0), "c"(0)                    \
				 : "rbx", "rdx", "memory");                          \
		write_dr7(DR7_NOTHING);                                              \
		expect_seen(0, DB, after_);                                          \
		expect(seen[0].dr6 &BIT(0));                                         \
		expect_equal(seen_count, 1);                                         \
	} while (0)

static void watched_selector(void)
{
	need(machine_is_strict(), "QEMU's TCG does not wait for MOV SS's shadow");
	EXPECT_WATCHED("nop");
	EXPECT_WATCHED("cpuid");
}

const struct test tests[] = {
	{"NOP", over_nop},
	{"instructions that exit", over_exits},
	{"STI", over_sti},
	{"STI, CPUID", over_sti_and_cpuid},
	{"STI with an interrupt that waits", over_sti_with_pending},
	{"HLT", over_hlt},
	{"HLT with an interrupt that waits", over_hlt_with_pending},
	{"MOV SS", over_mov_ss},
	{"MOV SS, INT1", over_mov_ss_and_int1},
	{"MOV SS, INT1 in user mode", over_mov_ss_in_user_mode},
	{"MOV SS of a watched word", watched_selector},
	{NULL, NULL},
};
