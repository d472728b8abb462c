/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest loaders: put an image into a guest's memory and set the vCPU's first
 * state. The format is found from the image itself.
 *
 *   bzImage      64-bit boot protocol (Linux Documentation/x86/boot.rst)
 *   ELF + PVH    note XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/arch-x86/hvm/start_info.h)
 *   multiboot 1  ELF with the header in its first 8 KiB (Multiboot Specification 0.6.96)
 *
 * Images are foreign bytes: every size and offset is checked before use, and a
 * lie is an error with a sentence, never an access out of bounds.
 */
#ifndef VMM_LOAD_H
#define VMM_LOAD_H

#include "arch/x86_64/arch.h"
#include "vmm/memory.h"

#define LOAD_ERROR_MAX 160

struct load_image {
	const uint8_t *data;
	size_t size;
	const char *cmdline; /* multiboot modules; "" = none */
};

struct load_request {
	struct load_image kernel;
	struct load_image initrd; /* size 0 = none */
	const char *cmdline;
	unsigned module_count;
	const struct load_image *modules; /* multiboot only */
	gpa_t rsdp; /* where vmm/acpi.c put the RSDP */
};

/*
 * Returns 0 with *state ready for vcpu_set_state, or -EINVAL, -ENOSPC with a
 * sentence in error[LOAD_ERROR_MAX]: what is wrong with which image.
 */
int load_guest(struct guest_memory *memory, const struct load_request *request,
	       struct vcpu_state *state, char *error) MUST_CHECK;

#endif
