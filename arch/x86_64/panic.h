/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the host, told on COM1: why, registers, backtrace, the last lines
 * of the log. panic() itself is in base/check.h.
 *
 * It depends on nothing that may be broken: its own polled output, no lock, no
 * memory. A panic inside a panic resets at once; a second CPU's waits for ever.
 */
#ifndef ARCH_X86_64_PANIC_H
#define ARCH_X86_64_PANIC_H

#include "arch/x86_64/traps.h"
#include "base/check.h"

/* Seconds from the dump to the reset; 0: the host stays, for someone to read. */
extern unsigned panic_reboot_s;

/* panic() with the registers of an exception. */
_Noreturn void panic_at(const struct trap_frame *frame, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same for #MC, with what its banks say. */
_Noreturn void panic_machine_check(const struct trap_frame *frame);

#endif
