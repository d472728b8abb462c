/* SPDX-License-Identifier: Apache-2.0 */
/* Timers and clocks: PIT, RTC, local APIC, PM timer, TSC, KVM's clock. */
#include "tests/guests/lib/lib.h"

#define TICK 0x51
#define MSR_KVM_WALL_CLOCK 0x4b564d00
#define MSR_KVM_SYSTEM_TIME 0x4b564d01
#define MSR_KVM_ENABLE 1
/*
 * Counts of the APIC's timer, about a millisecond: far longer than a handler
 * takes where every access to the APIC is emulated by an emulated CPU.
 */
#define MILLISECOND 1000000
#define DIVIDE_BY_1 0xb
#define DIVIDE_BY_2 0x0
#define DIVIDE_BY_128 0xa

/* True when two measures of the same agree within one in `part`. */
static bool agree(uint64_t one, uint64_t other, uint64_t part)
{
	uint64_t distance = one > other ? one - other : other - one;

	return distance <= other / part;
}

static uint32_t pm_ticks(void)
{
	return inl(PM_TIMER_PORT) & BITS(23, 0);
}

static uint64_t pm_to_us(uint32_t from, uint32_t to)
{
	return ((to - from) & BITS(23, 0)) * 1000000 / PM_TIMER_HZ;
}

static uint64_t tsc_per_ms(void)
{
	uint64_t start = rdtsc();
	uint32_t from = pm_ticks();

	delay_us(20000);
	return (rdtsc() - start) * 1000 / pm_to_us(from, pm_ticks());
}

static void timer_prepare(uint32_t lvt, uint32_t divide)
{
	apic_enable();
	on_vector(TICK, count_apic_event);
	apic_write(APIC_TIMER_DIVIDE, divide);
	apic_write(APIC_LVT_TIMER, lvt);
}

static void pm_timer(void)
{
	uint32_t last = pm_ticks(), start = last, total = 0;

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t now = pm_ticks();

		total += (now - last) & BITS(23, 0);
		last = now;
	}
	expect(total > 0);
	expect_equal(total, (last - start) & BITS(23, 0));
	expect(total < PM_TIMER_HZ); /* a step back would look like a lap */
}

static void tsc_monotonic(void)
{
	uint64_t last = rdtsc();

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now = rdtsc();

		expect(now > last);
		last = now;
		if (i % 16 == 0) {
			cpuid(0, 0);
		}
	}
}

static void tsc_steady(void)
{
	expect(agree(tsc_per_ms(), tsc_per_ms(), 50));
}

static void pit_rate(void)
{
	unsigned ticks;
	uint32_t from;

	apic_enable();
	on_vector(TICK, count_apic_event);
	ioapic_route(acpi_ioapic_input(0), TICK, 0);
	pit_periodic(PIT_HZ / 1000);
	expect(wait_count(&event_count[TICK], 1));
	from = pm_ticks();
	ticks = event_count[TICK];
	expect(wait_count(&event_count[TICK], ticks + 20));
	expect(agree(pm_to_us(from, pm_ticks()), 20000, 10));
	ioapic_route(acpi_ioapic_input(0), TICK, IOAPIC_MASKED);
}

static void pit_one_shot(void)
{
	apic_enable();
	on_vector(TICK, count_apic_event);
	outb(0x43, 0x30); /* counter 0, mode 0 */
	ioapic_route(acpi_ioapic_input(0), TICK, 0);
	outb(0x40, 0xa9); /* 1193 periods: a millisecond */
	outb(0x40, 0x04);
	expect(wait_count(&event_count[TICK], 1));
	sti();
	delay_us(5000);
	cli();
	expect_equal(event_count[TICK], 1);
	ioapic_route(acpi_ioapic_input(0), TICK, IOAPIC_MASKED);
}

/* How Linux calibrates: counter 2, its gate and output in port 0x61. */
static void pit_counter2(void)
{
	uint32_t from;

	outb(0x61, (inb(0x61) & ~0x02) | 0x01);
	outb(0x43, 0xb0); /* counter 2, mode 0 */
	outb(0x42, (uint8_t)(PIT_HZ / 100));
	outb(0x42, (PIT_HZ / 100) >> 8);
	from = pm_ticks();
	expect_equal(inb(0x61) & 0x20, 0);
	while ((inb(0x61) & 0x20) == 0 && pm_to_us(from, pm_ticks()) < 100000) {
	}
	expect(agree(pm_to_us(from, pm_ticks()), 10000, 20));
}

static void rtc_tick(struct frame *frame)
{
	outb(0x70, 0x0c);
	if (inb(0x71) & 0x40) { /* reading acknowledges */
		event_count[frame->vector]++;
	}
	apic_write(APIC_EOI, 0);
}

static void rtc_periodic(void)
{
	unsigned input = acpi_ioapic_input(8);
	uint8_t control;
	uint32_t from;

	apic_enable();
	on_vector(TICK, rtc_tick);
	ioapic_route(input, TICK, 0);
	outb(0x70, 0x0a);
	outb(0x71, 0x26); /* 1,024 Hz */
	outb(0x70, 0x0b);
	control = inb(0x71);
	outb(0x71, control | 0x40);
	outb(0x70, 0x0c);
	inb(0x71);
	expect(wait_count(&event_count[TICK], 1));
	from = pm_ticks();
	expect(wait_count(&event_count[TICK], 21));
	expect(agree(pm_to_us(from, pm_ticks()), 20 * 1000000 / 1024, 5));
	outb(0x70, 0x0b);
	outb(0x71, control);
	ioapic_route(input, TICK, IOAPIC_MASKED);
}

static void apic_one_shot(void)
{
	timer_prepare(TICK, DIVIDE_BY_1);
	apic_write(APIC_TIMER_INITIAL, MILLISECOND);
	expect(apic_read(APIC_TIMER_CURRENT) <= MILLISECOND);
	expect(wait_count(&event_count[TICK], 1));
	expect_equal(apic_read(APIC_TIMER_CURRENT), 0);
	sti();
	delay_us(5000);
	cli();
	expect_equal(event_count[TICK], 1);
}

static void apic_periodic(void)
{
	timer_prepare(TICK | APIC_LVT_PERIODIC, DIVIDE_BY_1);
	apic_write(APIC_TIMER_INITIAL, MILLISECOND);
	expect(wait_count(&event_count[TICK], 5));
	apic_write(APIC_TIMER_INITIAL, 0);
	sti();
	__asm__ volatile("nop");

	unsigned before = event_count[TICK];

	delay_us(5000);
	cli();
	expect_equal(event_count[TICK], before);
}

static void apic_masked(void)
{
	timer_prepare(TICK | APIC_LVT_MASKED, DIVIDE_BY_1);
	apic_write(APIC_TIMER_INITIAL, 1000);
	sti();
	delay_us(2000);
	cli();
	expect_equal(event_count[TICK], 0);
}

/* Counts of the masked timer in 10 ms. */
static uint32_t apic_rate(uint32_t divide)
{
	uint32_t start;

	timer_prepare(APIC_LVT_MASKED, divide);
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	start = apic_read(APIC_TIMER_CURRENT);
	delay_us(10000);
	return start - apic_read(APIC_TIMER_CURRENT);
}

static void apic_divide(void)
{
	uint32_t by_1 = apic_rate(DIVIDE_BY_1);

	expect(agree(apic_rate(DIVIDE_BY_2) * UINT64_C(2), by_1, 10));
	expect(agree(apic_rate(DIVIDE_BY_128) * UINT64_C(128), by_1, 10));
}

static volatile uint64_t deadline_seen;

static void deadline_tick(struct frame *frame)
{
	deadline_seen = rdtsc();
	count_apic_event(frame);
}

static void deadline_prepare(void)
{
	need(cpuid(1, 0).ecx & BIT(24), "TSC deadline");
	timer_prepare(TICK | APIC_LVT_DEADLINE, DIVIDE_BY_1);
	on_vector(TICK, deadline_tick);
}

static void deadline(void)
{
	uint64_t when;

	deadline_prepare();
	when = rdtsc() + 200000;
	wrmsr(MSR_TSC_DEADLINE, when);
	expect_equal(rdmsr(MSR_TSC_DEADLINE), when);
	expect(wait_count(&event_count[TICK], 1));
	expect(deadline_seen >= when);
	expect(deadline_seen < when + 1000000);
	expect_equal(rdmsr(MSR_TSC_DEADLINE), 0);
}

static void deadline_past(void)
{
	deadline_prepare();
	wrmsr(MSR_TSC_DEADLINE, 1);
	sti();
	cli();
	expect_equal(event_count[TICK], 1);
}

static void deadline_disarmed(void)
{
	deadline_prepare();
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 20000);
	wrmsr(MSR_TSC_DEADLINE, 0);
	sti();
	delay_us(5000);
	cli();
	expect_equal(event_count[TICK], 0);
	/* In this mode the initial count is ignored. */
	apic_write(APIC_TIMER_INITIAL, 1000);
	sti();
	delay_us(2000);
	cli();
	expect_equal(event_count[TICK], 0);
}

static void halt_wakes(void)
{
	unsigned wakes = 0;

	timer_prepare(TICK | APIC_LVT_PERIODIC, DIVIDE_BY_1);
	apic_write(APIC_TIMER_INITIAL, 2 * MILLISECOND);
	while (event_count[TICK] < 10) {
		sleep_once();
		wakes++;
	}
	apic_write(APIC_TIMER_INITIAL, 0);
	expect_equal(wakes, 10);
}

static void halt_keeps_time(void)
{
	uint64_t rate = tsc_per_ms(), start, slept;
	uint32_t from;

	apic_enable();
	on_vector(TICK, count_apic_event);
	ioapic_route(acpi_ioapic_input(0), TICK, 0);
	pit_periodic(PIT_HZ / 100);
	sleep_once();
	start = rdtsc();
	from = pm_ticks();
	for (unsigned i = 0; i < 3; i++) {
		sleep_once();
	}
	slept = rdtsc() - start;
	expect(agree(pm_to_us(from, pm_ticks()), 30000, 10));
	expect(agree(slept, 30 * rate, 10));
	ioapic_route(acpi_ioapic_input(0), TICK, IOAPIC_MASKED);
}

/* Linux: arch/x86/include/asm/pvclock-abi.h */
struct pvclock {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};
_Static_assert(sizeof(struct pvclock) == 32, "pvclock ABI");

struct wall_clock {
	uint32_t version, sec, nsec;
};

static volatile struct pvclock pvclock __attribute__((aligned(64)));
static volatile struct wall_clock wall_clock __attribute__((aligned(16)));

static uint64_t pvclock_ns(void)
{
	uint64_t delta = rdtsc() - pvclock.tsc_timestamp;

	delta = pvclock.tsc_shift < 0 ? delta >> -pvclock.tsc_shift : delta << pvclock.tsc_shift;
	return pvclock.system_time +
	       (uint64_t)((unsigned __int128)delta * pvclock.tsc_to_system_mul >> 32);
}

static void need_pvclock(void)
{
	need(cpuid(0x40000000, 0).ebx == 0x4b4d564b, "KVM's clock");
}

static void pvclock_sane(void)
{
	uint64_t first, second;
	uint32_t from;

	need_pvclock();
	wrmsr(MSR_KVM_SYSTEM_TIME, (uintptr_t)&pvclock | MSR_KVM_ENABLE);
	expect(pvclock.version != 0);
	expect_equal(pvclock.version & 1, 0);
	expect(pvclock.tsc_to_system_mul != 0);
	expect(pvclock.tsc_timestamp <= rdtsc());
	from = pm_ticks();
	first = pvclock_ns();
	delay_us(20000);
	second = pvclock_ns();
	expect(agree((second - first) / 1000, pm_to_us(from, pm_ticks()), 100));
	wrmsr(MSR_KVM_SYSTEM_TIME, 0);
}

static void pvclock_wall(void)
{
	uint8_t year;

	need_pvclock();
	wrmsr(MSR_KVM_WALL_CLOCK, (uintptr_t)&wall_clock);
	expect_equal(wall_clock.version & 1, 0);
	expect(wall_clock.nsec < 1000000000);
	/* The RTC and the wall clock tell the same year. */
	outb(0x70, 0x09);
	year = inb(0x71);
	outb(0x70, 0x0b);
	if ((inb(0x71) & 0x04) == 0) {
		year = (uint8_t)((year >> 4) * 10 + (year & 15));
	}
	uint64_t years = wall_clock.sec / 31556952;

	expect(years + 1970 == 2000u + year || years + 1970 == 1900u + year);
}

static void pvclock_outside(void)
{
	need_pvclock();
	/* The page is nowhere: refused or ignored, and nobody else's memory. */
	try_wrmsr(MSR_KVM_SYSTEM_TIME, UINT64_C(0x7fff00000000) | MSR_KVM_ENABLE);
	try_wrmsr(MSR_KVM_WALL_CLOCK, UINT64_C(0x7fff00000000));
	try_wrmsr(MSR_KVM_SYSTEM_TIME, UINT64_MAX);
	cpuid(0, 0);
	try_wrmsr(MSR_KVM_SYSTEM_TIME, 0);
}

const struct test tests[] = {
	{"the PM timer goes forward", pm_timer},
	{"the TSC goes forward", tsc_monotonic},
	{"the TSC's rate is steady", tsc_steady},
	{"PIT's rate through the IOAPIC", pit_rate},
	{"PIT's mode 0 fires once", pit_one_shot},
	{"PIT's counter 2 by port 0x61", pit_counter2},
	{"RTC's periodic interrupt", rtc_periodic},
	{"APIC timer, one shot", apic_one_shot},
	{"APIC timer, periodic, until it is stopped", apic_periodic},
	{"APIC timer, masked", apic_masked},
	{"APIC timer's divider", apic_divide},
	{"TSC deadline", deadline},
	{"TSC deadline in the past fires at once", deadline_past},
	{"TSC deadline disarmed", deadline_disarmed},
	{"HLT wakes once for each interrupt", halt_wakes},
	{"time goes on in HLT", halt_keeps_time},
	{"KVM's clock agrees with the PM timer", pvclock_sane},
	{"KVM's wall clock agrees with the RTC", pvclock_wall},
	{"KVM's clock outside of memory", pvclock_outside},
	{NULL, NULL},
};
