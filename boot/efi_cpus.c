/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the hypervisor learns of the other CPUs: ACPI's tables, or the firmware's
 * MP Services protocol (PI specification, volume 2, section 13.4), whose list is
 * taken whenever it is there: firmware without ACPI has nothing else.
 */
#include "boot/efi_loader.h"

#include <string.h>

#define MP_SERVICES_GUID                                               \
	{                                                              \
		0x3fdda605, 0xa76e, 0x4f46,                            \
		{                                                      \
			0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 \
		}                                                      \
	}

struct mp_processor {
	uint64_t id; /* local APIC ID */
	uint32_t status;
	uint32_t package, core, thread;
	/* The six words of EFI_CPU_PHYSICAL_LOCATION2, which newer firmware writes. */
	uint32_t extended[6];
};

#define MP_STATUS_BOOT_CPU 0x1
#define MP_STATUS_ENABLED 0x2
#define MP_STATUS_HEALTHY 0x4

struct mp_services {
	EFI_STATUS(EFIAPI *get_count)(struct mp_services *self, UINTN *count, UINTN *enabled);
	EFI_STATUS(EFIAPI *get_processor)
	(struct mp_services *self, UINTN index, struct mp_processor *processor);
	/* More follows that is not used here. */
};

static hpa_t find_rsdp(void);
static void list_cpus(struct mp_services *mp, struct boot_info *info);

void cpus_find(struct boot_info *info)
{
	static EFI_GUID mp_guid = MP_SERVICES_GUID;
	void *mp;

	info->rsdp = find_rsdp();
	if (!EFI_ERROR(FIRMWARE(efi_table->BootServices->LocateProtocol(&mp_guid, NULL, &mp)))) {
		list_cpus(mp, info);
	}
	print("Dyad: ACPI %s; CPUs by MP Services: %lu\n", info->rsdp.v ? "present" : "absent",
	      info->cpu_count);
	if (info->rsdp.v == 0 && info->cpu_count == 0) {
		print("Dyad: the firmware names no CPUs; only the boot CPU will be used\n");
	}
}

static hpa_t find_rsdp(void)
{
	static const EFI_GUID acpi_2_guid = ACPI_20_TABLE_GUID, acpi_1_guid = ACPI_TABLE_GUID;
	hpa_t rsdp = HPA(0);

	for (UINTN i = 0; i < efi_table->NumberOfTableEntries; i++) {
		EFI_CONFIGURATION_TABLE *entry = &efi_table->ConfigurationTable[i];

		if (memcmp(&entry->VendorGuid, &acpi_2_guid, sizeof(EFI_GUID)) == 0) {
			return HPA((uintptr_t)entry->VendorTable);
		}
		if (memcmp(&entry->VendorGuid, &acpi_1_guid, sizeof(EFI_GUID)) == 0) {
			rsdp = HPA((uintptr_t)entry->VendorTable);
		}
	}
	return rsdp;
}

static void list_cpus(struct mp_services *mp, struct boot_info *info)
{
	UINTN count = 0, enabled = 0;

	if (EFI_ERROR(FIRMWARE(mp->get_count(mp, &count, &enabled)))) {
		return;
	}
	for (UINTN i = 0; i < count && info->cpu_count < BOOT_CPU_MAX; i++) {
		const uint32_t usable = MP_STATUS_ENABLED | MP_STATUS_HEALTHY;
		struct mp_processor cpu = {0};

		if (EFI_ERROR(FIRMWARE(mp->get_processor(mp, i, &cpu))) ||
		    (cpu.status & usable) != usable) {
			continue;
		}
		info->apic_ids[info->cpu_count] = (uint32_t)cpu.id;
		if ((cpu.status & MP_STATUS_BOOT_CPU) != 0) {
			info->apic_ids[info->cpu_count] = info->apic_ids[0];
			info->apic_ids[0] = (uint32_t)cpu.id;
		}
		info->cpu_count++;
	}
}
