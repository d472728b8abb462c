/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct platform: for who embeds it and for the devices in it; nobody outside
 * vmm looks inside.
 */
#ifndef VMM_PLATFORM_STATE_H
#define VMM_PLATFORM_STATE_H

#include "vmm/device.h"
#include "vmm/devices/debug_exit.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/lapic.h"
#include "vmm/devices/pci.h"
#include "vmm/devices/pic.h"
#include "vmm/devices/pit.h"
#include "vmm/devices/pm.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/uart.h"

#define PLATFORM_CPU_COUNT 1
#define PLATFORM_DEVICE_MAX 16
#define PLATFORM_PORT_REGION_MAX 32

struct port_entry {
	uint16_t base, size;
	uint16_t first; /* offset of `base` in the device's ports */
	struct device *device;
};

struct platform {
	struct platform_host host;
	uint64_t tsc_hz;
	uint64_t deadline_ns; /* the least of the devices' */
	enum platform_event event;
	uint32_t exit_code;

	unsigned device_count;
	struct device *devices[PLATFORM_DEVICE_MAX];
	unsigned timer_count;
	struct device *timers[PLATFORM_DEVICE_MAX]; /* devices that have deadlines */
	unsigned port_entry_count;
	const struct port_entry *port_last; /* found last: likely the next too */
	struct port_entry port_entries[PLATFORM_PORT_REGION_MAX]; /* by base */

	struct lapic lapic[PLATFORM_CPU_COUNT];
	struct ioapic ioapic;
	struct pic pic;
	struct pit pit;
	struct rtc rtc;
	struct uart uart;
	struct pci pci;
	struct pm pm;
	struct i8042 i8042;
	struct debug_exit debug_exit;
};

/* Guest time at which platform_step must be called again, TIME_NEVER when idle. */
static inline uint64_t platform_deadline_ns(const struct platform *platform)
{
	return platform->deadline_ns;
}

/* True when the CPU's interrupt input is raised. */
static inline bool platform_irq_pending(const struct platform *platform)
{
	return platform->lapic[0].raised;
}

/* NMI raised (LINT1, IPI); taken by the caller, once. */
static inline bool platform_nmi_take(struct platform *platform)
{
	bool pending = platform->lapic[0].state.nmi_pending;

	if (pending) {
		platform->lapic[0].state.nmi_pending = false;
	}
	return pending;
}

#endif
