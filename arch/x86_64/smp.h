/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All processors: started one after the other, each on its own stacks and
 * tables, and stopped together when the host ends.
 */
#ifndef ARCH_X86_64_SMP_H
#define ARCH_X86_64_SMP_H

#include "arch/x86_64/machine.h"
#include "arch/x86_64/percpu.h"

/* CPU 0's struct cpu; before anything that asks cpu_id(). */
void smp_init_boot_cpu(void);

/*
 * Starts the others by `trampoline`, a page below 1 MiB (0: there is none). One that does not
 * answer is named in the log and left out. They wait for smp_release().
 */
void smp_start(hpa_t trampoline);

/* Lets the others go on to cpu_main. */
void smp_release(void);

/*
 * What each CPU does for the rest of its life, the boot CPU too; given by
 * boot/main.c.
 */
_Noreturn void cpu_main(unsigned cpu);

/*
 * Ends all other CPUs for good, for a reset or a panic. Waits 100 ms at most;
 * returns how many did not obey.
 */
unsigned smp_stop_others(void);

/* For the NMI handler: does not return when the NMI was smp_stop_others'. */
void smp_stop_if_told(void);

#endif
