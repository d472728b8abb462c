/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No descriptor table for exceptions: the CPU shuts down. The registers that
 * the host then shows hold what is here: number N, N in each of its bytes.
 */
#include "tests/guests/lib/lib.h"

/* The last one is the instruction that fails. */
__asm__(".pushsection .text\n"
	"shut_down_with_known_registers: lidt (%rdi)\n"
	"movabs $0x4444444444444444, %rax; mov %rax, %cr2\n"
	"movabs $0x0101010101010101, %rcx; movabs $0x0202020202020202, %rdx\n"
	"movabs $0x0303030303030303, %rbx; movabs $0x0404040404040404, %rsp\n"
	"movabs $0x0505050505050505, %rbp; movabs $0x0606060606060606, %rsi\n"
	"movabs $0x0707070707070707, %rdi; movabs $0x0808080808080808, %r8\n"
	"movabs $0x0909090909090909, %r9; movabs $0x0a0a0a0a0a0a0a0a, %r10\n"
	"movabs $0x0b0b0b0b0b0b0b0b, %r11; movabs $0x0c0c0c0c0c0c0c0c, %r12\n"
	"movabs $0x0d0d0d0d0d0d0d0d, %r13; movabs $0x0e0e0e0e0e0e0e0e, %r14\n"
	"movabs $0x0f0f0f0f0f0f0f0f, %r15; mov $0, %eax\n"
	"failing_instruction: ud2\n"
	".popsection");
_Noreturn void shut_down_with_known_registers(const void *table);
extern const char failing_instruction[];

static void shut_down(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing = {0, 0};

	print("# RIP %016lx CR3 %016lx\n", (uint64_t)(uintptr_t)failing_instruction,
	      (uint64_t)(uintptr_t)page_map);
	farewell();
	shut_down_with_known_registers(&nothing);
}

const struct test tests[] = {
	{"shutdown", shut_down},
	{NULL, NULL},
};
