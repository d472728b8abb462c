/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions: each vector's cause, its RIP, error code and what it leaves. */
#include "tests/guests/lib/lib.h"

#define SEL_NOT_PRESENT 0x50 /* behind the table: a general protection fault */

static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t spare_stack[4096] __attribute__((aligned(16)));
static volatile uint64_t trap_rip, trap_dr6, trap_rsp;

static uint64_t spare_stack_top(void)
{
	return (uintptr_t)spare_stack + sizeof(spare_stack);
}

static void divide_error(void)
{
	expect_equal(TRY("div %%ecx", : : "a"(1), "d"(0), "c"(0) : "cc"), DE);
	expect_equal(TRY("idiv %%ecx", : : "a"(0x80000000), "d"(-1), "c"(-1) : "cc"), DE);
}

static void undefined(void)
{
	uint64_t here;

	expect_equal(TRY("lea (%%rip), %0; ud2", : "=r"(here)), UD);
	expect_equal(fault.rip, here);
}

static void breakpoint(void)
{
	uint64_t after;

	expect_equal(TRY("lea 1f(%%rip), %0; int3; 1:", : "=r"(after)), BP);
	expect_equal(fault.rip, after);
	expect_equal(TRY("lea 1f(%%rip), %0; int $3; 1:", : "=r"(after)), BP);
	expect_equal(fault.rip, after);
}

static void breakpoint_prefixed(void)
{
	uint64_t after;

	/* The length of what is injected again must be that of the instruction. */
	expect_equal(TRY("lea 1f(%%rip), %0; .byte 0x66, 0x66, 0xcc; 1:", : "=r"(after)), BP);
	expect_equal(fault.rip, after);
}

static void int_n(void)
{
	on_vector(0x90, count_event);
	__asm__ volatile("int $0x90" : : : "memory");
	expect_equal(event_count[0x90], 1);
	idt_set(0x90, 0, false);
	expect_equal(TRY("int $0x90", ), NP);
	need(machine_is_strict(), "QEMU's TCG names another vector");
	expect_equal(fault.error, 0x90 << 3 | 2); /* of the IDT */
}

static void debug_trap(struct frame *frame)
{
	event_count[DB]++;
	trap_rip = frame->rip;
	__asm__ volatile("mov %%dr6, %0" : "=r"(trap_dr6));
	write_dr6(0xffff0ff0);
}

static void hardware_breakpoints(void)
{
	static volatile uint32_t watched;
	uint64_t after;

	on_vector(DB, debug_trap);
	__asm__ volatile("mov %0, %%dr0" : : "r"(&watched));
	write_dr7(0x400 | 0x000d0001); /* DR0: four bytes, writes */
	__asm__ volatile("movl $1, %1; 1: nop; lea 1b(%%rip), %0" : "=r"(after), "=m"(watched));
	write_dr7(0x400);
	expect_equal(event_count[DB], 1);
	expect_equal(trap_rip, after);
	expect(trap_dr6 & BIT(0));
}

static void debug_registers_hold(void)
{
	uint64_t seen[4];

	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
			 :
			 : "r"(UINT64_C(0x1111)), "r"(UINT64_C(0x2222)), "r"(UINT64_C(0x3333)),
			   "r"(UINT64_C(0x4444)));
	cpuid(0, 0);
	inb(0x3ff);
	__asm__ volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3"
			 : "=r"(seen[0]), "=r"(seen[1]), "=r"(seen[2]), "=r"(seen[3]));
	expect_equal(seen[0], 0x1111);
	expect_equal(seen[1], 0x2222);
	expect_equal(seen[2], 0x3333);
	expect_equal(seen[3], 0x4444);
	expect_equal(read_dr7() & ~UINT64_C(0x400), 0);
	need(machine_is_strict(), "QEMU's TCG takes any DR7");
	expect_equal(try_write_dr7(BIT(32) | 0x400), GP);
	expect_equal(try_write_dr6(BIT(32)), GP);
}

static void device_not_available(void)
{
	write_cr0(read_cr0() | CR0_TS);
	expect_equal(TRY("fninit", ), NM);
	expect_equal(TRY("movaps %%xmm0, %%xmm0", :), NM);
	__asm__ volatile("clts");
	expect_equal(TRY("fninit", ), NO_FAULT);
}

static void x87_error(void)
{
	uint16_t unmask_zero_divide = 0x037b;

	expect_equal(TRY("fninit; fldcw %0; fld1; fldz; fdivrp; fwait",
			 :
			 : "m"(unmask_zero_divide)),
		     MF);
	__asm__ volatile("fninit");
}

static void simd_error(void)
{
	uint32_t mxcsr = 0x1d80; /* zero divide unmasked */
	uint32_t normal = 0x1f80;
	int vector;

	vector = TRY("ldmxcsr %0; pcmpeqd %%xmm0, %%xmm0; psrld $25, %%xmm0;"
		     "pslld $23, %%xmm0; xorps %%xmm1, %%xmm1; divss %%xmm1, %%xmm0",
		     :
		     : "m"(mxcsr));
	__asm__ volatile("ldmxcsr %0" : : "m"(normal));
	need(machine_is_strict(), "QEMU's TCG raises no #XM");
	expect_equal(vector, XM);
}

static void page_fault_codes(void)
{
	window_map(0, 0);
	expect_equal(TRY("movl 0x60000010, %%eax", : : : "eax"), PF);
	expect_equal(fault.error, 0);
	expect_equal(fault.cr2, WINDOW + 0x10);
	expect_equal(TRY("movl %%eax, 0x60000ffe", : : : "memory"), PF);
	expect_equal(fault.error, 2);
	expect_equal(fault.cr2, WINDOW + 0xffe);
	window_map(0, (uintptr_t)page | PTE_P);
	expect_equal(TRY("movl %%eax, 0x60000010", : : : "memory"), PF);
	expect_equal(fault.error, 3);
	write_cr0(read_cr0() & ~CR0_WP);
	expect_equal(TRY("movl %%eax, 0x60000010", : : : "memory"), NO_FAULT);
	write_cr0(read_cr0() | CR0_WP);
	need(machine_is_strict(), "QEMU's TCG leaves out P");
	window_map(0, (uintptr_t)page | PTE_P | BIT(51));
	expect_equal(TRY("movl 0x60000010, %%eax", : : : "eax"), PF);
	expect_equal(fault.error, 9); /* a reserved bit */
}

static void accessed_and_dirty(void)
{
	window_map(0, (uintptr_t)page | PTE_P | PTE_W);
	expect_equal(window_entry(0) & (PTE_A | PTE_D), 0);
	__asm__ volatile("movl 0x60000000, %%eax" : : : "eax", "memory");
	expect_equal(window_entry(0) & (PTE_A | PTE_D), PTE_A);
	__asm__ volatile("movl %%eax, 0x60000000" : : : "memory");
	expect_equal(window_entry(0) & (PTE_A | PTE_D), PTE_A | PTE_D);
}

static void user_read(void)
{
	*(volatile uint32_t *)(uintptr_t)WINDOW;
}

static void user_page_fault(void)
{
	window_map(0, (uintptr_t)page | PTE_P | PTE_W);
	expect_equal(user_fault_of(user_read), PF);
	expect_equal(fault.error, 5); /* user, present */
	window_map(0, (uintptr_t)page | PTE_P | PTE_W | PTE_U);
	expect_equal(user_fault_of(user_read), NO_FAULT);
}

static void general_protection(void)
{
	expect_equal(TRY("mov (%0), %%eax", : : "r"(UINT64_C(0x8000000000000000)) : "eax"), GP);
	expect_equal(fault.error, 0);
	expect_equal(TRY("mov %w0, %%ds", : : "r"(SEL_NOT_PRESENT)), GP);
	expect_equal(fault.error, SEL_NOT_PRESENT);
	expect_equal(TRY("mov %w0, %%ss", : : "r"(SEL_CODE64)), GP);
	expect_equal(fault.error, SEL_CODE64);
}

static void pop_nowhere(void)
{
	__asm__ volatile("mov %0, %%rsp; pop %%rax" : : "r"(UINT64_C(0x8000000000000000)));
}

static void stack_fault(void)
{
	/* Its frame cannot be pushed to where RSP points. */
	tss_set_ist(1, spare_stack_top());
	idt_set(SS, 1, true);
	idt_set(GP, 1, true);

	int vector = fault_of(pop_nowhere);

	need(machine_is_strict(), "QEMU's TCG raises #GP");
	expect_equal(vector, SS);
	expect_equal(fault.error, 0);
}

static void user_misaligned(void)
{
	__asm__ volatile("pushfq; orl $0x40000, (%%rsp); popfq; movl (%0), %%eax"
			 :
			 : "r"(page + 1)
			 : "eax", "memory");
}

static void alignment_check(void)
{
	write_cr0(read_cr0() | CR0_AM);
	int vector = user_fault_of(user_misaligned);

	need(machine_is_strict(), "QEMU's TCG has no alignment checks");
	expect_equal(vector, AC);
	expect_equal(fault.error, 0);
	write_cr0(read_cr0() & ~CR0_AM);
	expect_equal(user_fault_of(user_misaligned), NO_FAULT);
}

static void touch_window(void)
{
	*(volatile uint32_t *)(uintptr_t)WINDOW = 1;
}

/* #PF whose gate is absent: #NP while delivering #PF is a double fault. */
static void double_fault(void)
{
	window_map(0, 0);
	idt_set(PF, 0, false);
	tss_set_ist(1, spare_stack_top());
	idt_set(DF, 1, true);
	expect_equal(fault_of(touch_window), DF);
	expect_equal(fault.error, 0);
}

static void bad_stack(void)
{
	__asm__ volatile("mov %0, %%rsp; push %%rax" : : "r"(UINT64_C(WINDOW + 0x800)));
}

/* No stack at all: #PF can't be pushed, #DF has a stack of its own. */
static void double_fault_bad_stack(void)
{
	window_map(0, 0);
	tss_set_ist(1, spare_stack_top());
	idt_set(DF, 1, true);
	expect_equal(fault_of(bad_stack), DF);
	expect_equal(fault.cr2, WINDOW + 0x7f8);
}

static void map_stack(struct frame *frame)
{
	event_count[frame->vector]++;
	trap_rip = frame->rip;
	trap_rsp = read_cr2();
	window_map(0, (uintptr_t)page | PTE_P | PTE_W);
}

/* The handler's stack page is absent when the interrupt comes. */
static void fault_in_interrupt_delivery(void)
{
	apic_enable();
	window_map(0, 0);
	on_vector(0x61, count_apic_event);
	tss_set_ist(2, WINDOW + 0x800);
	idt_set(0x61, 2, true);
	tss_set_ist(1, spare_stack_top());
	idt_set(PF, 1, true);
	on_vector(PF, map_stack);
	apic_self_ipi(0x61);
	sti();
	cli();
	expect_equal(event_count[PF], 1);
	expect_equal(trap_rsp, WINDOW + 0x7f8);
	/* Taken by the CPU, then lost to the fault: it is in service still. */
	expect_equal(event_count[0x61], 0);
	expect(apic_bit(APIC_ISR, 0x61));
	apic_write(APIC_EOI, 0);
	apic_self_ipi(0x61);
	sti();
	cli();
	expect_equal(event_count[0x61], 1);
}

/* The same for INT n, which is executed again. */
static void fault_in_int_delivery(void)
{
	uint64_t here;

	window_map(0, 0);
	on_vector(0x62, count_event);
	tss_set_ist(2, WINDOW + 0x800);
	idt_set(0x62, 2, true);
	tss_set_ist(1, spare_stack_top());
	idt_set(PF, 1, true);
	on_vector(PF, map_stack);
	__asm__ volatile("lea (%%rip), %0; int $0x62" : "=r"(here) : : "memory");
	expect_equal(event_count[PF], 1);
	expect_equal(trap_rip, here);
	expect_equal(event_count[0x62], 1);
}

static void push_to_window(void)
{
	__asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; push $1; mov %%rbx, %%rsp"
			 :
			 : "r"(UINT64_C(WINDOW + 0x800))
			 : "rbx", "memory");
}

static void fault_restarts(void)
{
	window_map(0, 0);
	tss_set_ist(1, spare_stack_top());
	idt_set(PF, 1, true);
	on_vector(PF, map_stack);
	push_to_window();
	expect_equal(event_count[PF], 1);
	expect_equal(*(uint64_t *)(page + 0x7f8), 1);
}

const struct test tests[] = {
	{"#DE", divide_error},
	{"#UD", undefined},
	{"#BP", breakpoint},
	{"#BP with prefixes", breakpoint_prefixed},
	{"INT n", int_n},
	{"#DB: a watched word", hardware_breakpoints},
	{"debug registers hold over exits", debug_registers_hold},
	{"#NM", device_not_available},
	{"#MF", x87_error},
	{"#XM", simd_error},
	{"#PF: error codes and CR2", page_fault_codes},
	{"accessed and dirty bits", accessed_and_dirty},
	{"#PF in user mode", user_page_fault},
	{"#GP", general_protection},
	{"#SS", stack_fault},
	{"#AC", alignment_check},
	{"#DF: #PF without a gate", double_fault},
	{"#DF: no stack", double_fault_bad_stack},
	{"a fault while an interrupt is delivered", fault_in_interrupt_delivery},
	{"a fault while INT n is delivered", fault_in_int_delivery},
	{"an instruction is repeated after its fault", fault_restarts},
	{NULL, NULL},
};
