/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC of each CPU (SDM 3, chapter 11), in x2APIC mode where the CPU
 * has it, else by its page. All functions act on the CPU that calls them.
 */
#ifndef ARCH_X86_64_APIC_H
#define ARCH_X86_64_APIC_H

#include "base/types.h"

/* Once, on the boot CPU, after paging_init. */
void apic_init(void);

/* On each CPU: mode, vectors, acceptance of everything. */
void apic_enable_cpu(void);

/*
 * On each CPU, when the TSC's rate is known: TSC deadline where there is one,
 * else the one-shot timer, whose rate the boot CPU measures.
 */
void apic_timer_enable_cpu(void);

/* The name of the mode and of the timer, for `info`. */
const char *apic_mode_name(void);
const char *apic_timer_name(void);

uint32_t apic_id(void);
void apic_eoi(void);

void apic_send_interrupt(uint32_t apic_id, uint8_t vector);
void apic_send_nmi(uint32_t apic_id);
void apic_send_init(uint32_t apic_id);
/* The CPU starts in real mode at page * 4 KiB. */
void apic_send_startup(uint32_t apic_id, uint8_t page);

/*
 * VECTOR_TIMER comes when the TSC reaches `ticks`, or earlier; TIME_NEVER
 * takes it back.
 */
void apic_timer_set(uint64_t ticks);

/* The cause of VECTOR_APIC_ERROR, into the log. */
void apic_log_error(void);

#endif
