/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guests use of the keyboard controller at 0x60 and 0x64: its reset line,
 * the A20 gate (always open), enough of the commands to find no keyboard and no
 * mouse. And system control port A at 0x92, fast A20 and fast reset.
 */
#ifndef VMM_DEVICES_I8042_H
#define VMM_DEVICES_I8042_H

#include "vmm/device.h"

struct i8042_state_v1 {
	uint8_t output; /* the byte for the next read of 0x60 */
	uint8_t output_full;
	uint8_t command; /* waits for its byte at 0x60; 0 = none */
	uint8_t command_byte;
	uint8_t port_a;
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct i8042_state_v1) == 8, "no padding");

struct i8042 {
	struct device device;
	struct i8042_state_v1 state;
};

extern const struct device_ops i8042_ops;

#endif
