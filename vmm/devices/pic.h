/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pair of 82C59A interrupt controllers with ELCR (Intel 82C59A and 82371SB
 * data sheets). The slave's output is the master's input 2, the master's output
 * is the local APIC's LINT0.
 */
#ifndef VMM_DEVICES_PIC_H
#define VMM_DEVICES_PIC_H

#include "vmm/device.h"

struct pic_chip_state_v1 {
	uint8_t irr, isr, imr; /* requests, in service, masked */
	uint8_t lines; /* levels at the inputs */
	uint8_t elcr; /* 1 = level-triggered */
	uint8_t base; /* ICW2: vector of input 0 */
	uint8_t lowest; /* input with the lowest priority, 7 unless rotated */
	uint8_t init_step; /* next ICW: 2, 3, 4; 0 = initialised */
	uint8_t icw4_needed, single;
	uint8_t auto_eoi, rotate_on_auto_eoi;
	uint8_t special_mask, special_nested;
	uint8_t read_isr, poll; /* what the next read of port 0 gives */
};

struct pic_state_v1 {
	struct pic_chip_state_v1 chips[2]; /* master, slave */
};
_Static_assert(sizeof(struct pic_state_v1) == 32, "no padding");

struct pic {
	struct device device;
	struct pic_state_v1 state;
};

extern const struct device_ops pic_ops;

void pic_set_line(struct pic *pic, unsigned irq, bool level);
/* The level of the master's INT output. */
bool pic_output(const struct pic *pic);
/* INTA: the vector; IRQ 7's when the request went away. */
uint8_t pic_acknowledge(struct pic *pic);

#endif
