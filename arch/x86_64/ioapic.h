/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IOAPICs: ISA interrupts to the service CPU. irq_register is in arch.h. The
 * legacy PICs are masked for good.
 */
#ifndef ARCH_X86_64_IOAPIC_H
#define ARCH_X86_64_IOAPIC_H

/* Masks every input of every IOAPIC and PIC; after machine_init. */
void ioapic_init(void);

/* The ISA interrupt `irq` has come: its handlers, and the end of interrupt. */
void irq_dispatch(unsigned irq);

#endif
