/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way into a guest and back: saves, enters, saves, restores, and decides
 * nothing. Offsets are those of struct vcpu (vcpu.h), asserted in vcpu.c.
 */
#define VMCS_HOST_RSP 0x6c14
#define HOST_RSP 128

	.text
	.globl vmx_enter, vmx_exit_point

/* int vmx_enter(struct vcpu *vcpu, bool launched) */
	.type vmx_enter, @function
vmx_enter:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	/* The loop comes here at one stack depth, so this is written once. */
	cmp	%rsp, HOST_RSP(%rdi)
	je	1f
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	mov	%rsp, HOST_RSP(%rdi)
1:
	test	%sil, %sil
	mov	0(%rdi), %rax
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rbx
	mov	40(%rdi), %rbp
	mov	48(%rdi), %rsi
	mov	64(%rdi), %r8
	mov	72(%rdi), %r9
	mov	80(%rdi), %r10
	mov	88(%rdi), %r11
	mov	96(%rdi), %r12
	mov	104(%rdi), %r13
	mov	112(%rdi), %r14
	mov	120(%rdi), %r15
	mov	56(%rdi), %rdi
	jz	2f
	vmresume
	jmp	3f
2:	vmlaunch
3:	/* Entry failed before it left this code: the stack is as it was. */
	pop	%rdi
	mov	$1, %eax
	jmp	4f

vmx_exit_point:
	/* RSP is the host's again, and points to the vCPU. */
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rax, 0(%rdi)
	mov	%rcx, 8(%rdi)
	mov	%rdx, 16(%rdi)
	mov	%rbx, 24(%rdi)
	mov	%rbp, 40(%rdi)
	mov	%rsi, 48(%rdi)
	mov	%r8, 64(%rdi)
	mov	%r9, 72(%rdi)
	mov	%r10, 80(%rdi)
	mov	%r11, 88(%rdi)
	mov	%r12, 96(%rdi)
	mov	%r13, 104(%rdi)
	mov	%r14, 112(%rdi)
	mov	%r15, 120(%rdi)
	pop	56(%rdi)
	pop	%rdi
	xor	%eax, %eax
4:
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.size vmx_enter, . - vmx_enter

	.section .note.GNU-stack, "", @progbits
