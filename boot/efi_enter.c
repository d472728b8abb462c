/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's image: from the ELF file that the loader carries into memory,
 * mapped as the end of boot_info.h says, and entered.
 */
#include "boot/efi_loader.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/bits.h"

/* Page table entries (SDM 3, table 4-14 and following). */
#define PTE_P BIT(0)
#define PTE_RW BIT(1)
#define PTE_PS BIT(7)
#define PTE_COUNT 512
#define SIZE_2M (2 * MIB)

#define CR4_LA57 BIT(12)
#define CPUID_EXTENDED 0x80000001
#define CPUID_EXTENDED_EDX_PAGE_1G BIT(26)

extern const char efi_image_start[], efi_image_end[];

static bool image_size(const Elf64_Ehdr *elf, uint64_t *size);
static bool has_1g_pages(void);

int image_load(struct boot_info *info, uint64_t *entry)
{
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)efi_image_start;
	const Elf64_Phdr *segments;
	char *image;

	/* Built together with us: these can fail only when the build is broken. */
	if (memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 || !image_size(elf, &info->image_size)) {
		print("Dyad: the hypervisor inside dyad.efi is damaged; copy the file again\n");
		return -EINVAL;
	}
	/* Large pages map it: 2 MiB of alignment. */
	info->image_base = memory_alloc(PAGES(info->image_size), SIZE_2M);
	if (hpa_is_none(info->image_base)) {
		print("Dyad: no %lu KiB of memory in one piece for the hypervisor\n",
		      info->image_size / KIB);
		return -ENOMEM;
	}
	image = (char *)info->image_base.v;
	memset(image, 0, info->image_size);
	segments = (const Elf64_Phdr *)(const void *)(efi_image_start + elf->e_phoff);
	for (unsigned i = 0; i < elf->e_phnum; i++) {
		if (segments[i].p_type == PT_LOAD) {
			memcpy(image + (segments[i].p_vaddr - IMAGE_VIRT_BASE),
			       efi_image_start + segments[i].p_offset, segments[i].p_filesz);
		}
	}
	*entry = elf->e_entry;
	return 0;
}

/* From IMAGE_VIRT_BASE to the end of the last segment; false: one is out of range. */
static bool image_size(const Elf64_Ehdr *elf, uint64_t *size)
{
	const Elf64_Phdr *segments =
		(const Elf64_Phdr *)(const void *)(efi_image_start + elf->e_phoff);

	*size = 0;
	for (unsigned i = 0; i < elf->e_phnum; i++) {
		uint64_t start = segments[i].p_vaddr - IMAGE_VIRT_BASE;

		if (segments[i].p_type != PT_LOAD) {
			continue;
		}
		if (start >= GIB || segments[i].p_memsz > GIB - start) {
			return false;
		}
		*size = MAX(*size, align_up(start + segments[i].p_memsz, PAGE_SIZE));
	}
	return *size > 0;
}

/* ---- Page tables for the jump ------------------------------------------------- */

static uint64_t *table_new(uint64_t *free_table)
{
	uint64_t *table = (uint64_t *)*free_table;

	*free_table += PAGE_SIZE;
	memset(table, 0, PAGE_SIZE);
	return table;
}

static uint64_t table_entry(const uint64_t *table)
{
	return (uintptr_t)table | PTE_P | PTE_RW;
}

static unsigned table_index(uint64_t address, unsigned level)
{
	return address >> (PAGE_SHIFT + 9 * level) & (PTE_COUNT - 1);
}

int image_map(const struct boot_info *info, hpa_t *root)
{
	bool large = has_1g_pages();
	/* Root, first 512 GiB, image's 512 GiB, image's 1 GiB; without 1 GiB pages 512 more. */
	uint64_t table_count = 4 + (large ? 0 : PTE_COUNT);
	uint64_t *top, *low, *high, *image, free_table, cr4;

	__asm__("mov %%cr4, %0" : "=r"(cr4));
	if ((cr4 & CR4_LA57) != 0) {
		print("Dyad: the firmware uses five-level paging; switch it off in setup\n");
		return -ENOTSUP;
	}
	*root = memory_alloc(table_count, PAGE_SIZE);
	if (hpa_is_none(*root)) {
		print("Dyad: no memory for page tables\n");
		return -ENOMEM;
	}
	free_table = root->v;
	top = table_new(&free_table);
	low = table_new(&free_table);
	high = table_new(&free_table);
	image = table_new(&free_table);

	top[0] = table_entry(low);
	top[table_index(DIRECT_MAP_BASE, 3)] = table_entry(low);
	top[table_index(IMAGE_VIRT_BASE, 3)] = table_entry(high);
	high[table_index(IMAGE_VIRT_BASE, 2)] = table_entry(image);
	for (uint64_t at = 0; at < info->image_size; at += SIZE_2M) {
		image[table_index(IMAGE_VIRT_BASE + at, 1)] =
			(info->image_base.v + at) | PTE_P | PTE_RW | PTE_PS;
	}
	for (uint64_t i = 0; i < PTE_COUNT; i++) {
		uint64_t *middle;

		if (large) {
			low[i] = i * GIB | PTE_P | PTE_RW | PTE_PS;
			continue;
		}
		middle = table_new(&free_table);
		low[i] = table_entry(middle);
		for (uint64_t j = 0; j < PTE_COUNT; j++) {
			middle[j] = (i * GIB + j * SIZE_2M) | PTE_P | PTE_RW | PTE_PS;
		}
	}
	return 0;
}

static bool has_1g_pages(void)
{
	uint32_t eax = CPUID_EXTENDED, ebx, ecx = 0, edx;

	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return (edx & CPUID_EXTENDED_EDX_PAGE_1G) != 0;
}

/*
 * The new tables map this code at its own address too, so the CPU goes on in
 * it. The stack is the firmware's until the hypervisor sets its own.
 */
_Noreturn void image_enter(uint64_t entry, hpa_t root, struct boot_info *info)
{
	__asm__ volatile("cli\n\t"
			 "cld\n\t"
			 "mov %0, %%cr3\n\t"
			 "jmp *%1"
			 :
			 : "r"(root.v), "r"(entry), "D"(DIRECT_MAP_BASE + (uintptr_t)info)
			 : "memory");
	__builtin_unreachable();
}
