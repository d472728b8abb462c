/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task switch by hardware in protected mode, which no 64-bit system does: the
 * guest may be stopped for it, the host goes on.
 */
#include "tests/guests/lib/lib.h"

/* [edi]: GDTR, [edi + 8]: selector of the new task. */
__asm__(".pushsection .rodata\n.code32\n"
	"task_jump: lgdt (%edi); mov $0x48, %eax; ltr %ax; mov %edi, %esi\n"
	"pushl 8(%edi); pushl $0; ljmp *(%esp); ret\n"
	"task_jump_end:\n.code64\n.popsection");
extern const char task_jump[], task_jump_end[];

#define TSS_32 UINT64_C(0x0000890000000067) /* available, limit 103 */
#define SEL_TASK 0x50

static uint32_t tasks[2][26] __attribute__((aligned(128)));
static uint64_t table[11];

static uint64_t descriptor(const void *task)
{
	uint64_t base = (uintptr_t)task;

	return TSS_32 | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
}

static void switch_task(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr;

	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	memcpy(table, (const void *)gdtr.base, 9 * 8);
	table[9] = descriptor(tasks[0]);
	table[10] = descriptor(tasks[1]);
	gdtr.base = (uintptr_t)table;
	gdtr.limit = sizeof(table) - 1;
	memcpy((void *)(uintptr_t)LOW_DATA, &gdtr, 6);
	((volatile uint32_t *)(uintptr_t)LOW_DATA)[2] = SEL_TASK;
	farewell();
	run_protected(task_jump, task_jump_end);
	debug_exit(0);
}

const struct test tests[] = {
	{"the host survives", switch_task},
	{NULL, NULL},
};
