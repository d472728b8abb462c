/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI host bridge: configuration mechanism 1 at 0xcf8 and 0xcfc (PCI Local
 * Bus Specification 3.0, 3.2.2.3.2) and the reset control register at 0xcf9,
 * which lies between them (82371SB data sheet). The bus holds only the bridge.
 */
#ifndef VMM_DEVICES_PCI_H
#define VMM_DEVICES_PCI_H

#include "vmm/device.h"

struct pci_state_v1 {
	uint32_t address; /* as written to 0xcf8 */
	uint16_t command; /* of the host bridge */
	uint8_t reset_control;
	uint8_t reserved;
};
_Static_assert(sizeof(struct pci_state_v1) == 8, "no padding");

struct pci {
	struct device device;
	struct pci_state_v1 state;
};

extern const struct device_ops pci_ops;

#endif
