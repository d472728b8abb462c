/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loader brought from the boot volume: the configuration, with its
 * mistakes told, and the files that it names.
 */
#ifndef BOOT_VOLUME_H
#define BOOT_VOLUME_H

#include "boot/boot_info.h"
#include "vmm/vm.h"

/* Parses dyad.conf; each mistake is one line of the log. */
void volume_init(const struct boot_info *info);

const struct config *volume_config(void);

/* When the network has derived its keys: the pair's own goes from memory. */
void volume_forget_key(void);

/* The files, as vm_init takes them. */
const struct vm_image *volume_images(unsigned *count);

/* Bytes of memory that the files take. */
uint64_t volume_size(void);

#endif
