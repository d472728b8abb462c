/* SPDX-License-Identifier: Apache-2.0 */
/* Port I/O: sizes, unclaimed ports, string instructions, the legacy devices. */
#include "tests/guests/lib/lib.h"

#define UNCLAIMED 0x1234
#define UART_SCRATCH 0x3ff
#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc
#define PCI_ENABLE 0x80000000u
#define RTC_INDEX 0x70
#define RTC_DATA 0x71

static uint8_t buffer[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static void unclaimed_reads(void)
{
	static const uint16_t ports[] = {0x100, UNCLAIMED, 0x5658, 0x9abc};

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		expect_equal(inb(ports[i]), 0xff);
		expect_equal(inw(ports[i]), 0xffff);
		expect_equal(inl(ports[i]), 0xffffffff);
	}
}

static void unclaimed_writes(void)
{
	outb(UNCLAIMED, 0);
	outw(UNCLAIMED, 0);
	outl(UNCLAIMED, 0);
	expect_equal(inl(UNCLAIMED), 0xffffffff);
}

static void accumulator(void)
{
	uint64_t pattern = 0x1122334455667788, rax;

	outb(UART_SCRATCH, 0x5a);
	__asm__ volatile("in %%dx, %%al" : "=a"(rax) : "d"(UART_SCRATCH), "a"(pattern));
	expect_equal(rax, 0x112233445566775a);
	__asm__ volatile("in %%dx, %%ax" : "=a"(rax) : "d"(UNCLAIMED), "a"(pattern));
	expect_equal(rax, 0x112233445566ffff);
	__asm__ volatile("in %%dx, %%eax" : "=a"(rax) : "d"(UNCLAIMED), "a"(pattern));
	expect_equal(rax, 0xffffffff);
	__asm__ volatile("in $0x80, %%al" : "=a"(rax) : "a"(pattern));
	expect_equal(rax >> 8, pattern >> 8);
}

static void string_in(void)
{
	void *to = buffer + PAGE_SIZE - 6;
	uint64_t count = 12;

	memset(buffer, 0, sizeof(buffer));
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(UNCLAIMED) : "memory");
	expect_equal(count, 0);
	expect(to == buffer + PAGE_SIZE + 6);
	expect_equal(buffer[PAGE_SIZE - 7], 0);
	expect_equal(buffer[PAGE_SIZE - 6], 0xff);
	expect_equal(buffer[PAGE_SIZE + 5], 0xff);
	expect_equal(buffer[PAGE_SIZE + 6], 0);
}

static void string_in_wide_backwards(void)
{
	void *to = buffer + 16;
	uint64_t count = 3;

	memset(buffer, 0, sizeof(buffer));
	__asm__ volatile("std; rep insl; cld" : "+D"(to), "+c"(count) : "d"(UNCLAIMED) : "memory");
	expect(to == buffer + 4);
	expect_equal(buffer[7], 0);
	expect_equal(buffer[8], 0xff);
	expect_equal(buffer[19], 0xff);
	expect_equal(buffer[20], 0);
}

static void string_out(void)
{
	const void *from = "abc";
	uint64_t count = 3;

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(UART_SCRATCH) : "memory");
	expect_equal(count, 0);
	expect_equal(inb(UART_SCRATCH), 'c');
}

static void string_out_segment(void)
{
	uint64_t offset = 1;

	buffer[1] = 0xa5;
	wrmsr(MSR_FS_BASE, (uintptr_t)buffer);
	__asm__ volatile("outsb %%fs:(%%rsi), %%dx" : "+S"(offset) : "d"(UART_SCRATCH) : "memory");
	wrmsr(MSR_FS_BASE, 0);
	expect_equal(inb(UART_SCRATCH), 0xa5);
	expect_equal(offset, 2);
}

static void string_address_size(void)
{
	uint64_t to = (uintptr_t)buffer | UINT64_C(0x7700000000), count = 0xff00000002;

	memset(buffer, 0, 8);
	__asm__ volatile("addr32 rep insb" : "+D"(to), "+c"(count) : "d"(UNCLAIMED) : "memory");
	expect_equal(count, 0);
	expect_equal(to, (uintptr_t)buffer + 2);
	expect_equal(buffer[1], 0xff);
	expect_equal(buffer[2], 0);
}

static void string_no_count(void)
{
	void *to = (void *)UINT64_C(0x8000000000000000);
	uint64_t count = 0;

	expect(TRY("rep insb", : "+D"(to), "+c"(count) : "d"(UNCLAIMED) : "memory") == NO_FAULT);
}

static void string_fault(void)
{
	uint64_t to = WINDOW + PAGE_SIZE - 8, count = 20;

	window_map(0, (uintptr_t)buffer | PTE_P | PTE_W);
	window_map(1, 0);
	memset(buffer, 0, PAGE_SIZE);
	expect(TRY("rep insb", : "+D"(to), "+c"(count) : "d"(UNCLAIMED) : "memory") == PF);
	expect_equal(fault.cr2, WINDOW + PAGE_SIZE);
	expect_equal(fault.error, 2); /* write, not present */
	expect_equal(to, WINDOW + PAGE_SIZE);
	expect_equal(count, 12);
	expect_equal(buffer[PAGE_SIZE - 1], 0xff);
}

static void string_read_only(void)
{
	uint64_t to = WINDOW, count = 1;

	window_map(0, (uintptr_t)buffer | PTE_P);
	expect(TRY("rep insb", : "+D"(to), "+c"(count) : "d"(UNCLAIMED) : "memory") == PF);
	expect_equal(fault.error, 3); /* write, present */
	expect_equal(count, 1);
}

static void string_non_canonical(void)
{
	uint64_t from = UINT64_C(0x8000000000000000);

	expect(TRY("outsb", : "+S"(from) : "d"(UNCLAIMED)) == GP);
	expect_equal(fault.error, 0);
}

static void user_in(void)
{
	inb(UART_SCRATCH);
}

static void user_mode(void)
{
	expect_equal(user_fault_of(user_in), GP);
}

static uint32_t pci_read(unsigned device, unsigned offset)
{
	outl(PCI_ADDRESS, PCI_ENABLE | device << 11 | offset);
	return inl(PCI_DATA);
}

static void pci_sizes(void)
{
	uint32_t id = pci_read(0, 0);

	expect(id != 0xffffffff && id != 0);
	expect_equal(inl(PCI_ADDRESS), PCI_ENABLE);
	expect_equal(inw(PCI_DATA), id & 0xffff);
	expect_equal(inw(PCI_DATA + 2), id >> 16);
	for (unsigned i = 0; i < 4; i++) {
		expect_equal(inb((uint16_t)(PCI_DATA + i)), id >> 8 * i & 0xff);
	}
}

static void pci_nobody(void)
{
	expect_equal(pci_read(30, 0), 0xffffffff);
	outl(PCI_DATA, 0);
	expect_equal(pci_read(30, 0x3c), 0xffffffff);
	/* Without the enable bit, the data port is nobody's. */
	outl(PCI_ADDRESS, 0);
	expect_equal(inl(PCI_DATA), 0xffffffff);
}

static void pci_address_partial(void)
{
	/* Only a 32-bit write reaches the address latch. */
	outl(PCI_ADDRESS, PCI_ENABLE);
	outb(PCI_ADDRESS, 0x55);
	outw(PCI_ADDRESS, 0x5555);
	expect_equal(inl(PCI_ADDRESS), PCI_ENABLE);
}

static uint16_t pit_latched(void)
{
	uint8_t low;

	outb(0x43, 0x00); /* latch counter 0 */
	low = inb(0x40);
	return (uint16_t)(low | inb(0x40) << 8);
}

static void pit_counts(void)
{
	uint16_t first, second;

	pit_periodic(0xffff);
	first = pit_latched();
	delay_us(100);
	second = pit_latched();
	expect(second < first);
}

static void pit_read_back(void)
{
	pit_periodic(1000);
	outb(0x43, 0xe2); /* status of counter 0, no count */
	expect_equal(inb(0x40) & 0x3f, 0x34);
}

static void rtc_registers(void)
{
	outb(RTC_INDEX, 0x0d);
	expect_equal(inb(RTC_DATA), 0x80); /* valid RAM and time */
	outb(RTC_INDEX, 0x0b);
	expect(inb(RTC_DATA) & 0x02); /* 24 hours */
	outb(RTC_INDEX, 0x07);

	uint8_t day = inb(RTC_DATA);

	expect(day >= 1 && day <= 0x31);
}

static void uart_registers(void)
{
	outb(UART_SCRATCH, 0x12);
	expect_equal(inb(UART_SCRATCH), 0x12);
	outb(0x3fb, 0x83); /* the divisor's latch */
	outb(0x3f8, 0x0c);
	outb(0x3f9, 0x00);
	expect_equal(inb(0x3f8), 0x0c);
	outb(0x3fb, 0x03);
	outb(0x3fc, 0x1f); /* loop back: the modem lines return */
	expect_equal(inb(0x3fe) & 0xf0, 0xf0);
	outb(0x3fc, 0x03);
}

const struct test tests[] = {
	{"unclaimed ports read as ones", unclaimed_reads},
	{"writes to unclaimed ports go nowhere", unclaimed_writes},
	{"IN writes its part of RAX", accumulator},
	{"REP INSB over a page boundary", string_in},
	{"REP INSL backwards", string_in_wide_backwards},
	{"REP OUTSB in order", string_out},
	{"OUTSB with a segment", string_out_segment},
	{"REP INSB with 32-bit addresses", string_address_size},
	{"REP INSB of nothing touches nothing", string_no_count},
	{"REP INSB stops where its page is absent", string_fault},
	{"REP INSB to a read-only page", string_read_only},
	{"OUTSB from a non-canonical address", string_non_canonical},
	{"ports are closed to user mode", user_mode},
	{"PCI configuration in all sizes", pci_sizes},
	{"PCI devices that are not there", pci_nobody},
	{"narrow writes leave PCI's address alone", pci_address_partial},
	{"the PIT counts down", pit_counts},
	{"the PIT's status", pit_read_back},
	{"the RTC's registers", rtc_registers},
	{"the UART's registers", uart_registers},
	{NULL, NULL},
};
