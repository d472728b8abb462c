/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC's timer (SDM 3, "APIC Timer"): one-shot, periodic, TSC deadline.
 * Between lapic.c and lapic_timer.c only. The count is a function of guest time;
 * the device's deadline is the next expiry that would interrupt.
 */
#ifndef VMM_DEVICES_LAPIC_TIMER_H
#define VMM_DEVICES_LAPIC_TIMER_H

#include "base/bits.h"
#include "vmm/devices/lapic.h"

#define LVT_VECTOR BITS(7, 0)
#define LVT_MODE BITS(10, 8)
#define LVT_MASKED BIT(16)
#define LVT_TIMER_MODE BITS(18, 17)

#define TIMER_DIVIDE_MASK (BIT(3) | BITS(1, 0))

/* In lapic.c: an edge at an input of the local vector table. */
void lapic_local_interrupt(struct lapic *lapic, unsigned entry);

void lapic_timer_step(struct device *device, uint64_t now_ns);
/* The deadline from the state; after every change of it. */
void lapic_timer_arm(struct lapic *lapic);

uint32_t lapic_timer_count(struct lapic *lapic);
void lapic_timer_write_initial(struct lapic *lapic, uint32_t value);
void lapic_timer_write_divide(struct lapic *lapic, uint32_t value);
void lapic_timer_write_lvt(struct lapic *lapic, uint32_t value);
void lapic_timer_write_deadline(struct lapic *lapic, uint64_t tsc);

/* 0 or -EINVAL, for the timer's part of a state. */
int lapic_timer_validate(const struct lapic_state_v1 *state) MUST_CHECK;

#endif
