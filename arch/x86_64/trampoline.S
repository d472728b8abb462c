/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of another CPU: from real mode straight to 64-bit mode (SDM 3,
 * 9.8.5; the MP initialization protocol is 9.4). smp.c copies this into a page
 * below 1 MiB, fills trampoline_data in the copy and sends INIT and SIPI, one
 * CPU after the other. The page tables map the page at its own address.
 */
#define MSR_EFER 0xc0000080
#define EFER_LME_NXE 0x900
#define CR4_PAE 0x20
#define CR0_START 0x80010033		/* PG, WP, NE, ET, MP, PE */

	.section .rodata.trampoline, "a"
	.globl trampoline_start, trampoline_data, trampoline_long, trampoline_gdt
	.globl trampoline_end

	.code16
trampoline_start:
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	lgdtl gdtr - trampoline_start
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl root - trampoline_start, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	xorl %edx, %edx
	movl $EFER_LME_NXE, %eax
	wrmsr
	movl $CR0_START, %eax
	movl %eax, %cr0
	ljmpl *(far_jump - trampoline_start)

	.code64
trampoline_long:
	mov cpu(%rip), %rbx
	mov stack(%rip), %rsp
	jmp *entry(%rip)

	.balign 8
trampoline_gdt:
	.quad 0
	.quad 0x00209b0000000000	/* 64-bit code, accessed */
	.quad 0x0000930000000000	/* data, accessed */
trampoline_gdt_end:

/* struct trampoline_data in smp.c */
	.balign 8
trampoline_data:
cpu:	.quad 0
stack:	.quad 0
entry:	.quad 0
root:	.long 0
far_jump:
	.long 0
	.word 0x08
gdtr:	.word trampoline_gdt_end - trampoline_gdt - 1
	.long 0
trampoline_end:

	.section .note.GNU-stack, "", @progbits
