/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual device: a struct device inside a struct of its own, a const table
 * of operations, and a fixed-width struct x_state_v1.
 *
 * The state that is saved is the state that the device lives in: a member
 * `state` that holds all that a guest can observe and nothing else. So no field
 * can be forgotten in a save; `load` derives again what is not in it. A state
 * has no hidden padding, and its times are guest nanoseconds.
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include "vmm/platform.h"

struct device;

/* Ports of a device: `size` of them from `base` on. */
struct port_region {
	uint16_t base, size;
};

struct device_ops {
	char name[8]; /* in saved states, so for ever */
	uint32_t state_version;
	uint32_t state_offset, state_size; /* of member `state` in the device's struct */
	const struct port_region *ports;
	unsigned port_count;
	/*
	 * Port handlers get the offset in the device's ports, counted through its
	 * regions. ISA devices have byte handlers, wider accesses reach them split, as
	 * on the bus; wide handlers get accesses of 1, 2 and 4 bytes that lie in one
	 * region. No handler: reads as ones, writes are dropped.
	 */
	uint8_t (*read)(struct device *device, unsigned offset);
	void (*write)(struct device *device, unsigned offset, uint8_t value);
	uint32_t (*read_wide)(struct device *device, unsigned offset, unsigned size);
	void (*write_wide)(struct device *device, unsigned offset, unsigned size, uint32_t value);
	/* As after power-on. */
	void (*reset)(struct device *device);
	/* Its deadline has come. NULL: it has none. */
	void (*step)(struct device *device, uint64_t now_ns);
	/* 0, or -EINVAL for a state that the device cannot be in. */
	int (*validate)(const void *state);
	/* A validated state was put into place: derive what depends on it. May be NULL. */
	void (*load)(struct device *device);
};

#define DEVICE_STATE(type, version)                                        \
	.state_version = (version), .state_offset = offsetof(type, state), \
	.state_size = sizeof(((type *)NULL)->state)

struct device {
	const struct device_ops *ops;
	struct platform *platform;
	uint64_t deadline_ns; /* by device_set_deadline only */
};

/* ---- What a device may ask of its machine -------------------------------- */

/*
 * Periodic timers fire no more often than this, whatever the guest programs: it
 * would only starve itself, at the cost of an exit each.
 */
#define DEVICE_PERIOD_MIN_NS UINT64_C(20000)

uint64_t device_now_ns(const struct device *device);
/* Guest time at which `step` is due; TIME_NEVER takes it back. */
void device_set_deadline(struct device *device, uint64_t deadline_ns);
/* The ISA interrupt line, to PIC and IOAPIC. */
void device_set_irq(struct device *device, unsigned irq, bool level);
void device_raise_event(struct device *device, enum platform_event event);

#endif
