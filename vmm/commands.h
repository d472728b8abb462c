/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's commands about the host and its guests.
 */
#ifndef VMM_COMMANDS_H
#define VMM_COMMANDS_H

#include "base/command.h"

extern const struct command vmm_commands[];
extern const size_t vmm_command_count;

/* What `info` says of the host: set once, before the console starts. */
struct host_facts {
	const char *name;
	uint64_t ram; /* bytes that the firmware reported */
	uint64_t image; /* bytes of the hypervisor's own image */
	uint64_t files; /* bytes of guests' images kept for their next start */
	uint64_t boot_ticks, firmware_ticks; /* loader entry to prompt; in firmware */
};

void commands_init(const struct host_facts *facts);

#endif
