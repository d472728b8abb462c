/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page tables by SDM 3, 4.5 (4-level paging). Levels count from the leaf: 0 is
 * 4 KiB, 1 is 2 MiB, 2 is 1 GiB, 3 the root.
 */
#include "arch/x86_64/paging.h"

#include <string.h>

#include "arch/x86_64/arch.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/registers.h"
#include "base/check.h"
#include "base/page.h"

#define PTE_P BIT(0)
#define PTE_RW BIT(1)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7) /* a leaf, at levels 1 and 2 */
#define PTE_ADDRESS BITS(51, 12)
#define PTE_NX BIT(63)

#define LEVEL_TOP 3
#define ENTRY_COUNT 512
#define UPPER_HALF 256 /* the root's first entry of it */

/* Rights of a mapping; it can be read in any case. */
#define MAP_WRITE PTE_RW
#define MAP_NO_EXECUTE PTE_NX
/* Entry 3 of IA32_PAT, which is UC here as after RESET (SDM 3, 12.12.2). */
#define MAP_UNCACHED (PTE_PCD | PTE_PWT)

#define MAP_DATA (MAP_WRITE | MAP_NO_EXECUTE)

extern const uint8_t __image_start[], __image_end[];
extern const uint8_t __text_start[], __text_end[];
extern const uint8_t __rodata_start[], __rodata_end[];
extern const uint8_t __data_start[];

const uintptr_t direct_map = DIRECT_MAP_BASE;

static uint64_t *root;
static uint64_t *low_root;
static hpa_t image_base;
static uint64_t dynamic_next = DYNAMIC_BASE;

static unsigned level_shift(unsigned level)
{
	return PAGE_SHIFT + 9 * level;
}

/* The entry for `virt` at `level`, its tables made; NULL: no memory. */
static uint64_t *entry_at(uint64_t *table, uint64_t virt, unsigned level)
{
	for (unsigned i = LEVEL_TOP;; i--) {
		uint64_t *entry = &table[(virt >> level_shift(i)) % ENTRY_COUNT];

		if (i == level) {
			return entry;
		}
		if (!(*entry & PTE_P)) {
			uint64_t *next = page_new(PAGE_SIZE);

			if (!next) {
				return NULL;
			}
			*entry = virt_to_hpa(next).v | PTE_P | PTE_RW | PTE_A;
		}
		CHECK(!(*entry & PTE_PS));
		table = hpa_to_virt(HPA(*entry & PTE_ADDRESS));
	}
}

/* The largest page that starts at both addresses and ends within `size`. */
static unsigned level_for(uint64_t virt, uint64_t hpa, uint64_t size)
{
	unsigned level = features.page_1g ? 2 : 1;

	while (level > 0 && (!is_aligned(virt | hpa, BIT(level_shift(level))) ||
			     size < BIT(level_shift(level)))) {
		level--;
	}
	return level;
}

/* Maps whole pages where nothing is mapped. Returns false without memory. */
static bool map(uint64_t *tables, uint64_t virt, uint64_t hpa, uint64_t size, uint64_t rights)
{
	CHECK(is_aligned(virt | hpa | size, PAGE_SIZE));
	while (size > 0) {
		unsigned level = level_for(virt, hpa, size);
		uint64_t *entry = entry_at(tables, virt, level);

		if (!entry) {
			return false;
		}
		CHECK(!(*entry & PTE_P));
		*entry = hpa | rights | PTE_P | PTE_A | PTE_D | (level > 0 ? PTE_PS : 0);
		virt += BIT(level_shift(level));
		hpa += BIT(level_shift(level));
		size -= BIT(level_shift(level));
	}
	return true;
}

static void map_or_panic(uint64_t *tables, uint64_t virt, uint64_t hpa, uint64_t size,
			 uint64_t rights)
{
	if (!map(tables, virt, hpa, size, rights)) {
		panic("no memory for the page tables: this machine has too little RAM");
	}
}

/* The part of the image between two addresses in it. */
static void map_image(const struct boot_info *info, const void *start, const void *end,
		      uint64_t rights)
{
	uint64_t virt = (uintptr_t)start;

	map_or_panic(root, virt, info->image_base.v + (virt - IMAGE_VIRT_BASE),
		     (uintptr_t)end - virt, rights);
}

/* Data and the boot CPU's stacks, which are in it, without their guard pages. */
static void map_image_data(const struct boot_info *info)
{
	const uint8_t *start = __data_start;

	map_image(info, start, boot_stacks.main_guard, MAP_DATA);
	start = boot_stacks.main;
	for (int i = 0; i < EVENT_STACK_COUNT; i++) {
		map_image(info, start, boot_stacks.event[i].guard, MAP_DATA);
		start = boot_stacks.event[i].stack;
	}
	map_image(info, start, __image_end, MAP_DATA);
}

static void map_ram(uint64_t base, uint64_t end)
{
	if (base < end) {
		map_or_panic(root, DIRECT_MAP_BASE + base, base, end - base, MAP_DATA);
	}
}

/*
 * Neighbouring ranges are joined first, for large pages. The image is left
 * out: through the direct map its code would be writable.
 */
static void map_all_ram(const struct boot_info *info)
{
	uint64_t image = info->image_base.v;
	uint64_t image_end = image + align_up(info->image_size, PAGE_SIZE);

	for (uint64_t i = 0, next; i < info->memory_count; i = next) {
		uint64_t base = info->memory[i].base.v;
		uint64_t end = base + info->memory[i].size;

		for (next = i + 1; next < info->memory_count && info->memory[next].base.v == end;
		     next++) {
			end += info->memory[next].size;
		}
		if (image >= base && image < end) {
			map_ram(base, image);
			map_ram(image_end, end);
		} else {
			map_ram(base, end);
		}
	}
}

static void low_init(const struct boot_info *info)
{
	map_or_panic(low_root, 0, 0, 4 * GIB, MAP_WRITE);
	for (uint64_t i = 0; i < info->memory_count; i++) {
		const struct boot_memory *memory = &info->memory[i];

		if (memory->kind == BOOT_MEMORY_RUNTIME && memory->base.v >= 4 * GIB) {
			map_or_panic(low_root, memory->base.v, memory->base.v, memory->size,
				     MAP_WRITE);
		}
	}
	memcpy(&low_root[UPPER_HALF], &root[UPPER_HALF], (ENTRY_COUNT - UPPER_HALF) * 8);
}

void paging_init(const struct boot_info *info, hpa_t low)
{
	if (!(root = page_new(PAGE_SIZE))) {
		panic("no memory for the page tables: this machine has too little RAM");
	}
	CHECK(low.v < 4 * GIB);
	image_base = info->image_base;
	low_root = memset(hpa_to_virt(low), 0, PAGE_SIZE);

	map_image(info, __text_start, __text_end, 0);
	map_image(info, __rodata_start, __rodata_end, MAP_NO_EXECUTE);
	map_image_data(info);
	map_all_ram(info);
	/* Its entry in the root must be there before the low tables copy it. */
	if (!entry_at(root, DYNAMIC_BASE, LEVEL_TOP - 1)) {
		panic("no memory for the page tables: this machine has too little RAM");
	}
	low_init(info);
}

void paging_load(void)
{
	cr3_write(virt_to_hpa(root).v);
}

void paging_load_low(void)
{
	cr3_write(virt_to_hpa(low_root).v);
}

uint32_t paging_low_root(void)
{
	return (uint32_t)virt_to_hpa(low_root).v;
}

void *mmio_map(hpa_t hpa, uint64_t size)
{
	uint64_t limit = BIT(features.physical_bits);
	uint64_t base = align_down(hpa.v, PAGE_SIZE);
	uint64_t length = align_up(hpa.v + size, PAGE_SIZE) - base;
	uint64_t virt = dynamic_next;

	if (hpa.v >= limit || size > limit - hpa.v) {
		return NULL;
	}
	/* Placed so that large pages can map it. */
	if (length >= 2 * MIB) {
		virt = align_up(virt, 2 * MIB) + base % (2 * MIB);
	}

	/* A page stays free behind each, against overruns. */
	dynamic_next = virt + length + PAGE_SIZE;
	if (!map(root, virt, base, length, MAP_DATA | MAP_UNCACHED)) {
		return NULL;
	}
	return (void *)(virt + (hpa.v - base));
}

/* Where the page that holds `virt` ends; 0: nothing is mapped there. */
static uint64_t page_end(uint64_t virt)
{
	const uint64_t *table = root;

	for (unsigned level = LEVEL_TOP;; level--) {
		uint64_t entry = table[(virt >> level_shift(level)) % ENTRY_COUNT];

		if (!(entry & PTE_P)) {
			return 0;
		}
		if (level == 0 || (entry & PTE_PS)) {
			return align_down(virt, BIT(level_shift(level))) + BIT(level_shift(level));
		}
		table = hpa_to_virt(HPA(entry & PTE_ADDRESS));
	}
}

hpa_t dma_address(const void *memory, size_t size)
{
	uint64_t virt = (uintptr_t)memory;
	bool in_image = virt >= IMAGE_VIRT_BASE;
	uint64_t limit = in_image ? (uintptr_t)__image_end : DYNAMIC_BASE;
	uint64_t hpa = in_image ? image_base.v + (virt - IMAGE_VIRT_BASE) : virt - DIRECT_MAP_BASE;

	if (virt < DIRECT_MAP_BASE || virt >= limit || size > limit - virt) {
		return HPA_NONE;
	}
	for (uint64_t at = virt, next; at < virt + size; at = next) {
		next = page_end(at);
		if (next == 0) {
			return HPA_NONE;
		}
	}
	return HPA(hpa);
}

static bool map_stack(uint8_t *stack, uint64_t size)
{
	for (uint64_t offset = 0; offset < size; offset += PAGE_SIZE) {
		hpa_t page = page_alloc(0);

		if (hpa_is_none(page) ||
		    !map(root, (uintptr_t)stack + offset, page.v, PAGE_SIZE, MAP_DATA)) {
			return false;
		}
	}
	return true;
}

struct cpu_stacks *stacks_create(void)
{
	struct cpu_stacks *stacks = (struct cpu_stacks *)dynamic_next;
	bool done = map_stack(stacks->main, STACK_MAIN_SIZE);

	dynamic_next += sizeof(*stacks);
	for (int i = 0; i < EVENT_STACK_COUNT; i++) {
		done = done && map_stack(stacks->event[i].stack, STACK_EVENT_SIZE);
	}
	return done ? stacks : NULL;
}
