/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 256 entries of the IDT: each pushes an error code where the CPU pushed
 * none, and its vector; then all registers, and on to trap_handle().
 */

/* #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX push one (SDM 3, table 6-1). */
#define HAS_ERROR_CODE 0x60227d00

	.text
	.balign 16
	.globl trap_entries
trap_entries:
	.set vector, 0
	.rept 256
	.balign 16
	.ifge vector - 32
	push $0
	.else
	.ifeq (HAS_ERROR_CODE >> vector) & 1
	push $0
	.endif
	.endif
	push $vector
	jmp trap_common
	.set vector, vector + 1
	.endr
	.balign 16

	.type trap_common, @function
trap_common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	call trap_handle
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp			/* vector and error code */
	iretq
	.size trap_common, . - trap_common

	.section .note.GNU-stack, "", @progbits
