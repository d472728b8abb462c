/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves through the debug-exit port with the code that the command line says. */
#include "tests/guests/lib/lib.h"

static void leave(void)
{
	farewell();
	debug_exit((uint32_t)argument_number("code=", 0));
}

const struct test tests[] = {
	{"the exit code is reported", leave},
	{NULL, NULL},
};
