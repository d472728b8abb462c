/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message-signalled interrupts: each has a vector of its own on the service CPU.
 * msi_register is in arch.h.
 */
#ifndef ARCH_X86_64_MSI_H
#define ARCH_X86_64_MSI_H

/* The message of VECTOR_MSI + index has come: its handler, and the end of interrupt. */
void msi_dispatch(unsigned index);

#endif
