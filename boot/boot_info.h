/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loader hands to the hypervisor: one struct, in memory that the
 * loader allocated and that is in no free range of the memory map.
 *
 * All pointers are host-physical. Loader and hypervisor are built together and
 * travel in one file, so the layout has no version; the magic is a safeguard.
 */
#ifndef BOOT_BOOT_INFO_H
#define BOOT_BOOT_INFO_H

#include "base/types.h"

#define BOOT_INFO_MAGIC UINT64_C(0x4459414431303030) /* "DYAD1000" */

#define BOOT_MEMORY_MAX 256
#define BOOT_CPU_MAX 256
#define BOOT_MODULE_MAX 64
#define BOOT_NAME_MAX 64

enum boot_memory_kind {
	BOOT_MEMORY_FREE, /* conventional, loader and boot-services memory */
	BOOT_MEMORY_KEPT, /* RAM that must stay: hypervisor image, loader's tables, modules, ACPI */
	BOOT_MEMORY_RUNTIME, /* RAM of the firmware's runtime services */
};

/* One range of RAM; sorted, no overlaps, page-aligned. What is not RAM is absent. */
struct boot_memory {
	hpa_t base;
	uint64_t size;
	enum boot_memory_kind kind;
};

/* A file read from \dyad\ on the boot volume. */
struct boot_module {
	char name[BOOT_NAME_MAX];
	hpa_t base; /* page-aligned */
	uint64_t size;
	/* 0, or why the file is not there: -ENOENT, -ENOMEM, -EIO. */
	int error;
};

struct boot_info {
	uint64_t magic;

	uint64_t memory_count;
	struct boot_memory memory[BOOT_MEMORY_MAX];

	/* ACPI RSDP, or 0 where the firmware has no ACPI. */
	hpa_t rsdp;
	/* Local APIC IDs by the MP Services protocol, the boot CPU first; 0 where it is absent. */
	uint64_t cpu_count;
	uint32_t apic_ids[BOOT_CPU_MAX];

	uint64_t module_count;
	struct boot_module modules[BOOT_MODULE_MAX];
	/* \dyad\dyad.conf, as text with its size; error set as for a module. */
	struct boot_module config;

	/* The hypervisor's image: where its first byte of virtual memory lies. */
	hpa_t image_base;
	uint64_t image_size;
	/* One page below 1 MiB for the start of the other CPUs; 0 if there was none. */
	hpa_t trampoline;

	/* EFI_RUNTIME_SERVICES table (physical), for ResetSystem; 0 if absent. */
	hpa_t efi_runtime;

	/* TSC at the loader's first instruction, and ticks spent inside firmware calls. */
	uint64_t tsc_loader_start;
	uint64_t tsc_in_firmware;
};

/*
 * Virtual layout that loader and hypervisor agree on. The loader's page tables
 * map the image at IMAGE_VIRT_BASE (all of it writable and executable), the
 * first 512 GiB of physical memory at DIRECT_MAP_BASE and, for the jump, at
 * their own addresses; the hypervisor replaces them by its own at once.
 */
#define IMAGE_VIRT_BASE UINT64_C(0xffffffff80000000)
#define DIRECT_MAP_BASE UINT64_C(0xffff800000000000)

#endif
