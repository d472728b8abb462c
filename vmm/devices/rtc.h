/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real-time clock and CMOS memory at 0x70 and 0x71, IRQ 8 (Motorola MC146818A
 * data sheet; century in byte 0x32). UTC, from the wall clock that the platform
 * was given plus guest time.
 *
 * Nothing ticks: registers and flags are brought up to date when they are looked
 * at, and there is a deadline only for interrupts that are enabled.
 */
#ifndef VMM_DEVICES_RTC_H
#define VMM_DEVICES_RTC_H

#include "vmm/device.h"

#define RTC_CMOS_SIZE 128

struct rtc_state_v1 {
	uint64_t base_s; /* seconds since 1970 that began at base_ns */
	uint64_t base_ns;
	uint64_t seen_ns; /* flags are right up to here */
	uint8_t index;
	uint8_t nmi_masked; /* bit 7 of port 0x70 */
	uint8_t irq; /* level of the line */
	uint8_t reserved[5];
	uint8_t cmos[RTC_CMOS_SIZE];
};
_Static_assert(sizeof(struct rtc_state_v1) == 160, "no padding");

struct rtc {
	struct device device;
	struct rtc_state_v1 state;
};

extern const struct device_ops rtc_ops;

void rtc_init(struct rtc *rtc, uint64_t wall_clock_s);

#endif
