/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes every MSR number, with good and bad values. Each gives a
 * result or #GP. Afterwards the guest's own state is what it was.
 */
#include "tests/guests/lib/lib.h"

static const struct {
	uint32_t first, last;
} ranges[] = {
	{0x00000000, 0x00001fff}, {0x00002000, 0x000020ff}, {0x3fffff00, 0x400001ff},
	{0x4b564d00, 0x4b564dff}, {0x7fffff00, 0x800000ff}, {0xbfffff00, 0xc0001fff},
	{0xc0002000, 0xc00020ff}, {0xc0010000, 0xc0011fff}, {0xc0012000, 0xc00120ff},
	{0xffffff00, 0xffffffff},
};

/* MSRs of which a restart of this test needs to find what it left. */
static const uint32_t kept[] = {
	MSR_EFER,	    MSR_PAT,	     MSR_FS_BASE,	  MSR_GS_BASE,
	MSR_KERNEL_GS_BASE, 0xc0000081,	     0xc0000082,	  0xc0000083,
	0xc0000084,	    MSR_SYSENTER_CS, MSR_SYSENTER_CS + 1, MSR_SYSENTER_CS + 2,
	MSR_APIC_BASE,
};

static unsigned reads, writes, refused_reads, refused_writes;

static void count(int vector, unsigned *done, unsigned *refused)
{
	if (vector == NO_FAULT) {
		++*done;
	} else {
		expect_equal(vector, GP);
		expect_equal(fault.error, 0);
		++*refused;
	}
}

static void try_all(uint32_t index)
{
	uint64_t old;
	int vector = try_rdmsr(index, &old);

	/* Zero last but one: half-set pairs are cleared, then the old value. */
	const uint64_t values[] = {
		UINT64_MAX,
		1,
		BIT(63),
		UINT64_C(0xffffffff00000000),
		old ^ 1,
		UINT64_C(0x5555555555555555),
		UINT64_C(0x00007fffffffffff),
		0,
		old,
	};
	unsigned value_count = ARRAY_SIZE(values) - (vector != NO_FAULT);

	count(vector, &reads, &refused_reads);
	for (unsigned i = 0; i < value_count; i++) {
		count(try_wrmsr(index, values[i]), &writes, &refused_writes);
	}
}

static void storm(void)
{
	uint64_t before[ARRAY_SIZE(kept)], after;

	need(machine_is_strict(), "QEMU's TCG does with unknown MSRs what it likes");
	reads = writes = refused_reads = refused_writes = 0;
	on_vector(NMI, count_event);
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
		before[i] = rdmsr(kept[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (uint32_t index = ranges[i].first;; index++) {
			try_all(index);
			if (index == ranges[i].last) {
				break;
			}
		}
	}
	print("# %u reads, %u refused; %u writes, %u refused\n", reads, refused_reads, writes,
	      refused_writes);
	expect(reads > 0 && refused_reads > 0 && writes > 0 && refused_writes > 0);
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
		expect_equal(try_rdmsr(kept[i], &after), NO_FAULT);
		if (after != before[i]) {
			print("# MSR %#x was %#lx, is %#lx\n", kept[i], before[i], after);
			expect(false);
		}
	}
}

static void storm_x2apic(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	need(machine_is_strict(), "no x2APIC in QEMU's TCG");
	on_vector(NMI, count_event);
	wrmsr(MSR_APIC_BASE, base | BIT(10));
	for (uint32_t index = 0x800; index <= 0x8ff; index++) {
		try_all(index);
	}
	wrmsr(MSR_APIC_BASE, base & ~(APIC_BASE_X2 | APIC_BASE_ENABLE));
	wrmsr(MSR_APIC_BASE, base);
}

static void still_alive(void)
{
	apic_enable();
	on_vector(0x41, count_apic_event);
	apic_self_ipi(0x41);
	expect(wait_count(&event_count[0x41], 1));
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, 0x41);
	apic_write(APIC_TIMER_INITIAL, 10000);
	expect(wait_count(&event_count[0x41], 2));
}

const struct test tests[] = {
	{"every number, in xAPIC mode", storm},
	{"the x2APIC's numbers", storm_x2apic},
	{"interrupts and timer still work", still_alive},
	{NULL, NULL},
};
