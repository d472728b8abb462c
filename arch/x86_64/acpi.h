/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few ACPI tables that Dyad reads: MADT for processors and interrupt
 * routing, FADT for the PM timer and the reset register (ACPI 6.4, 5.2), MCFG
 * for PCI Express configuration space.
 *
 * Pure: memory is reached by the caller's function only. Tables are foreign
 * bytes; every length is checked, and one that lies makes its table unusable.
 */
#ifndef ARCH_X86_64_ACPI_H
#define ARCH_X86_64_ACPI_H

#include "arch/x86_64/machine.h"

struct acpi_source {
	/* `size` bytes at `hpa`, readable for good; NULL: there is no memory. */
	const void *(*map)(void *context, hpa_t hpa, size_t size);
	void *context;
};

/*
 * Fills `out` from the tables that the RSDP leads to. Returns 0, or
 * -EINVAL without a valid RSDP, root table or MADT, with the reason in the log
 * and `out` zeroed. An invalid FADT or MCFG only leaves out what it says.
 */
int acpi_read(const struct acpi_source *source, hpa_t rsdp, struct machine *out) MUST_CHECK;

#endif
