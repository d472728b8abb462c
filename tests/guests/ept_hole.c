/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-physical addresses where nothing is: they read as ones, writes are
 * lost, and every instruction goes on.
 */
#include "tests/guests/lib/compare.h"
#include "tests/guests/lib/lib.h"

#define HOLE 0x50000000 /* between the RAM of a small guest and the devices */

static uint8_t ram[PAGE_SIZE] __attribute__((aligned(4096)));

static void nothing_to_prepare(uint32_t word)
{
	(void)word;
}

static bool hole_unchanged(uint32_t word)
{
	(void)word;
	return *(volatile uint32_t *)(uintptr_t)(HOLE + FORM_TARGET % PAGE_SIZE) ==
	       *(volatile uint32_t *)(uintptr_t)HOLE;
}

static const struct compare_device hole = {nothing_to_prepare, hole_unchanged};

static void reads_ones(void)
{
	volatile uint8_t *at = (volatile uint8_t *)(uintptr_t)HOLE;

	need(machine_is_strict(), "QEMU reads zeros");
	expect_equal(at[1], 0xff);
	expect_equal(*(volatile uint16_t *)(at + 2), 0xffff);
	expect_equal(*(volatile uint32_t *)(at + 5), 0xffffffff);
	expect_equal(*(volatile uint64_t *)(at + 8), UINT64_MAX);
}

static void writes_lost(void)
{
	volatile uint64_t *at = (volatile uint64_t *)(uintptr_t)HOLE;
	uint64_t before = *at;

	*at = 0x1122334455667788;
	expect_equal(*at, before);
}

static void forms_word(void)
{
	compare_forms(FORM_WORD, *(volatile uint32_t *)(uintptr_t)HOLE, HOLE, &hole);
}

/* Writes that RAM keeps and a hole does not are seen by forms that read again. */
static void forms_width(void)
{
	compare_forms(FORM_WIDTH, *(volatile uint32_t *)(uintptr_t)HOLE, HOLE, &hole);
}

static void straddle(uint64_t first, uint64_t second, bool ram_first)
{
	volatile uint64_t *across = (volatile uint64_t *)(uintptr_t)(WINDOW + PAGE_SIZE - 4);
	uint32_t nothing = *(volatile uint32_t *)(uintptr_t)HOLE;
	uint64_t low, high;

	window_map(0, first | PTE_P | PTE_W);
	window_map(1, second | PTE_P | PTE_W);
	*across = 0x1122334455667788;
	low = ram_first ? 0x55667788 : nothing;
	high = ram_first ? nothing : 0x11223344;
	expect_equal(*across, high << 32 | low);
}

static void from_ram_to_hole(void)
{
	straddle((uintptr_t)ram, HOLE, true);
}

static void from_hole_to_ram(void)
{
	straddle(HOLE, (uintptr_t)ram, false);
}

static void end_of_ram(void)
{
	volatile uint64_t *at = (volatile uint64_t *)(uintptr_t)(ram_end() - 4);

	need(machine_is_strict(), "other firmware keeps its tables there");
	*at = 0x1122334455667788;
	expect_equal(*(volatile uint32_t *)at, 0x55667788);
	expect_equal(*at, UINT64_C(0xffffffff55667788));
}

/* A copy that runs from RAM into the hole. */
static void copy_over_the_end(void)
{
	uint8_t *to = (uint8_t *)(uintptr_t)WINDOW + PAGE_SIZE - 16;

	window_map(0, (uintptr_t)ram | PTE_P | PTE_W);
	window_map(1, HOLE | PTE_P | PTE_W);
	memset(ram, 0, sizeof(ram));
	memset(to, 0x77, 64);
	expect_equal(ram[PAGE_SIZE - 17], 0);
	expect_equal(ram[PAGE_SIZE - 1], 0x77);
}

static void high_addresses(void)
{
	unsigned width = cpuid(0x80000008, 0).eax & 0xff;

	need(machine_is_strict(), "QEMU reads zeros");
	for (unsigned bit = 33; bit < width; bit++) {
		window_map(0, BIT(bit) | PTE_P | PTE_W);
		*(volatile uint32_t *)(uintptr_t)WINDOW = 0;
		expect_equal(*(volatile uint32_t *)(uintptr_t)WINDOW, 0xffffffff);
	}
}

static void beyond_the_width(void)
{
	unsigned width = cpuid(0x80000008, 0).eax & 0xff;

	need(machine_is_strict() && width < 52, "reserved address bits");
	window_map(0, BIT(width) | PTE_P | PTE_W);
	expect_equal(TRY("movl 0x60000000, %%eax", : : : "eax"), PF);
	expect_equal(fault.error, 9); /* a reserved bit */
}

static void accessed_bits(void)
{
	window_map(0, HOLE | PTE_P | PTE_W);
	*(volatile uint32_t *)(uintptr_t)WINDOW = 1;
	expect_equal(window_entry(0) & (PTE_A | PTE_D), PTE_A | PTE_D);
}

const struct test tests[] = {
	{"a hole reads as ones", reads_ones},
	{"writes to it are lost", writes_lost},
	{"every form of 32 bits", forms_word},
	{"every form of other widths", forms_width},
	{"from RAM into the hole", from_ram_to_hole},
	{"from the hole into RAM", from_hole_to_ram},
	{"at the end of RAM", end_of_ram},
	{"a copy over the end of RAM", copy_over_the_end},
	{"addresses with one high bit", high_addresses},
	{"address bits that the CPU does not have", beyond_the_width},
	{"accessed and dirty bits are set all the same", accessed_bits},
	{NULL, NULL},
};
