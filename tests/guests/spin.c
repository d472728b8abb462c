/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps its CPU busy for ever, and its host as well as it can: "how=" exits,
 * faults, prints, timer (faster than its handler), ipi or nmi (each sends the
 * next), halts (with an interrupt pending); else it spins with interrupts off.
 */
#include "tests/guests/lib/lib.h"

#define VECTOR 0x61

static void skip_ud2(struct frame *frame)
{
	frame->rip += 2;
}

static void send_again(struct frame *frame)
{
	if (frame->vector == NMI) {
		apic_write(APIC_ICR, APIC_ICR_NMI);
	} else {
		apic_self_ipi(VECTOR);
		apic_write(APIC_EOI, 0);
	}
}

static void spin_quietly(void)
{
	__asm__ volatile("cli");
	for (;;) {
		__builtin_ia32_pause();
	}
}

static void spin_exits(void)
{
	for (;;) {
		cpuid(0, 0);
	}
}

static void spin_faults(void)
{
	on_vector(UD, skip_ud2);
	for (;;) {
		__asm__ volatile("ud2");
	}
}

static void spin_prints(void)
{
	for (;;) {
		print("more and more ");
	}
}

static void spin_timer(void)
{
	on_vector(VECTOR, count_apic_event);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR | APIC_LVT_PERIODIC);
	apic_write(APIC_TIMER_INITIAL, 1);
	sti();
	for (;;) {
		__builtin_ia32_pause();
	}
}

static void spin_ipi(void)
{
	on_vector(VECTOR, send_again);
	apic_self_ipi(VECTOR);
	sti();
	for (;;) {
		__builtin_ia32_pause();
	}
}

static void spin_nmi(void)
{
	on_vector(NMI, send_again);
	apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
	apic_write(APIC_ICR, APIC_ICR_NMI);
	spin_quietly();
}

static void spin_halts(void)
{
	on_vector(VECTOR, count_apic_event);
	for (;;) {
		apic_self_ipi(VECTOR);
		sleep_once();
	}
}

static const struct {
	const char *argument;
	void (*spin)(void);
} ways[] = {
	{"how=exits", spin_exits}, {"how=faults", spin_faults}, {"how=prints", spin_prints},
	{"how=timer", spin_timer}, {"how=ipi", spin_ipi},	{"how=nmi", spin_nmi},
	{"how=halts", spin_halts},
};

static void spin(void)
{
	apic_enable();
	farewell();
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		if (argument(ways[i].argument)) {
			ways[i].spin();
		}
	}
	spin_quietly();
}

const struct test tests[] = {
	{"spinning", spin},
	{NULL, NULL},
};
