/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the loader share. The loader is a UEFI application: it runs
 * once, on one CPU, and fills in one struct boot_info.
 *
 * Memory that the hypervisor keeps is allocated as EfiLoaderData, which
 * efi_memory.c reports as KEPT; everything else of ours is free afterwards.
 */
#ifndef BOOT_EFI_LOADER_H
#define BOOT_EFI_LOADER_H

#include <efi.h>

#include "boot/boot_info.h"

extern EFI_SYSTEM_TABLE *efi_table;
extern uint64_t efi_firmware_ticks;

static inline uint64_t efi_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* Every call of the firmware goes through here: its time is not ours. */
#define FIRMWARE(call)                                       \
	({                                                   \
		uint64_t efi_start = efi_tsc();              \
		EFI_STATUS efi_status = (call);              \
		efi_firmware_ticks += efi_tsc() - efi_start; \
		efi_status;                                  \
	})

#define PAGES(bytes) (((bytes) + PAGE_SIZE - 1) / PAGE_SIZE)

/* efi_print.c: %s, %u, %lu, %x, %lx; a line feed ends the line. */
void print_init(void);
void print_to(unsigned outputs, const char *format, ...) PRINTF_LIKE(2, 3);
#define PRINT_SCREEN 1u /* not after the end of boot services */
#define PRINT_SERIAL 2u /* COM1 */
#define print(...) print_to(PRINT_SCREEN | PRINT_SERIAL, __VA_ARGS__)
const char *status_text(EFI_STATUS status);

/* efi_files.c: dyad.conf and the files that it names, from the loader's own volume. */
void files_read(EFI_HANDLE image, struct boot_info *info);

/* efi_cpus.c: the ACPI RSDP and the CPU list of MP Services, where they exist. */
void cpus_find(struct boot_info *info);

/*
 * efi_enter.c: puts the hypervisor into memory. Returns 0 with its entry point
 * and the page tables for the jump, or a negative errno after having printed why.
 */
int image_load(struct boot_info *info, uint64_t *entry) MUST_CHECK;
int image_map(const struct boot_info *info, hpa_t *root) MUST_CHECK;
_Noreturn void image_enter(uint64_t entry, hpa_t root, struct boot_info *info);

/*
 * efi_memory.c: `pages` pages whose contents stay for the hypervisor, HPA_NONE
 * when there are none. `align` is a power of two, at least PAGE_SIZE.
 */
hpa_t memory_alloc(uint64_t pages, uint64_t align) MUST_CHECK;
void memory_alloc_trampoline(struct boot_info *info);
/*
 * Leaves boot services and fills in the memory map. On an error, which it
 * prints, its boot services cannot be used any more.
 */
int memory_exit_boot_services(EFI_HANDLE image, struct boot_info *info) MUST_CHECK;

#endif
