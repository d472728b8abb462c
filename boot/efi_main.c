/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UEFI loader: reads the configuration and the guests' files from the
 * volume that it was started from, puts the hypervisor that it carries into
 * memory, leaves the firmware's boot services and enters the hypervisor.
 *
 * What goes wrong with a file is recorded for the hypervisor and does not stop
 * the host; without memory for the hypervisor itself there is no way on, and
 * the firmware gets control back to try its next boot option. Once boot services
 * are half ended there is no such way back: the machine is reset, since nobody may
 * be there to do it and what went wrong, a device's timing, may go right then.
 */
#include "boot/efi_loader.h"

EFI_SYSTEM_TABLE *efi_table;
uint64_t efi_firmware_ticks;

/* Some seconds on any CPU of today: time to read, without a service to wait by. */
#define RESET_WAIT_TICKS UINT64_C(10000000000)

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* Runtime services work whatever has become of boot services (UEFI 2.10, 8.1). */
static _Noreturn void reset(void)
{
	uint64_t start = efi_tsc();

	print_to(PRINT_SERIAL, "Dyad: reset in a few seconds\n");
	while (efi_tsc() - start < RESET_WAIT_TICKS) {
		__builtin_ia32_pause();
	}
	efi_table->RuntimeServices->ResetSystem(EfiResetCold, EFI_SUCCESS, 0, NULL);
	print_to(PRINT_SERIAL, "Dyad: the firmware does not reset: halted, reset by hand\n");
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	uint64_t start = efi_tsc(), entry;
	struct boot_info *info;
	hpa_t info_hpa, root;

	efi_table = table;
	print_init();
	print("Dyad: loader started\n");
	/* The firmware resets a host whose loader takes more than five minutes. */
	(void)FIRMWARE(table->BootServices->SetWatchdogTimer(0, 0, 0, NULL));

	info_hpa = memory_alloc(PAGES(sizeof(*info)), PAGE_SIZE);
	if (hpa_is_none(info_hpa)) {
		print("Dyad: no memory for the boot information\n");
		return EFI_OUT_OF_RESOURCES;
	}
	info = (struct boot_info *)info_hpa.v;
	*info = (struct boot_info){.magic = BOOT_INFO_MAGIC, .tsc_loader_start = start};

	if (image_load(info, &entry) != 0 || image_map(info, &root) != 0) {
		return EFI_LOAD_ERROR;
	}
	memory_alloc_trampoline(info);
	cpus_find(info);
	files_read(image, info);
	info->efi_runtime = HPA((uintptr_t)table->RuntimeServices);

	if (memory_exit_boot_services(image, info) != 0) {
		reset();
	}
	info->tsc_in_firmware = efi_firmware_ticks;
	image_enter(entry, root, info);
}
