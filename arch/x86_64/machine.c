/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/machine.h"

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/paging.h"
#include "base/log.h"
#include "base/page.h"

#define IOAPIC_DEFAULT_BASE 0xfec00000

/* Edge/level control registers of the PICs: bit set, the line is level. */
#define PORT_ELCR_LOW 0x4d0
#define PORT_ELCR_HIGH 0x4d1
#define ELCR_UNSET 0
#define ELCR_ABSENT 0xffff
/* IRQs that no ISA device has: chipsets lead PCI there. */
#define LINES_OF_PCI (BIT(5) | BIT(9) | BIT(10) | BIT(11))

struct machine machine;

/* Firmware tables lie in RAM as a rule, in reserved memory at times. */
static const void *map_table(void *context, hpa_t hpa, size_t size)
{
	const struct boot_info *info = context;

	for (uint64_t i = 0; i < info->memory_count; i++) {
		const struct boot_memory *memory = &info->memory[i];

		if (hpa.v >= memory->base.v && hpa.v - memory->base.v < memory->size &&
		    size <= memory->size - (hpa.v - memory->base.v)) {
			return hpa_to_virt(hpa);
		}
	}
	return mmio_map(hpa, size);
}

/*
 * A PC as the MP specification's default configurations have it (chapter 5):
 * one IOAPIC, ISA interrupts one to one, the timer on input 2 since 0 is the
 * PICs'. Which lines PCI devices share, only the ELCR knows, where firmware has
 * set it (OVMF under Bochs has not).
 */
static void assume_pc(const struct boot_info *info)
{
	uint64_t level = io_read8(PORT_ELCR_LOW) | (unsigned)io_read8(PORT_ELCR_HIGH) << 8;

	if (level == ELCR_UNSET || level == ELCR_ABSENT) {
		level = LINES_OF_PCI;
	}
	for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
		machine.irqs[irq].gsi = irq == 0 ? 2 : irq;
		machine.irqs[irq].level = level >> irq & 1;
	}
	machine.ioapics[0].base = HPA(IOAPIC_DEFAULT_BASE);
	machine.ioapic_count = 1;
	machine.cpu_count = (unsigned)MIN(info->cpu_count, BOOT_CPU_MAX);
	for (unsigned i = 0; i < machine.cpu_count; i++) {
		machine.apic_ids[i] = info->apic_ids[i];
	}
}

void machine_init(const struct boot_info *info)
{
	struct acpi_source source = {.map = map_table, .context = (void *)info};

	if (info->rsdp.v == 0) {
		log_info("machine: the firmware has no ACPI tables; %lu CPUs by MP Services",
			 info->cpu_count);
		assume_pc(info);
	} else if (acpi_read(&source, info->rsdp, &machine) != 0) {
		log_warn("machine: no usable ACPI tables; assuming an ordinary PC");
		assume_pc(info);
	}
	log_info("machine: %u CPUs, %u IOAPICs, PM timer %s", machine.cpu_count,
		 machine.ioapic_count, machine.pm_timer.space == SPACE_NONE ? "absent" : "present");
}

bool pci_ecam_get(unsigned index, struct pci_ecam *ecam)
{
	if (index >= machine.ecam_count) {
		return false;
	}
	*ecam = machine.ecams[index];
	return true;
}
