/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts: shadows, priorities, pending ones, nesting, NMI, PIC, IOAPIC. */
#include "tests/guests/lib/lib.h"

#define LOW 0x41
#define MIDDLE 0x61
#define HIGH 0x81

static volatile unsigned order[8];
static volatile unsigned order_count;
static volatile uint64_t seen_rip;

static void record(struct frame *frame)
{
	order[order_count++ & 7] = (unsigned)frame->vector;
	seen_rip = frame->rip;
	apic_write(APIC_EOI, 0);
}

/* `vector` pending with interrupts off, its handler recording. */
static void pend(unsigned vector)
{
	on_vector(vector, record);
	apic_self_ipi(vector);
}

static void prepare(void)
{
	apic_enable();
	order_count = 0;
	seen_rip = 0;
}

static void held_until_sti(void)
{
	prepare();
	pend(LOW);
	expect(apic_bit(APIC_IRR, LOW));
	expect_equal(order_count, 0);
	sti();
	cli();
	expect_equal(order_count, 1);
	expect(!apic_bit(APIC_IRR, LOW));
	expect(!apic_bit(APIC_ISR, LOW));
}

static void sti_shadow(void)
{
	uint64_t after;

	prepare();
	pend(LOW);
	__asm__ volatile("sti; nop; 1: nop; cli; lea 1b(%%rip), %0" : "=r"(after) : : "memory");
	expect_equal(order_count, 1);
	expect_equal(seen_rip, after);
}

static void sti_cli(void)
{
	prepare();
	pend(LOW);
	__asm__ volatile("sti; cli" : : : "memory");
	expect_equal(order_count, 0);
	sti();
	expect_equal(order_count, 1);
}

/* The instruction in the shadow leaves the guest, and ends the shadow. */
static void sti_shadow_over_exit(void)
{
	uint64_t after;

	prepare();
	pend(LOW);
	__asm__ volatile("sti; cpuid; 1: nop; cli; lea 1b(%%rip), %0"
			 : "=r"(after)
			 : "a"(0), "c"(0)
			 : "rbx", "rdx", "memory");
	expect_equal(order_count, 1);
	expect_equal(seen_rip, after);
}

static void popf_has_no_shadow(void)
{
	uint64_t after, flags = read_rflags() | RFLAGS_IF;

	prepare();
	pend(LOW);
	__asm__ volatile("push %1; popfq; 1: nop; cli; lea 1b(%%rip), %0"
			 : "=&r"(after)
			 : "r"(flags)
			 : "memory");
	expect_equal(order_count, 1);
	expect_equal(seen_rip, after);
}

static void halt_with_pending(void)
{
	prepare();
	pend(LOW);
	sleep_once();
	expect_equal(order_count, 1);
}

static void by_priority(void)
{
	prepare();
	pend(LOW);
	pend(HIGH);
	pend(MIDDLE);
	sti();
	cli();
	expect_equal(order_count, 3);
	expect_equal(order[0], HIGH);
	expect_equal(order[1], MIDDLE);
	expect_equal(order[2], LOW);
}

static void pends_once(void)
{
	prepare();
	pend(LOW);
	pend(LOW);
	sti();
	cli();
	expect_equal(order_count, 1);
}

static void task_priority(void)
{
	prepare();
	apic_write(APIC_TPR, 0x50);
	expect_equal(read_cr8(), 5);
	expect_equal(apic_read(APIC_PPR), 0x50);
	pend(LOW);
	pend(MIDDLE);
	sti();
	expect_equal(order_count, 1);
	expect_equal(order[0], MIDDLE);
	apic_write(APIC_TPR, 0);
	__asm__ volatile("nop" : : : "memory");
	cli();
	expect_equal(order_count, 2);
	expect_equal(order[1], LOW);
}

static void task_priority_cr8(void)
{
	prepare();
	write_cr8(8);
	expect_equal(apic_read(APIC_TPR), 0x80);
	pend(HIGH);
	sti();
	expect_equal(order_count, 0); /* class 8 is not above class 8 */
	write_cr8(7);
	__asm__ volatile("nop" : : : "memory");
	cli();
	expect_equal(order_count, 1);
	write_cr8(0);
	need(machine_is_strict(), "QEMU's TCG takes any CR8");
	expect_equal(try_write_cr8(16), GP);
}

static void nest(struct frame *frame)
{
	order[order_count++ & 7] = (unsigned)frame->vector;
	expect(apic_bit(APIC_ISR, MIDDLE));
	expect_equal(apic_read(APIC_PPR), MIDDLE & 0xf0);
	apic_self_ipi(LOW);
	apic_self_ipi(HIGH);
	sti();
	cli();
	expect_equal(order_count, 2); /* HIGH came in between, LOW did not */
	apic_write(APIC_EOI, 0);
}

static void nested(void)
{
	prepare();
	on_vector(LOW, record);
	on_vector(HIGH, record);
	on_vector(MIDDLE, nest);
	apic_self_ipi(MIDDLE);
	sti();
	cli();
	expect_equal(order_count, 3);
	expect_equal(order[0], MIDDLE);
	expect_equal(order[1], HIGH);
	expect_equal(order[2], LOW);
}

static void eoi_ends_the_highest(void)
{
	prepare();
	on_vector(MIDDLE, count_event);
	on_vector(HIGH, count_event);
	apic_self_ipi(MIDDLE);
	sti();
	apic_self_ipi(HIGH);
	cli();
	expect_equal(event_count[MIDDLE], 1);
	expect_equal(event_count[HIGH], 1);
	expect(apic_bit(APIC_ISR, MIDDLE) && apic_bit(APIC_ISR, HIGH));
	apic_write(APIC_EOI, 0);
	expect(apic_bit(APIC_ISR, MIDDLE) && !apic_bit(APIC_ISR, HIGH));
	apic_write(APIC_EOI, 0);
	expect(!apic_bit(APIC_ISR, MIDDLE));
}

static void disabled_apic(void)
{
	need(machine_is_strict(), "QEMU's APIC lets the mask be cleared");
	prepare();
	apic_write(APIC_SVR, APIC_SPURIOUS_VECTOR);
	apic_write(APIC_LVT_TIMER, LOW); /* the mask cannot be cleared now */
	expect(apic_read(APIC_LVT_TIMER) & APIC_LVT_MASKED);
	apic_enable();
}

static void send_nmi(void)
{
	apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
	apic_write(APIC_ICR, APIC_ICR_NMI);
}

static void nmi(void)
{
	prepare();
	on_vector(NMI, count_event);
	send_nmi(); /* with interrupts off */
	expect(wait_count(&event_count[NMI], 1));
	expect_equal(event_count[NMI], 1);
}

static volatile unsigned nmi_depth;

static void nmi_within_nmi(struct frame *frame)
{
	expect_equal(nmi_depth, 0); /* blocked until IRET */
	nmi_depth++;
	if (event_count[frame->vector]++ == 0) {
		send_nmi();
		cpuid(0, 0); /* a chance to deliver it too early */
	}
	nmi_depth--;
}

static void nmi_blocks_nmi(void)
{
	prepare();
	nmi_depth = 0;
	on_vector(NMI, nmi_within_nmi);
	send_nmi();
	expect(wait_count(&event_count[NMI], 2));
}

static void pic_tick(struct frame *frame)
{
	event_count[frame->vector]++;
	pic_eoi((unsigned)frame->vector - PIC_VECTOR);
}

static void pic_through_lint0(void)
{
	prepare();
	apic_write(APIC_LVT_LINT0, APIC_LVT_EXTINT);
	on_vector(PIC_VECTOR, pic_tick);
	pic_open(BIT(0));
	pit_periodic(PIT_HZ / 1000);
	expect(wait_count(&event_count[PIC_VECTOR], 3));
}

static void pic_mask_holds(void)
{
	prepare();
	apic_write(APIC_LVT_LINT0, APIC_LVT_EXTINT);
	on_vector(PIC_VECTOR, pic_tick);
	pic_open(0);
	pit_periodic(PIT_HZ / 1000);
	sti();
	delay_us(3000);
	expect_equal(event_count[PIC_VECTOR], 0);
	outb(0x20, 0x0a); /* read the IRR */
	expect(inb(0x20) & BIT(0));
	outb(0x21, 0xfe);
	expect(wait_count(&event_count[PIC_VECTOR], 1));
}

static void pic_no_eoi(void)
{
	prepare();
	apic_write(APIC_LVT_LINT0, APIC_LVT_EXTINT);
	on_vector(PIC_VECTOR, count_event);
	pic_open(BIT(0));
	pit_periodic(PIT_HZ / 1000);
	expect(wait_count(&event_count[PIC_VECTOR], 1));
	sti();
	delay_us(5000);
	cli();
	expect_equal(event_count[PIC_VECTOR], 1);
	outb(0x20, 0x0b); /* read the ISR */
	expect(inb(0x20) & BIT(0));
	pic_eoi(0);
}

static void ioapic_registers(void)
{
	uint32_t version = ioapic_read(1);
	unsigned inputs = (version >> 16 & 0xff) + 1;

	expect(inputs >= 24);
	ioapic_write(0x10 + 2 * 5, IOAPIC_MASKED | IOAPIC_LEVEL | 0x55);
	ioapic_write(0x11 + 2 * 5, 0x0f000000);
	expect_equal(ioapic_read(0x10 + 2 * 5), IOAPIC_MASKED | IOAPIC_LEVEL | 0x55);
	expect_equal(ioapic_read(0x11 + 2 * 5), 0x0f000000);
	ioapic_write(0x10 + 2 * 5, IOAPIC_MASKED);
	/* Beyond the last: whatever comes, no harm. */
	ioapic_write(0x10 + 2 * inputs + 20, 0x55);
	(void)ioapic_read(0x10 + 2 * inputs + 20);
}

static void ioapic_edge(void)
{
	unsigned input = acpi_ioapic_input(0);

	prepare();
	on_vector(MIDDLE, count_apic_event);
	ioapic_route(input, MIDDLE, 0);
	pit_periodic(PIT_HZ / 1000);
	expect(wait_count(&event_count[MIDDLE], 3));
	ioapic_route(input, MIDDLE, IOAPIC_MASKED);
	sti();
	__asm__ volatile("nop");

	unsigned before = event_count[MIDDLE];

	delay_us(3000);
	cli();
	expect_equal(event_count[MIDDLE], before);
}

static void error_register(void)
{
	need(machine_is_strict(), "QEMU's APIC reports no errors");
	prepare();
	on_vector(HIGH, count_apic_event);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_LVT_ERROR, HIGH);
	apic_self_ipi(0x05); /* vectors below 16 are illegal */
	expect(wait_count(&event_count[HIGH], 1));
	apic_write(APIC_ESR, 0);
	expect(apic_read(APIC_ESR) & (BIT(5) | BIT(6)));
	apic_write(APIC_LVT_ERROR, APIC_LVT_MASKED);
}

static void software_interrupt(void)
{
	prepare();
	on_vector(HIGH, count_event);
	apic_write(APIC_TPR, 0xf0); /* priorities do not matter to INT n */
	__asm__ volatile("int %0" : : "i"(HIGH) : "memory");
	apic_write(APIC_TPR, 0);
	expect_equal(event_count[HIGH], 1);
	expect(!apic_bit(APIC_ISR, HIGH));
}

const struct test tests[] = {
	{"held in the IRR until STI", held_until_sti},
	{"STI's shadow is one instruction", sti_shadow},
	{"STI, CLI takes nothing", sti_cli},
	{"STI's shadow ends with an instruction that exits", sti_shadow_over_exit},
	{"POPF has no shadow", popf_has_no_shadow},
	{"STI, HLT with one pending wakes at once", halt_with_pending},
	{"the highest first", by_priority},
	{"one vector pends once", pends_once},
	{"the task priority holds back its class", task_priority},
	{"CR8 is the task priority", task_priority_cr8},
	{"a handler is interrupted by higher ones only", nested},
	{"EOI ends the highest in service", eoi_ends_the_highest},
	{"a disabled APIC keeps its LVT masked", disabled_apic},
	{"NMI in spite of IF", nmi},
	{"NMI waits for IRET", nmi_blocks_nmi},
	{"PIC through LINT0", pic_through_lint0},
	{"the PIC's mask holds a request", pic_mask_holds},
	{"no second interrupt from the PIC before EOI", pic_no_eoi},
	{"the IOAPIC's registers", ioapic_registers},
	{"edges through the IOAPIC", ioapic_edge},
	{"an illegal vector is an APIC error", error_register},
	{"INT n regards no priority", software_interrupt},
	{NULL, NULL},
};
