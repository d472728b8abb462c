/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of the serial console. Each layer keeps a const table of its own
 * commands; boot/main.c hands the tables to the console, which alone decides
 * how they are edited, completed, looked up and printed.
 */
#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

#include "base/types.h"

struct output_ring; /* base/ring.h */

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
	 * NULL when there are no more; a string that stays. May be NULL: no
	 * completion.
	 */
	const char *(*complete)(int argument, unsigned index);
};

/*
 * Prints to whoever sits at the console; for commands and other code on the
 * service CPU, never from an exit handler. "\n" ends a line. What is printed
 * is queued: this returns at once. (console)
 */
void console_print(const char *format, ...) PRINTF_LIKE(1, 2);

/*
 * True while little of what was printed waits: who prints much goes on when
 * this holds, and loses nothing. (console)
 */
bool console_keeps_up(void);

/*
 * Waits until everything printed has left the transmitter, some seconds at
 * most: before a power-off or a reset. (console)
 */
void console_flush(void);

/*
 * What the console can be connected to: the serial port of a guest. Its owner
 * kicks the service CPU after new output.
 */
struct console_target {
	const char *name;
	const struct output_ring *output;
	/* Takes what was typed, as far as there is room; returns how many bytes. */
	size_t (*input)(void *context, const void *bytes, size_t size);
	/* False when the guest has ended: the console then goes back to its prompt. */
	bool (*alive)(void *context);
	void *context;
};

/*
 * Connects the console to a target, which must stay valid: first what its ring has kept, then what comes, until the operator types
 * Ctrl-] or the target ends. For the `console` command. (console)
 */
void console_attach(const struct console_target *target);

#endif
