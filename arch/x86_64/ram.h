/* SPDX-License-Identifier: Apache-2.0 */
/* The host's RAM on its way from the loader's map into the page allocator. */
#ifndef ARCH_X86_64_RAM_H
#define ARCH_X86_64_RAM_H

#include "boot/boot_info.h"

/*
 * Starts the page allocator with the free memory that the loader's page tables
 * reach. Returns one page below 4 GiB that is not in it, for paging_init. Ends
 * the host when there is too little.
 */
hpa_t ram_init(const struct boot_info *info);

/* Adds what only our own page tables reach: after paging_load. */
void ram_add_high(const struct boot_info *info);

#endif
