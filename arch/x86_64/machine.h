/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the firmware says about this machine: processors, interrupt routing,
 * the PM timer, the reset register, PCI Express configuration space. From ACPI
 * where there is any, else from the loader and from what every PC has.
 */
#ifndef ARCH_X86_64_MACHINE_H
#define ARCH_X86_64_MACHINE_H

#include "arch/x86_64/arch.h"
#include "boot/boot_info.h"

#define MACHINE_IOAPIC_MAX 16
#define MACHINE_ECAM_MAX 16
#define ISA_IRQ_COUNT 16

struct machine_ioapic {
	hpa_t base;
	uint32_t gsi_base; /* global number of its first input */
};

/* Where an ISA interrupt arrives, and its signal. */
struct machine_irq {
	uint32_t gsi;
	bool level, active_low;
};

enum machine_space { SPACE_NONE, SPACE_PORT, SPACE_MEMORY };

struct machine_register {
	enum machine_space space;
	uint64_t address;
};

struct machine {
	unsigned cpu_count;
	uint32_t apic_ids[BOOT_CPU_MAX];
	unsigned ioapic_count;
	struct machine_ioapic ioapics[MACHINE_IOAPIC_MAX];
	struct machine_irq irqs[ISA_IRQ_COUNT];
	struct machine_register pm_timer; /* 24 bits are used of it */
	struct machine_register reset;
	uint8_t reset_value;
	unsigned ecam_count;
	struct pci_ecam ecams[MACHINE_ECAM_MAX];
};

extern struct machine machine;

/* Fills `machine` and logs what it found; after paging_init. */
void machine_init(const struct boot_info *info);

#endif
