/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills what virt_available() and virt_missing() of arch.h answer; once, on
 * the boot CPU.
 */
#ifndef ARCH_X86_64_GATE_H
#define ARCH_X86_64_GATE_H

void gate_init(void);

#endif
