/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spins with interrupts off. "how=exits" leaves to the host all the time,
 * "how=faults" faults all the time, "how=prints" fills the console.
 */
#include "tests/guests/lib/lib.h"

static void skip_ud2(struct frame *frame)
{
	frame->rip += 2;
}

static void spin(void)
{
	bool exits = argument("how=exits"), faults = argument("how=faults");
	bool prints = argument("how=prints");

	on_vector(UD, skip_ud2);
	farewell();
	for (;;) {
		if (exits) {
			cpuid(0, 0);
		} else if (faults) {
			__asm__ volatile("ud2");
		} else if (prints) {
			print("more and more ");
		}
		__builtin_ia32_pause();
	}
}

const struct test tests[] = {
	{"spinning", spin},
	{NULL, NULL},
};
