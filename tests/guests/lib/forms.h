/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that touch memory, in every form that a kernel uses on devices.
 *
 * All of them touch FORM_TARGET, in the window. A test runs each twice, with
 * RAM behind the window and with the device, and compares the registers: the
 * CPU itself says what is right.
 */
#ifndef TESTS_GUESTS_LIB_FORMS_H
#define TESTS_GUESTS_LIB_FORMS_H

#define FORM_TARGET 0x60000380 /* WINDOW + the offset of the APIC timer's initial count */

/* Kinds of forms. */
#define FORM_WORD 1 /* 32 bits at FORM_TARGET only */
#define FORM_WIDTH 2 /* other widths, or bytes around it */

/* Flags that the instruction defines. */
#define FORM_FLAGS_ALL 0x8d5
#define FORM_FLAGS_LOGIC 0x8c5 /* not AF */
#define FORM_FLAGS_BIT 0x041 /* ZF and CF */

#ifndef __ASSEMBLER__
#include "base/types.h"

/* In the order of enum gpr; RFLAGS with the undefined ones cleared. */
struct form_registers {
	uint64_t gpr[16], rflags;
};

struct form {
	const char *text;
	uint64_t code;
	uint64_t kind, flags;
};

extern const struct form forms[], forms_end[];
/* Other memory of the string forms. */
extern uint8_t form_scratch[64];

/*
 * Runs it with interrupts off. RSP may point anywhere meanwhile: faults need
 * stacks of their own.
 */
void form_run(const struct form *form, struct form_registers *registers);
#endif

#endif
