/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's commands about the host's devices.
 */
#ifndef DRIVERS_COMMANDS_H
#define DRIVERS_COMMANDS_H

#include "base/command.h"

extern const struct command drivers_commands[];
extern const size_t drivers_command_count;

#endif
