/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 82C54 interval timer at 0x40 to 0x43 and system control port B at 0x61,
 * which gates and reads counter 2 (Intel 82C54 and 82371SB data sheets).
 *
 * Nothing ticks: a counter is a function of guest time. Only counter 0 has a
 * deadline, at the next rising edge of its output (IRQ 0). A new count in modes
 * 2 and 3 starts a period at once, not at the end of the present one.
 */
#ifndef VMM_DEVICES_PIT_H
#define VMM_DEVICES_PIT_H

#include "vmm/device.h"

#define PIT_COUNTER_COUNT 3

struct pit_counter_state_v1 {
	uint64_t start_ns; /* when the counting element was loaded */
	uint64_t held_ticks; /* how far it was when the gate stopped it */
	uint32_t count; /* loaded, 1 to 65536; 0: none yet */
	uint16_t reload; /* as written, not yet decoded */
	uint16_t latch;
	uint8_t control; /* bits 5 to 0 of the control word */
	uint8_t status;
	uint8_t gate, running;
	uint8_t count_latched, status_latched;
	uint8_t read_high, write_high; /* which byte is next */
	uint8_t null_count; /* written, not yet loaded */
	uint8_t reserved[7];
};

struct pit_state_v1 {
	struct pit_counter_state_v1 counters[PIT_COUNTER_COUNT];
	uint64_t fired_ns; /* counter 0's edges up to here were seen */
	uint8_t port_b; /* bits 3 to 0 as written */
	uint8_t reserved[7];
};
_Static_assert(sizeof(struct pit_state_v1) == 136, "no padding");

struct pit {
	struct device device;
	struct pit_state_v1 state;
};

extern const struct device_ops pit_ops;

#endif
