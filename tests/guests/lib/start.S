/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the multiboot loader's 32-bit mode to payload_main in 64-bit mode; the
 * entries of all 256 vectors; checkpoints, the runtime's setjmp.
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 3 /* modules on page boundaries, memory information */

	.section .multiboot, "a"
	.align 4
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl start
start:
	cli
	cld
	mov $stack_top, %esp
	mov %eax, multiboot_magic
	mov %ebx, multiboot_info

	/* 4 GiB one to one in pages of 2 MiB: present, writable, user. */
	movl $page_map_1g + 7, page_map
	mov $page_map_2m + 7, %eax
	mov $page_map_1g, %edi
1:	mov %eax, (%edi)
	add $8, %edi
	add $0x1000, %eax
	cmp $page_map_1g + 4 * 8, %edi
	jne 1b
	mov $0x87, %eax
	mov $page_map_2m, %edi
2:	mov %eax, (%edi)
	add $8, %edi
	add $0x200000, %eax
	cmp $page_map_2m + 4 * 0x1000, %edi
	jne 2b

	mov $(1 << 5 | 1 << 9 | 1 << 10), %eax /* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $page_map, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx /* EFER.LME */
	rdmsr
	or $(1 << 8), %eax
	wrmsr
	mov $(1 << 31 | 1 << 16 | 1 << 5 | 1 << 1 | 1), %eax /* PG WP NE MP PE */
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $1f

	.code64
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $stack_top, %esp
	fninit
	call payload_main
1:	hlt
	jmp 1b

	/*
	 * Sixteen bytes a vector, so that idt_set computes their addresses. Those
	 * without an error code push a zero in its place.
	 */
	.globl vector_stubs
	.align 16
vector_stubs:
	.set vector, 0
	.rept 256
	.align 16
	.set has_error, 0
	.if vector < 32
	.set has_error, 0x60227d00 >> vector & 1
	.endif
	.if !has_error
	push $0
	.endif
	push $vector
	jmp vector_common
	.set vector, vector + 1
	.endr

vector_common:
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
	call vector_handle
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
	add $16, %rsp
	iretq

	/* int checkpoint_set(struct checkpoint *): 0, or 1 when resumed. */
	.globl checkpoint_set
checkpoint_set:
	pop %rdx
	mov %rbx, 0(%rdi)
	mov %rbp, 8(%rdi)
	mov %r12, 16(%rdi)
	mov %r13, 24(%rdi)
	mov %r14, 32(%rdi)
	mov %r15, 40(%rdi)
	mov %rsp, 48(%rdi)
	mov %rdx, 56(%rdi)
	xor %eax, %eax
	jmp *%rdx

	/* _Noreturn void checkpoint_resume(const struct checkpoint *) */
	.globl checkpoint_resume
checkpoint_resume:
	mov $0x10, %eax
	mov %eax, %ss
	mov 0(%rdi), %rbx
	mov 8(%rdi), %rbp
	mov 16(%rdi), %r12
	mov 24(%rdi), %r13
	mov 32(%rdi), %r14
	mov 40(%rdi), %r15
	mov 48(%rdi), %rsp
	mov $1, %eax
	jmp *56(%rdi)

	/*
	 * _Noreturn void user_enter(void (*function)(void), uint64_t rsp): at CPL 3.
	 * When the function returns, it raises the interrupt that tells so.
	 */
	.globl user_enter
user_enter:
	push $(0x30 | 3)
	push %rsi
	pushfq
	push $(0x38 | 3)
	push $1f
	iretq
1:	call *%rdi
	int $0x7f

	/* With the segments of modes.S; the TSS's descriptor is filled in by C. */
	.data
	.align 16
	.globl gdt
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08 64-bit code */
	.quad 0x00cf93000000ffff /* 0x10 data */
	.quad 0x00cf9b000000ffff /* 0x18 32-bit code */
	.quad 0x00009b000000ffff /* 0x20 16-bit code */
	.quad 0x000093000000ffff /* 0x28 16-bit data */
	.quad 0x00cff3000000ffff /* 0x30 user data */
	.quad 0x00affb000000ffff /* 0x38 user 64-bit code */
	.quad 0, 0               /* 0x40 TSS */
gdt_end:
	.globl gdt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt

	.globl multiboot_magic, multiboot_info
multiboot_magic:
	.long 0
	.align 8
multiboot_info:
	.quad 0

	.bss
	.align 4096
	.globl page_map, page_map_1g, page_map_2m
page_map:
	.skip 4096
page_map_1g:
	.skip 4096
page_map_2m:
	.skip 4 * 4096
	.globl stack_top
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
