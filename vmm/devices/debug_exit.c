/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/debug_exit.h"

#include <errno.h>

#include "vmm/machine.h"

static void debug_exit_write(struct device *device, unsigned offset, unsigned size, uint32_t value)
{
	(void)size;
	if (offset == 0) {
		CONTAINER_OF(device, struct debug_exit, device)->state.code = value;
		device_raise_event(device, PLATFORM_DEBUG_EXIT);
	}
}

static void debug_exit_reset(struct device *device)
{
	CONTAINER_OF(device, struct debug_exit, device)->state = (struct debug_exit_state_v1){0};
}

static int debug_exit_validate(const void *state)
{
	return ((const struct debug_exit_state_v1 *)state)->reserved ? -EINVAL : 0;
}

static const struct port_region debug_exit_ports[] = {
	{MACHINE_PORT_DEBUG_EXIT, 4},
};

const struct device_ops debug_exit_ops = {
	.name = "exit",
	DEVICE_STATE(struct debug_exit, 1),
	.ports = debug_exit_ports,
	.port_count = ARRAY_SIZE(debug_exit_ports),
	.write_wide = debug_exit_write,
	.reset = debug_exit_reset,
	.validate = debug_exit_validate,
};
