/* SPDX-License-Identifier: Apache-2.0 */
/* Halts with interrupts off and one pending: nothing wakes it but its host. */
#include "tests/guests/lib/lib.h"

static void halt(void)
{
	apic_enable();
	on_vector(0x41, count_apic_event);
	apic_self_ipi(0x41);
	farewell();
	__asm__ volatile("cli; hlt");
	expect(!"still halted");
}

const struct test tests[] = {
	{"halted", halt},
	{NULL, NULL},
};
