/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions and interrupts: descriptor tables, handlers, and the ways to
 * provoke a fault and go on.
 *
 * An exception that nobody asked for fails the test that it came in.
 */
#include "tests/guests/lib/internal.h"
#include "tests/guests/lib/lib.h"

#define VECTOR_USER_RETURN 0x7f /* user_enter's way back */
#define GATE_INTERRUPT 0x8e00
#define GATE_DPL3 0x6000
#define GATE_PRESENT 0x8000
#define TSS_AVAILABLE 0x89

struct gate {
	uint16_t offset_low, selector, attributes, offset_middle;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM 3, figure 6-8");

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t ist[8]; /* ist[0] is reserved */
	uint64_t reserved1;
	uint16_t reserved2, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM 3, figure 8-11");

static struct gate idt[256];
static struct tss tss;
static uint8_t trap_stack[8192] __attribute__((aligned(16)));
static uint8_t user_stack[8192] __attribute__((aligned(16)));

static void (*handlers[256])(struct frame *frame);
volatile unsigned event_count[256];
volatile struct fault fault;
volatile uint64_t catch_rip;
static struct checkpoint *catch_function;

void idt_set(unsigned vector, unsigned ist, bool present)
{
	uintptr_t stub = (uintptr_t)vector_stubs[vector];

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)stub,
		.selector = SEL_CODE64,
		.attributes = (uint16_t)((GATE_INTERRUPT | GATE_DPL3 | ist) &
					 ~(present ? 0u : GATE_PRESENT)),
		.offset_middle = (uint16_t)(stub >> 16),
	};
}

void tss_set_ist(unsigned ist, uint64_t rsp)
{
	tss.ist[ist] = rsp;
}

void traps_init(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uintptr_t)idt};
	uintptr_t base = (uintptr_t)&tss;

	gdt[SEL_TSS / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
			   (uint64_t)TSS_AVAILABLE << 40 | (base >> 24 & 0xff) << 56;
	gdt[SEL_TSS / 8 + 1] = base >> 32;
	tss.rsp[0] = (uintptr_t)trap_stack + sizeof(trap_stack);
	tss.io_map = sizeof(tss); /* user mode has no ports */
	__asm__ volatile("lidt %0" : : "m"(pointer));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	traps_reset();
}

void traps_reset(void)
{
	for (unsigned i = 0; i < 256; i++) {
		idt_set(i, 0, true);
		handlers[i] = NULL;
		event_count[i] = 0;
	}
	catch_rip = 0;
	catch_function = NULL;
}

void on_vector(unsigned vector, void (*handler)(struct frame *frame))
{
	event_count[vector] = 0;
	handlers[vector] = handler;
}

void count_event(struct frame *frame)
{
	event_count[frame->vector]++;
}

void count_apic_event(struct frame *frame)
{
	event_count[frame->vector]++;
	apic_write(APIC_EOI, 0);
}

void vector_handle(struct frame *frame)
{
	if (handlers[frame->vector] != NULL) {
		handlers[frame->vector](frame);
		return;
	}
	if (frame->vector == VECTOR_USER_RETURN && catch_function != NULL) {
		fault.vector = NO_FAULT;
		checkpoint_resume(catch_function);
	}
	fault.vector = (int)frame->vector;
	fault.error = frame->error;
	fault.rip = frame->rip;
	fault.rflags = frame->rflags;
	fault.cr2 = read_cr2();
	if (catch_rip != 0) {
		frame->rip = catch_rip;
		catch_rip = 0;
		return;
	}
	if (catch_function != NULL) {
		checkpoint_resume(catch_function);
	}
	print("# vector %lu, error %#lx, RIP %#lx, CR2 %#lx\n", frame->vector, frame->error,
	      frame->rip, fault.cr2);
	test_fail("an event that nobody expects", __FILE__, __LINE__);
}

/* Calls function(), or enters user mode with it. */
static int catch_fault(void (*function)(void), bool user)
{
	struct checkpoint here, *outer = catch_function;

	if (checkpoint_set(&here) == 0) {
		catch_function = &here;
		fault.vector = NO_FAULT;
		if (user) {
			/* As after a call: 8 off the 16-byte boundary, less its push. */
			user_enter(function, (uintptr_t)user_stack + sizeof(user_stack));
		}
		function();
	}
	catch_function = outer;
	return fault.vector;
}

int fault_of(void (*function)(void))
{
	return catch_fault(function, false);
}

int user_fault_of(void (*function)(void))
{
	return catch_fault(function, true);
}

int try_rdmsr(uint32_t index, uint64_t *value)
{
	uint32_t low = 0, high = 0;
	int vector = TRY("rdmsr", : "+a"(low), "+d"(high) : "c"(index));

	*value = (uint64_t)high << 32 | low;
	return vector;
}

int try_wrmsr(uint32_t index, uint64_t value)
{
	return TRY("wrmsr",
		   :
		   : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		   : "memory");
}
