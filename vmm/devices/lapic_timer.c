/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/lapic_timer.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/platform_state.h"
#include "vmm/ticks.h"

/* 3 is reserved: that timer never runs. */
enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

static unsigned timer_mode(const struct lapic_state_v1 *s)
{
	return field_get(LVT_TIMER_MODE, s->lvt[LVT_TIMER]);
}

/* The divider as a shift: 000 is 2, 110 is 128, 111 is 1. */
static unsigned timer_shift(const struct lapic_state_v1 *s)
{
	return (((s->timer_divide & BIT(3)) >> 1 | (s->timer_divide & BITS(1, 0))) + 1) % 8;
}

static uint64_t timer_period_ns(const struct lapic_state_v1 *s)
{
	return (uint64_t)s->timer_initial << timer_shift(s);
}

/* Lets the timer fire if it is due: a periodic one goes on, the others stop. */
static void timer_expire(struct lapic *lapic, uint64_t now_ns)
{
	struct lapic_state_v1 *s = &lapic->state;

	if (s->timer_expiry_ns > now_ns) {
		return;
	}
	lapic_local_interrupt(lapic, LVT_TIMER);
	if (timer_mode(s) == TIMER_PERIODIC) {
		uint64_t period = timer_period_ns(s);

		s->timer_expiry_ns += ((now_ns - s->timer_expiry_ns) / period + 1) * period;
	} else {
		s->timer_expiry_ns = TIME_NEVER;
		s->tsc_deadline = 0;
	}
}

/* While masked the timer counts on, but needs nobody to look at it. */
void lapic_timer_arm(struct lapic *lapic)
{
	const struct lapic_state_v1 *s = &lapic->state;

	device_set_deadline(&lapic->device,
			    s->lvt[LVT_TIMER] & LVT_MASKED ? TIME_NEVER : s->timer_expiry_ns);
}

void lapic_timer_step(struct device *device, uint64_t now_ns)
{
	struct lapic *lapic = CONTAINER_OF(device, struct lapic, device);
	uint64_t earliest = time_add(now_ns, DEVICE_PERIOD_MIN_NS);

	timer_expire(lapic, now_ns);
	lapic_timer_arm(lapic);
	if (device->deadline_ns < earliest) {
		device_set_deadline(device, earliest);
	}
}

uint32_t lapic_timer_count(struct lapic *lapic)
{
	const struct lapic_state_v1 *s = &lapic->state;
	uint64_t now = device_now_ns(&lapic->device);

	timer_expire(lapic, now);
	lapic_timer_arm(lapic);
	if (s->timer_expiry_ns == TIME_NEVER || timer_mode(s) >= TIMER_DEADLINE) {
		return 0;
	}
	return (s->timer_expiry_ns - now) >> timer_shift(s);
}

void lapic_timer_write_initial(struct lapic *lapic, uint32_t value)
{
	struct lapic_state_v1 *s = &lapic->state;
	uint64_t now = device_now_ns(&lapic->device);

	if (timer_mode(s) >= TIMER_DEADLINE) {
		return;
	}
	timer_expire(lapic, now);
	s->timer_initial = value;
	s->timer_expiry_ns = value ? time_add(now, timer_period_ns(s)) : TIME_NEVER;
	lapic_timer_arm(lapic);
}

/* The count goes on from where it is, at the new rate. */
void lapic_timer_write_divide(struct lapic *lapic, uint32_t value)
{
	struct lapic_state_v1 *s = &lapic->state;
	uint64_t count = lapic_timer_count(lapic);

	s->timer_divide = value;
	if (count) {
		s->timer_expiry_ns =
			time_add(device_now_ns(&lapic->device), count << timer_shift(s));
		lapic_timer_arm(lapic);
	}
}

void lapic_timer_write_lvt(struct lapic *lapic, uint32_t value)
{
	struct lapic_state_v1 *s = &lapic->state;
	uint32_t before = timer_mode(s);

	/* What comes to its end while masked is over. */
	timer_expire(lapic, device_now_ns(&lapic->device));
	s->lvt[LVT_TIMER] = value;
	if (before != timer_mode(s) &&
	    (before >= TIMER_DEADLINE || timer_mode(s) >= TIMER_DEADLINE)) {
		s->timer_initial = 0;
		s->tsc_deadline = 0;
		s->timer_expiry_ns = TIME_NEVER;
	}
	lapic_timer_arm(lapic);
}

/* The guest's TSC is guest time at tsc_hz: nobody sets it. */
void lapic_timer_write_deadline(struct lapic *lapic, uint64_t tsc)
{
	struct lapic_state_v1 *s = &lapic->state;
	uint64_t hz = lapic->device.platform->tsc_hz;
	uint64_t now = device_now_ns(&lapic->device);
	uint64_t now_tsc = ticks_from_ns(now, hz);

	if (timer_mode(s) != TIMER_DEADLINE) {
		return;
	}
	timer_expire(lapic, now);
	s->tsc_deadline = tsc;
	s->timer_expiry_ns = TIME_NEVER;
	if (tsc) {
		uint64_t wait_ns = tsc > now_tsc ? ticks_to_ns(tsc - now_tsc, hz) : 0;

		s->timer_expiry_ns = time_add(now, wait_ns);
		timer_expire(lapic, now); /* one that has passed fires at once */
	}
	lapic_timer_arm(lapic);
}

int lapic_timer_validate(const struct lapic_state_v1 *s)
{
	bool running = s->timer_expiry_ns != TIME_NEVER;

	if (s->timer_divide & ~TIMER_DIVIDE_MASK) {
		return -EINVAL;
	}
	/* No period of nothing. */
	if (timer_mode(s) < TIMER_DEADLINE) {
		return s->tsc_deadline || (running && !s->timer_initial) ? -EINVAL : 0;
	}
	return s->timer_initial || (running && !s->tsc_deadline) ? -EINVAL : 0;
}
