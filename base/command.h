/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of the serial console. Each layer keeps a const table of its own
 * commands; boot/main.c hands the tables to the console, which alone decides
 * how they are edited, completed, looked up and printed.
 */
#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

#include "base/types.h"

#define COMMAND_ARGS_MAX 8

struct command {
	const char *name;
	const char *usage; /* arguments only: "NAME [--force]", "" for none */
	const char *help; /* one sentence */
	int args_min, args_max; /* without the name; checked by the console */
	/*
	 * argv[0] is the name. Prints with console_print; returns 0, or a
	 * negative errno after having printed the sentence that says why.
	 */
	int (*run)(int argc, char **argv);
	/*
	 * The index-th word that may stand as argument `argument` (from 1), or
	 * NULL when there are no more. May be NULL: no completion.
	 */
	const char *(*complete)(int argument, unsigned index);
};

/* Prints to whoever sits at the console. (console) */
void console_print(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
