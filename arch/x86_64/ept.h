/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the CPU can do with extended page tables, as learned at boot. The
 * entries themselves are behind s2_entry_* in arch.h.
 */
#ifndef ARCH_X86_64_EPT_H
#define ARCH_X86_64_EPT_H

#include "arch/x86_64/arch.h"

struct ept_features {
	unsigned leaf_level_max; /* 0: 4 KiB only, 1: 2 MiB, 2: 1 GiB */
	bool accessed_dirty;
};

/* Called once, before the first tree is built. */
void ept_init(const struct ept_features *features);

/* The EPT pointer for a tree of four levels (SDM 3, table 26-10). */
uint64_t ept_pointer(hpa_t root);

#endif
