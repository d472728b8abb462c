/* SPDX-License-Identifier: Apache-2.0 */
/* The table of forms.h, and form_run. */
#include "tests/guests/lib/forms.h"

	.set T, FORM_TARGET

	/* One entry: its text, and its code between a jump in and a jump out. */
	.macro form kind, flags, code
	.pushsection .rodata.form_text, "a"
8:	.string "\code"
	.popsection
	.pushsection .rodata.forms, "a"
	.quad 8b, 9f, \kind, \flags
	.popsection
9:	\code
	jmp form_done
	.endm

	.macro word code
	form FORM_WORD, FORM_FLAGS_ALL, "\code"
	.endm
	.macro word_logic code
	form FORM_WORD, FORM_FLAGS_LOGIC, "\code"
	.endm
	.macro word_bit code
	form FORM_WORD, FORM_FLAGS_BIT, "\code"
	.endm
	.macro width code
	form FORM_WIDTH, FORM_FLAGS_ALL, "\code"
	.endm
	.macro width_logic code
	form FORM_WIDTH, FORM_FLAGS_LOGIC, "\code"
	.endm
	.macro width_bit code
	form FORM_WIDTH, FORM_FLAGS_BIT, "\code"
	.endm

	.section .rodata.forms, "a"
	.globl forms, forms_end
	.align 8
forms:

	.text

	/* Every register as data, from and to an absolute address. */
	.irp r, eax, ecx, edx, ebx, esp, ebp, esi, edi, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
	word "movl %\r, T"
	word "movl T, %\r"
	.endr
	.irp r, al, cl, dl, bl, ah, ch, dh, bh, spl, bpl, sil, dil, r8b, r9b, r12b, r15b
	width "movb %\r, T"
	width "movb T, %\r"
	.endr
	.irp r, ax, cx, dx, bx, sp, bp, si, di, r8w, r13w
	width "movw %\r, T"
	width "movw T, %\r"
	.endr
	.irp r, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r14
	width "movq %\r, T"
	width "movq T, %\r"
	.endr

	/* Every register as base, without and with both displacements. */
	.irp r, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	word "mov $T, %\r; movl (%\r), %r9d"
	word "mov $T, %\r; movl %r10d, (%\r)"
	word "mov $T - 0x10, %\r; movl 0x10(%\r), %eax"
	word "mov $T + 0x1000, %\r; movl %ecx, -0x1000(%\r)"
	.endr

	/* Every register as index, with each scale. */
	.irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	word "mov $0x10, %\r; movl T - 0x80(, %\r, 8), %r11d"
	.endr
	word "mov $T - 0x10, %rbx; mov $0x10, %ecx; movl %edx, (%rbx, %rcx)"
	word "mov $T - 0x20, %rbx; mov $0x10, %ecx; movl %edx, (%rbx, %rcx, 2)"
	word "mov $T - 0x44, %r13; mov $0x10, %r12d; movl 4(%r13, %r12, 4), %edx"
	word "mov $T + 0x20, %rbp; mov $-4, %r9; movl %esi, (%rbp, %r9, 8)"
	word "mov $T + 0x1000, %rsp; mov $-4, %rax; movl -0xff0(%rsp, %rax, 4), %edi"

	/* Relative to RIP, by offset, with 32-bit addresses. */
	word "movl form_target(%rip), %eax"
	word "movl %eax, form_target(%rip)"
	word "movl $0x12345678, form_target(%rip)"
	word "andl $0x7f, form_target(%rip)"
	word "movabsl T, %eax"
	word "movabsl %eax, T"
	width "movabsb T, %al"
	width "movabsb %al, T"
	width "movabsw T, %ax"
	width "movabsq T, %rax"
	width "movabsq %rax, T"
	word "movabs $0x7700000000 + T, %rbx; movl (%ebx), %eax"
	word "movabs $0x7700000000 + T + 4, %rbx; movl %eax, -4(%ebx)"
	word "movabs $0x77fffffff0, %rbx; movl T + 0x10(%ebx), %eax"

	/* Immediates. */
	word "movl $0, T"
	word "movl $0x80000001, T"
	width "movb $0x5a, T"
	width "movw $0x5aa5, T"
	width "movq $-2, T"
	width "movq $0x12345678, T"

	/* Zero and sign extension. */
	width "movzbl T, %eax"
	width "movzbw T, %cx"
	width "movzbq T, %r8"
	width "movzwl T, %edx"
	width "movzwq T, %r15"
	width "movsbw T, %ax"
	width "movsbl T, %ebx"
	width "movsbq T, %rsi"
	width "movswl T, %edi"
	width "movswq T, %r9"
	word "movslq T, %r10"

	/* Arithmetic: both directions, immediates of 8 and 32 bits, each width. */
	.irp op, add, adc, sub, sbb, cmp
	word "\op\()l %ecx, T"
	word "\op\()l T, %edx"
	word "\op\()l $-3, T"
	word "\op\()l $0x12345678, T"
	word "stc; \op\()l %r9d, T"
	width "\op\()b %ch, T"
	width "\op\()b T, %dl"
	width "\op\()b $0x7f, T"
	width "\op\()w %r8w, T"
	width "\op\()w $0x1234, T"
	width "\op\()w $-1, T"
	width "\op\()q %rsi, T"
	width "\op\()q T, %rdi"
	width "\op\()q $-1, T"
	width "\op\()q $0x12345678, T"
	.endr
	.irp op, and, or, xor
	word_logic "\op\()l %ecx, T"
	word_logic "\op\()l T, %edx"
	word_logic "\op\()l $-3, T"
	word_logic "\op\()l $0x12345678, T"
	width_logic "\op\()b %ch, T"
	width_logic "\op\()b T, %dl"
	width_logic "\op\()b $0x7f, T"
	width_logic "\op\()w %r8w, T"
	width_logic "\op\()w $0x1234, T"
	width_logic "\op\()q %rsi, T"
	width_logic "\op\()q T, %rdi"
	width_logic "\op\()q $-3, T"
	.endr
	word_logic "testl %ecx, T"
	word_logic "testl $0x80000000, T"
	width_logic "testb $0x80, T"
	width_logic "testb %ah, T"
	width_logic "testw $0x8000, T"
	width_logic "testq %rdx, T"
	width_logic "testq $-1, T"

	/* One operand. */
	.irp op, inc, dec, not, neg
	word "\op\()l T"
	word "stc; \op\()l T"
	word "lock; \op\()l T"
	width "\op\()b T"
	width "\op\()w T"
	width "\op\()q T"
	.endr

	/* Locked, and exchanges; CMPXCHG fails, then matches. */
	.irp op, add, adc, sub, sbb
	word "lock; \op\()l %ecx, T"
	word "lock; \op\()l $1, T"
	.endr
	.irp op, and, or, xor
	word_logic "lock; \op\()l %ecx, T"
	.endr
	word "xchgl %r8d, T"
	width "xchgb %ah, T"
	width "xchgw %dx, T"
	width "xchgq %r9, T"
	word "cmpxchgl %ecx, T"
	word "movl T, %eax; cmpxchgl %ecx, T"
	word "movl T, %eax; lock; cmpxchgl %ecx, T"
	word "lock; cmpxchgl %r10d, T"
	width "cmpxchgb %dl, T"
	width "movb T, %al; lock; cmpxchgb %dl, T"
	width "movw T, %ax; cmpxchgw %dx, T"
	width "movq T, %rax; lock; cmpxchgq %rdx, T"

	/* Single bits, inside the operand. */
	.irp op, bt, bts, btr, btc
	word_bit "\op\()l $31, T"
	word_bit "mov $7, %ecx; \op\()l %ecx, T"
	width_bit "\op\()w $3, T"
	width_bit "\op\()q $63, T"
	.endr
	word_bit "lock; btsl $0, T"
	word_bit "lock; btrl $0, T"
	word_bit "lock; btcl $30, T"

	/* String instructions: from and to RAM, forwards and backwards. */
	word "mov $T, %rsi; mov $form_scratch, %rdi; movsl"
	word "mov $form_scratch, %rsi; mov $T, %rdi; movsl"
	word "mov $T, %rdi; stosl"
	word "mov $T, %rsi; lodsl"
	word "mov $T, %rdi; mov $1, %ecx; rep stosl"
	word "mov $T, %rdi; xor %ecx, %ecx; rep stosl"
	width "mov $T, %rsi; mov $form_scratch, %rdi; movsb"
	width "mov $T, %rsi; mov $form_scratch, %rdi; mov $5, %ecx; rep movsb"
	width "mov $form_scratch, %rsi; mov $T, %rdi; mov $3, %ecx; rep movsq"
	width "mov $T, %rsi; mov $T + 0x40, %rdi; mov $4, %ecx; rep movsl"
	width "std; mov $T + 8, %rsi; mov $form_scratch + 16, %rdi; mov $3, %ecx; rep movsl"
	width "mov $T, %rdi; mov $9, %ecx; rep stosb"
	width "std; mov $T, %rdi; mov $4, %ecx; rep stosw"
	width "mov $T, %rdi; mov $4, %ecx; rep stosq"
	width "mov $T, %rsi; mov $3, %ecx; rep lodsw"
	width "mov $T, %rsi; lodsq"
	width "movabs $0x7700000000 + T, %rdi; mov $2, %ecx; addr32 rep stosl"
	width "mov $0x1234, %edx; mov $T, %rdi; insb"
	width "mov $0x1234, %edx; mov $T, %rdi; mov $3, %ecx; rep insl"
	width "mov $0x1234, %edx; mov $T, %rsi; outsw"
	width "mov $0x1234, %edx; mov $T, %rsi; mov $5, %ecx; rep outsb"

	.section .rodata.forms, "a"
forms_end:

	/* void form_run(const struct form *, struct form_registers *) */
	.text
	.globl form_run
form_run:
	pushfq
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	cli
	mov %rsp, form_stack
	mov %rsi, form_state
	mov 8(%rdi), %rax
	mov %rax, form_code
	pushq 128(%rsi)
	popfq
	mov 0(%rsi), %rax
	mov 8(%rsi), %rcx
	mov 16(%rsi), %rdx
	mov 24(%rsi), %rbx
	mov 32(%rsi), %rsp
	mov 40(%rsi), %rbp
	mov 56(%rsi), %rdi
	mov 64(%rsi), %r8
	mov 72(%rsi), %r9
	mov 80(%rsi), %r10
	mov 88(%rsi), %r11
	mov 96(%rsi), %r12
	mov 104(%rsi), %r13
	mov 112(%rsi), %r14
	mov 120(%rsi), %r15
	mov 48(%rsi), %rsi
	jmp *form_code

form_done:
	mov %rsp, form_rsp
	mov form_stack, %rsp
	pushfq
	cld
	push %rax
	mov form_state, %rax
	mov %rcx, 8(%rax)
	mov %rdx, 16(%rax)
	mov %rbx, 24(%rax)
	mov %rbp, 40(%rax)
	mov %rsi, 48(%rax)
	mov %rdi, 56(%rax)
	mov %r8, 64(%rax)
	mov %r9, 72(%rax)
	mov %r10, 80(%rax)
	mov %r11, 88(%rax)
	mov %r12, 96(%rax)
	mov %r13, 104(%rax)
	mov %r14, 112(%rax)
	mov %r15, 120(%rax)
	pop %rcx
	mov %rcx, 0(%rax)
	pop %rcx
	mov %rcx, 128(%rax)
	mov form_rsp, %rcx
	mov %rcx, 32(%rax)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	popfq
	ret

	.bss
	.align 8
form_stack:
	.skip 8
form_state:
	.skip 8
form_code:
	.skip 8
form_rsp:
	.skip 8
	.globl form_scratch
form_scratch:
	.skip 64

	/* For operands relative to RIP, which need a symbol. */
	.globl form_target
	.set form_target, FORM_TARGET

	.section .note.GNU-stack, "", @progbits
