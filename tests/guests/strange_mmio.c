/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions on a hole that nobody emulates: "form=N" chooses one. The guest
 * may go on, get a fault, or be stopped.
 */
#include "tests/guests/lib/lib.h"

#define HOLE 0x50000000

static uint8_t scratch[512] __attribute__((aligned(64)));

static void sse_load(void *hole)
{
	__asm__ volatile("movaps (%0), %%xmm0" : : "r"(hole));
}

static void sse_store(void *hole)
{
	__asm__ volatile("movaps %%xmm0, (%0)" : : "r"(hole) : "memory");
}

static void save_fpu(void *hole)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(hole) : "memory");
}

static void compare_wide(void *hole)
{
	__asm__ volatile("lock; cmpxchg16b (%0)"
			 :
			 : "r"(hole), "a"(0), "b"(0), "c"(0), "d"(0)
			 : "memory");
}

static void load_descriptors(void *hole)
{
	__asm__ volatile("lgdt (%0)" : : "r"(hole));
}

static void far_jump(void *hole)
{
	__asm__ volatile("ljmp *(%0)" : : "r"(hole));
}

static void near_call(void *hole)
{
	__asm__ volatile("call *(%0)" : : "r"(hole));
}

static void shift(void *hole)
{
	__asm__ volatile("shll $3, (%0)" : : "r"(hole) : "memory");
}

static void multiply(void *hole)
{
	__asm__ volatile("imul (%0), %%rax" : : "r"(hole) : "rax");
}

static void save_state(void *hole)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	__asm__ volatile("xsave (%0)" : : "r"(hole), "a"(3), "d"(0) : "memory");
}

static void return_from_hole(void *hole)
{
	__asm__ volatile("mov %0, %%rsp; iretq" : : "r"(hole));
}

static void string_wrap(void *hole)
{
	void *to = hole;
	const void *from = scratch;
	uint64_t count = UINT64_MAX; /* until something ends it */

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void push(void *hole)
{
	__asm__ volatile("pushq (%0)" : : "r"(hole) : "memory");
}

static void pop(void *hole)
{
	__asm__ volatile("push %%rax; popq (%0)" : : "r"(hole) : "memory");
}

static void stack_in_hole(void *hole)
{
	__asm__ volatile("mov %0, %%rsp; push %%rax" : : "r"(hole));
}

static void exchange_add(void *hole)
{
	__asm__ volatile("lock; xaddl %%eax, (%0)" : : "r"(hole) : "eax", "memory");
}

static void compare_strings(void *hole)
{
	const void *from = scratch;

	__asm__ volatile("cmpsb" : "+D"(hole), "+S"(from) : : "memory");
}

static void scan_string(void *hole)
{
	__asm__ volatile("scasb" : "+D"(hole) : : "memory");
}

static void bit_beyond_operand(void *hole)
{
	__asm__ volatile("btsl %1, (%0)" : : "r"(hole), "r"(100) : "memory");
}

static void (*const forms_tried[])(void *) = {
	sse_load,
	sse_store,
	save_fpu,
	compare_wide,
	load_descriptors,
	far_jump,
	near_call,
	shift,
	multiply,
	save_state,
	return_from_hole,
	string_wrap,
	push,
	pop,
	stack_in_hole,
	exchange_add,
	compare_strings,
	scan_string,
	bit_beyond_operand,
};

static void try_form(void)
{
	uint64_t form = argument_number("form=", 0);

	farewell();
	if (form < ARRAY_SIZE(forms_tried)) {
		forms_tried[form]((void *)(uintptr_t)HOLE);
	}
	debug_exit(0);
}

const struct test tests[] = {
	{"the host survives", try_form},
	{NULL, NULL},
};
