/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/i8042.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

#define STATUS_OUTPUT_FULL BIT(0)
#define STATUS_IDLE 0x1c /* unlocked, last write was a command, self-test passed */

#define COMMAND_READ_BYTE 0x20
#define COMMAND_WRITE_BYTE 0x60
#define COMMAND_TEST_AUX 0xa9
#define COMMAND_SELF_TEST 0xaa
#define COMMAND_TEST_KEYBOARD 0xab
#define COMMAND_READ_OUTPUT_PORT 0xd0
#define COMMAND_WRITE_OUTPUT_PORT 0xd1
#define COMMAND_PULSE 0xf0 /* bits 3 to 0: lines that are left alone */

#define OUTPUT_PORT_RUN BIT(0) /* 0 holds the CPU in reset */
#define OUTPUT_PORT_A20 BIT(1)

#define SELF_TEST_PASSED 0x55
#define NO_DEVICE 0x01 /* clock line stuck low */

#define PORT_A_RESET BIT(0)
#define PORT_A_A20 BIT(1)

static struct i8042 *to_i8042(struct device *device)
{
	return CONTAINER_OF(device, struct i8042, device);
}

static void answer(struct i8042_state_v1 *s, uint8_t byte)
{
	s->output = byte;
	s->output_full = true;
}

static uint8_t read_data(struct device *device, unsigned offset)
{
	struct i8042_state_v1 *s = &to_i8042(device)->state;

	(void)offset;
	s->output_full = false;
	return s->output;
}

/* The byte of a command; for the keyboard itself there is nobody to hear it. */
static void write_data(struct device *device, unsigned offset, uint8_t value)
{
	struct i8042_state_v1 *s = &to_i8042(device)->state;

	(void)offset;
	if (s->command == COMMAND_WRITE_BYTE) {
		s->command_byte = value;
	} else if (s->command == COMMAND_WRITE_OUTPUT_PORT && !(value & OUTPUT_PORT_RUN)) {
		device_raise_event(device, PLATFORM_RESET);
	}
	s->command = 0;
}

static uint8_t read_status(struct device *device, unsigned offset)
{
	(void)offset;
	return STATUS_IDLE | (to_i8042(device)->state.output_full ? STATUS_OUTPUT_FULL : 0);
}

static void write_command(struct device *device, unsigned offset, uint8_t value)
{
	struct i8042_state_v1 *s = &to_i8042(device)->state;

	(void)offset;
	s->command = 0;
	switch (value) {
	case COMMAND_READ_BYTE:
		answer(s, s->command_byte);
		break;
	case COMMAND_WRITE_BYTE:
	case COMMAND_WRITE_OUTPUT_PORT:
		s->command = value;
		break;
	case COMMAND_SELF_TEST:
		answer(s, SELF_TEST_PASSED);
		break;
	case COMMAND_TEST_AUX:
	case COMMAND_TEST_KEYBOARD:
		answer(s, NO_DEVICE);
		break;
	case COMMAND_READ_OUTPUT_PORT:
		answer(s, OUTPUT_PORT_RUN | OUTPUT_PORT_A20);
		break;
	default:
		if (value >= COMMAND_PULSE && !(value & OUTPUT_PORT_RUN)) {
			device_raise_event(device, PLATFORM_RESET);
		}
		break;
	}
}

static uint8_t read_port_a(struct device *device, unsigned offset)
{
	(void)offset;
	return to_i8042(device)->state.port_a;
}

static void write_port_a(struct device *device, unsigned offset, uint8_t value)
{
	(void)offset;
	if (value & PORT_A_RESET) {
		device_raise_event(device, PLATFORM_RESET);
	}
	to_i8042(device)->state.port_a = value & PORT_A_A20;
}

static void i8042_reset(struct device *device)
{
	to_i8042(device)->state = (struct i8042_state_v1){.port_a = PORT_A_A20};
}

static int i8042_validate(const void *state)
{
	const struct i8042_state_v1 *s = state;

	if (s->output_full > 1 || (s->port_a & ~PORT_A_A20) ||
	    (s->command && s->command != COMMAND_WRITE_BYTE &&
	     s->command != COMMAND_WRITE_OUTPUT_PORT)) {
		return -EINVAL;
	}
	return 0;
}

static const struct port_region i8042_ports[] = {
	{MACHINE_PORT_I8042_DATA, 1, .read = read_data, .write = write_data},
	{MACHINE_PORT_I8042_COMMAND, 1, .read = read_status, .write = write_command},
	{MACHINE_PORT_SYSTEM_A, 1, .read = read_port_a, .write = write_port_a},
};

const struct device_ops i8042_ops = {
	.name = "i8042",
	DEVICE_STATE(struct i8042, 1),
	.ports = i8042_ports,
	.port_count = ARRAY_SIZE(i8042_ports),
	.reset = i8042_reset,
	.validate = i8042_validate,
};
