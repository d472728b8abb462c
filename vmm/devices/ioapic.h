/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IOAPIC: 24 pins, version 0x20 with the EOI register (Intel 82093AA and
 * ICH9 data sheets). Polarity is no matter here: a line is asserted or not.
 */
#ifndef VMM_DEVICES_IOAPIC_H
#define VMM_DEVICES_IOAPIC_H

#include "vmm/device.h"

#define IOAPIC_PIN_COUNT 24
#define IOAPIC_SIZE UINT64_C(0x1000)

struct ioapic_state_v1 {
	uint64_t redirection[IOAPIC_PIN_COUNT];
	uint32_t lines; /* levels at the pins */
	uint32_t id; /* as in its register */
	uint32_t index;
	uint32_t reserved;
};
_Static_assert(sizeof(struct ioapic_state_v1) == 208, "no padding");

struct ioapic {
	struct device device;
	struct ioapic_state_v1 state;
};

extern const struct device_ops ioapic_ops;

uint32_t ioapic_read(struct ioapic *ioapic, unsigned offset);
void ioapic_write(struct ioapic *ioapic, unsigned offset, uint32_t value);
void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level);
/* A local APIC ended the service of a level-triggered interrupt. */
void ioapic_end_of_interrupt(struct ioapic *ioapic, uint8_t vector);

#endif
