/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware: PM1a event and control blocks and the PM timer
 * (ACPI Specification 6.4, 4.8.3). ACPI mode is always on, the SCI is IRQ 9.
 */
#ifndef VMM_DEVICES_PM_H
#define VMM_DEVICES_PM_H

#include "vmm/device.h"

struct pm_state_v1 {
	uint64_t seen_ns; /* TMR_STS is right up to here */
	uint16_t enable;
	uint16_t control;
	uint8_t timer_status; /* TMR_STS: the only event there is */
	uint8_t irq; /* level of the line */
	uint8_t reserved[2];
};
_Static_assert(sizeof(struct pm_state_v1) == 16, "no padding");

struct pm {
	struct device device;
	struct pm_state_v1 state;
};

extern const struct device_ops pm_ops;

#endif
