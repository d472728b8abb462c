/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A UEFI program that starts the first guest of dyad.conf on the bare machine:
 * what its boot takes there is what Dyad's figures are compared with.
 *
 * The kernel finds the same things at the same addresses: Dyad's own loaders and
 * ACPI tables, the same command line and memory map. What they need of the
 * machine and the firmware left otherwise (RAM at the ACPI tables, the ports of
 * power management) is set up here, for the PIIX chipset that Bochs has.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/config.h"
#include "boot/efi_loader.h"
#include "vmm/acpi.h"
#include "vmm/load.h"
#include "vmm/machine.h"

EFI_SYSTEM_TABLE *efi_table;
uint64_t efi_firmware_ticks;

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* Between the line that tells when the kernel starts and that moment. */
#define START_DELAY_TICKS 1000000

static struct config config;
static struct guest_memory memory;
static struct vcpu_state state;

static void check_place(const struct boot_info *info);
static void set_up_chipset(void);
static int load(const struct boot_info *info);
static _Noreturn void enter(uint64_t tsc);
static _Noreturn void stop(void);

static void ignore_mistake(void *context, unsigned line, const char *text)
{
	(void)context;
	(void)line;
	(void)text;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static struct boot_info info;
	uint64_t start;

	efi_table = table;
	print_init();
	(void)FIRMWARE(table->BootServices->SetWatchdogTimer(0, 0, 0, NULL));
	files_read(image, &info);
	if (memory_exit_boot_services(image, &info) != 0) {
		stop();
	}
	__asm__ volatile("cli");
	(void)config_parse((const char *)info.config.base.v, info.config.size, &config,
			   ignore_mistake, NULL);
	memory.size = memory.populated = config.guests[0].memory;
	check_place(&info);
	set_up_chipset();
	if (load(&info) != 0) {
		stop();
	}
	start = efi_tsc() + START_DELAY_TICKS;
	print("bare: starts at %lu\n", start);
	enter(start);
}

/* ---- The guest's memory: physical memory from 0 on -------------------------- */

/* What still runs or is still read must lie above it. */
static void check_place(const struct boot_info *info)
{
	uint64_t root, here = (uintptr_t)&memory, stack = (uintptr_t)__builtin_frame_address(0);
	uint64_t lowest;

	__asm__("mov %%cr3, %0" : "=r"(root));
	lowest = MIN(MIN(root, here), stack);
	for (uint64_t i = 0; i < info->module_count; i++) {
		lowest = MIN(lowest, info->modules[i].base.v);
	}
	if (lowest < memory.size || memory.size > RAM_LOW_MAX) {
		print("bare: the machine needs more memory: 0x%lx is in use\n", lowest);
		stop();
	}
}

uint64_t memory_size(const struct guest_memory *of)
{
	return of->size;
}

uint64_t memory_low_size(const struct guest_memory *of)
{
	return of->size;
}

int memory_write(struct guest_memory *of, gpa_t gpa, const void *data, size_t size)
{
	CHECK(gpa.v + size <= of->size);
	memcpy((void *)gpa.v, data, size);
	return 0;
}

int memory_fill(struct guest_memory *of, gpa_t gpa, uint8_t value, size_t size)
{
	CHECK(gpa.v + size <= of->size);
	memset((void *)gpa.v, value, size);
	return 0;
}

static struct load_image find(const struct boot_info *info, const char *name)
{
	for (uint64_t i = 0; i < info->module_count; i++) {
		const struct boot_module *module = &info->modules[i];

		if (module->error == 0 && strlen(module->name) == strlen(name) &&
		    memcmp(module->name, name, strlen(name)) == 0) {
			return (struct load_image){.data = (const uint8_t *)module->base.v,
						   .size = module->size};
		}
	}
	return (struct load_image){0};
}

static int load(const struct boot_info *info)
{
	const struct config_guest *guest = &config.guests[0];
	struct load_request request = {
		.kernel = find(info, guest->kernel),
		.initrd = find(info, guest->initrd),
		.cmdline = guest->cmdline,
	};
	char error[LOAD_ERROR_MAX];
	int result = memory_fill(&memory, GPA(0), 0, memory.size);

	if (result == 0) {
		result = acpi_build(&memory, 1, &request.rsdp);
	}
	if (result == 0) {
		result = load_guest(&memory, &request, &state, error);
	}
	if (result != 0) {
		print("bare: %s\n", error);
	}
	return result;
}

/* ---- The chipset: 82441FX, PIIX4 power management ---------------------------- */

#define PCI_ENABLE 0x80000000
/* Device and function */
#define PCI_BRIDGE (0 << 3 | 0)
#define PCI_POWER (1 << 3 | 3)
#define PAM_FIRST 0x59
#define PAM_LAST 0x5f
#define PAM_RAM 0x33 /* both halves read and write RAM */
#define POWER_BASE 0x40
#define POWER_CONTROL 0x80
#define POWER_ENABLE 1

static void pci_write(uint32_t device, uint32_t offset, uint32_t value, unsigned size)
{
	uint32_t address = PCI_ENABLE | device << 8 | (offset & ~3u);
	uint16_t port = (uint16_t)(MACHINE_PORT_PCI_DATA + (offset & 3));

	__asm__ volatile("outl %0, %1" : : "a"(address), "Nd"((uint16_t)MACHINE_PORT_PCI_ADDRESS));
	if (size == 1) {
		__asm__ volatile("outb %0, %1" : : "a"((uint8_t)value), "Nd"(port));
	} else {
		__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
	}
}

static void set_up_chipset(void)
{
	for (uint32_t offset = PAM_FIRST; offset <= PAM_LAST; offset++) {
		pci_write(PCI_BRIDGE, offset, PAM_RAM, 1);
	}
	pci_write(PCI_POWER, POWER_BASE, MACHINE_PORT_PM1_EVENT | 1, 4);
	pci_write(PCI_POWER, POWER_CONTROL, POWER_ENABLE, 1);
}

/* ---- The start ------------------------------------------------------------------ */

#define SELECTOR_CODE 0x10 /* as loader_state_flat has them */
#define SELECTOR_DATA 0x18
#define MSR_EFER 0xc0000080

static _Noreturn void enter(uint64_t tsc)
{
	static const uint64_t gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = {sizeof(gdt) - 1, (uintptr_t)gdt};

	while (efi_tsc() < tsc) {
	}
	__asm__ volatile("lgdt %[gdtr]\n\t"
			 "push %[code]\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:\t.code32\n\t"
			 "mov %[data], %%eax\n\t"
			 "mov %%eax, %%ds\n\t"
			 "mov %%eax, %%es\n\t"
			 "mov %%eax, %%ss\n\t"
			 "mov %[cr0], %%eax\n\t"
			 "mov %%eax, %%cr0\n\t"
			 "xor %%eax, %%eax\n\t"
			 "xor %%edx, %%edx\n\t"
			 "mov %[efer], %%ecx\n\t"
			 "wrmsr\n\t"
			 "mov %%eax, %%cr4\n\t"
			 "jmp *%%edi\n\t"
			 ".code64"
			 :
			 : [gdtr] "m"(gdtr), [code] "i"(SELECTOR_CODE), [data] "i"(SELECTOR_DATA),
			   [cr0] "i"(0x11), [efer] "i"(MSR_EFER), "D"(state.rip),
			   "b"(state.gpr[GPR_RBX])
			 : "memory");
	__builtin_unreachable();
}

static _Noreturn void stop(void)
{
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

/* ---- What Dyad's parts expect ------------------------------------------------------ */

void panic(const char *format, ...)
{
	print("bare: %s\n", format);
	stop();
}

/* An error's sentence without its numbers. */
int vsnprintf(char *restrict text, size_t size, const char *restrict format, va_list arguments)
{
	size_t length = MIN(strlen(format), size - 1);

	(void)arguments;
	memcpy(text, format, length);
	text[length] = '\0';
	return (int)length;
}
