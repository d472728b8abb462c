/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From 64-bit mode to compatibility, protected or real mode and back.
 *
 * All three copy the routine and go down as far as asked, mode by mode; the
 * way back climbs the same ladder (SDM 3, 10.8.5 and 10.9).
 */
#include "tests/guests/lib/modes.h"

	.text
	.code64
	.globl run_compatibility, run_protected, run_real
run_compatibility:
	mov $compatibility_call, %eax
	jmp run
run_protected:
	mov $protected_call, %eax
	jmp run
run_real:
	mov $real_call, %eax

run:
	pushfq
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	cli
	mov %rsp, saved_rsp(%rip)
	sidt saved_idt(%rip)
	/* The routine, then what must lie below 64 KiB of this file. */
	mov %rsi, %rcx
	sub %rdi, %rcx
	mov %rdi, %rsi
	mov $LOW_CODE, %edi
	rep movsb
	mov $low_start, %esi
	mov $LOW_SWITCH, %edi
	mov $(low_end - low_start), %ecx
	rep movsb
	mov $LOW_STACK, %esp
	push $0x18
	push %rax
	lretq

	.code32
compatibility_call:
	mov $0x10, %ecx
	mov %ecx, %ss
	mov $LOW_DATA, %edi
	mov $LOW_CODE, %ecx
	call *%ecx
	jmp long_return

protected_call:
	call paging_off
	mov $LOW_DATA, %edi
	mov $LOW_CODE, %ecx
	call *%ecx
	jmp protected_return

real_call:
	call paging_off
	mov $LOW_SWITCH, %ecx
	jmp *%ecx

/* Leaves long mode: PG, then LME (the order is the manual's). */
paging_off:
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov %ecx, %ss
	mov %cr4, %ecx
	mov %ecx, saved_cr4
	mov %cr0, %ecx
	mov %ecx, saved_cr0
	and $0x7fffffff, %ecx
	mov %ecx, %cr0
	mov $0xc0000080, %ecx
	rdmsr
	and $~(1 << 8), %eax
	wrmsr
	ret

/* EAX is the routine's result; ESP is the low stack's again. */
protected_return:
	mov %eax, %ebx
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov %ecx, %ss
	mov saved_cr4, %ecx
	mov %ecx, %cr4
	mov $page_map, %ecx
	mov %ecx, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $(1 << 8), %eax
	wrmsr
	mov saved_cr0, %ecx
	mov %ecx, %cr0
	mov %ebx, %eax
long_return:
	ljmp $0x08, $1f
	.code64
1:	lgdt gdt_pointer
	lidt saved_idt(%rip)
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov %ecx, %ss
	mov saved_rsp(%rip), %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	popfq
	ret

/* Copied to LOW_SWITCH: all addresses are relative to that. */
#define LOW(label) (LOW_SWITCH + (label) - low_start)
	.code32
low_start:
	ljmp $0x20, $LOW(low_16)
	.code16
low_16:
	mov $0x28, %cx
	mov %cx, %ds
	mov %cx, %es
	mov %cx, %ss
	mov %cx, %fs
	mov %cx, %gs
	lidtl %cs:LOW(low_ivt)
	mov %cr0, %ecx
	and $~1, %ecx
	mov %ecx, %cr0
	ljmp $0, $LOW(low_real)
low_real:
	xor %cx, %cx
	mov %cx, %ds
	mov %cx, %es
	mov %cx, %ss
	mov %cx, %fs
	mov %cx, %gs
	mov $LOW_DATA, %di
	mov $LOW_CODE, %cx
	call *%cx
	mov %eax, %ebx
	cli
	lgdtl %cs:LOW(low_gdt)
	mov %cr0, %ecx
	or $1, %ecx
	mov %ecx, %cr0
	ljmp $0x18, $LOW(low_32)
	.code32
low_32:
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov %ecx, %ss
	mov %ebx, %eax
	mov $protected_return, %ecx
	jmp *%ecx
low_ivt:
	.word 0x3ff
	.long 0
low_gdt:
	.word 0x4f
	.long gdt
low_end:

	.data
	.align 8
saved_rsp:
	.quad 0
saved_cr0:
	.long 0
saved_cr4:
	.long 0
saved_idt:
	.word 0
	.quad 0

	.section .note.GNU-stack, "", @progbits
