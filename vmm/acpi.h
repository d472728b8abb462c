/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of dyad-1, in the guest's memory: RSDP, XSDT, FADT, FACS,
 * MADT and DSDT (ACPI Specification 6.4, chapter 5), at MACHINE_ACPI_BASE.
 */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include "vmm/memory.h"

#define ACPI_CPU_COUNT_MAX 64

/*
 * Writes the tables for CPUs with APIC IDs 0 to cpu_count - 1. Returns 0 and
 * the RSDP's address, or -EFAULT when the guest has no memory there.
 */
int acpi_build(struct guest_memory *memory, unsigned cpu_count, gpa_t *rsdp) MUST_CHECK;

#endif
