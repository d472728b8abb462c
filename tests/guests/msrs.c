/* SPDX-License-Identifier: Apache-2.0 */
/* MSRs: what is stored comes back, and what is refused faults. */
#include "tests/guests/lib/lib.h"

#define NON_CANONICAL UINT64_C(0x0000800000000000)
#define KERNEL_ADDRESS UINT64_C(0xffff800012345678)
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_FMASK 0xc0000084
#define MSR_MTRR_CAP 0xfe
#define MSR_MTRR_DEFAULT 0x2ff
#define MSR_TSC 0x10
#define MSR_UNKNOWN 0x1234
#define FEATURE_LEAF 0x80000001

/* Writes `value`, reads it back, and restores what was there. */
static void round_trip(uint32_t index, uint64_t value)
{
	uint64_t old, seen;

	expect_equal(try_rdmsr(index, &old), NO_FAULT);
	expect_equal(try_wrmsr(index, value), NO_FAULT);
	expect_equal(try_rdmsr(index, &seen), NO_FAULT);
	expect_equal(try_wrmsr(index, old), NO_FAULT);
	expect_equal(seen, value);
}

static void refused(uint32_t index, uint64_t value)
{
	uint64_t old, seen;

	expect_equal(try_rdmsr(index, &old), NO_FAULT);
	expect_equal(try_wrmsr(index, value), GP);
	expect_equal(fault.error, 0);
	expect_equal(try_rdmsr(index, &seen), NO_FAULT);
	expect_equal(seen, old);
}

static void syscall_msrs(void)
{
	round_trip(MSR_STAR, 0x0023001000000000);
	round_trip(MSR_LSTAR, KERNEL_ADDRESS);
	round_trip(MSR_CSTAR, KERNEL_ADDRESS + 8);
	round_trip(MSR_FMASK, 0x47700);
	round_trip(MSR_KERNEL_GS_BASE, KERNEL_ADDRESS + 16);
}

static void sysenter_msrs(void)
{
	round_trip(MSR_SYSENTER_CS, 0x10);
	round_trip(MSR_SYSENTER_CS + 1, KERNEL_ADDRESS);
	round_trip(MSR_SYSENTER_CS + 2, KERNEL_ADDRESS + 32);
}

static void bases(void)
{
	static const uint64_t word = 0x1122334455667788;
	uint64_t through_gs, through_fs;

	wrmsr(MSR_GS_BASE, (uintptr_t)&word - 0x10);
	wrmsr(MSR_FS_BASE, (uintptr_t)&word + 0x10);
	__asm__ volatile("mov %%gs:0x10, %0" : "=r"(through_gs));
	__asm__ volatile("mov %%fs:-0x10, %0" : "=r"(through_fs));
	expect_equal(through_gs, word);
	expect_equal(through_fs, word);
	wrmsr(MSR_KERNEL_GS_BASE, 0x1000);
	__asm__ volatile("swapgs");
	expect_equal(rdmsr(MSR_GS_BASE), 0x1000);
	expect_equal(rdmsr(MSR_KERNEL_GS_BASE), (uintptr_t)&word - 0x10);
	wrmsr(MSR_GS_BASE, 0);
	wrmsr(MSR_FS_BASE, 0);
}

static void canonical(void)
{
	static const uint32_t indexes[] = {
		MSR_LSTAR,	    MSR_CSTAR,		 MSR_FS_BASE,	      MSR_GS_BASE,
		MSR_KERNEL_GS_BASE, MSR_SYSENTER_CS + 1, MSR_SYSENTER_CS + 2,
	};

	need(machine_is_strict(), "QEMU's TCG takes non-canonical addresses");
	for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++) {
		refused(indexes[i], NON_CANONICAL);
	}
}

static void efer_bits(void)
{
	uint64_t efer = rdmsr(MSR_EFER);

	expect_equal(efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
	round_trip(MSR_EFER, efer ^ EFER_SCE);
	round_trip(MSR_EFER, efer ^ EFER_NXE);
	/* LMA is the CPU's own. */
	wrmsr(MSR_EFER, efer & ~EFER_LMA);
	expect_equal(rdmsr(MSR_EFER), efer);
	need(machine_is_strict(), "QEMU's TCG ignores EFER's reserved bits");
	refused(MSR_EFER, efer & ~EFER_LME); /* not while paging is on */
	refused(MSR_EFER, efer | BIT(1));
	refused(MSR_EFER, efer | BIT(63));
}

static void syscall_needs_sce(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SCE);
	expect_equal(TRY("syscall", : : : "rcx", "r11", "memory"), UD);
}

static void no_execute(void)
{
	static uint8_t code[PAGE_SIZE] __attribute__((aligned(4096))) = {0xc3};
	void (*function)(void) = (void (*)(void))(uintptr_t)WINDOW;

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	window_map(0, (uintptr_t)code | PTE_P | PTE_NX);
	expect_equal(fault_of(function), PF);
	expect_equal(fault.error, 0x11); /* fetch, present */
	window_map(0, (uintptr_t)code | PTE_P);
	expect_equal(fault_of(function), NO_FAULT);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
	window_map(0, (uintptr_t)code | PTE_P | PTE_NX);
	expect_equal(fault_of(function), PF);
	expect_equal(fault.error & 8, 8); /* a reserved bit now */
	window_map(0, 0);
}

static void pat_values(void)
{
	round_trip(MSR_PAT, 0x0007040600070406);
	round_trip(MSR_PAT, 0x0007010600070106);
	need(machine_is_strict(), "QEMU's TCG takes any PAT");
	refused(MSR_PAT, 0x0002040600070406);
	refused(MSR_PAT, 0x0007040600070408);
}

static void tsc_aux(void)
{
	uint32_t aux, low, high;

	need_cpu(cpuid(FEATURE_LEAF, 0).edx & BIT(27), "RDTSCP");
	round_trip(MSR_TSC_AUX, 0x12345678);
	wrmsr(MSR_TSC_AUX, 42);
	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	expect_equal(aux, 42);
}

static void apic_base(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	expect_equal(base & ~(BIT(8) | APIC_BASE_X2), APIC_PAGE | APIC_BASE_ENABLE);
	expect(base & BIT(8)); /* the bootstrap processor */
	need(machine_is_strict(), "QEMU's TCG takes any APIC base");
	refused(MSR_APIC_BASE, base | BIT(63));
	refused(MSR_APIC_BASE, base | BIT(0));
	/* x2APIC without the enable bit is no state at all. */
	refused(MSR_APIC_BASE, (base | APIC_BASE_X2) & ~APIC_BASE_ENABLE);
}

static void mtrrs(void)
{
	uint64_t cap = rdmsr(MSR_MTRR_CAP), value;

	expect_equal(try_rdmsr(MSR_MTRR_DEFAULT, &value), NO_FAULT);
	for (uint32_t i = 0; i < 2 * (cap & 0xff); i++) {
		expect_equal(try_rdmsr(0x200 + i, &value), NO_FAULT);
	}
	if (cap & BIT(8)) {
		expect_equal(try_rdmsr(0x250, &value), NO_FAULT);
		expect_equal(try_rdmsr(0x26f, &value), NO_FAULT);
	}
	need(machine_is_strict(), "QEMU's TCG takes writes to MTRR_CAP");
	expect_equal(try_wrmsr(MSR_MTRR_CAP, cap ^ 1), GP);
}

static void tsc_reads(void)
{
	need(machine_is_strict(), "QEMU's TCG has no such MSR");

	uint64_t before = rdtsc(), msr = rdmsr(MSR_TSC), after = rdtsc();

	expect(before <= msr && msr <= after);
}

static void unknown(void)
{
	static const uint32_t indexes[] = {
		MSR_UNKNOWN, 0x1fff,	 0x40000000, 0x4b564dff,
		0xc0001fff,  0xc0011fff, 0x7fffffff, 0xffffffff,
	};
	uint64_t value;

	need(machine_is_strict(), "QEMU's TCG has every MSR");
	for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++) {
		expect_equal(try_rdmsr(indexes[i], &value), GP);
		expect_equal(fault.error, 0);
		expect_equal(try_wrmsr(indexes[i], 0), GP);
		expect_equal(fault.error, 0);
	}
}

static void x2apic_msrs_closed(void)
{
	uint64_t value;

	need(machine_is_strict(), "no x2APIC in QEMU's TCG");
	expect_equal(try_rdmsr(0x802, &value), GP);
	expect_equal(try_wrmsr(0x80b, 0), GP);
}

static void user_rdmsr(void)
{
	rdmsr(MSR_EFER);
}

static void user_mode(void)
{
	expect_equal(user_fault_of(user_rdmsr), GP);
}

const struct test tests[] = {
	{"SYSCALL's MSRs", syscall_msrs},
	{"SYSENTER's MSRs", sysenter_msrs},
	{"FS and GS base, SWAPGS", bases},
	{"addresses must be canonical", canonical},
	{"EFER", efer_bits},
	{"SYSCALL without EFER.SCE", syscall_needs_sce},
	{"no-execute follows EFER.NXE", no_execute},
	{"PAT", pat_values},
	{"TSC_AUX and RDTSCP", tsc_aux},
	{"APIC_BASE", apic_base},
	{"MTRRs can be read", mtrrs},
	{"the TSC as an MSR", tsc_reads},
	{"unknown MSRs", unknown},
	{"x2APIC's MSRs are closed in xAPIC mode", x2apic_msrs_closed},
	{"MSRs are closed to user mode", user_mode},
	{NULL, NULL},
};
