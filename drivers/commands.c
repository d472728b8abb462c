/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's commands about the host's devices.
 */
#include "drivers/commands.h"

#include "drivers/pci.h"

static void print_bar(unsigned index, const struct pci_bar *bar)
{
	const char *kind = bar->io ? "ports" : "memory";

	if (bar->size == 0) {
		return;
	}
	if (bar->address == 0) {
		console_print("             BAR %u  %s, 0x%lx bytes, no address\n", index, kind,
			      bar->size);
		return;
	}
	console_print("             BAR %u  %s 0x%lx to 0x%lx\n", index, kind, bar->address,
		      bar->address + bar->size - 1);
}

static int run_pci(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	console_print("%-12s %-9s  %-6s %-10s %s\n", "FUNCTION", "ID", "CLASS", "DRIVER",
		      "INTERRUPT");
	for (unsigned i = 0; i < pci_device_count(); i++) {
		const struct pci_device *device = pci_device_at(i);
		char name[PCI_NAME_SIZE], interrupt[PCI_NAME_SIZE];

		console_print("%-12s %04x:%04x  %06x %-10s %s\n", pci_name(device, name),
			      device->vendor, device->device, device->class_code,
			      device->driver ? device->driver : "-",
			      device->driver ? pci_interrupt_name(device, interrupt) : "-");
		for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++) {
			print_bar(bar, &device->bars[bar]);
		}
	}
	return 0;
}

const struct command drivers_commands[] = {
	{"pci", "", "Lists PCI functions, their BARs, drivers and interrupts.", 0, 0, run_pci,
	 NULL},
};

const size_t drivers_command_count = ARRAY_SIZE(drivers_commands);
