/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeps but for a hundred timer interrupts a second. A wake-up without an
 * interrupt would be the host's fault. "wakes=N" says how many, default 20.
 */
#include "tests/guests/lib/lib.h"

#define TICK 0x51

static void sleep_and_count(void)
{
	uint64_t wakes = argument_number("wakes=", 20);
	unsigned input = acpi_ioapic_input(0);

	apic_enable();
	on_vector(TICK, count_apic_event);
	ioapic_route(input, TICK, 0);
	pit_periodic(PIT_HZ / 100);
	for (uint64_t i = 0; i < wakes; i++) {
		sleep_once();
		expect_equal(event_count[TICK], i + 1);
	}
	ioapic_route(input, TICK, IOAPIC_MASKED);
	print("# %lu wake-ups\n", wakes);
}

const struct test tests[] = {
	{"as many wake-ups as interrupts", sleep_and_count},
	{NULL, NULL},
};
