/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI functions: found at boot, by ECAM (PCI Express base 4.0, 7.2.2) where
 * ACPI names it, else by configuration mechanism 1 (PCI 3.0, 3.2.2.3.2).
 *
 * Rules: a function may write memory only when a driver has claimed it: at
 * enumeration bus mastering is switched off for all but bridges. BARs stay
 * where the firmware put them; one that was given no address is unusable.
 * All functions belong to the service CPU.
 */
#ifndef DRIVERS_PCI_H
#define DRIVERS_PCI_H

#include "base/types.h"

#define PCI_DEVICE_MAX 128
#define PCI_BAR_COUNT 6

/* Registers of the common header (PCI 3.0, 6.1) that drivers ask for. */
#define PCI_VENDOR 0x00
#define PCI_DEVICE 0x02
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06

/* Capabilities (PCI code and ID assignment, 2). */
#define PCI_CAP_MSI 0x05
#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_EXPRESS 0x10
#define PCI_CAP_MSIX 0x11

struct pci_bar {
	uint64_t address; /* 0: absent, or not assigned */
	uint64_t size; /* bytes, a power of two */
	bool io; /* ports, not memory */
};

/* How a function's interrupts reach the CPU. */
enum pci_interrupt_kind { PCI_POLLED, PCI_INTX, PCI_MSI, PCI_MSIX };

struct pci_device {
	uint16_t segment;
	uint8_t bus, slot, function;
	uint16_t vendor, device;
	uint32_t class_code; /* class, subclass, interface: 24 bits */
	struct pci_bar bars[PCI_BAR_COUNT];
	const char *driver; /* NULL: nobody's */
	enum pci_interrupt_kind interrupt;
	unsigned irq; /* of PCI_INTX */
};

/* "0000:00:03.0": segment, bus, slot, function. */
#define PCI_NAME_SIZE 16
const char *pci_name(const struct pci_device *device, char text[PCI_NAME_SIZE]);

/* Finds all functions of all buses and sizes their BARs; logs how many. */
void pci_init(void);

unsigned pci_device_count(void);
struct pci_device *pci_device_at(unsigned index);

/* Configuration registers; `offset` is aligned to the access. Absent ones read as ones. */
uint8_t pci_read8(const struct pci_device *device, unsigned offset);
uint16_t pci_read16(const struct pci_device *device, unsigned offset);
uint32_t pci_read32(const struct pci_device *device, unsigned offset);
void pci_write8(const struct pci_device *device, unsigned offset, uint8_t value);
void pci_write16(const struct pci_device *device, unsigned offset, uint16_t value);
void pci_write32(const struct pci_device *device, unsigned offset, uint32_t value);

/* Offset of the first capability `id` behind the one at `after` (0: from the start), or 0. */
unsigned pci_capability(const struct pci_device *device, unsigned id, unsigned after);

/* Maps a memory BAR: NULL when it is absent, made of ports, or has no mapping. */
void *pci_map_bar(const struct pci_device *device, unsigned index) MUST_CHECK;

/*
 * The driver `name` takes the function: full power (D0), decoding of its BARs
 * on, INTx off until it is asked for. Bus mastering stays off until the driver
 * has reset it: what the firmware left running must not write to memory that is
 * ours now.
 */
void pci_claim(struct pci_device *device, const char *name);

/* Bus mastering; when it is off on return, nothing that the function sent is under way. */
void pci_set_master(const struct pci_device *device, bool on);

/* The driver gives it back: bus mastering and interrupts off. */
void pci_release(struct pci_device *device);

/*
 * Lets the function interrupt by MSI-X (entry 0), MSI or INTx, the first that
 * it has and that works; device->interrupt says which. Returns -ENODEV when
 * there is none: the driver then polls.
 */
int pci_interrupt_enable(struct pci_device *device, void (*handler)(void *context),
			 void *context) MUST_CHECK;

/* "MSI-X", "MSI", "IRQ 11" or "polled". */
const char *pci_interrupt_name(const struct pci_device *device, char text[PCI_NAME_SIZE]);

#endif
