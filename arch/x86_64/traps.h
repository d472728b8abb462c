/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors: what each one is for and what happens when it comes. Interrupts are
 * on only inside cpu_idle, and for one instruction after one made a guest leave;
 * an NMI that did so is repeated by the backend with INT 2, since only IRET ends
 * the blocking of further ones (SDM 3, 6.7.1).
 */
#ifndef ARCH_X86_64_TRAPS_H
#define ARCH_X86_64_TRAPS_H

#include "base/types.h"

/* Exceptions that are treated by name (SDM 3, table 6-1). */
#define TRAP_NMI 2
#define TRAP_DOUBLE_FAULT 8
#define TRAP_PAGE_FAULT 14
#define TRAP_MACHINE_CHECK 18

/* Interrupts; a higher number is a higher priority (SDM 3, 11.8.3). */
#define VECTOR_FIRST 0x20
#define VECTOR_PIC 0x20 /* 16: where the masked legacy PICs would deliver */
#define VECTOR_IRQ 0x30 /* 16: ISA interrupts by way of the IOAPIC */
#define VECTOR_MSI 0x40 /* VECTOR_MSI_COUNT: devices' own messages */
#define VECTOR_MSI_COUNT 32
#define VECTOR_TIMER 0xf0
#define VECTOR_KICK 0xf1
#define VECTOR_APIC_ERROR 0xfe
#define VECTOR_SPURIOUS 0xff

/* What trap_entries.S leaves on the stack, and the CPU behind it. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

#define TRAP_ENTRY_SIZE 16

extern const uint8_t trap_entries[256][TRAP_ENTRY_SIZE];

/* All exceptions, NMIs and interrupts; called by trap_entries.S. */
void trap_handle(struct trap_frame *frame);

#endif
