/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of the host; host_reset and host_poweroff are in arch.h. Both stop
 * the other CPUs and ask the firmware's runtime services first.
 */
#ifndef ARCH_X86_64_POWER_H
#define ARCH_X86_64_POWER_H

#include "base/types.h"
#include "boot/boot_info.h"

/* Remembers where the firmware's services and the reset register are. */
void power_init(const struct boot_info *info);

/* Reset by hardware alone: nothing else can be trusted any more. */
_Noreturn void reset_by_force(void);

#endif
