/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where CPUs enter C: the boot CPU from the loader, the others from the
 * trampoline. Both get a stack and the GS base of their struct cpu first.
 */
#include "arch/x86_64/stacks.h"

#define MSR_GS_BASE 0xc0000101

/* %rdi: struct boot_info, on the loader's page tables and stack. */
	.section .text.start, "ax"
	.globl dyad_start
	.type dyad_start, @function
dyad_start:
	cli
	cld
	mov $boot_cpu, %rbx
	mov $(boot_stacks + STACK_MAIN_TOP), %rsp
	mov %rdi, %rbp
	call set_gs_base
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	shl $16, %rax			/* the lowest and the highest byte stay */
	shr $8, %rax
	xor %rax, __stack_chk_guard
	mov %rbp, %rdi
	xor %ebp, %ebp			/* ends backtraces */
	call boot_main
	ud2
	.size dyad_start, . - dyad_start

/* %rbx: struct cpu, its stack already in use; from trampoline.S. */
	.text
	.globl smp_start_here
	.type smp_start_here, @function
smp_start_here:
	call set_gs_base
	mov %rbx, %rdi
	xor %ebp, %ebp
	call smp_cpu_start
	ud2
	.size smp_start_here, . - smp_start_here

	.type set_gs_base, @function
set_gs_base:
	mov $MSR_GS_BASE, %ecx
	mov %rbx, %rdx
	mov %ebx, %eax
	shr $32, %rdx
	wrmsr
	ret
	.size set_gs_base, . - set_gs_base

	.section .note.GNU-stack, "", @progbits
