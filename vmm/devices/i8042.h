/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guests use of the keyboard controller at 0x60 and 0x64: its reset line
 * and the A20 gate, which is always open. It answers no command, so that nobody
 * finds a keyboard. And system control port A at 0x92: fast A20, fast reset.
 */
#ifndef VMM_DEVICES_I8042_H
#define VMM_DEVICES_I8042_H

#include "vmm/device.h"

struct i8042_state_v1 {
	uint8_t output_port_next; /* the next byte at 0x60 is for the output port */
	uint8_t port_a;
	uint8_t reserved[6];
};
_Static_assert(sizeof(struct i8042_state_v1) == 8, "no padding");

struct i8042 {
	struct device device;
	struct i8042_state_v1 state;
};

extern const struct device_ops i8042_ops;

#endif
