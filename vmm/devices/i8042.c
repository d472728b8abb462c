/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/i8042.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

/* The ports: 0x60, 0x64, 0x92. */
enum { OFFSET_DATA, OFFSET_COMMAND, OFFSET_PORT_A };

/* Nothing to read, room to write, self-test passed, unlocked. */
#define STATUS_IDLE 0x1c

#define COMMAND_WRITE_OUTPUT_PORT 0xd1
#define COMMAND_PULSE 0xf0 /* bits 3 to 0: lines that are left alone */

#define OUTPUT_PORT_RUN BIT(0) /* 0 holds the CPU in reset */

#define PORT_A_RESET BIT(0)
#define PORT_A_A20 BIT(1)

static uint8_t i8042_read(struct device *device, unsigned offset)
{
	const struct i8042_state_v1 *s = &CONTAINER_OF(device, struct i8042, device)->state;

	switch (offset) {
	case OFFSET_DATA:
		return 0;
	case OFFSET_COMMAND:
		return STATUS_IDLE;
	default:
		return s->port_a;
	}
}

static void i8042_write(struct device *device, unsigned offset, uint8_t value)
{
	struct i8042_state_v1 *s = &CONTAINER_OF(device, struct i8042, device)->state;
	bool reset;

	switch (offset) {
	case OFFSET_DATA:
		reset = s->output_port_next && !(value & OUTPUT_PORT_RUN);
		s->output_port_next = false;
		break;
	case OFFSET_COMMAND:
		reset = value >= COMMAND_PULSE && !(value & OUTPUT_PORT_RUN);
		s->output_port_next = value == COMMAND_WRITE_OUTPUT_PORT;
		break;
	default:
		reset = value & PORT_A_RESET;
		s->port_a = value & PORT_A_A20;
		break;
	}
	if (reset) {
		device_raise_event(device, PLATFORM_RESET);
	}
}

static void i8042_reset(struct device *device)
{
	CONTAINER_OF(device, struct i8042, device)->state =
		(struct i8042_state_v1){.port_a = PORT_A_A20};
}

static int i8042_validate(const void *state)
{
	const struct i8042_state_v1 *s = state;

	return s->output_port_next > 1 || (s->port_a & ~PORT_A_A20) ? -EINVAL : 0;
}

static const struct port_region i8042_ports[] = {
	{MACHINE_PORT_I8042_DATA, 1},
	{MACHINE_PORT_I8042_COMMAND, 1},
	{MACHINE_PORT_SYSTEM_A, 1},
};

const struct device_ops i8042_ops = {
	.name = "i8042",
	DEVICE_STATE(struct i8042, 1),
	.ports = i8042_ports,
	.port_count = ARRAY_SIZE(i8042_ports),
	.read = i8042_read,
	.write = i8042_write,
	.reset = i8042_reset,
	.validate = i8042_validate,
};
