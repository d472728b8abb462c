/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goes on executing where there is no memory: "at=hole", "at=apic" for a
 * device, or without either just behind the end of RAM.
 */
#include "tests/guests/lib/lib.h"

#define HOLE 0x50000000

static void jump(void)
{
	uintptr_t target = argument("at=hole") ? HOLE : argument("at=apic") ? APIC_PAGE : ram_end();

	farewell();
	((void (*)(void))target)();
	expect(!"still running");
}

const struct test tests[] = {
	{"the guest is stopped", jump},
	{NULL, NULL},
};
