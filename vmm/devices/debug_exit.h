/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug-exit port 0xf4: a write of 1, 2 or 4 bytes ends the guest, and the
 * value is its exit code. For test payloads.
 */
#ifndef VMM_DEVICES_DEBUG_EXIT_H
#define VMM_DEVICES_DEBUG_EXIT_H

#include "vmm/device.h"

struct debug_exit_state_v1 {
	uint32_t code;
	uint32_t reserved;
};
_Static_assert(sizeof(struct debug_exit_state_v1) == 8, "no padding");

struct debug_exit {
	struct device device;
	struct debug_exit_state_v1 state;
};

extern const struct device_ops debug_exit_ops;

#endif
