/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All RAM: it is zero when the guest starts, so that nobody's contents leak,
 * each page is there, and no two pages are the same.
 */
#include "tests/guests/lib/lib.h"

extern const char payload_end[];

#define WORDS (PAGE_SIZE / sizeof(uint64_t))

static uint64_t first_page(void)
{
	return align_up((uintptr_t)payload_end, PAGE_SIZE);
}

/* The loader's own records are no RAM of ours. */
static bool holds_record(uint64_t at)
{
	const uint64_t records[] = {
		(uintptr_t)multiboot_info,
		multiboot_info->cmdline,
		multiboot_info->mmap_addr,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(records); i++) {
		if (align_down(records[i], PAGE_SIZE) == at) {
			return true;
		}
	}
	return false;
}

static uint64_t pattern(uint64_t at, unsigned word)
{
	return (at + word * 8) * UINT64_C(0x9e3779b97f4a7c15);
}

static void zero_at_first(void)
{
	need(machine_is_strict(), "other firmware leaves its traces");
	for (uint64_t at = first_page(); at < ram_end(); at += PAGE_SIZE) {
		const volatile uint64_t *page = (const volatile uint64_t *)(uintptr_t)at;

		for (unsigned i = 0; i < WORDS && !holds_record(at); i++) {
			if (page[i] != 0) {
				print("# %#lx holds %#lx\n", at + i * 8, page[i]);
				expect(false);
			}
		}
	}
}

static void every_page(void)
{
	unsigned pages = 0;

	for (uint64_t at = first_page(); at < ram_end(); at += PAGE_SIZE) {
		volatile uint64_t *page = (volatile uint64_t *)(uintptr_t)at;

		if (!holds_record(at)) {
			page[0] = pattern(at, 0);
			page[WORDS - 1] = pattern(at, WORDS - 1);
		}
	}
	for (uint64_t at = first_page(); at < ram_end(); at += PAGE_SIZE) {
		volatile uint64_t *page = (volatile uint64_t *)(uintptr_t)at;

		if (!holds_record(at)) {
			expect_equal(page[0], pattern(at, 0));
			expect_equal(page[WORDS - 1], pattern(at, WORDS - 1));
			pages++;
		}
	}
	print("# %u pages\n", pages);
}

static void low_memory(void)
{
	for (uint64_t at = 0x10000; at < 0x80000; at += PAGE_SIZE) {
		volatile uint64_t *page = (volatile uint64_t *)(uintptr_t)at;
		uint64_t old = page[1];

		if (!holds_record(at)) {
			page[1] = pattern(at, 1);
			expect_equal(page[1], pattern(at, 1));
			page[1] = old;
		}
	}
}

static void all_of_it(void)
{
	expect(ram_end() <= argument_number("ram=", 16) * MIB);
	expect(ram_end() + MIB > argument_number("ram=", 16) * MIB);
}

const struct test tests[] = {
	{"zero at first", zero_at_first},
	{"every page above 1 MiB", every_page},
	{"pages below 640 KiB", low_memory},
	{"as much as was configured", all_of_it},
	{NULL, NULL},
};
