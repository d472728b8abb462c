/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the multiboot loader hands over. Started with the command line
 * "first=1 last=end" and modules whose arguments are "size=BYTES sum=SUM".
 */
#include "tests/guests/lib/lib.h"

#define FLAG_MEMORY BIT(0)
#define FLAG_CMDLINE BIT(2)
#define FLAG_MODULES BIT(3)
#define FLAG_MMAP BIT(6)
#define TYPE_RAM 1

extern const char payload_end[];

static void magic(void)
{
	expect_equal(multiboot_magic, 0x2badb002);
	expect(multiboot_info->flags & FLAG_MEMORY);
	expect(multiboot_info->flags & FLAG_CMDLINE);
	expect(multiboot_info->flags & FLAG_MMAP);
}

static void command_line(void)
{
	expect_equal(argument_number("first=", 0), 1);
	expect(argument("last=end") != NULL && argument("last=end")[0] == 0);
}

/* The number behind `name` in a module's string. */
static uint64_t module_number(const char *text, const char *name)
{
	for (; *text != 0; text++) {
		size_t length = 0;
		uint64_t value = 0;

		while (name[length] != 0 && text[length] == name[length]) {
			length++;
		}
		if (name[length] == 0) {
			for (text += length; *text >= '0' && *text <= '9'; text++) {
				value = value * 10 + (uint64_t)(*text - '0');
			}
			return value;
		}
	}
	return 0;
}

static void modules(void)
{
	need(multiboot_info->mods_count != 0, "modules");
	expect(multiboot_info->flags & FLAG_MODULES);

	const struct multiboot_module *module = (const void *)(uintptr_t)multiboot_info->mods_addr;

	expect_equal(multiboot_info->mods_count, argument_number("modules=", 2));
	for (unsigned i = 0; i < multiboot_info->mods_count; i++) {
		const char *text = (const char *)(uintptr_t)module[i].string;
		uint64_t sum = 0;

		expect_equal(module[i].start % PAGE_SIZE, 0);
		expect(module[i].start >= (uintptr_t)payload_end);
		expect_equal(module[i].end - module[i].start, module_number(text, "size="));
		for (uintptr_t at = module[i].start; at < module[i].end; at++) {
			sum += *(const uint8_t *)at;
		}
		expect_equal(sum, module_number(text, "sum="));
	}
}

static const struct multiboot_range *next_range(const struct multiboot_range *range)
{
	return (const void *)((const uint8_t *)range + range->size + sizeof(range->size));
}

static void memory_map(void)
{
	const struct multiboot_range *range = (const void *)(uintptr_t)multiboot_info->mmap_addr;
	uintptr_t end = multiboot_info->mmap_addr + multiboot_info->mmap_length;
	uint64_t last = 0, ram = 0;
	bool payload_in_ram = false;

	for (; (uintptr_t)range < end; range = next_range(range)) {
		expect(range->size >= 20);
		expect(range->length > 0);
		expect(range->base >= last); /* sorted, without overlaps */
		last = range->base + range->length;
		if (range->type == TYPE_RAM) {
			ram += range->length;
			payload_in_ram |= range->base <= MIB && last >= (uintptr_t)payload_end;
		}
	}
	expect(payload_in_ram);
	/* All but the hole of the PC below 1 MiB, and tables. */
	expect(ram <= argument_number("ram=", 16) * MIB);
	expect(ram + MIB >= argument_number("ram=", 16) * MIB);
}

static void simple_sizes(void)
{
	expect(multiboot_info->mem_lower >= 512 && multiboot_info->mem_lower <= 640);
	expect(ram_end() <= argument_number("ram=", 16) * MIB);
	expect(ram_end() + MIB > argument_number("ram=", 16) * MIB);
}

const struct test tests[] = {
	{"magic number and flags", magic},
	{"command line", command_line},
	{"modules", modules},
	{"memory map", memory_map},
	{"sizes of lower and upper memory", simple_sizes},
	{NULL, NULL},
};
