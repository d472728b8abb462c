/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that leave the guest, with prefixes that mean nothing to them,
 * and its cache instructions: RIP lands behind them, at a UD2 that tells where.
 */
#include "tests/guests/lib/lib.h"

/*
 * Runs `code`. Whoever lands inside it executes its tail: what follows is no
 * address of anything, so that even a MOV to it faults.
 */
#define EXPECT_WHOLE(code, ...)                                                                  \
	do {                                                                                     \
		uint64_t behind_;                                                                \
		int vector_ =                                                                    \
			TRY("lea 1f(%%rip), %[behind]\n\t" code "\n1:\tud2\n\t.fill 8, 1, 0x80", \
			    : [behind] "=&r"(behind_)__VA_ARGS__);                               \
		expect_equal(vector_, UD);                                                       \
		expect_equal(fault.rip, behind_);                                                \
	} while (0)

#define EXPECT_CPUID(prefix)                                                                 \
	do {                                                                                 \
		uint32_t a_ = 0, b_, c_ = 0, d_;                                             \
		EXPECT_WHOLE(".byte " prefix ", 0x0f, 0xa2", , "+a"(a_), "=b"(b_), "+c"(c_), \
			     "=d"(d_)                                                        \
			     :                                                               \
			     : "memory");                                                    \
		expect_equal(a_, cpuid(0, 0).eax);                                           \
		expect_equal(b_, cpuid(0, 0).ebx);                                           \
		expect_equal(c_, cpuid(0, 0).ecx);                                           \
		expect_equal(d_, cpuid(0, 0).edx);                                           \
	} while (0)

static void prefixed_cpuid(void)
{
	EXPECT_CPUID("0x66");
	EXPECT_CPUID("0x48");
	EXPECT_CPUID("0x2e");
	EXPECT_CPUID("0xf3");
	EXPECT_CPUID("0xf2");
	EXPECT_CPUID("0x66, 0x67, 0x2e, 0x48");
	EXPECT_CPUID(
		"0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e");
}

#define EXPECT_RDMSR(prefix)                                                           \
	do {                                                                           \
		uint32_t low_, high_;                                                  \
		EXPECT_WHOLE(".byte " prefix ", 0x0f, 0x32", , "=a"(low_), "=d"(high_) \
			     : "c"(MSR_APIC_BASE)                                      \
			     : "memory");                                              \
		expect_equal((uint64_t)high_ << 32 | low_, rdmsr(MSR_APIC_BASE));      \
	} while (0)

static void prefixed_rdmsr(void)
{
	EXPECT_RDMSR("0x66");
	EXPECT_RDMSR("0x48");
	EXPECT_RDMSR("0x2e");
	EXPECT_RDMSR("0xf3");
}

#define EXPECT_WRMSR(prefix)                                             \
	do {                                                             \
		uint64_t base_ = rdmsr(MSR_APIC_BASE);                   \
		EXPECT_WHOLE(".byte " prefix ", 0x0f, 0x30",             \
			     : "c"(MSR_APIC_BASE), "a"((uint32_t)base_), \
			       "d"((uint32_t)(base_ >> 32))              \
			     : "memory");                                \
		expect_equal(rdmsr(MSR_APIC_BASE), base_);               \
	} while (0)

static void prefixed_wrmsr(void)
{
	EXPECT_WRMSR("0x66");
	EXPECT_WRMSR("0x48");
	EXPECT_WRMSR("0x2e");
	EXPECT_WRMSR("0xf3");
}

#define EXPECT_VMCALL(prefix)                                                                     \
	do {                                                                                      \
		uint64_t result_ = 0x7777;                                                        \
		EXPECT_WHOLE(".byte " prefix ", 0x0f, 0x01, 0xc1", , "+a"(result_) : : "memory"); \
		expect((int64_t)result_ < 0);                                                     \
	} while (0)

static void prefixed_vmcall(void)
{
	need(machine_is_strict(), "no VMCALL in QEMU's TCG");
	EXPECT_VMCALL("0x48");
	EXPECT_VMCALL("0x2e");
	EXPECT_VMCALL("0x67, 0x2e, 0x48");
}

static void prefixed_io(void)
{
	uint64_t rax = 0x1122334455667788;

	EXPECT_WHOLE(".byte 0x2e, 0x48, 0xec", , "+a"(rax) : "d"(0x3ff) : "memory");
	expect_equal(rax >> 8, 0x11223344556677);
	EXPECT_WHOLE(".byte 0x2e, 0x67, 0x66, 0xef", : "a"(0), "d"(0x80) : "memory");
}

static void prefixed_cr8(void)
{
	uint64_t value = 0;

	EXPECT_WHOLE(".byte 0x2e, 0x66, 0x44, 0x0f, 0x20, 0xc0", /* mov %cr8, %rax */
		     , "+a"(value)
		     :
		     : "memory");
	expect_equal(value, read_cr8());
}

static void prefixed_hlt(void)
{
	apic_enable();
	on_vector(0x41, count_apic_event);
	apic_self_ipi(0x41);
	EXPECT_WHOLE("sti; .byte 0x66, 0x2e, 0xf4; cli", : : "memory");
	expect_equal(event_count[0x41], 1);
}

static void user_invd(void)
{
	__asm__ volatile("invd");
}

static void user_wbinvd(void)
{
	__asm__ volatile("wbinvd");
}

static void caches(void)
{
	static volatile uint32_t written;

	for (uint32_t i = 1; i <= 3; i++) {
		written = i;
		EXPECT_WHOLE("wbinvd", : : "memory");
		EXPECT_WHOLE(".byte 0xf3; wbinvd", : : "memory"); /* WBNOINVD where it exists */
		EXPECT_WHOLE(".byte 0x2e; wbinvd", : : "memory");
		/* What was written stays: the host's caches are not the guest's to discard. */
		EXPECT_WHOLE("invd", : : "memory");
		EXPECT_WHOLE(".byte 0x2e; invd", : : "memory");
		expect_equal(written, i);
	}
	expect_equal(user_fault_of(user_invd), GP);
	expect_equal(user_fault_of(user_wbinvd), GP);
}

const struct test tests[] = {
	{"CPUID", prefixed_cpuid},   {"RDMSR", prefixed_rdmsr}, {"WRMSR", prefixed_wrmsr},
	{"VMCALL", prefixed_vmcall}, {"IN, OUT", prefixed_io},	{"MOV from CR8", prefixed_cr8},
	{"HLT", prefixed_hlt},	     {"INVD, WBINVD", caches},	{NULL, NULL},
};
