/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: allocations that the hypervisor keeps, the end of boot services, and
 * the firmware's memory map as struct boot_info has it.
 */
#include "boot/efi_loader.h"

#include <errno.h>

#define EXIT_TRY_MAX 8

/* The map grows with each allocation, its own buffer's included. */
#define MAP_SPARE_SIZE (16 * KIB)

struct memory_map {
	UINTN size, buffer_size, key, descriptor_size;
	UINT32 version;
	char *buffer;
};

static bool convert_map(struct memory_map *map, struct boot_info *info);

hpa_t memory_alloc(uint64_t pages, uint64_t align)
{
	EFI_BOOT_SERVICES *services = efi_table->BootServices;
	uint64_t spare = align / PAGE_SIZE - 1;
	EFI_PHYSICAL_ADDRESS base;
	uint64_t head, tail;

	if (EFI_ERROR(FIRMWARE(services->AllocatePages(AllocateAnyPages, EfiLoaderData,
						       pages + spare, &base)))) {
		return HPA_NONE;
	}
	/* What lies before the aligned part and behind it goes back. */
	head = (-base & (align - 1)) / PAGE_SIZE;
	tail = spare - head;
	if (head > 0) {
		(void)FIRMWARE(services->FreePages(base, head));
	}
	base += head * PAGE_SIZE;
	if (tail > 0) {
		(void)FIRMWARE(services->FreePages(base + pages * PAGE_SIZE, tail));
	}
	return HPA(base);
}

void memory_alloc_trampoline(struct boot_info *info)
{
	/* A start-up IPI names a page below 1 MiB (SDM 3, 9.4.4). */
	EFI_PHYSICAL_ADDRESS page = MIB - 1;

	if (EFI_ERROR(FIRMWARE(efi_table->BootServices->AllocatePages(AllocateMaxAddress,
								      EfiLoaderData, 1, &page)))) {
		print("Dyad: no free page below 1 MiB; only the boot CPU will be used\n");
		page = 0;
	}
	info->trampoline = HPA(page);
}

int memory_exit_boot_services(EFI_HANDLE image, struct boot_info *info)
{
	EFI_BOOT_SERVICES *services = efi_table->BootServices;
	struct memory_map map = {0};
	EFI_STATUS status;
	void *buffer;

	(void)FIRMWARE(services->GetMemoryMap(&map.size, NULL, &map.key, &map.descriptor_size,
					      &map.version));
	map.buffer_size = map.size + MAP_SPARE_SIZE;
	status = FIRMWARE(services->AllocatePool(EfiBootServicesData, map.buffer_size, &buffer));
	if (EFI_ERROR(status)) {
		print("Dyad: memory map: %s\n", status_text(status));
		return -ENOMEM;
	}
	map.buffer = buffer;
	/*
	 * The key is stale when the map changed after it was read, by a timer of
	 * the firmware's for example. After the first try only these two services
	 * may be called (UEFI 2.10, 7.4.6).
	 */
	for (unsigned try = 0; try < EXIT_TRY_MAX; try++) {
		map.size = map.buffer_size;
		status = FIRMWARE(services->GetMemoryMap(&map.size, buffer, &map.key,
							 &map.descriptor_size, &map.version));
		if (EFI_ERROR(status)) {
			break;
		}
		status = FIRMWARE(services->ExitBootServices(image, map.key));
		if (!EFI_ERROR(status)) {
			break;
		}
	}
	if (EFI_ERROR(status)) {
		print_to(PRINT_SERIAL,
			 "Dyad: the firmware does not let go of the machine (ExitBootServices: "
			 "%s): update the firmware, or switch off in its setup what it need not "
			 "start, such as network boot\n",
			 status_text(status));
		return -EIO;
	}
	if (!convert_map(&map, info)) {
		print_to(PRINT_SERIAL,
			 "Dyad: the memory map has more than %u ranges; the rest is not used\n",
			 BOOT_MEMORY_MAX);
	}
	return 0;
}

/* ---- The map ---------------------------------------------------------------- */

static EFI_MEMORY_DESCRIPTOR *descriptor(struct memory_map *map, UINTN index)
{
	return (EFI_MEMORY_DESCRIPTOR *)(void *)(map->buffer + index * map->descriptor_size);
}

/* False: it is not RAM, or RAM that nobody may touch. */
static bool kind_of(uint32_t type, enum boot_memory_kind *kind)
{
	switch (type) {
	case EfiLoaderCode: /* this program, which has ended then */
	case EfiBootServicesCode:
	case EfiBootServicesData:
	case EfiConventionalMemory:
		*kind = BOOT_MEMORY_FREE;
		return true;
	case EfiLoaderData: /* by memory_alloc */
	case EfiACPIReclaimMemory:
	case EfiACPIMemoryNVS:
		*kind = BOOT_MEMORY_KEPT;
		return true;
	case EfiRuntimeServicesCode:
	case EfiRuntimeServicesData:
		*kind = BOOT_MEMORY_RUNTIME;
		return true;
	default:
		return false;
	}
}

/* The specification does not promise an order. */
static void sort_map(struct memory_map *map)
{
	UINTN count = map->size / map->descriptor_size;

	for (UINTN i = 1; i < count; i++) {
		EFI_MEMORY_DESCRIPTOR moved = *descriptor(map, i);
		UINTN j = i;

		for (; j > 0 && descriptor(map, j - 1)->PhysicalStart > moved.PhysicalStart; j--) {
			*descriptor(map, j) = *descriptor(map, j - 1);
		}
		*descriptor(map, j) = moved;
	}
}

static bool convert_map(struct memory_map *map, struct boot_info *info)
{
	struct boot_memory *last = NULL;

	sort_map(map);
	for (UINTN i = 0; i < map->size / map->descriptor_size; i++) {
		const EFI_MEMORY_DESCRIPTOR *range = descriptor(map, i);
		uint64_t size = range->NumberOfPages * PAGE_SIZE;
		enum boot_memory_kind kind;

		if (size == 0 || !kind_of(range->Type, &kind)) {
			continue;
		}
		if (last != NULL && last->kind == kind &&
		    last->base.v + last->size == range->PhysicalStart) {
			last->size += size;
			continue;
		}
		if (info->memory_count == BOOT_MEMORY_MAX) {
			return false;
		}
		last = &info->memory[info->memory_count++];
		*last = (struct boot_memory){HPA(range->PhysicalStart), size, kind};
	}
	return true;
}
