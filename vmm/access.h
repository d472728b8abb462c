/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses that the CPU could not finish because a device, or nothing, is at
 * their address: fetches the instruction and lets the emulator do it.
 */
#ifndef VMM_ACCESS_H
#define VMM_ACCESS_H

#include "vmm/exit.h"

/* EXIT_MEMORY with a data access. */
enum exit_action access_emulate(struct vm *vm, const struct exit *exit);

/* EXIT_IO by INS or OUTS. */
enum exit_action access_emulate_string_io(struct vm *vm);

#endif
