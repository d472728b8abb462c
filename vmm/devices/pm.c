/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/pm.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"
#include "vmm/ticks.h"

/* Offsets: 4 bytes of events, 2 of control, 4 of timer. */
#define OFFSET_CONTROL 4
#define OFFSET_TIMER 6

#define TIMER_BIT BIT(0) /* TMR_STS and TMR_EN */
/* TMR_EN, GBL_EN, PWRBTN_EN, SLPBTN_EN, RTC_EN */
#define ENABLE_WRITABLE (BITS(10, 8) | BIT(5) | TIMER_BIT)

#define CONTROL_SCI_ENABLE BIT(0)
#define CONTROL_SLEEP_TYPE BITS(12, 10)
#define CONTROL_SLEEP_ENABLE BIT(13) /* write-only */
#define CONTROL_WRITABLE (CONTROL_SLEEP_TYPE | BIT(1)) /* BM_RLD */

/* TMR_STS goes up whenever the top bit of the 32-bit timer changes. */
#define TIMER_HALF BIT(31)

static struct pm *to_pm(struct device *device)
{
	return CONTAINER_OF(device, struct pm, device);
}

static uint64_t next_toggle_ns(uint64_t after_ns)
{
	uint64_t ticks = ticks_from_ns(after_ns, MACHINE_PM_TIMER_HZ);

	return ticks_to_ns((ticks / TIMER_HALF + 1) * TIMER_HALF, MACHINE_PM_TIMER_HZ);
}

static void pm_step(struct device *device, uint64_t now_ns)
{
	struct pm_state_v1 *s = &to_pm(device)->state;
	bool irq;

	if (next_toggle_ns(s->seen_ns) <= now_ns) {
		s->timer_status = true;
	}
	s->seen_ns = now_ns;
	irq = s->timer_status && (s->enable & TIMER_BIT);
	if (irq != s->irq) {
		s->irq = irq;
		device_set_irq(device, MACHINE_IRQ_SCI, irq);
	}
	device_set_deadline(device, (s->enable & TIMER_BIT) && !s->timer_status
					    ? next_toggle_ns(now_ns)
					    : TIME_NEVER);
}

/* Each block as a number, of which the access takes some bytes. */
static uint32_t pm_read(struct device *device, unsigned offset, unsigned size)
{
	const struct pm_state_v1 *s = &to_pm(device)->state;
	uint64_t now = device_now_ns(device);
	uint32_t ticks = ticks_from_ns(now, MACHINE_PM_TIMER_HZ);

	(void)size; /* the caller cuts */
	pm_step(device, now);
	if (offset >= OFFSET_TIMER) {
		return ticks >> (offset - OFFSET_TIMER) * 8;
	}
	if (offset >= OFFSET_CONTROL) {
		return (s->control | CONTROL_SCI_ENABLE) >> (offset - OFFSET_CONTROL) * 8;
	}
	return ((uint32_t)s->enable << 16 | s->timer_status) >> offset * 8;
}

/* `mask` are the written bits of status (15:0) and enable (31:16). */
static void write_event(struct pm_state_v1 *s, uint32_t value, uint32_t mask)
{
	if (value & mask & TIMER_BIT) {
		s->timer_status = false; /* write 1 to clear */
	}
	mask = mask >> 16 & ENABLE_WRITABLE;
	s->enable = (s->enable & ~mask) | (value >> 16 & mask);
}

static void write_control(struct device *device, uint32_t value, uint32_t mask)
{
	struct pm_state_v1 *s = &to_pm(device)->state;
	uint32_t control = (s->control & ~mask) | (value & mask);

	s->control = control & CONTROL_WRITABLE;
	if ((control & CONTROL_SLEEP_ENABLE) &&
	    field_get(CONTROL_SLEEP_TYPE, control) == MACHINE_SLEEP_TYPE_S5) {
		device_raise_event(device, PLATFORM_POWEROFF);
	}
}

static void pm_write(struct device *device, unsigned offset, unsigned size, uint32_t value)
{
	uint64_t now = device_now_ns(device);
	unsigned first = offset % 4 * 8; /* both blocks that can be written begin at 4 n */
	uint32_t mask = BITS(size * 8 - 1, 0) << first;

	pm_step(device, now);
	if (offset < OFFSET_CONTROL) {
		write_event(&to_pm(device)->state, value << first, mask);
		pm_step(device, now);
	} else if (offset < OFFSET_TIMER) {
		write_control(device, value << first, mask);
	}
}

static void pm_reset(struct device *device)
{
	struct pm_state_v1 *s = &to_pm(device)->state;
	bool irq = s->irq;

	*s = (struct pm_state_v1){.seen_ns = device_now_ns(device), .irq = irq};
	pm_step(device, s->seen_ns);
}

static int pm_validate(const void *state)
{
	const struct pm_state_v1 *s = state;

	if ((s->enable & ~ENABLE_WRITABLE) || (s->control & ~CONTROL_WRITABLE) ||
	    s->timer_status > 1 || s->irq != (s->timer_status && (s->enable & TIMER_BIT))) {
		return -EINVAL;
	}
	return 0;
}

static void pm_load(struct device *device)
{
	pm_step(device, to_pm(device)->state.seen_ns);
}

static const struct port_region pm_ports[] = {
	{MACHINE_PORT_PM1_EVENT, 4},
	{MACHINE_PORT_PM1_CONTROL, 2},
	{MACHINE_PORT_PM_TIMER, 4},
};

const struct device_ops pm_ops = {
	.name = "pm",
	DEVICE_STATE(struct pm, 1),
	.ports = pm_ports,
	.port_count = ARRAY_SIZE(pm_ports),
	.read_wide = pm_read,
	.write_wide = pm_write,
	.reset = pm_reset,
	.step = pm_step,
	.validate = pm_validate,
	.load = pm_load,
};
