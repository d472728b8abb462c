/* SPDX-License-Identifier: Apache-2.0 */
/* No descriptor table for exceptions: the CPU shuts down. */
#include "tests/guests/lib/lib.h"

static void shut_down(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing = {0, 0};

	farewell();
	__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
	expect(!"still running");
}

const struct test tests[] = {
	{"shutdown", shut_down},
	{NULL, NULL},
};
