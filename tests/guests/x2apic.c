/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC as MSRs (SDM 3, 11.12). */
#include "tests/guests/lib/lib.h"

#define X2(reg) (0x800u + (reg) / 16)
#define SELF_IPI 0x83f
#define VECTOR 0x41

static void enter(void)
{
	need(cpuid(1, 0).ecx & BIT(21), "x2APIC");
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2);
	apic_enable();
	on_vector(VECTOR, count_apic_event);
}

static bool taken(unsigned count)
{
	sti();
	__asm__ volatile("nop");
	cli();
	return event_count[VECTOR] == count;
}

static void modes(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	enter();
	expect_equal(rdmsr(MSR_APIC_BASE), base | APIC_BASE_X2);
	/* Back to xAPIC only by way of disabled: SDM 3, figure 11-27. */
	expect_equal(try_wrmsr(MSR_APIC_BASE, base), GP);
	wrmsr(MSR_APIC_BASE, base & ~(APIC_BASE_X2 | APIC_BASE_ENABLE));
	expect_equal(cpuid(1, 0).edx & BIT(9), 0);
	expect_equal(try_wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2), GP);
	wrmsr(MSR_APIC_BASE, base & ~APIC_BASE_X2);
	expect(cpuid(1, 0).edx & BIT(9));
	enter();
}

static void identity(void)
{
	enter();

	uint64_t id = rdmsr(X2(APIC_ID));

	expect_equal(id, cpuid(0xb, 0).edx);
	expect_equal(rdmsr(X2(APIC_LDR)), (id >> 4) << 16 | BIT(id & 15));
	expect_equal(rdmsr(X2(APIC_VERSION)) & 0xf0, 0x10);
}

static void self_ipi(void)
{
	enter();
	wrmsr(SELF_IPI, VECTOR);
	expect(apic_bit(APIC_IRR, VECTOR));
	expect(taken(1));
}

static void command(void)
{
	enter();

	uint64_t id = rdmsr(X2(APIC_ID));

	wrmsr(X2(APIC_ICR), APIC_ICR_SELF | VECTOR);
	expect(taken(1));
	wrmsr(X2(APIC_ICR), id << 32 | VECTOR);
	expect(taken(2));
	expect_equal(rdmsr(X2(APIC_ICR)), id << 32 | VECTOR);
	wrmsr(X2(APIC_ICR), rdmsr(X2(APIC_LDR)) << 32 | 0x800 | VECTOR); /* logical */
	expect(taken(3));
	wrmsr(X2(APIC_ICR), UINT64_C(0xffffffff00000000) | VECTOR); /* everybody */
	expect(taken(4));
	wrmsr(X2(APIC_ICR), (id + 1) << 32 | VECTOR); /* nobody */
	expect(taken(4));
}

static void task_priority(void)
{
	enter();
	wrmsr(X2(APIC_TPR), 0x50);
	expect_equal(read_cr8(), 5);
	wrmsr(SELF_IPI, VECTOR);
	expect(taken(0));
	write_cr8(0);
	expect_equal(rdmsr(X2(APIC_TPR)), 0);
	expect(taken(1));
}

static void refused_writes(void)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} writes[] = {
		{X2(APIC_ID), 0},
		{X2(APIC_VERSION), 0},
		{X2(APIC_PPR), 0},
		{X2(APIC_LDR), 0},
		{X2(APIC_DFR), 0},
		{X2(APIC_ISR), 0},
		{X2(APIC_TMR), 0},
		{X2(APIC_IRR), 0},
		{X2(APIC_ICR_HIGH), 0},
		{X2(APIC_TIMER_CURRENT), 0},
		{0x800, 0},
		{0x8ff, 0},
		{X2(APIC_EOI), 1},
		{X2(APIC_ESR), 1},
		{X2(APIC_TPR), 0x100},
		{X2(APIC_TPR), BIT(32)},
		{X2(APIC_SVR), BIT(20)},
		{X2(APIC_LVT_TIMER), BIT(20)},
		{X2(APIC_TIMER_DIVIDE), 0x100},
		{X2(APIC_TIMER_INITIAL), BIT(32)},
		{SELF_IPI, 0x100},
		{X2(APIC_ICR), BIT(20)},
	};

	enter();
	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		if (try_wrmsr(writes[i].msr, writes[i].value) != GP) {
			print("# MSR %#x takes %#lx\n", writes[i].msr, writes[i].value);
			expect(false);
		}
	}
}

static void refused_reads(void)
{
	static const uint32_t msrs[] = {X2(APIC_EOI), X2(APIC_DFR), X2(APIC_ICR_HIGH),
					SELF_IPI,     0x800,	    0x8ff};
	uint64_t value;

	enter();
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (try_rdmsr(msrs[i], &value) != GP) {
			print("# MSR %#x can be read\n", msrs[i]);
			expect(false);
		}
	}
}

static void page_is_gone(void)
{
	enter();
	apic_write(APIC_TPR, 0x20);
	expect_equal(*(volatile uint32_t *)(uintptr_t)(APIC_PAGE + APIC_TPR), 0xffffffff);
	*(volatile uint32_t *)(uintptr_t)(APIC_PAGE + APIC_TPR) = 0x50;
	expect_equal(apic_read(APIC_TPR), 0x20);
}

static void timer(void)
{
	enter();
	wrmsr(X2(APIC_TIMER_DIVIDE), 0xb);
	wrmsr(X2(APIC_LVT_TIMER), VECTOR);
	wrmsr(X2(APIC_TIMER_INITIAL), 50000);
	expect(wait_count(&event_count[VECTOR], 1));
}

static void deadline(void)
{
	enter();
	wrmsr(X2(APIC_LVT_TIMER), APIC_LVT_DEADLINE | VECTOR);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 50000);
	sleep_once();
	expect_equal(event_count[VECTOR], 1);
}

static void nmi(void)
{
	enter();
	on_vector(NMI, count_event);
	wrmsr(X2(APIC_ICR), rdmsr(X2(APIC_ID)) << 32 | APIC_ICR_NMI);
	expect(wait_count(&event_count[NMI], 1));
}

const struct test tests[] = {
	{"the ways between the modes", modes},
	{"ID, logical ID, version", identity},
	{"SELF IPI", self_ipi},
	{"ICR in one write", command},
	{"TPR and CR8", task_priority},
	{"writes that are refused", refused_writes},
	{"reads that are refused", refused_reads},
	{"the page is gone", page_is_gone},
	{"timer", timer},
	{"TSC deadline wakes from HLT", deadline},
	{"NMI to itself", nmi},
	{NULL, NULL},
};
