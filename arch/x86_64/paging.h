/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's own address space, the same on every CPU:
 *
 *   DIRECT_MAP_BASE   all RAM but the image: read-write
 *   DYNAMIC_BASE      device registers and CPU stacks
 *   IMAGE_VIRT_BASE   text read-execute, rodata read-only, data read-write
 *
 * Nothing is writable and executable, nothing below the upper half is mapped.
 * Mappings are only ever added, so no CPU has to forget one.
 *
 * The *low tables* are a second root, below 4 GiB: the same upper half, and
 * the first 4 GiB and the firmware's runtime memory at their own addresses,
 * with all rights. A CPU is on them at two moments: when it starts, and in the
 * last call of the firmware.
 */
#ifndef ARCH_X86_64_PAGING_H
#define ARCH_X86_64_PAGING_H

#include "arch/x86_64/stacks.h"
#include "base/types.h"
#include "boot/boot_info.h"

#define DYNAMIC_BASE UINT64_C(0xffffc00000000000)

/*
 * Both sets of tables; the page allocator has memory already. `low_root` is an
 * unused page below 4 GiB. Ends the host when memory runs out.
 */
void paging_init(const struct boot_info *info, hpa_t low_root);

/* This CPU goes over to the hypervisor's tables. */
void paging_load(void);

/* This CPU goes over to the low tables. */
void paging_load_low(void);
uint32_t paging_low_root(void);

/* Stacks for another CPU, with their guard pages; NULL: no memory. */
struct cpu_stacks *stacks_create(void) MUST_CHECK;

#endif
