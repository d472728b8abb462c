/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial console: log and command line of the host, or the serial port of
 * one guest. It runs on the service CPU.
 *
 * From console_init on the log goes out polled, a line at a time. From
 * console_start on nothing waits: console_step moves bytes, and log lines
 * appear above the line that is being typed. In a panic everything that is still
 * queued goes out polled before the panic's own lines.
 */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include "base/command.h"
#include "drivers/serial.h"

/* `serial` has gone through serial_init, whatever that returned. */
void console_init(struct serial *serial);

/* Adds the commands of one layer; `table` must stay valid. */
void console_add(const struct command *table, size_t count);

/* What the greeting says. */
struct console_host {
	const char *version;
	const char *name;
	uint64_t memory; /* bytes of RAM */
};

/* Greets, and takes commands from then on; the UART works by interrupt, if it can. */
void console_start(const struct console_host *host);

/* The service. Returns when it must be called again at the latest, or TIME_NEVER. */
uint64_t console_step(uint64_t now_ns);

#endif
