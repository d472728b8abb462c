/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's ELF file inside the loader: one file to copy, one version. */
	.section .rodata
	.global efi_image_start, efi_image_end
	.hidden efi_image_start, efi_image_end
	.balign 16
efi_image_start:
	.incbin HYPERVISOR_ELF
efi_image_end:
	.section .note.GNU-stack, "", @progbits
