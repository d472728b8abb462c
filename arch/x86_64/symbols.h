/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of the hypervisor's functions, for backtraces. The table is made
 * by tools/symbols and linked into the image after everything else.
 */
#ifndef ARCH_X86_64_SYMBOLS_H
#define ARCH_X86_64_SYMBOLS_H

#include "base/types.h"

/*
 * The function that `address` lies in, and how far behind its start in
 * *offset; NULL when the address is outside the image's text.
 */
const char *symbol_find(uint64_t address, uint64_t *offset);

#endif
