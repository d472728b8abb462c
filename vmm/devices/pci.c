/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/pci.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

#define OFFSET_ADDRESS 0
#define OFFSET_RESET (MACHINE_PORT_RESET - MACHINE_PORT_PCI_ADDRESS)
#define OFFSET_DATA (MACHINE_PORT_PCI_DATA - MACHINE_PORT_PCI_ADDRESS)

#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_FUNCTION BITS(23, 8) /* bus, device, function */
#define ADDRESS_REGISTER BITS(7, 2)
#define ADDRESS_WRITABLE (ADDRESS_ENABLE | ADDRESS_FUNCTION | ADDRESS_REGISTER)

#define RESET_CPU BIT(2)
#define RESET_WRITABLE BITS(3, 1)

/* The host bridge of the 82441FX, of which only the identity matters. */
#define CONFIG_ID 0x00
#define CONFIG_COMMAND 0x04
#define CONFIG_CLASS 0x08
#define HOST_BRIDGE_ID 0x12378086
#define HOST_BRIDGE_CLASS 0x06000002 /* class 06.00.00, revision 2 */
#define COMMAND_FIXED 0x0006 /* memory and bus master cannot be switched off */
#define COMMAND_WRITABLE 0x0100 /* SERR# */

static uint32_t read_config(const struct pci_state_v1 *s)
{
	if (!(s->address & ADDRESS_ENABLE) || (s->address & ADDRESS_FUNCTION)) {
		return UINT32_MAX; /* nobody answers */
	}
	switch (s->address & ADDRESS_REGISTER) {
	case CONFIG_ID:
		return HOST_BRIDGE_ID;
	case CONFIG_COMMAND:
		return s->command;
	case CONFIG_CLASS:
		return HOST_BRIDGE_CLASS;
	default:
		return 0;
	}
}

static uint32_t pci_read(struct device *device, unsigned offset, unsigned size)
{
	const struct pci_state_v1 *s = &CONTAINER_OF(device, struct pci, device)->state;

	if (offset >= OFFSET_DATA) {
		return read_config(s) >> (offset - OFFSET_DATA) * 8;
	}
	if (offset == OFFSET_ADDRESS && size == 4) {
		return s->address;
	}
	return offset == OFFSET_RESET && size == 1 ? s->reset_control : UINT32_MAX;
}

static void write_config(struct pci_state_v1 *s, unsigned byte, uint32_t value)
{
	if (s->address == (ADDRESS_ENABLE | CONFIG_COMMAND)) {
		uint32_t mask = COMMAND_WRITABLE & UINT32_MAX << byte * 8;

		s->command = (s->command & ~mask) | (value << byte * 8 & mask);
	}
}

static void write_reset(struct device *device, struct pci_state_v1 *s, uint8_t value)
{
	/* The edge of RCPU resets. */
	if (value & ~s->reset_control & RESET_CPU) {
		device_raise_event(device, PLATFORM_RESET);
	}
	s->reset_control = value & RESET_WRITABLE;
}

/* Only whole double words reach the address register. */
static void pci_write(struct device *device, unsigned offset, unsigned size, uint32_t value)
{
	struct pci_state_v1 *s = &CONTAINER_OF(device, struct pci, device)->state;

	if (offset >= OFFSET_DATA) {
		write_config(s, offset - OFFSET_DATA, value);
	} else if (offset == OFFSET_ADDRESS && size == 4) {
		s->address = value & ADDRESS_WRITABLE;
	} else if (offset == OFFSET_RESET && size == 1) {
		write_reset(device, s, value);
	}
}

static void pci_reset(struct device *device)
{
	CONTAINER_OF(device, struct pci, device)->state = (struct pci_state_v1){
		.command = COMMAND_FIXED,
	};
}

static int pci_validate(const void *state)
{
	const struct pci_state_v1 *s = state;

	if ((s->address & ~ADDRESS_WRITABLE) || (s->reset_control & ~RESET_WRITABLE) ||
	    (s->command & ~COMMAND_WRITABLE) != COMMAND_FIXED) {
		return -EINVAL;
	}
	return 0;
}

static const struct port_region pci_ports[] = {
	{MACHINE_PORT_PCI_ADDRESS, 8},
};

const struct device_ops pci_ops = {
	.name = "pci",
	DEVICE_STATE(struct pci, 1),
	.ports = pci_ports,
	.port_count = ARRAY_SIZE(pci_ports),
	.read_wide = pci_read,
	.write_wide = pci_write,
	.reset = pci_reset,
	.validate = pci_validate,
};
