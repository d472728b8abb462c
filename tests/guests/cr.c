/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers: what they hold, what they refuse, what they switch. */
#include "tests/guests/lib/lib.h"

#define CR0_ET BIT(4)

static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096)));

static bool offers(uint32_t leaf, unsigned reg, unsigned bit)
{
	struct cpuid c = cpuid(leaf, 0);
	const uint32_t registers[4] = {c.eax, c.ebx, c.ecx, c.edx};

	return registers[reg] >> bit & 1;
}

static void cr0_round_trip(void)
{
	static const uint64_t bits[] = {CR0_MP, CR0_EM, CR0_TS, CR0_NE, CR0_WP, CR0_AM};
	uint64_t old = read_cr0();

	expect(old & CR0_ET);
	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
		write_cr0(old ^ bits[i]);
		expect_equal(read_cr0(), old ^ bits[i]);
		write_cr0(old);
	}
	expect_equal(read_cr0(), old);
}

static void cr0_caches(void)
{
	uint64_t old = read_cr0();

	write_cr0(old | CR0_CD);
	expect_equal(read_cr0(), old | CR0_CD);
	write_cr0(old | CR0_CD | CR0_NW);
	expect_equal(read_cr0(), old | CR0_CD | CR0_NW);
	write_cr0(old);
	__asm__ volatile("wbinvd" : : : "memory");
	need(machine_is_strict(), "QEMU's TCG takes NW without CD");
	expect_equal(try_write_cr0(old | CR0_NW), GP);
	expect_equal(read_cr0(), old);
}

static void cr0_refused(void)
{
	uint64_t old = read_cr0();

	need(machine_is_strict(), "QEMU's TCG takes any CR0");
	expect_equal(try_write_cr0(old | BIT(32)), GP);
	expect_equal(try_write_cr0(old | BIT(63)), GP);
	expect_equal(try_write_cr0(old & ~CR0_PE), GP); /* PG without PE */
	expect_equal(try_write_cr0(old & ~CR0_PG), GP); /* in 64-bit code */
	expect_equal(read_cr0(), old);
	/* Reserved bits of the low half are ignored; ET stays set. */
	expect_equal(try_write_cr0((old | BIT(7) | BIT(20)) & ~CR0_ET), NO_FAULT);
	expect_equal(read_cr0(), old);
}

static void lmsw_clts(void)
{
	uint64_t old = read_cr0();
	uint16_t status;

	__asm__ volatile("lmsw %w0" : : "r"((uint32_t)(old | CR0_TS)));
	expect_equal(read_cr0(), old | CR0_TS);
	__asm__ volatile("smsw %w0" : "=r"(status));
	expect_equal(status, (old | CR0_TS) & 0xffff);
	__asm__ volatile("clts");
	expect_equal(read_cr0(), old);
	/* LMSW cannot clear PE, nor touch what is above bit 3. */
	__asm__ volatile("lmsw %w0" : : "r"((uint32_t)(old & ~(CR0_PE | CR0_NE))));
	expect_equal(read_cr0(), old);
}

static void cr4_round_trip(void)
{
	uint64_t old = read_cr4();
	uint64_t bits = CR4_TSD | CR4_DE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (offers(1, 2, 26)) {
		bits |= CR4_OSXSAVE;
	}
	if (offers(7, 1, 0)) {
		bits |= CR4_FSGSBASE;
	}
	if (offers(7, 2, 2)) {
		bits |= CR4_UMIP;
	}
	for (unsigned i = 0; i < 64; i++) {
		if (bits & BIT(i)) {
			expect_equal(try_write_cr4(old ^ BIT(i)), NO_FAULT);
			expect_equal(read_cr4(), old ^ BIT(i));
			write_cr4(old);
		}
	}
}

static void cr4_refused(void)
{
	uint64_t old = read_cr4();

	need(machine_is_strict(), "QEMU's TCG takes any CR4");
	expect_equal(try_write_cr4(old & ~CR4_PAE), GP); /* in long mode */
	expect_equal(try_write_cr4(old | CR4_LA57), GP);
	expect_equal(try_write_cr4(old | BIT(15)), GP);
	for (unsigned bit = 25; bit < 64; bit++) {
		expect_equal(try_write_cr4(old | BIT(bit)), GP);
	}
	expect_equal(read_cr4(), old);
}

static void cr4_follows_cpuid(void)
{
	static const struct {
		uint64_t bit;
		unsigned leaf, reg, feature;
	} rules[] = {
		{CR4_FSGSBASE, 7, 1, 0}, {CR4_SMEP, 7, 1, 7},	  {CR4_SMAP, 7, 1, 20},
		{CR4_UMIP, 7, 2, 2},	 {CR4_PCIDE, 1, 2, 17},	  {BIT(22), 7, 2, 3},
		{BIT(23), 7, 2, 7},	 {CR4_OSXSAVE, 1, 2, 26}, {BIT(24), 7, 2, 31},
	};
	uint64_t old = read_cr4();

	need(machine_is_strict(), "QEMU's TCG takes any CR4");
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		if (!offers(rules[i].leaf, rules[i].reg, rules[i].feature)) {
			expect_equal(try_write_cr4(old | rules[i].bit), GP);
		}
	}
}

static void smep(void)
{
	need_cpu(offers(7, 1, 7), "SMEP");
	/* A copy of a RET in a user page; the runtime's own pages lose U. */
	page[0] = 0xc3;
	window_map(0, (uintptr_t)page | PTE_P | PTE_U);
	expect_equal(fault_of((void (*)(void))(uintptr_t)WINDOW), NO_FAULT);

	uint64_t *pdpt = (uint64_t *)(uintptr_t)(page_map[0] & BITS(51, 12));
	uint64_t *directory = (uint64_t *)(uintptr_t)(pdpt[0] & BITS(51, 12));

	directory[0] &= ~PTE_U;
	write_cr3(read_cr3());
	write_cr4(read_cr4() | CR4_SMEP);
	expect_equal(fault_of((void (*)(void))(uintptr_t)WINDOW), PF);
	write_cr4(read_cr4() & ~CR4_SMEP);
	directory[0] |= PTE_U;
	write_cr3(read_cr3());
	expect_equal(fault.error & 0x11, 0x11); /* fetch, present */
}

static void smap(void)
{
	need_cpu(offers(7, 1, 20), "SMAP");
	window_map(0, (uintptr_t)page | PTE_P | PTE_W | PTE_U);

	uint64_t *pdpt = (uint64_t *)(uintptr_t)(page_map[0] & BITS(51, 12));
	uint64_t *directory = (uint64_t *)(uintptr_t)(pdpt[0] & BITS(51, 12));
	int closed, open;

	directory[0] &= ~PTE_U;
	write_cr3(read_cr3());
	write_cr4(read_cr4() | CR4_SMAP);
	closed = TRY("movl 0x60000000, %%eax", : : : "eax");
	__asm__ volatile("stac");
	open = TRY("movl 0x60000000, %%eax", : : : "eax");
	__asm__ volatile("clac");
	write_cr4(read_cr4() & ~CR4_SMAP);
	directory[0] |= PTE_U;
	write_cr3(read_cr3());
	expect_equal(closed, PF);
	expect_equal(open, NO_FAULT);
}

static void user_rdtsc(void)
{
	rdtsc();
}

static void time_stamp_disable(void)
{
	expect_equal(user_fault_of(user_rdtsc), NO_FAULT);
	write_cr4(read_cr4() | CR4_TSD);
	expect_equal(user_fault_of(user_rdtsc), GP);
	write_cr4(read_cr4() & ~CR4_TSD);
}

static void user_sgdt(void)
{
	uint8_t table[10];

	__asm__ volatile("sgdt %0" : "=m"(table));
}

static void umip(void)
{
	need_cpu(offers(7, 2, 2), "UMIP");
	write_cr4(read_cr4() | CR4_UMIP);
	expect_equal(user_fault_of(user_sgdt), GP);
	write_cr4(read_cr4() & ~CR4_UMIP);
	expect_equal(user_fault_of(user_sgdt), NO_FAULT);
}

static void cr3_bits(void)
{
	uint64_t old = read_cr3();

	write_cr3(old | BIT(3) | BIT(4)); /* PWT, PCD */
	expect_equal(read_cr3(), old | BIT(3) | BIT(4));
	write_cr3(old);
	need(machine_is_strict(), "QEMU's TCG takes any CR3");
	expect_equal(try_write_cr3(old | BIT(cpuid(0x80000008, 0).eax & 0xff)), GP);
	expect_equal(read_cr3(), old);
}

static void pcid(void)
{
	uint64_t old = read_cr3();

	need_cpu(offers(1, 2, 17), "PCID");
	write_cr4(read_cr4() | CR4_PCIDE);
	write_cr3(old | 5);
	expect_equal(read_cr3(), old | 5);
	/* Bit 63 keeps the translations and is not stored. */
	write_cr3(old | 7 | BIT(63));
	expect_equal(read_cr3(), old | 7);
	/* PCIDE may be set only with PCID 0, but cleared at any time. */
	write_cr4(read_cr4() & ~CR4_PCIDE);
	expect_equal(try_write_cr4(read_cr4() | CR4_PCIDE), (old | 7) & 0xfff ? GP : NO_FAULT);
	write_cr3(old);
}

static void global_pages(void)
{
	static uint8_t other[PAGE_SIZE] __attribute__((aligned(4096)));
	volatile uint8_t *at = (volatile uint8_t *)(uintptr_t)WINDOW;

	page[0] = 1;
	other[0] = 2;
	write_cr4(read_cr4() | CR4_PGE);
	window_map(0, (uintptr_t)page | PTE_P | PTE_W | BIT(8));
	expect_equal(at[0], 1);
	window_map(0, (uintptr_t)other | PTE_P | PTE_W | BIT(8)); /* with INVLPG */
	expect_equal(at[0], 2);
	write_cr4(read_cr4() & ~CR4_PGE);
	expect_equal(at[0], 2);
	window_map(0, 0);
}

static void cr8_holds(void)
{
	for (unsigned i = 0; i < 16; i++) {
		write_cr8(i);
		expect_equal(read_cr8(), i);
	}
	write_cr8(0);
}

static void cr2_holds(void)
{
	write_cr2(UINT64_C(0x123456789abcdef0));
	cpuid(0, 0);
	inb(0x3ff);
	expect_equal(read_cr2(), UINT64_C(0x123456789abcdef0));
}

static void absent_registers(void)
{
	expect_equal(TRY(".byte 0x0f, 0x20, 0xc8", : : : "eax"), UD); /* mov %cr1, %rax */
	expect_equal(TRY(".byte 0x0f, 0x20, 0xe8", : : : "eax"), UD); /* %cr5 */
	expect_equal(TRY(".byte 0x0f, 0x22, 0xf8", : : : "eax"), UD); /* %rax, %cr7 */
}

const struct test tests[] = {
	{"CR0 holds", cr0_round_trip},
	{"CD and NW", cr0_caches},
	{"CR0's refusals", cr0_refused},
	{"LMSW, SMSW, CLTS", lmsw_clts},
	{"CR4 holds", cr4_round_trip},
	{"CR4's refusals", cr4_refused},
	{"CR4's bits need their features", cr4_follows_cpuid},
	{"SMEP", smep},
	{"SMAP", smap},
	{"TSD", time_stamp_disable},
	{"UMIP", umip},
	{"CR3", cr3_bits},
	{"PCIDs", pcid},
	{"global pages", global_pages},
	{"CR8 holds", cr8_holds},
	{"CR2 holds over exits", cr2_holds},
	{"CR1, CR5, CR7 are not there", absent_registers},
	{NULL, NULL},
};
