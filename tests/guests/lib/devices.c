/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices that tests are driven by: local APIC, IOAPIC, PICs, PIT, PM timer.
 */
#include "tests/guests/lib/internal.h"
#include "tests/guests/lib/lib.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA 0xa1
#define PIC_ICW1 0x11 /* cascaded, with ICW4 */
#define PIC_ICW4 0x01 /* 8086 mode */
#define PIC_EOI 0x20
#define PIC_CASCADE_IRQ 2

#define IOAPIC_INPUTS 24

#define PIT_COUNTER0 0x40
#define PIT_CONTROL 0x43
#define PIT_CONTROL_PERIODIC 0x34 /* counter 0, low then high byte, mode 2 */

/* More ticks than any event of the tests takes, in emulators too. */
#define WAIT_TSC BIT(28)

static volatile uint32_t *mmio(uint32_t address)
{
	return (volatile uint32_t *)(uintptr_t)address;
}

uint32_t apic_read(enum apic_register reg)
{
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2) {
		return (uint32_t)rdmsr(0x800 + reg / 16);
	}
	return *mmio(APIC_PAGE + reg);
}

void apic_write(enum apic_register reg, uint32_t value)
{
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2) {
		wrmsr(0x800 + reg / 16, value);
	} else {
		*mmio(APIC_PAGE + reg) = value;
	}
}

void apic_enable(void)
{
	apic_write(APIC_SVR, APIC_SVR_ENABLE | APIC_SPURIOUS_VECTOR);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
	apic_write(APIC_LVT_LINT1, APIC_LVT_MASKED);
	apic_write(APIC_LVT_ERROR, APIC_LVT_MASKED);
	apic_write(APIC_TIMER_INITIAL, 0);
}

void apic_self_ipi(unsigned vector)
{
	apic_write(APIC_ICR, APIC_ICR_SELF | vector);
}

bool apic_bit(enum apic_register first, unsigned vector)
{
	return apic_read(first + vector / 32 * 16) >> vector % 32 & 1;
}

void devices_settle(void)
{
	pic_open(0);
	for (unsigned input = 0; input < IOAPIC_INPUTS; input++) {
		ioapic_write(0x10 + 2 * input, IOAPIC_MASKED);
	}
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
	apic_write(APIC_LVT_ERROR, APIC_LVT_MASKED);
	apic_write(APIC_TIMER_INITIAL, 0);
	apic_write(APIC_TPR, 0);
	/* At most one of each priority class is in service. */
	for (unsigned i = 0; i < 16; i++) {
		apic_write(APIC_EOI, 0);
	}
	for (unsigned vector = 32; vector < 256; vector++) {
		on_vector(vector, count_apic_event);
	}
	sti();
	cli();
}

uint32_t ioapic_read(unsigned reg)
{
	*mmio(IOAPIC_PAGE) = reg;
	return *mmio(IOAPIC_PAGE + 0x10);
}

void ioapic_write(unsigned reg, uint32_t value)
{
	*mmio(IOAPIC_PAGE) = reg;
	*mmio(IOAPIC_PAGE + 0x10) = value;
}

void ioapic_route(unsigned input, unsigned vector, uint32_t flags)
{
	uint32_t id = apic_read(APIC_ID);

	if ((rdmsr(MSR_APIC_BASE) & APIC_BASE_X2) == 0) {
		id >>= 24;
	}
	ioapic_write(0x10 + 2 * input, IOAPIC_MASKED);
	ioapic_write(0x11 + 2 * input, id << 24);
	ioapic_write(0x10 + 2 * input, vector | flags);
}

void pic_open(uint16_t mask)
{
	if (mask & 0xff00) {
		mask |= 1u << PIC_CASCADE_IRQ;
	}
	outb(PIC1_COMMAND, PIC_ICW1);
	outb(PIC1_DATA, PIC_VECTOR);
	outb(PIC1_DATA, 1u << PIC_CASCADE_IRQ);
	outb(PIC1_DATA, PIC_ICW4);
	outb(PIC2_COMMAND, PIC_ICW1);
	outb(PIC2_DATA, PIC_VECTOR + 8);
	outb(PIC2_DATA, PIC_CASCADE_IRQ);
	outb(PIC2_DATA, PIC_ICW4);
	outb(PIC1_DATA, (uint8_t)~mask);
	outb(PIC2_DATA, (uint8_t)(~mask >> 8));
}

void pic_eoi(unsigned irq)
{
	if (irq >= 8) {
		outb(PIC2_COMMAND, PIC_EOI);
	}
	outb(PIC1_COMMAND, PIC_EOI);
}

void pit_periodic(uint16_t count)
{
	outb(PIT_CONTROL, PIT_CONTROL_PERIODIC);
	outb(PIT_COUNTER0, (uint8_t)count);
	outb(PIT_COUNTER0, (uint8_t)(count >> 8));
}

void delay_us(unsigned us)
{
	uint32_t start = inl(PM_TIMER_PORT);
	uint64_t ticks = (uint64_t)us * PM_TIMER_HZ / 1000000;

	while (((inl(PM_TIMER_PORT) - start) & BITS(23, 0)) < ticks) {
	}
}

bool wait_count(const volatile unsigned *count, unsigned target)
{
	uint64_t start = rdtsc();
	bool enabled = read_rflags() & RFLAGS_IF;

	sti();
	while (*count < target && rdtsc() - start < WAIT_TSC) {
		__builtin_ia32_pause();
	}
	if (!enabled) {
		cli();
	}
	return *count >= target;
}
